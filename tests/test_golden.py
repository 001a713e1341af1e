"""One request per dialect becomes exactly the Spans its golden file holds; `--update-golden` writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detectors.model import Span, digest
from detectors.secrets import Scanner
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from tests.dialects import SAMPLES

GOLDEN = Path(__file__).parent / "golden"
RECEIVED_NS = 1_795_190_000_000_000_000


def ingest() -> Ingest:
    return Ingest(Scanner([], b"key"), Gateway(), b"key")


def _plain(span: Span) -> dict[str, Any]:
    """A Span by name, without what it holds by default, its fields in alphabetical order."""
    plain: dict[str, Any] = {}
    for name in span.__struct_fields__:
        value = msgspec.to_builtins(getattr(span, name))
        if name == "resource":
            value = span.resource.attributes
        if value not in ("", {}, [], (), False):
            plain[name] = dict(sorted(value.items())) if isinstance(value, dict) else value
    return plain


@pytest.mark.parametrize("dialect", SAMPLES)
def test_dialect(dialect: str, request: pytest.FixtureRequest) -> None:
    """Every record of the dialect's request is normalised as its golden file says."""
    sample = SAMPLES[dialect]
    done = getattr(ingest(), sample.signal)(sample.body, "json", received_ns=RECEIVED_NS)
    assert not done.dead_letters
    found = [_plain(span) for span in done.spans]
    file = GOLDEN / f"{dialect}.json"
    if request.config.getoption("--update-golden"):
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(file.read_text())


def _samples() -> Path | None:
    """The folder of recorded sample requests, beside the checkout or where the environment says."""
    named = os.environ.get("SPANWATCH_TEST_SAMPLES")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "samples" / "otlp"
    return folder if folder.is_dir() else None


EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((GOLDEN / "recorded.json").read_text())


@pytest.mark.parametrize("file", EXPECTED)
def test_recorded(file: str, request: pytest.FixtureRequest) -> None:
    """The recorded requests of other hands mean what we say they mean: kind, tool, session, agent, aim, approval."""
    folder = _samples()
    if folder is None:
        pytest.skip("no recorded samples: set SPANWATCH_TEST_SAMPLES to their folder")
    body = (folder / f"{file}.json").read_bytes()
    decode = ingest().logs if b'"resourceLogs"' in body else ingest().traces
    done = decode(body, "json", received_ns=RECEIVED_NS)
    assert not done.dead_letters
    found = [_summary(span) for span in done.spans]
    if request.config.getoption("--update-golden"):
        EXPECTED[file] = found
        (GOLDEN / "recorded.json").write_text(json.dumps(EXPECTED, indent=1) + "\n")
    assert found == EXPECTED[file]


def _summary(span: Span) -> dict[str, Any]:
    """What a record means; words that are the recording's own only as a hash."""
    own = ("command.line", "path")
    wanted = ("tool.name", "mcp.server", "egress.hosts", "llm.host", "approval.decision", "approval.source", *own)
    return {
        "dialect": span.dialect,
        "kind": span.kind,
        "session": digest(span.session_id)[:12],
        "from": span.session_from,
        "agent": digest(span.agent_id)[:12],
        "type": span.agent_type,
        **{
            name: digest(span.text(name))[:12] if name in own else span.fields[name]
            for name in wanted
            if name in span.fields
        },
    }
