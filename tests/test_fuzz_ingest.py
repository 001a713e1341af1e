"""Ingest under fire: no bytes make it raise anything but DecodeError, and no secret gets through in any field."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors
from detectors.model import Span
from detectors.secret_rules import fill, read_secrets
from detectors.secrets import Scanner
from pipeline.errors import DecodeError
from pipeline.ingest import Ingest, Ingested
from pipeline.records import Entry, encode
from pipeline.settings import Gateway
from tests.dialects import SAMPLES, TRACE, any_value, attributes, event, logs, span, traces
from tests.otlp_messages import as_protobuf
from tests.test_golden import RECEIVED_NS

MUTATIONS = 1500  # per encoding
TOKEN = "ghp_<alnum:36>"


@lru_cache(maxsize=1)
def _scanner() -> Scanner:
    folder = Path(detectors.__file__).parent / "rules" / "secrets"
    return Scanner(read_secrets(sorted(folder.glob("*.yml"))), b"key")


def _ingest(**limits: Any) -> Ingest:
    return Ingest(_scanner(), Gateway(**limits), b"key")


@given(st.binary(max_size=400), st.sampled_from(("traces", "logs")), st.sampled_from(("protobuf", "json")))
@settings(deadline=None)
def test_arbitrary_bytes(body: bytes, signal: str, encoding: Any) -> None:
    """Any bytes at all become Spans, dead letters or a DecodeError."""
    _survives(_ingest(), signal, body, encoding)


def _survives(ours: Ingest, signal: str, body: bytes, encoding: Any) -> Ingested | None:
    try:
        done: Ingested = getattr(ours, signal)(body, encoding, received_ns=RECEIVED_NS)
    except DecodeError:
        return None
    assert done.records == len(done.spans) + len(done.dead_letters)
    encode(Entry(spans=tuple(done.spans), dead_letters=tuple(done.dead_letters)))  # whatever came out can be written
    return done


def _mutate(rng: random.Random, body: bytes) -> bytes:
    """The body with a few bytes changed, cut, doubled, swapped or thrown in."""
    out = bytearray(body)
    for _ in range(rng.randrange(1, 6)):
        at, size = rng.randrange(len(out) or 1), rng.randrange(1, 40)
        match rng.randrange(6):
            case 0:
                out[at : at + 1] = rng.randbytes(1)
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = out[at : at + size]
            case 3:
                out[at:at] = rng.choice(
                    (b"\x00", b"\xff\xff", b"[[[[", b'"', b"{}", b"null", b"\\ud800", b"1e999", b"\x80" * 9)
                )
            case 4:
                out[at : at + 1] = bytes([out[at] ^ 1 << rng.randrange(8)]) if out else b""
            case 5:
                del out[rng.randrange(len(out) // 2, len(out) + 1) :]
    return bytes(out)


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_mutations(encoding: Any) -> None:
    """Thousands of damaged requests, always the same ones, leave ingest alive and mostly something to keep."""
    rng = random.Random(20)
    ours, kept = _ingest(max_attributes=40, max_value_bytes=200), 0
    samples = list(SAMPLES.values())
    bodies = [s.body if encoding == "json" else as_protobuf(s.body, s.signal) for s in samples]
    for number in range(MUTATIONS):
        which = number % len(samples)
        done = _survives(ours, samples[which].signal, _mutate(rng, bodies[which]), encoding)
        kept += len(done.spans) if done else 0
    assert kept > 100
    whole = getattr(ours, samples[0].signal)(bodies[0], encoding, received_ns=RECEIVED_NS)
    assert len(whole.spans) == 5


def _value(secret: str) -> dict[str, Any]:
    return span(1, "n", {"k": f"export X={secret} done"})


def _carry(**more: Any) -> dict[str, Any]:
    return {**span(1, "n", {}), **more}


def _escaped(secret: str) -> str:
    return "".join(f"\\u{ord(c):04x}" for c in secret)


PLACES: dict[str, Any] = {
    "value": lambda s: _value(s),
    "whole value": lambda s: span(1, "n", {"k": s}),
    "key": lambda s: span(1, "n", {s: "v"}),
    "key of a number": lambda s: span(1, "n", {s: 5}),
    "key of nothing": lambda s: span(1, "n", {s: None}),
    "list": lambda s: span(1, "n", {"k": ["a", [s]]}),
    "map value": lambda s: span(1, "n", {"k": {"a": {"b": s}}}),
    "map key": lambda s: span(1, "n", {"k": {s: 1}}),
    "bytes": lambda s: _carry(attributes=[{"key": "k", "value": {"bytesValue": _base64(s)}}]),
    "name": lambda s: span(1, f"GET /x?t={s}", {}),
    "status": lambda s: _carry(status={"code": 2, "message": f"bad token {s}"}),
    "trace state": lambda s: _carry(traceState=f"v={s}"),
    "event name": lambda s: _carry(events=[{"name": s}]),
    "event value": lambda s: _carry(events=[{"name": "e", "attributes": attributes({"a": s})}]),
    "event key": lambda s: _carry(events=[{"name": "e", "attributes": attributes({s: 1})}]),
    "link value": lambda s: _carry(links=[{"traceId": TRACE, "attributes": attributes({"a": s})}]),
    "link state": lambda s: _carry(links=[{"traceId": TRACE, "traceState": s}]),
    "session": lambda s: span(1, "n", {"gen_ai.conversation.id": s}),
    "agent": lambda s: span(1, "n", {"gen_ai.agent.id": s, "gen_ai.agent.name": s}),
    "call": lambda s: span(1, "n", {"gen_ai.tool.call.id": s}),
    "command": lambda s: span(1, "n", _tool({"command": f"curl -H 'X: {s}' https://a.example/"})),
    "command words": lambda s: span(1, "n", {"process.command_args": ["curl", "-u", f"me:{s}"]}),
    "url user": lambda s: span(1, "n", {"url.full": f"https://x:{s}@a.example/"}, kind=3),
    "escaped": lambda s: span(1, "n", {**_tool({}), "gen_ai.tool.call.arguments": _echo(s)}),
    "escaped twice": lambda s: span(1, "n", {**_tool({}), "gen_ai.tool.call.arguments": json.dumps(_echo(s))}),
    "escaped to the bottom": lambda s: span(1, "n", {**_tool({}), "gen_ai.tool.call.arguments": _deeply(_echo(s))}),
    "percent": lambda s: span(1, "n", {"url.full": f"https://a.example/?q={_percent(s)}"}, kind=3),
    "percent in a link": lambda s: span(1, f"GET /?to={_percent('https://b.example/?q=' + _percent(s))}", {}),
    "utf-16": lambda s: _carry(attributes=[{"key": "k", "value": {"bytesValue": _wide(s)}}]),
    "messages": lambda s: span(1, "n", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": _said(s)}),
    "long value": lambda s: span(1, "n", {"k": "x " * 200_000 + s + " y" * 900_000}),
    "across the cut": lambda s: span(1, "n", {"k": "x " * (2**19 - 10) + s + " y" * 10}),
}  # fmt: skip


def _tool(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"gen_ai.tool.name": "bash", "gen_ai.tool.call.arguments": json.dumps(arguments)}


def _echo(secret: str) -> str:
    return f'{{"command":"echo {_escaped(secret)}"}}'


def _deeply(text: str) -> str:
    """Wrapped as often as normalising would unwrap it again."""
    return json.dumps(json.dumps(json.dumps(text)))


def _percent(text: str) -> str:
    return "".join(f"%{ord(c):02x}" for c in text)


def _wide(text: str) -> str:
    return msgspec.to_builtins(text.encode("utf-16"))


def _said(secret: str) -> str:
    return json.dumps([{"role": "user", "content": f"use\n{secret}\nplease"}])


def _base64(text: str) -> str:
    return msgspec.to_builtins(b"\xff\xfe " + text.encode())


def _leaks(secret: str, done: Ingested, ours: Ingest) -> bool:
    """Whether any form of the secret is in what is handed on, counted or kept."""
    out = msgspec.json.encode(done).decode() + repr(ours.unknown.counts) + repr(ours.counts) + repr(ours.masked)
    kept = (
        repr([(w.pairs, w.names, w.notes) for w in ours._words.values()])
        + repr(ours._homes)
        + repr([(t.session, t.agents, t.users) for t in ours._traces.of("default").values()])
    )
    out = out.replace("\\u0000", "")
    return any(form in out for form in (secret, _escaped(secret), _percent(secret))) or secret in kept


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_planted(place: str, encoding: Any) -> None:
    """A secret in any place of a span is masked and reported, and nothing keeps it behind."""
    for seed in range(3):
        secret = fill(TOKEN, seed)
        sample = traces({"service.name": "s"}, {"scope": [PLACES[place](secret)]})
        body = sample.body if encoding == "json" else as_protobuf(sample.body, "traces")
        ours = _ingest()
        done = ours.traces(body, encoding, received_ns=RECEIVED_NS)
        (found,) = done.spans
        assert not _leaks(secret, done, ours)
        assert [m.rule_id for m in found.secrets][:1] == ["secret.github.pat"]
        assert found.secrets[0].fingerprint == _scanner().fingerprint(secret)
        assert sum(ours.masked.values()) >= 1


def test_planted_behind_what_shrinks() -> None:
    """What lay behind the cut stays there when masking makes the text before it shorter."""
    secret = fill(TOKEN, 6)
    key = f"-----BEGIN PRIVATE KEY-----\n{fill('<base64:60>', 1) * 50}\n-----END PRIVATE KEY-----"
    for text in (f"{key} {'x ' * 40_000}{_escaped(secret)}", f"{key}{' ' * (2000 - len(key) % 2000)}{secret}"):
        ours = _ingest(max_value_bytes=2000)
        done = ours.traces(traces({}, {"s": [span(1, "n", {"k": text})]}).body, "json", received_ns=RECEIVED_NS)
        assert not _leaks(secret, done, ours)
        assert done.spans[0].truncated
        assert len(done.spans[0].attributes["k"]) < 2000  # type: ignore[arg-type]  # text


@pytest.mark.parametrize("encoding", ["protobuf", "json"])
@pytest.mark.parametrize("place", ["resource", "resource key", "scope", "version", "service", "scope attribute"])
def test_planted_around_spans(place: str, encoding: Any) -> None:
    """A secret in a resource or scope is masked, and reported with every record of it."""
    secret = fill(TOKEN, 7)
    resource: dict[str, Any] = {"service.name": secret if place == "service" else "s"}
    resource |= {secret: 1} if place == "resource key" else {"r": secret} if place == "resource" else {}
    request = json.loads(
        traces(resource, {secret if place == "scope" else "scope": [span(1, "n", {}), span(2, "n", {})]}).body
    )
    scope = request["resourceSpans"][0]["scopeSpans"][0]["scope"]
    if place == "version":
        scope["version"] = secret
    if place == "scope attribute":
        scope["attributes"] = attributes({"a": secret})
    body = json.dumps(request).encode()
    ours = _ingest()
    done = ours.traces(body if encoding == "json" else as_protobuf(body, "traces"), encoding, received_ns=RECEIVED_NS)
    assert not _leaks(secret, done, ours)
    assert [len(s.secrets) for s in done.spans] == [1, 1]


def test_planted_by_the_hundred_around_spans() -> None:
    """All are masked; each record reports so many and no more."""
    secrets = [fill(TOKEN, seed) for seed in range(200)]
    resource = {f"k{n}": secret for n, secret in enumerate(secrets)}
    ours = _ingest()
    done = ours.traces(traces(resource, {"s": [span(1, "n", {})]}).body, "json", received_ns=RECEIVED_NS)
    assert not any(_leaks(secret, done, ours) for secret in secrets)
    assert len(done.spans[0].secrets) == 64
    assert sum(ours.masked.values()) == 200


@pytest.mark.parametrize("place", ["body", "structured body", "event name", "event attribute", "severity"])
@pytest.mark.parametrize("encoding", ["protobuf", "json"])
def test_planted_in_logs(place: str, encoding: Any) -> None:
    """The same in what only log records have."""
    secret = fill(TOKEN, 9)
    record = event(1, {"a": 1})
    record |= {
        "body": {"body": any_value(f"token {secret}")},
        "structured body": {"body": any_value({"a": [secret]})},
        "event name": {"eventName": secret},
        "event attribute": {"attributes": attributes({"event.name": secret})},
        "severity": {"severityText": secret},
    }[place]
    body = logs({"service.name": "s"}, "scope", [record]).body
    ours = _ingest()
    done = ours.logs(body if encoding == "json" else as_protobuf(body, "logs"), encoding, received_ns=RECEIVED_NS)
    assert not _leaks(secret, done, ours)
    assert len(done.spans[0].secrets) >= 1


def test_planted_beside_invalid_utf8() -> None:
    """Bytes that are no text right beside a secret do not hide it."""
    secret = fill(TOKEN, 3)
    body = as_protobuf(traces({}, {"s": [span(1, "n", {"k": f"AB {secret} CD"})]}).body, "traces")
    ours = _ingest()
    done = ours.traces(
        body.replace(b"AB ", b"\xff\xfe ").replace(b" CD", b"\xc3\x28\x80"), "protobuf", received_ns=RECEIVED_NS
    )
    assert not _leaks(secret, done, ours)
    assert len(done.spans[0].secrets) == 1


def test_planted_in_records_that_fail() -> None:
    """A dead letter quotes nothing of what it could not read."""
    secret = fill(TOKEN, 4)
    body = traces({}, {"s": [{**span(1, secret, {"k": secret}), "traceId": secret}]}).body
    ours = _ingest()
    done = ours.traces(body, "json", received_ns=RECEIVED_NS, origin="test")
    assert (len(done.spans), len(done.dead_letters)) == (0, 1)
    assert not _leaks(secret, done, ours)


@pytest.mark.parametrize(
    ("values", "surface"),
    [
        ({"gen_ai.tool.call.arguments": '{"title":"%s"}'}, "arguments"),
        ({"gen_ai.tool.name": "bash", "gen_ai.tool.call.arguments": '{"command":"echo %s"}'}, "command.line"),
        ({"gen_ai.tool.call.result": "%s"}, "result"),
        ({"gen_ai.operation.name": "chat", "gen_ai.input.messages": '[{"role":"user","content":"%s"}]'}, "prompt"),
        (
            {"gen_ai.operation.name": "chat", "gen_ai.output.messages": '[{"role":"assistant","content":"%s"}]'},
            "completion",
        ),
        ({"url.full": "https://a.example/?t=%s"}, "url"),
        ({"http.request.header.x-token": "%s"}, "header"),
        ({"openinference.span.kind": "LLM", "input.value": "%s"}, "prompt"),
        ({"anything": "%s"}, "attribute"),
    ],
)
def test_surface(values: dict[str, str], surface: str) -> None:
    """A match tells which way the secret was going."""
    (found,) = _spans({k: v.replace("%s", fill(TOKEN, 1)) for k, v in values.items()})
    assert {m.surface for m in found.secrets} == {surface}


def _spans(values: dict[str, Any]) -> list[Span]:
    body = traces({}, {"s": [span(1, "n", values, kind=3)]}).body
    return _ingest().traces(body, "json", received_ns=RECEIVED_NS).spans


def test_where_and_key_names() -> None:
    """A secret known only by the name of its key is found, and told by its place in the Span."""
    secret = fill("<alnum:24>", 2)
    record = _carry(events=[{"name": "e", "attributes": attributes({"db.password": secret})}])
    (found,) = _ingest().traces(traces({}, {"s": [record]}).body, "json", received_ns=RECEIVED_NS).spans
    assert [m.where for m in found.secrets] == ["events.0.db.password"]
    assert secret not in msgspec.json.encode(found).decode()


def test_masking_is_stable() -> None:
    """What is masked once is left alone the second time, so that replay finds nothing new in it."""
    (found,) = _spans({"k": f"x {fill(TOKEN, 5)} y"})
    (again,) = _spans({"k": found.attributes["k"]})
    assert again.attributes["k"] == found.attributes["k"]
    assert again.secrets == ()
