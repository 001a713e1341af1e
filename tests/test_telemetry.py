"""Metrics and log lines say what happened and never what was in the telemetry of others."""

from __future__ import annotations

import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from detectors.model import Category, Finding, Severity
from pipeline import telemetry
from pipeline.normalise import Unknown
from pipeline.records import Block, Located
from pipeline.telemetry import Metrics
from tests.make import span

CANARY = "canary-value-that-must-not-appear"


class Ingesting:
    """The counters of an Ingest."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.masked: Counter[str] = Counter()
        self.unknown = Unknown()


@pytest.fixture
def restore() -> Iterator[None]:
    """The process's log set-up as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers, root.level = before[0], before[1]
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_metric_is_declared_with_unit_and_meaning() -> None:
    """Names are ours, counters are past verbs, help texts say something."""
    metrics = Metrics()
    metrics.watch(Ingesting())
    seen = set()
    for family in metrics.registry.collect():
        assert re.fullmatch(r"spanwatch_[a-z_]+", family.name), family.name
        assert len(family.documentation) > 25, family.name
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        seen.add(family.name)
    assert len(seen) >= 15


def test_two_processes_worth_of_metrics_do_not_meet() -> None:
    """Each has its own registry."""
    one, two = Metrics(), Metrics()
    one.spans_stored.inc(3)
    assert b"spanwatch_spans_stored_total 3.0" in one.exposition()
    assert b"spanwatch_spans_stored_total 0.0" in two.exposition()


def test_a_stored_block_is_counted() -> None:
    """By kind, by detector, and the delay since its oldest span."""
    metrics = Metrics()
    found = Finding(
        id="f",
        detector_id="d1",
        detector_version="1",
        rule_id="r",
        severity=Severity.HIGH,
        category=Category.CREDENTIAL_EXPOSURE,
        tenant="t",
        agent_id="a",
        agent_type="",
        session_id="s",
        trace_id="",
        span_id="",
        time_ns=1,
    )
    spans = [Located(span(i), 0, 1, i) for i in range(4)]
    metrics.stored(Block(topic="spans", partition=0, first=1, last=1, spans=spans, outcomes=[found, found]))
    values = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }
    assert values["spanwatch_spans_stored_total", ()] == 4
    assert values["spanwatch_findings_stored_total", ("d1",)] == 2
    assert values["spanwatch_outcomes_stored_total", ("Finding",)] == 2
    assert values["spanwatch_storing_delay_seconds_count", ()] == 1


def test_what_ingest_counts_is_read_at_the_scrape() -> None:
    """No copy that could be stale."""
    metrics, ingest = Metrics(), Ingesting()
    metrics.watch(ingest)
    ingest.counts["clamped"] = 5
    ingest.masked["secret.x"] = 3
    ingest.unknown.counts["scope", "1", CANARY] = 4
    ingest.unknown.overflow = 2
    text = metrics.exposition().decode()
    assert 'spanwatch_ingest_events_total{event="clamped"} 5.0' in text
    assert 'spanwatch_secrets_masked_total{rule="secret.x"} 3.0' in text
    assert "spanwatch_unknown_attributes_total 6.0" in text
    assert "spanwatch_unknown_keys 1.0" in text
    assert CANARY not in text


@pytest.mark.usefixtures("restore")
def test_log_values_are_words_and_numbers_only() -> None:
    """Whatever else is passed leaves its type, never its content."""
    out = io.StringIO()
    telemetry.configure("info", "json", out)
    structlog.get_logger().info(
        "stored",
        rows=3,
        ok=True,
        path=Path("/data"),
        body=CANARY.encode(),
        attributes={"k": CANARY},
        texts=[CANARY],
        event_=span(name=CANARY),
        long="x" * 5000,
    )
    (line,) = lines(out)
    assert (line["event"], line["level"], line["rows"], line["ok"], line["path"]) == (
        "stored",
        "info",
        3,
        True,
        "/data",
    )
    assert (line["body"], line["attributes"], line["texts"], line["event_"]) == (
        "<bytes>",
        "<dict>",
        "<list>",
        "<Span>",
    )
    assert len(str(line["long"])) <= 301
    assert CANARY not in out.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.usefixtures("restore")
def test_an_exception_leaves_its_type_and_places(form: str) -> None:
    """Its message can quote the input, its traceback shows source lines only we need."""
    out = io.StringIO()
    telemetry.configure("info", form, out)  # type: ignore[arg-type]  # both are valid
    try:
        raise KeyError(CANARY)
    except KeyError as error:
        structlog.get_logger().error("failed", exc_info=error)
        structlog.get_logger().error("failed", exc_info=True)
        logging.getLogger("some.library").exception("broken by %s", CANARY)
        logging.getLogger("some.library").error("first line\nfuture: <Task exception=%r>" % (CANARY,))  # noqa: UP031  # as asyncio does
    text = out.getvalue()
    assert CANARY not in text
    assert text.count("KeyError") == 3
    assert text.count("test_telemetry.py:") == 3
    assert "first line" in text


@pytest.mark.usefixtures("restore")
def test_libraries_speak_from_warning_on() -> None:
    """And through the same formatter."""
    out = io.StringIO()
    telemetry.configure("debug", "json", out)
    logging.getLogger("noisy").info("hidden")
    logging.getLogger("noisy").warning("shown")
    structlog.get_logger().debug("ours")
    assert [line["event"] for line in lines(out)] == ["shown", "ours"]


@pytest.mark.usefixtures("restore")
def test_where_a_library_names_a_value_a_gap_is_left() -> None:
    """Nobody is to read the value, nor `%s`; what only looks like a place is left alone."""
    out = io.StringIO()
    telemetry.configure("info", "json", out)
    logging.getLogger("client").warning('cannot connect to "%s:%s": %r', CANARY, 9, CANARY)
    logging.getLogger("client").warning("disk 95%full")
    assert [line["event"] for line in lines(out)] == ["cannot connect to …:…: …", "disk 95%full"]
