"""The requests every benchmark runs on: agents at work, spans of about 1.4 kB with 12 attributes, always the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

START_NS = 1_795_186_800_000_000_000
_TEXT = """
the order service returned a timeout while reading customer records from replica three and the retry policy
kept the connection open so please check the migration plan then compare the totals with the ledger before
publishing release notes to the team channel
"""
_WORDS = _TEXT.split()
_TOOLS = ("get_order", "search_docs", "read_file", "list_tickets", "run_shell_command", "send_mail", "query_stock")
_HOSTS = ("api.shop.example.com", "docs.example.org", "tickets.example.net", "ledger.internal.example.com")
_MODELS = ("model-large-5", "model-small-5")


def _prose(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def _tool(rng: random.Random, session: str) -> tuple[str, int, dict[str, Any]]:
    tool = rng.choice(_TOOLS)
    arguments: dict[str, Any] = {
        "query": _prose(rng, 30),
        "limit": rng.randrange(100),
        "order_id": rng.randrange(10**8),
    }
    if tool == "run_shell_command":
        arguments = {"command": f"grep -rn '{_prose(rng, 3)}' src | head -{rng.randrange(99)}", "cwd": "/srv/shop"}
    elif tool == "read_file":
        arguments = {"file_path": f"/srv/shop/src/module_{rng.randrange(10_000)}.py", "limit": 400}
    return (
        f"execute_tool {tool}",
        1,
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.provider.name": "openai",
            "gen_ai.conversation.id": session,
            "gen_ai.agent.name": "shop-agent",
            "gen_ai.agent.id": "asst_1",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.description": "One of the tools the shop's agent may call",
            "gen_ai.tool.call.id": f"call_{rng.getrandbits(64):016x}",
            "gen_ai.tool.call.arguments": msgspec.json.encode(arguments).decode(),
            "gen_ai.tool.call.result": msgspec.json.encode({"text": _prose(rng, 95), "ok": True}).decode(),
            "thread.name": "worker-1",
        },
    )


def _http(rng: random.Random, session: str) -> tuple[str, int, dict[str, Any]]:
    host = rng.choice(_HOSTS)
    return (
        "POST",
        3,
        {
            "http.request.method": "POST",
            "url.full": f"https://{host}/v1/orders/{rng.getrandbits(48):012x}?view=full",
            "server.address": host,
            "server.port": 443,
            "http.response.status_code": 200,
            "http.request.body.size": rng.randrange(100_000),
            "http.response.body.size": rng.randrange(900),
            "network.peer.address": f"203.0.113.{rng.randrange(250)}",
            "network.protocol.version": "1.1",
            "user_agent.original": "python-httpx/0.28.1",
            "gen_ai.conversation.id": session,
            "http.request.body.content": _prose(rng, 150),
        },
    )


def _model(rng: random.Random, session: str) -> tuple[str, int, dict[str, Any]]:
    model = rng.choice(_MODELS)
    said = [{"role": "user", "parts": [{"type": "text", "content": _prose(rng, 80)}]}]
    answer = [{"role": "assistant", "parts": [{"type": "text", "content": _prose(rng, 50)}], "finish_reason": "stop"}]
    return (
        f"chat {model}",
        3,
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.conversation.id": session,
            "gen_ai.agent.name": "shop-agent",
            "gen_ai.agent.id": "asst_1",
            "gen_ai.request.model": model,
            "gen_ai.response.model": model,
            "gen_ai.usage.input_tokens": rng.randrange(4000),
            "gen_ai.usage.output_tokens": rng.randrange(400),
            "server.address": "llm.example.com",
            "gen_ai.input.messages": msgspec.json.encode(said).decode(),
            "gen_ai.output.messages": msgspec.json.encode(answer).decode(),
        },
    )


_MIX: tuple[Callable[[random.Random, str], tuple[str, int, dict[str, Any]]], ...] = (_tool, _tool, _tool, _http, _model)


def _set(attributes: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        pair = attributes.add(key=key)
        if isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value


def requests(n_requests: int, spans_per_request: int, sessions: int, seed: int) -> list[bytes]:
    """Protobuf bodies of ExportTraceServiceRequests; the same arguments give the same bytes."""
    rng = random.Random(seed)
    ids = [f"conv_{rng.getrandbits(64):016x}" for _ in range(sessions)]
    traces = [rng.randbytes(16) for _ in ids]
    bodies, now = [], START_NS
    for _ in range(n_requests):
        request = ExportTraceServiceRequest()
        per_resource = request.resource_spans.add()
        _set(
            per_resource.resource.attributes,
            {"service.name": "shop-agent", "service.version": "3.2.0", "deployment.environment.name": "production"},
        )
        per_scope = per_resource.scope_spans.add()
        per_scope.scope.name, per_scope.scope.version = "shop.agents", "1.0.0"
        for _ in range(spans_per_request):
            at = rng.randrange(sessions)
            name, kind, values = rng.choice(_MIX)(rng, ids[at])
            now += rng.randrange(1_000_000, 20_000_000)
            span: Span = per_scope.spans.add(
                trace_id=traces[at],
                span_id=rng.randbytes(8),
                parent_span_id=rng.randbytes(8),
                name=name,
                kind=kind,
                start_time_unix_nano=now,
                end_time_unix_nano=now + rng.randrange(1_000_000, 900_000_000),
            )
            _set(span.attributes, values)
        bodies.append(request.SerializeToString())
    return bodies
