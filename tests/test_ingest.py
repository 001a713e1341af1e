"""Ingest as a whole: whom records belong to, times, limits, counters, dead letters, and undoing compression."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from typing import Any

import msgspec
import pytest
import zstandard

import pipeline.ingest
from detectors.secrets import Scanner
from pipeline import decode, wire
from pipeline.decode import MAX_RECORDS
from pipeline.errors import DecodeError
from pipeline.ingest import EARLIEST_NS, Ingest, Ingested, inflate
from pipeline.settings import Gateway
from tests.dialects import T0, event, logs, span, traces
from tests.test_golden import RECEIVED_NS, ingest

TALK = {"gen_ai.conversation.id": "conv-1", "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "desk"}


def _traces(ours: Ingest, *spans: dict[str, Any], tenant: str = "default", **resource: Any) -> Ingested:
    body = traces(resource or {"service.name": "desk-service"}, {"scope": list(spans)}).body
    return ours.traces(body, "json", received_ns=RECEIVED_NS, tenant=tenant)


def test_session_of_the_trace_in_any_order() -> None:
    """A record without a session takes its trace's, whichever of them comes first in the request."""
    done = _traces(ingest(), span(2, "a", {}), span(1, "b", TALK), span(3, "c", {}))
    assert [(s.session_id, s.session_from) for s in done.spans] == [
        ("conv-1", "trace"),
        ("conv-1", "attribute"),
        ("conv-1", "trace"),
    ]
    assert {(s.agent_id, s.agent_type) for s in done.spans} == {("desk", "desk")}


def test_session_of_the_trace_in_a_later_request() -> None:
    """A trace's session is remembered for later requests of the same tenant, and of no other."""
    ours = ingest()
    _traces(ours, span(1, "b", TALK))
    (later,) = _traces(ours, span(2, "a", {})).spans
    (foreign,) = _traces(ours, span(2, "a", {}), tenant="other").spans
    assert (later.session_id, later.session_from) == ("conv-1", "trace")
    assert (foreign.session_id, foreign.session_from) == (foreign.trace_id, "trace_id")


def test_weak_session_stays_with_its_record() -> None:
    """An MCP session names the record's own session when nothing better is known, and nobody else's."""
    call = {"mcp.method.name": "tools/list", "mcp.session.id": "m-1"}
    done = _traces(ingest(), span(1, "tools/list", call), span(2, "a", {}))
    assert [s.session_id for s in done.spans] == ["m-1", done.spans[0].trace_id]
    done = _traces(ingest(), span(1, "tools/list", call), span(2, "a", TALK))
    assert {s.session_id for s in done.spans} == {"conv-1"}


def test_nothing_to_belong_to() -> None:
    """A record with neither session nor trace is kept under its service, and counted."""
    ours = ingest()
    body = logs({"service.name": "lost"}, "scope", [event(1, {"a": 1})]).body
    (found,) = ours.logs(body, "json", received_ns=RECEIVED_NS).spans
    assert (found.session_id, found.session_from, found.agent_id) == ("unresolved/lost", "none", "lost")
    assert ours.counts["unresolved"] == 1


def test_nobody_answers() -> None:
    """A record that names no agent, session, human or credential is kept, and counted apart."""
    ours = ingest()
    body = logs({}, "scope", [event(1, {"a": 1}), event(2, {"a": 1, "jwt.sub": "svc-1"})]).body
    nobody, known = ours.logs(body, "json", received_ns=RECEIVED_NS).spans
    assert (nobody.agent_id, known.fields["credential"]) == ("", "svc-1")
    assert ours.counts["nobody"] == 1


def test_a_proxy_speaks_of_the_agent_of_its_trace() -> None:
    """What a proxy records belongs to the one agent of the trace; with two agents, or none, to the proxy."""
    agent = traces({"service.name": "desk-service"}, {"s": [span(1, "chat", {**TALK, "gen_ai.agent.name": "desk"})]})
    other = traces({"service.name": "till-service"}, {"s": [span(3, "chat", {**TALK, "gen_ai.agent.name": "till"})]})
    proxy = traces({"service.name": "llm-proxy"}, {"s": [span(2, "auth", {"litellm.api_key.hash": "ab12"})]})
    ours = ingest()
    (alone,) = ours.traces(proxy.body, "json", received_ns=RECEIVED_NS).spans
    ours.traces(agent.body, "json", received_ns=RECEIVED_NS)
    (behind,) = ours.traces(proxy.body, "json", received_ns=RECEIVED_NS).spans
    ours.traces(other.body, "json", received_ns=RECEIVED_NS)
    (between,) = ours.traces(proxy.body, "json", received_ns=RECEIVED_NS).spans
    assert [one.agent_id for one in (alone, behind, between)] == ["llm-proxy", "desk", "llm-proxy"]
    assert behind.fields["credential"] == "ab12"


def test_instance_and_own_id() -> None:
    """An agent's own id goes before the instance of its service."""
    resource = {"service.name": "desk-service", "service.instance.id": "i-1"}
    done = _traces(ingest(), span(1, "a", {**TALK, "gen_ai.agent.id": "ag-1"}), span(2, "b", {}), **resource)
    assert [s.agent_id for s in done.spans] == ["ag-1", "ag-1"]
    (alone,) = _traces(ingest(), span(1, "a", {}), **resource).spans
    assert (alone.agent_id, alone.agent_type) == ("i-1", "desk-service")


def test_log_ids_are_stable() -> None:
    """A log record delivered twice has one id; a different one has another; so has another tenant's."""
    ours = ingest()
    body = logs({"service.name": "s"}, "scope", [event(1, {"a": 1}, "x"), event(1, {"a": 2}, "x")]).body
    first = [s.id for s in ours.logs(body, "json", received_ns=RECEIVED_NS).spans]
    again = [s.id for s in ours.logs(body, "json", received_ns=RECEIVED_NS + 5).spans]
    other = [s.id for s in ours.logs(body, "json", received_ns=RECEIVED_NS, tenant="t2").spans]
    assert first == again
    assert len({*first, *other}) == 4


@pytest.mark.parametrize(
    ("start", "end", "received", "expected"),
    [
        (0, 0, RECEIVED_NS, (RECEIVED_NS, RECEIVED_NS)),
        (5, T0, RECEIVED_NS, (RECEIVED_NS, RECEIVED_NS)),
        ((1 << 64) - 1, (1 << 64) - 1, RECEIVED_NS, (RECEIVED_NS, RECEIVED_NS)),
        (0, 0, 0, (EARLIEST_NS, EARLIEST_NS)),
        (T0, T0 - 1, RECEIVED_NS, (T0, T0)),
        (T0, (1 << 64) - 1, RECEIVED_NS, (T0, T0)),
    ],
)
def test_absurd_times(start: int, end: int, received: int, expected: tuple[int, int]) -> None:
    """Times no clock can have meant become the time of arrival; the original is kept and the record counted."""
    ours = ingest()
    record = {**span(1, "a", {}), "startTimeUnixNano": str(start), "endTimeUnixNano": str(end)}
    body = traces({}, {"scope": [record]}).body
    (found,) = ours.traces(body, "json", received_ns=received).spans
    assert (found.start_ns, found.end_ns) == expected
    original = found.attributes["spanwatch.original_start_ns"]
    assert original == (start if start < 1 << 63 else str(start))
    assert ours.counts["clamped"] == 1


def test_long_values_are_cut() -> None:
    """A value beyond the limit is cut, the Span says so, and it is counted."""
    limits = Gateway(max_value_bytes=1000)
    ours = Ingest(Scanner([], b"k"), limits, b"k")
    body = traces({}, {"scope": [span(1, "a", {"big": "ü" * 5_000_000, "small": "x"}), span(2, "b", {"a": 1})]}).body
    cut, whole = ours.traces(body, "json", received_ns=RECEIVED_NS).spans
    assert len(str(cut.attributes["big"]).encode()) <= 1000
    assert (cut.attributes["small"], cut.truncated, whole.truncated) == ("x", True, False)
    assert ours.counts["truncated"] == 1


def test_too_many_attributes() -> None:
    """Attributes, events and links beyond the limit are left out, the Span says so."""
    ours = Ingest(Scanner([], b"k"), Gateway(max_attributes=5), b"k")
    many = {f"k{n}": n for n in range(9)}
    events = [{"name": f"e{n}", "attributes": []} for n in range(9)]
    body = traces({}, {"scope": [span(1, "a", many), span(2, "b", {}, events=events), span(3, "c", {"a": 1})]}).body
    first, second, third = ours.traces(body, "json", received_ns=RECEIVED_NS).spans
    assert list(first.attributes) == ["k0", "k1", "k2", "k3", "k4"]
    assert (first.truncated, second.truncated, third.truncated) == (True, True, False)
    assert len(second.attributes) <= 6


def test_events_and_links_are_flattened() -> None:
    """Events and links join the attributes under their number."""
    record = span(
        1,
        "a",
        {"own": 1},
        events=[
            {
                "name": "exception",
                "timeUnixNano": "5",
                "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}],
            }
        ],
        links=[{"traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": [{"key": "k", "value": {"intValue": 2}}]}],
        traceState="v=1",
        status={"code": 2, "message": "bad"},
    )
    (found,) = _traces(ingest(), record).spans
    assert found.attributes == {
        "own": 1,
        "status.message": "bad",
        "trace.state": "v=1",
        "events.0.name": "exception",
        "events.0.time_ns": 5,
        "events.0.exception.type": "E",
        "links.0.trace_id": "ab" * 16,
        "links.0.span_id": "cd" * 8,
        "links.0.k": 2,
    }
    assert (found.fields["error.type"], found.fields["error"]) == ("E", "bad")


def test_structured_body() -> None:
    """A log body that is no text is kept as JSON text, and its event name found where it stands."""
    record = {**event(1, {"a": 1}), "body": {"kvlistValue": {"values": [{"key": "m", "value": {"intValue": 1}}]}}}
    record["eventName"] = "my.event"
    (found,) = ingest().logs(logs({}, "s", [record]).body, "json", received_ns=RECEIVED_NS).spans
    assert (found.attributes["body"], found.name, found.signal) == ('{"m":1}', "my.event", "log")


def test_repeated_key_and_no_value() -> None:
    """Of a repeated key the last value counts; a key without a value is no attribute."""
    record = span(1, "a", {"x": 1, "y": None})
    record["attributes"] += [{"key": "x", "value": {"intValue": 2}}, {"key": "z"}]
    (found,) = _traces(ingest(), record).spans
    assert found.attributes == {"x": 2}


def test_unknown_keys_are_counted() -> None:
    """Keys no dialect knows are kept on the Span and counted per scope and product version, within bounds."""
    ours = ingest()
    resource = {"service.name": "s", "service.version": "9"}
    for _ in range(2):
        _traces(ours, span(1, "a", {"acme.mood": "good", "http.route": "/"}), **resource)
    assert dict(ours.unknown.counts) == {("scope", "9", "acme.mood"): 2}
    for n in range(3000):
        _traces(ours, span(1, "a", {f"noise.{n}": 1}), **resource)
    assert len(ours.unknown.counts) <= 2000
    assert ours.unknown.overflow > 900


def test_caches_are_bounded() -> None:
    """Values that never repeat do not pile up in the vocabulary."""
    ours = ingest()
    for n in range(30):
        _traces(ours, *[span(k, "a", {"always.new": f"{n}-{k}", "same": "x"}) for k in range(100)])
    assert len(ours._words["json"].pairs) < 1200


def test_known_places_survive_a_full_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of places is emptied before a request, never under it."""
    monkeypatch.setattr(pipeline.ingest, "MAX_PLACES", 3)
    ours = ingest()
    for n in range(6):
        for host in ("known", f"new-{n}"):
            (found,) = _traces(ours, span(1, "a", {}), **{"host.name": host}).spans
            assert found.resource.attributes == {"host.name": host}
    assert len(ours._homes) <= 5


def _tiny(records: int, resource: bytes = b"", scope: bytes = b"") -> bytes:
    """A request of empty records, which cost two bytes each to send."""
    scopes = [{"scope": scope, "records": [b""] * records}]
    return bytes(wire.Request(resources=[{"resource": resource, "scopes": scopes}]).SerializeToString())


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (_tiny(MAX_RECORDS), "protobuf"),
        (b"\x0a\x00" * (MAX_RECORDS + 1), "protobuf"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * MAX_RECORDS + b"{}]}]}]}", "json"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"1," * MAX_RECORDS + b"{}]}]}]}", "json"),
        (b'{"resourceSpans":[' + b"{}," * MAX_RECORDS + b"{}]}", "json"),
    ],
)
def test_too_many_records(body: bytes, encoding: Any) -> None:
    """A request that would swell to a thousand times its size is refused."""
    with pytest.raises(DecodeError) as caught:
        ingest().traces(body, encoding, received_ns=RECEIVED_NS)
    assert caught.value.reason == "too_large"


def test_what_records_share_is_bounded() -> None:
    """However much a resource and a scope say, each record carries little of it."""
    big = [decode.string_pair(f"k{n}".encode(), b"x" * 9000) for n in range(500)]
    named = decode.string_pair(b"service.name", b"desk")
    resource = wire.Resource(attributes=[*big, named]).SerializeToString()
    scope = wire.Scope(name=b"s", attributes=big).SerializeToString()
    done = ingest().traces(_tiny(3, resource, scope), "protobuf", received_ns=RECEIVED_NS)
    for found in done.spans:
        assert found.resource.service == "desk"
        assert len(msgspec.json.encode(found)) < 30_000
        assert found.truncated


def test_a_broken_resource_is_fingerprinted_once() -> None:
    """It may take many records along; each is a dead letter."""
    ours = ingest()
    done = ours.traces(_tiny(2000, b"\xff" * 2_000_000), "protobuf", received_ns=RECEIVED_NS)
    assert len({x.fingerprint for x in done.dead_letters}) == 1
    assert len({x.id for x in done.dead_letters}) == done.records == 2000


def test_traces_remember_short_names_only() -> None:
    """What is remembered of a trace is bounded, and still the same for all its records."""
    ours = ingest()
    asserted = {
        "gen_ai.conversation.id": "s" * 5000,
        "gen_ai.agent.name": "n" * 5000,
        "gen_ai.agent.id": "a" * 5000,
        "user.id": "u" * 5000,
        "gen_ai.operation.name": "invoke_agent",
    }
    first, second = _traces(ours, span(1, "a", asserted), span(2, "b", {})).spans
    assert (second.session_id, second.agent_id, second.agent_type) == (
        first.session_id,
        first.agent_id,
        first.agent_type,
    )
    (known,) = ours._traces.of("default").values()
    kept = [known.session, *known.users.values(), *(name for names in known.agents.values() for name in names)]
    assert max(map(len, kept)) <= 256


def test_dead_letters_are_recognised() -> None:
    """A dead letter tells size, origin, owner and a fingerprint that is equal for equal bytes."""
    ours = ingest()
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}, {"traceId": 5}]}]}]}).encode()
    first, second = (
        ours.traces(
            body, "json", received_ns=RECEIVED_NS, tenant="t", emitter="e", origin="http:/v1/traces"
        ).dead_letters
        for _ in range(2)
    )
    assert [x.fingerprint for x in first] == [x.fingerprint for x in second]
    assert {(x.tenant, x.emitter, x.origin) for x in first} == {("t", "e", "http:/v1/traces")}
    assert len({x.id for x in first}) == 2
    assert ours.counts["dead_letters"] == 4


def test_authenticated_is_apart_from_asserted() -> None:
    """Tenant and emitter come from the receiver alone, whatever the telemetry says of itself."""
    body = traces({"tenant": "evil", "emitter": "evil"}, {"scope": [span(1, "a", {"tenant": "evil"})]}).body
    (found,) = ingest().traces(body, "json", received_ns=RECEIVED_NS).spans
    assert (found.tenant, found.resource.emitter) == ("default", "")


BODY = json.dumps({"text": ["telemetry repeats itself"] * 2000}).encode()
LIMITS = Gateway(max_body_bytes=4 * 2**20, max_ratio=100)


def _gzip(body: bytes) -> bytes:
    """Without the time of day: test names are made of these bytes, and must be the same in every process."""
    return gzip.compress(body, mtime=0)


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(body)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", BODY),
        ("identity", BODY),
        ("gzip", _gzip(BODY)),
        (" GZIP ", _gzip(BODY)),
        ("gzip", _gzip(BODY[:99]) + _gzip(BODY[99:])),
        ("gzip", _gzip(BODY[:99]) + bytes(7) + _gzip(BODY[99:]) + bytes(300_000)),
        ("zstd", _zstd(BODY)),
        ("zstd", _zstd(BODY[:99]) + _zstd(BODY[99:])),
        ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress(BODY)),
    ],
)
def test_inflate(encoding: str, body: bytes) -> None:
    """Every encoding gives the body back, several members and frames included."""
    assert inflate(body, encoding, LIMITS) == BODY


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", _gzip(BODY)[:-9], "gzip"),
        ("gzip", _gzip(BODY)[:40], "gzip"),
        ("gzip", b"", "gzip"),
        ("gzip", b"plain text", "gzip"),
        ("gzip", _gzip(BODY) + b"tail", "gzip"),
        ("zstd", _zstd(BODY)[:-3], "zstd"),
        ("zstd", b"", "zstd"),
        ("zstd", b"plain text", "zstd"),
        ("zstd", _zstd(BODY) + b"tail", "zstd"),
        ("br", BODY, "encoding"),
        ("gzip, gzip", BODY, "encoding"),
        ("", b"x" * (LIMITS.max_body_bytes + 1), "too_large"),
        ("gzip", _gzip(bytes(3 * 2**20)), "ratio"),
        ("zstd", _zstd(bytes(3 * 2**20)), "ratio"),
        ("gzip", _gzip(b"") * 200_000, "gzip"),
        ("zstd", _zstd(b"") * 200_000, "zstd"),
    ],
)
def test_inflate_refuses(encoding: str, body: bytes, reason: str) -> None:
    """Damaged, cut-off, oversized and unknown bodies are refused with the reason."""
    with pytest.raises(DecodeError) as caught:
        inflate(body, encoding, LIMITS)
    assert caught.value.reason == reason


def test_inflate_small_bodies_may_repeat_themselves() -> None:
    """The ratio is only held against bodies beyond a size honest telemetry can have."""
    assert inflate(_gzip(bytes(2**20)), "gzip", LIMITS) == bytes(2**20)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_inflate_stops_in_time(encoding: str) -> None:
    """A bomb is given up long before it has gone off."""
    size = 256 * 2**20
    if encoding == "gzip":
        packer = zlib.compressobj(wbits=31)
        bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()
    else:
        bomb = zstandard.ZstdCompressor(level=3).compress(bytes(size))
    limits = Gateway(max_body_bytes=8 * 2**20, max_ratio=10**9)
    tracemalloc.start()
    with pytest.raises(DecodeError, match="too_large"):
        inflate(bomb, encoding, limits)
    assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    tracemalloc.stop()


def test_long_names_and_ids() -> None:
    """Names are cut and ids hashed beyond a length no honest emitter needs."""
    values = {"gen_ai.conversation.id": "s" * 5000, "gen_ai.agent.id": "a" * 300}
    (found,) = _traces(ingest(), span(1, "n" * 100_000, values)).spans
    assert (len(found.name), len(found.session_id), len(found.agent_id), found.truncated) == (4096, 32, 32, True)
