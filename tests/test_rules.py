"""Rule files: what is understood, what is refused and how it is said, and what one deployment may change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors import rule
from detectors.behaviour import Matcher
from detectors.engine import Engine
from detectors.errors import RuleError, RuleErrors
from detectors.model import Finding, SecretMatch, Severity, Span
from tests.make import span
from tests.stories import RULES

HEAD = """
title: A rule
name: {name}
status: stable
level: high
logsource: {{product: ai_agent}}
detection:
"""


def sigma(detection: str, name: str = "x.rule", more: str = "") -> str:
    lines = "".join(f"  {line}\n" for line in detection.strip().splitlines())
    return HEAD.format(name=name) + lines + more


def folder(tmp_path: Path, *texts: str) -> Path:
    for i, text in enumerate(texts):
        (tmp_path / f"rule{i}.yml").write_text(text)
    return tmp_path


def read(tmp_path: Path, *texts: str, overrides: str = "") -> rule.RuleSet:
    changes = None
    if overrides:
        changes = tmp_path.parent / f"{tmp_path.name}-overrides.yml"
        changes.write_text(overrides)
    return rule.read([folder(tmp_path, *texts)], overrides=changes, builtin=False)


def matches(tmp_path: Path, detection: str, **fields: Any) -> bool:
    found = Matcher(read(tmp_path, sigma(detection)).behaviour).of(span(0, fields=fields))
    return bool(found)


MEANS: list[tuple[str, dict[str, Any], bool]] = [
    ("s: {tool.name: Bash}\ncondition: s", {"tool.name": "bash"}, True),
    ("s: {tool.name: Bash}\ncondition: s", {"tool.name": "bash2"}, False),
    ("s: {tool.name|cased: Bash}\ncondition: s", {"tool.name": "bash"}, False),
    ("s: {url|contains: Evil}\ncondition: s", {"url": "https://evil.example"}, True),
    ("s: {url|startswith: 'http:'}\ncondition: s", {"url": "see http:"}, False),
    ("s: {url|startswith: 'http:'}\ncondition: s", {"url": "HTTP://x"}, True),
    ("s: {url|endswith: .zip}\ncondition: s", {"url": "a.zip?x"}, False),
    ("s: {url|endswith: .zip}\ncondition: s", {"url": "a\nb.zip"}, True),
    ("s: {path: '/etc/*d'}\ncondition: s", {"path": "/etc/pass\nwd"}, True),
    ("s: {path: '/etc/?d'}\ncondition: s", {"path": "/etc/xd"}, True),
    ("s: {path: '/etc/\\*'}\ncondition: s", {"path": "/etc/x"}, False),
    ("s: {command.line|re: '^rm$'}\ncondition: s", {"command.line": "ls\nrm"}, False),
    ("s: {command.line|re|m: '^rm$'}\ncondition: s", {"command.line": "ls\nrm"}, True),
    ("s: {command.line|re|i: 'RM -R'}\ncondition: s", {"command.line": "rm -r x"}, True),
    ("s: {command.line|re: 'RM'}\ncondition: s", {"command.line": "rm -r x"}, False),
    ("s: {command.line|re|s: 'a.b'}\ncondition: s", {"command.line": "a\nb"}, True),
    ("s: {command.line|re: 'a.b'}\ncondition: s", {"command.line": "aéb"}, True),
    ("s: {command.line|re: 'a{2,60}b'}\ncondition: s", {"command.line": "a" * 61 + "b"}, True),
    ("s: {command.line|re: '^a{2,60}b'}\ncondition: s", {"command.line": "a" * 61 + "b"}, False),
    ("s: {url|contains: 'ÄÖ'}\ncondition: s", {"url": "xäöx"}, True),
    ("s: {url|contains|all: [a, b]}\ncondition: s", {"url": "a"}, False),
    ("s: {url|contains|all: [a, b]}\ncondition: s", {"url": "ba"}, True),
    ("s: {url|contains: [aa, bb]}\ncondition: s", {"url": "xbbx"}, True),
    ("s: {http.status: 403}\ncondition: s", {"http.status": 403}, True),
    ("s: {http.status: 403}\ncondition: s", {"http.status": 404}, False),
    ("s: {http.status|gte: 400}\ncondition: s", {"http.status": 400}, True),
    ("s: {http.status|lt: 400}\ncondition: s", {"http.status": 400}, False),
    ("s: {http.status|gt: 400}\ncondition: s", {"tool.name": "x"}, False),
    ("s: {success: false}\ncondition: s", {"success": False}, True),
    ("s: {success: false}\ncondition: s", {"success": True}, False),
    ("s: {path|exists: true}\ncondition: s", {"path": "x"}, True),
    ("s: {tool.name: x}\nn: {path: null}\ncondition: s and n", {"tool.name": "x"}, True),
    ("s: {tool.name: x}\nn: {path: null}\ncondition: s and n", {"tool.name": "x", "path": "p"}, False),
    ("s: {url|contains: a}\nn: {url|contains: b}\ncondition: s and not n", {"url": "ab"}, False),
    ("s: {url|contains: a}\nn: {tool.name|neq: b}\ncondition: s and n", {"url": "a", "tool.name": "c"}, True),
    ("a1: {url|contains: a}\na2: {url|contains: b}\ncondition: 1 of a*", {"url": "b"}, True),
    ("a1: {url|contains: a}\na2: {url|contains: b}\ncondition: all of a*", {"url": "b"}, False),
    ("s:\n  - url|contains: a\n  - path|contains: b\ncondition: s", {"path": "b"}, True),
    ("s: {url|contains: abc}\ncondition: s", {"path": "abc"}, False),
    ("s: {kind: tool_call, tool.name: x}\ncondition: s", {"tool.name": "x"}, True),
    ("s: {agent.type: other, tool.name: x}\ncondition: s", {"tool.name": "x"}, False),
    ("s: {url: '*'}\ncondition: s", {"url": ""}, True),
    ("s: {url: 5}\ncondition: s", {"url": "5"}, True),
]


@pytest.mark.parametrize(("detection", "fields", "holds"), MEANS)
def test_a_condition_means_what_sigma_says(tmp_path: Path, detection: str, fields: dict[str, Any], holds: bool) -> None:
    assert matches(tmp_path, detection, **fields) is holds


ODD = st.text(alphabet="ab\n\x00 éÄk/.$^\\", max_size=12)
PATTERNS = [
    "s: {url|contains: 'a b'}\ncondition: s",
    "s: {url|startswith: ab}\ncondition: s",
    "s: {url|endswith: 'b'}\ncondition: s",
    "s: {url: 'ab'}\ncondition: s",
    "s: {url: 'a*b'}\ncondition: s",
    "s: {url: 'é?ä'}\ncondition: s",
    "s: {url|re: '^a+b'}\ncondition: s",
    "s: {url|re: 'b$'}\ncondition: s",
    "s: {url|re: 'a[^b]{1,20}k'}\ncondition: s",
    "s: {url|re|i: 'É.b'}\ncondition: s",
    "s: {url|re|s: 'a.{2}b'}\ncondition: s",
    "s: {path|re: '\\\\bab\\\\b'}\nn: {url|contains: k}\ncondition: s and not n",
    "s: {url|contains: a}\np: {path|contains: b}\ncondition: s or p",
]


@pytest.fixture(scope="module")
def odd_rules(tmp_path_factory: pytest.TempPathFactory) -> rule.RuleSet:
    texts = [sigma(one, name=f"odd.{i}") for i, one in enumerate(PATTERNS)]
    return read(tmp_path_factory.mktemp("odd"), *texts)


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=5))
def test_the_scan_over_a_batch_finds_what_each_condition_alone_finds(
    odd_rules: rule.RuleSet, values: list[tuple[str, str]]
) -> None:
    spans = [span(i, fields={"url": url, "path": path}) for i, (url, path) in enumerate(values)]
    matcher = Matcher(odd_rules.behaviour)
    matcher.prepare(spans)
    for one in spans:
        assert {m.rule.id for m in matcher.of(one)} == {r.id for r in odd_rules.behaviour if r.condition.test(one)}


REFUSED: list[tuple[str, str, str]] = [
    (sigma("s: [word]\ncondition: s"), "documents[0].detection", "without a field"),
    (sigma("s: {url|expand: '%hosts%'}\ncondition: s"), "documents[0].detection", "placeholders"),
    (sigma("s: {url|contains: a}\ncondition: s and not nowhere"), "documents[0].detection", "nowhere"),
    (sigma("s: {url|re: '(?=a)b'}\ncondition: s"), "documents[0]", "invalid"),
    (sigma("s: {url|bogus: a}\ncondition: s"), "documents[0]", "bogus"),
    (sigma("s: {url: null}\ncondition: s"), "documents[0].detection", "nothing positive"),
    (sigma("s: {url|contains: a}\ncondition: not s"), "documents[0].detection", "nothing positive"),
    (sigma("s: {url: a}\ncondition: s", more="surprise: 1\n"), "documents[0].surprise", "unknown key"),
    (sigma("s: {url: a}\ncondition: s", more="spanwatch: {categroy: 3}\n"), "documents[0].spanwatch", "categroy"),
    (sigma("s: {url: a}\ncondition: s", more="spanwatch: {category: 6}\n"), "documents[0].spanwatch", "6"),
    (sigma("s: {url: a}\ncondition: s", more="spanwatch: {standards: [LLM03:2025]}\n"), "standards", "LLM03:2025"),
    (sigma("s: {url: a}\ncondition: s").replace("ai_agent", "windows"), "logsource.product", "windows"),
    (sigma("s: {url: a}\ncondition: s").replace("{product", "{category: dns, product"), "logsource.category", "dns"),
    (sigma("s: {url: a}\ncondition: s").replace("level: high", ""), "level", "missing"),
    (sigma("s: {url: a}\ncondition: s").replace("name: x.rule", ""), "documents[0]", "name or an id"),
    ("title: [", "$", "not readable"),
    ("just text", "documents[0]", "expected a mapping"),
    (sigma("s: {url: a}\ncondition: s") + "title: again\n", "$", "Duplicate key"),
]


@pytest.mark.parametrize(("text", "path", "reason"), REFUSED)
def test_what_is_not_understood_is_refused_with_file_path_and_reason(
    tmp_path: Path, text: str, path: str, reason: str
) -> None:
    with pytest.raises(RuleErrors) as caught:
        read(tmp_path, text)
    (error,) = caught.value.errors
    assert error.file == str(tmp_path / "rule0.yml")
    assert path in error.path
    assert reason in error.reason


CORRELATION = """
title: Two things
name: x.chain
level: high
correlation:
  type: {type}
  rules: [x.a, x.b]
  timespan: 10m
  {more}
"""


@pytest.mark.parametrize(
    ("kind", "more", "path", "reason"),
    [
        ("value_avg", "condition: {field: bytes.out, gte: 5}", "type", "not supported"),
        ("event_count", "condition: {gte: 1001}", "condition", "never counted"),
        ("temporal", "condition: x.a and x.b", "documents[0]", "extended condition"),
        ("temporal", "condition: {gte: 1}", "condition", "takes none"),
        ("event_count", "condition: {lt: 5}", "condition", "gte"),
        ("temporal", "aliases: {h: {x.a: url, x.c: path}}", "aliases.h", "none of the rules"),
        ("sometimes", "generate: false", "documents[0]", "sometimes"),
    ],
)
def test_a_correlation_outside_the_subset_is_refused(
    tmp_path: Path, kind: str, more: str, path: str, reason: str
) -> None:
    steps = [sigma("s: {url|contains: a}\ncondition: s", f"x.{c}") for c in "ab"]
    with pytest.raises(RuleErrors) as caught:
        read(tmp_path, *steps, CORRELATION.format(type=kind, more=more))
    assert any(path in one.path and reason in one.reason for one in caught.value.errors)


def test_a_correlation_of_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuleErrors, match=r"no rule is named x\.b"):
        read(tmp_path, sigma("s: {url: a}\ncondition: s", "x.a"), CORRELATION.format(type="temporal", more=""))


def test_every_error_of_every_file_is_told(tmp_path: Path) -> None:
    texts = [text for text, _, _ in REFUSED[:6]]
    with pytest.raises(RuleErrors) as caught:
        read(tmp_path, *texts)
    assert {Path(one.file).name for one in caught.value.errors} == {f"rule{i}.yml" for i in range(6)}
    assert str(caught.value).count("\n") == 5


def test_a_name_used_twice_is_refused(tmp_path: Path) -> None:
    text = sigma("s: {url: a}\ncondition: s")
    with pytest.raises(RuleErrors, match=r"x\.rule: defined more than once"):
        read(tmp_path, text, text)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="no such folder"):
        rule.read([tmp_path / "nowhere"], builtin=False)


def findings(rules: rule.RuleSet, *spans: Span) -> list[Finding]:
    return [o for o in Engine(detectors.load(rules)).run(spans) if isinstance(o, Finding)]


FOREIGN = """
title: Team rule without our block
id: 7d0c9b60-6a3f-4d4f-8f63-0c2ad61f4d3b
level: medium
tags: [attack.t1485]
logsource: {product: ai_agent, category: tool_call}
detection:
  selection: {command.line|contains: deploy --yolo}
  condition: selection
"""


def test_a_team_s_own_rule_without_our_block_loads_and_fires(tmp_path: Path) -> None:
    rules = read(tmp_path, FOREIGN)
    (found,) = findings(rules, span(0, fields={"command.line": "deploy --yolo"}))
    assert found.rule_id == "7d0c9b60-6a3f-4d4f-8f63-0c2ad61f4d3b"
    assert (found.severity, found.standards) == (Severity.MEDIUM, ("T1485",))


def test_overrides_switch_off_change_severity_and_except(tmp_path: Path) -> None:
    rm = span(0, kind="command", fields={"command.line": "rm -rf /"})
    chmod = span(1, kind="command", fields={"command.line": "chmod -R 777 /"})
    wipe = span(2, kind="command", fields={"command.line": "mkfs.ext4 /dev/sda"}, agent_type="imager")
    file = tmp_path / "overrides.yml"
    file.write_text(
        "destructive.recursive-delete: {enabled: false}\n"
        "destructive.permissions-everywhere: {severity: low}\n"
        "destructive.disk-wipe: {except: [{agent.type: imager}]}\n"
    )
    plain = {one.rule_id: one.severity for one in findings(RULES, rm, chmod, wipe)}
    changed = {one.rule_id: one.severity for one in findings(rule.read(overrides=file), rm, chmod, wipe)}
    mine = {"destructive.recursive-delete", "destructive.permissions-everywhere", "destructive.disk-wipe"}
    assert {name: plain[name] for name in mine} == dict.fromkeys(mine, Severity.HIGH)
    assert {name: changed[name] for name in mine & changed.keys()} == {
        "destructive.permissions-everywhere": Severity.LOW
    }


def test_the_detectors_an_override_may_name_are_those_that_exist() -> None:
    assert [one.id for one in detectors.load(RULES)] == list(detectors.IDS)


def test_overrides_reach_detectors_that_are_no_rule_files(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yml"
    file.write_text("egress.destination: {enabled: false}\nanomaly.models: {threshold: 0.01}\n")
    names = {one.id for one in detectors.load(rule.read(overrides=file))}
    assert "egress.destination" not in names
    assert "anomaly.models" in names


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("destructive.disk-wipe: {severty: low}", "severty"),
        ("destructive.disk-wipe: {severity: loud}", "loud"),
        ("destructive.disk-wipe: {except: [{path|expand: '%x%'}]}", "placeholders"),
        ("no.such.rule: {enabled: false}", "no rule or detector"),
    ],
)
def test_a_wrong_override_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "overrides.yml"
    file.write_text(text)
    with pytest.raises(RuleErrors, match=reason):
        rule.read(overrides=file)


def test_every_wrong_override_is_named_with_its_rule(tmp_path: Path) -> None:
    file = tmp_path / "overrides.yml"
    file.write_text("secret.github.pat: {severity: urgent}\nsecret.slack.bot_token: {sevrity: low}\n")
    with pytest.raises(RuleErrors) as caught:
        rule.read(overrides=file)
    first, second = caught.value.errors
    assert (first.path, second.path) == ("secret.github.pat.severity", "secret.slack.bot_token.sevrity")
    assert "sevrity" in second.reason
    file.write_text("- secret.github.pat\n")
    with pytest.raises(RuleError, match="expected rule ids"):
        rule.read(overrides=file)


def test_the_hash_names_contents_and_overrides(tmp_path: Path) -> None:
    text = sigma("s: {url: a}\ncondition: s")
    first = read(tmp_path, text)
    assert read(tmp_path, text).hash == first.hash
    assert read(tmp_path, text, overrides="x.rule: {severity: low}").hash != first.hash
    assert read(tmp_path, text.replace("url: a", "url: b")).hash != first.hash


def chain(*given: dict[str, Any]) -> list[Span]:
    return [span(i, **one) for i, one in enumerate(given)]


READ = {"kind": "command", "fields": {"tool.name": "Bash", "command.line": "cat .env"}}
SEND = {"kind": "http_egress", "fields": {"egress.host": "out.example.net", "egress.hosts": "out.example.net"}}
LEAK = "exfiltration.secret-read-then-egress"


def told(spans: list[Span], rule_id: str = LEAK) -> list[str]:
    engine = Engine(detectors.load(RULES))
    return [o.id for one in spans for o in engine.step(one) if isinstance(o, Finding) and o.rule_id == rule_id]


def test_a_sequence_is_found_in_whatever_order_it_arrives() -> None:
    """The same finding, id included, although the read arrives after what was sent."""
    spans = chain(READ, {"kind": "tool_call"}, SEND)
    assert len(told(spans)) == 1
    assert told(spans) == told(list(reversed(spans))) == told([spans[2], spans[0], spans[1]])


def test_a_late_step_still_counts_within_five_minutes() -> None:
    read_, send = span(0, at_ms=0, **READ), span(1, at_ms=1000, **SEND)
    later = span(2, at_ms=4 * 60_000, fields={"tool.name": "x"})
    assert len(told([send, later, read_])) == 1


def test_a_sequence_the_wrong_way_round_or_too_slow_is_none() -> None:
    assert told(chain(SEND, READ)) == []
    assert told([span(0, at_ms=0, **READ), span(1, at_ms=31 * 60_000, **SEND)]) == []
    assert len(told([span(0, at_ms=0, **READ), span(1, at_ms=30 * 60_000, **SEND)])) == 1


def test_a_sequence_needs_one_session() -> None:
    assert told([span(0, **READ), span(1, session="s2", **SEND)]) == []


def test_every_destination_sent_to_is_found_once() -> None:
    spans = chain(READ, SEND, SEND)
    assert len(set(told([*spans, *spans]))) == len(told([*spans, *spans])) == 2


def secret(surface: str, mark: str = "a" * 16) -> SecretMatch:
    return SecretMatch(rule_id="r", where="w", length=20, fingerprint=mark, surface=surface)


def test_the_very_secret_on_its_way_out_is_confirmed_in_any_order() -> None:
    spans = chain({"secrets": (secret("result"),)}, {**SEND, "secrets": (secret("body"),)})
    assert len(told(spans, "exfiltration.secret-sent")) == 1
    assert told(spans, "exfiltration.secret-sent") == told(spans[::-1], "exfiltration.secret-sent")
    other = chain({"secrets": (secret("result"),)}, {**SEND, "secrets": (secret("body", "b" * 16),)})
    assert told(other, "exfiltration.secret-sent") == []


COUNTED = """
title: Many
name: x.many
level: medium
correlation:
  type: {kind}
  rules: [x.a]
  group-by: [tool.name]
  timespan: 1m
  condition: {condition}
"""


@pytest.mark.parametrize(
    ("kind", "condition", "times", "fires"),
    [
        ("event_count", "{gte: 3}", [0, 10, 20], True),
        ("event_count", "{gt: 3}", [0, 10, 20], False),
        ("event_count", "{gte: 3}", [0, 10, 90], False),
        ("value_count", "{gte: 3, field: path}", [0, 10, 20], True),
        ("value_count", "{gte: 3, field: http.method}", [0, 10, 20], False),
    ],
)
def test_counting_correlations_count_in_their_time_and_group(
    tmp_path: Path, kind: str, condition: str, times: list[int], fires: bool
) -> None:
    rules = read(
        tmp_path,
        sigma("s: {url|contains: a}\ncondition: s", "x.a"),
        COUNTED.format(kind=kind, condition=condition),
    )
    fields = {"url": "a", "tool.name": "t", "http.method": "GET"}
    spans = [span(i, at_ms=at * 1000, fields={**fields, "path": f"p{i}"}) for i, at in enumerate(times)]
    assert bool(findings(rules, *spans)) is fires
    split = [span(i, at_ms=at * 1000, fields={**fields, "tool.name": f"t{i}"}) for i, at in enumerate(times)]
    assert not findings(rules, *split)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("api.openai.com", "allowed"),
        ("notopenai.com", "unlisted"),
        ("localhost", "local"),
        ("db", "local"),
        ("ledger.internal", "local"),
        ("10.2.3.4", "local"),
        ("192.168.1.1", "local"),
        ("127.0.0.1", "local"),
        ("2130706433", "local"),
        ("::1", "local"),
        ("8.8.4.4", "address"),
        ("2001:4860:4860::8844", "address"),
        ("169.254.169.254", "metadata"),
        ("metadata.google.internal", "metadata"),
        ("x.ngrok-free.app", "suspicious"),
        ("gist.github.com", "suspicious"),
        ("github.com", "allowed"),
        ("EXAMPLE.net.", "unlisted"),
        ("", "local"),
    ],
)
def test_a_destination_is_what_its_name_says(host: str, reach: str) -> None:
    assert RULES.destinations.reach(host, "any")[0] == reach


def test_an_agent_type_has_its_own_list(tmp_path: Path) -> None:
    (tmp_path / "egress").mkdir()
    (tmp_path / "egress" / "own.yml").write_text("agent_types: {mailer: [mail.example.net]}\n")
    reach = rule.read([tmp_path]).destinations.reach
    assert reach("smtp.mail.example.net", "mailer")[0] == "allowed"
    assert reach("smtp.mail.example.net", "coder")[0] == "unlisted"


def test_the_first_sighting_of_a_host_by_an_agent_type_is_told_from_later_ones() -> None:
    engine = Engine(detectors.load(RULES))
    seen = []
    for session in ("one", "two", "two"):
        out = engine.run([span(0, session=session, **SEND)])
        back = [o for o in out if type(o).__name__ == "Sighting"]
        seen += [(o.evidence["first_seen"], o.severity) for o in engine.run(back) if isinstance(o, Finding)]  # type: ignore[arg-type]  # only sightings
    assert seen == [("yes", Severity.LOW), ("no", Severity.INFO)]


def test_an_approval_by_a_human_lowers_one_by_a_policy_does_not() -> None:
    def destroyed(**decided: str) -> tuple[Severity, str]:
        approval = {f"approval.{name}": value for name, value in decided.items() if name != "user"}
        asked = span(0, kind="approval", call_id="c", fields={"tool.name": "Bash", **approval, "user": decided["user"]})
        done = span(1, kind="command", call_id="c", fields={"tool.name": "Bash", "command.line": "terraform destroy"})
        (found,) = (one for one in findings(RULES, asked, done) if one.rule_id == "destructive.infra-destroy")
        return found.severity, found.evidence["approver"]

    assert destroyed(decision="allow", source="human", user="dana") == (Severity.INFO, "dana")
    assert destroyed(decision="allow", source="policy", user="dana") == (Severity.HIGH, "policy")
    assert destroyed(decision="deny", source="human", user="dana") == (Severity.LOW, "denied by human")
    everything = findings(RULES, span(1, kind="command", fields={"command.line": "terraform destroy"}))
    (alone,) = (one for one in everything if one.rule_id == "destructive.infra-destroy")
    assert (alone.severity, alone.evidence["approver"]) == (Severity.HIGH, "none")
