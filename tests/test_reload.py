"""Rules changed on disk mask and detect without a restart; broken ones leave what runs and are seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import detectors
from detectors import rule
from detectors.engine import Engine
from detectors.errors import RuleError
from detectors.health import SESSION
from detectors.model import Alert, Finding, Severity
from detectors.secret_rules import fill
from detectors.secrets import Scanner
from pipeline import health
from pipeline.records import Block
from pipeline.settings import Rules, Settings, Worker
from pipeline.sinks.memory import MemorySink
from pipeline.state import MemoryStore
from tests import otlp
from tests.make import T0, span
from tests.running import embedded, settings

RULE = r"""
- issuer: Acme
  rotation: third_party
  runbook: Revoke it.
  rules:
    - id: secret.acme.key
      title: Acme key
      pattern: '(acmekey-[0-9a-f]{20})'
      grants: opens a service of our own
      examples: {match: ['x «acmekey-<hex:20>»'], no_match: ['acmekey-short']}
"""
RULE_BEGINS = next(line for line in RULE.splitlines() if "- id:" in line)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_rules_change_under_a_running_process(tmp_path: Path) -> None:
    """Unknown, then masked and alerted, then kept through a broken file, then gone with its file."""
    folder = tmp_path / "rules"
    (folder / "secrets").mkdir(parents=True)
    (folder / "secrets" / "other.yml").write_text(RULE.replace("acme", "other"))
    made = settings(tmp_path / "data")
    chosen = Settings(
        data_dir=made.data_dir,
        key=made.key,
        gateway=made.gateway,
        rules=Rules(folders=(folder,), watch_seconds=0.05),
        worker=Worker(batch_spans=100, batch_seconds=0.02),
    )
    blocks: list[Block] = []
    with embedded(chosen, sink=MemorySink(), store=MemoryStore(), listeners=[blocks.append]) as running:
        metrics = running.embedded.metrics.registry

        def count(name: str, **labels: str) -> float:
            return metrics.get_sample_value(name, labels) or 0.0

        def alerts(seed: int) -> set[str]:
            """Secret rules that alert on a new token in a session of its own."""
            result = fill("here: acmekey-<hex:20>", seed)
            body = otlp.traces(1, session=f"s{seed}", start=seed, **{"gen_ai.tool.call.result": result})
            headers = {"Content-Type": "application/x-protobuf"}
            # verify=False: plain HTTP needs no certificates, and reading them costs more than the request
            httpx.post(running.url + "/v1/traces", content=body, headers=headers, timeout=30, verify=False)
            running.wait_processed()
            made = [one for block in blocks for one in block.outcomes if isinstance(one, Alert)]
            return {one.rule_id for one in made if one.session_id == f"s{seed}" and one.rule_id.startswith("secret.")}

        def refused() -> list[Alert]:
            """What the running process says about the rules it would not take."""
            outcomes = [one for block in blocks for one in block.outcomes]
            return [one for one in outcomes if isinstance(one, Alert) and one.rule_id == "health.rules-refused"]

        assert alerts(1) == set()
        file = folder / "secrets" / "acme.yml"
        file.write_text(RULE)
        eventually(lambda: count("spanwatch_rules_reloaded_total", outcome="loaded") == 1)
        assert alerts(2) == {"secret.acme.key"}
        file.write_text(RULE.replace("pattern:", "patern:"))
        eventually(lambda: count("spanwatch_rules_refused") == 1)
        assert alerts(3) == {"secret.acme.key"}
        eventually(lambda: bool(refused()))
        (told,) = refused()
        assert (told.severity, told.session_id, told.evidence["who"]) == (Severity.MEDIUM, SESSION, "spanwatch")
        assert told.evidence["what"] == f"{file}:{1 + RULE.splitlines().index(RULE_BEGINS)}"
        assert "patern" in told.evidence["reason"]
        file.unlink()
        eventually(lambda: count("spanwatch_rules_reloaded_total", outcome="loaded") == 2)
        assert count("spanwatch_rules_refused") == 0
        assert alerts(4) == set()


def test_engine_keeps_the_state_of_detectors_that_stay() -> None:
    """Half a session, new detectors, the other half: windows and alerts are those of an undisturbed engine."""
    rules = rule.read()
    spans = [span(number, fields={"tool.name": f"t{number % 3}"}) for number in range(200)]
    undisturbed, changed = Engine(detectors.load(rules)), Engine(detectors.load(rules))
    expected = [*undisturbed.run(spans[:100]), *undisturbed.run(spans[100:]), *undisturbed.flush()]
    got = changed.run(spans[:100])
    changed.use(detectors.load(rules))
    got += [*changed.run(spans[100:]), *changed.flush()]
    assert got == expected
    assert expected, "something was derived"


@pytest.mark.parametrize("seconds", [-1, "soon"])
def test_watching_is_a_setting(seconds: object) -> None:
    with pytest.raises(ValueError, match="watch_seconds"):
        Rules(watch_seconds=seconds)  # type: ignore[arg-type]  # what a file may hold


def test_what_a_broken_file_says_is_masked_before_it_is_told() -> None:
    """A reason may quote the file, and files hold what people paste."""
    rules = rule.read()
    secret = fill("ghp_<alnum:36>", 1)
    error = RuleError("a.yml", "documents[0].detection.s", f"Unknown modifier in {secret}", line=3)
    scanner = Scanner(rules.secrets, b"k")
    spans = health.rules_refused([error], rules_hash="h", now_ns=T0, mask=lambda text: scanner.mask(text, "rules")[0])
    (found,) = [one for one in Engine(detectors.load(rules)).run(spans) if isinstance(one, Alert)]
    assert found.evidence["what"] == "a.yml:3"
    assert "secret.github.pat" in found.evidence["reason"]
    assert secret not in str(found)


def test_two_processes_that_meet_one_fault_tell_it_once() -> None:
    error = RuleError("a.yml", "$", "not readable as YAML", line=1)
    one, other = (
        health.rules_refused([error], rules_hash="h", now_ns=T0 + later, mask=str) for later in (0, 5_000_000_000)
    )
    findings = [o for o in Engine(detectors.load(rule.read())).run([*one, *other]) if isinstance(o, Finding)]
    assert len(findings) == 1
