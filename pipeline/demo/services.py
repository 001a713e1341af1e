"""How services between agents and the world tell an act: an LLM gateway, an egress proxy, a CI runner."""

from __future__ import annotations

import random
import uuid
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from pipeline.demo.acts import Act
from pipeline.demo.agents import Emitter, Senders, as_json, at


class LiteLLM(Emitter):
    """An LLM gateway: one trace per request, with its guardrail, its model call and its MCP calls."""

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        super().__init__(kind, dice, begin_ns)
        resource = {
            "service.name": "litellm-proxy",
            "service.version": "1.93.0",
            "deployment.environment": "production",
        }
        self.sender = kind.get("litellm", "litellm", "1.93.0", resource)
        self.common = {
            "litellm.team.alias": "payments",
            "litellm.api_key.hash": f"{dice.getrandbits(256):064x}",
            "litellm.metadata.user_api_key_alias": "support-bot",
            "litellm.metadata.user_api_key_user_id": "svc-support-bot",
            "gen_ai.conversation.id": self.session,
        }

    def request(self, begin: int, end: int) -> trace.Span:
        route = {"http.request.method": "POST", "url.path": "/v1/chat/completions", "http.response.status_code": 200}
        span = self.sender.span(
            "POST /v1/chat/completions",
            at_ns=begin,
            end_ns=end,
            kind=SpanKind.SERVER,
            attributes={**self.common, **route, "http.route": "/v1/chat/completions"},
        )
        self.sender.span("auth", at_ns=begin, end_ns=begin + at(0.005), parent=span, attributes=self.common)
        return span

    def say(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        messages = [{"role": "user", "parts": [{"type": "text", "content": act.what}]}]
        answer = [{"role": "assistant", "parts": [{"type": "text", "content": act.text}], "finish_reason": "stop"}]
        self.sender.span(
            "chat gpt-5.2",
            at_ns=begin,
            end_ns=end,
            kind=SpanKind.CLIENT,
            parent=self.request(begin, end),
            attributes={
                **self.common,
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-5.2",
                "gen_ai.usage.input_tokens": 300 + self.dice.randrange(2000),
                "gen_ai.usage.output_tokens": 30 + len(act.text) // 4,
                "litellm.call_id": str(uuid.UUID(int=self.dice.getrandbits(128), version=4)),
                "litellm.call_type": "acompletion",
                "server.address": "api.openai.com",
                "gen_ai.input.messages": as_json(messages),
                "gen_ai.output.messages": as_json(answer),
            },
        )

    def tool(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        self.sender.span(
            f"tools/call {act.what}",
            at_ns=begin,
            end_ns=end,
            kind=SpanKind.CLIENT,
            parent=self.request(begin, end),
            attributes={
                **self.common,
                "mcp.method.name": "tools/call",
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": act.what,
                "gen_ai.tool.call.arguments": act.arguments,
                "gen_ai.tool.call.result": as_json([{"type": "text", "text": act.text}]),
                "litellm.mcp.server.name": act.server,
                "rpc.system": "jsonrpc",
                "server.address": f"{act.server}.mcp.example.com",
            },
        )


class Egress(Emitter):
    """An egress proxy in front of agents: Envoy's spans, every value a string, one trace per request."""

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        super().__init__(kind, dice, begin_ns)
        self.sender = kind.get("envoy", "envoy", "1.38.0", {"service.name": "egress-envoy"})
        self.traces: list[str] = []

    @property
    def session_ids(self) -> tuple[str, ...]:
        return tuple(self.traces)

    def say(self, act: Act) -> None:
        self.spend(act.seconds)

    def tool(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        size = act.arguments or str(200 + self.dice.randrange(4000))
        span = self.sender.span(
            f"egress {urlsplit(act.what).hostname}",
            at_ns=begin,
            end_ns=end,
            kind=SpanKind.CLIENT,
            attributes={
                "component": "proxy",
                "node_id": "egress-0",
                "guid:x-request-id": str(uuid.UUID(int=self.dice.getrandbits(128), version=4)),
                "http.url": act.what,
                "http.method": "POST" if act.arguments else "GET",
                "http.status_code": "200",
                "user_agent": "curl/8.9.1",
                "downstream_cluster": "coding-agents",
                "upstream_cluster": "internet",
                "request_size": size,
                "response_size": str(200 + self.dice.randrange(90_000)),
                "response_flags": "-",
            },
        )
        self.traces.append(f"{span.get_span_context().trace_id:032x}")


class CiRunner(Emitter):
    """A pipeline run by the CI/CD conventions, its steps as spans and their output as log events."""

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        super().__init__(kind, dice, begin_ns)
        self.session = str(dice.randrange(10**10, 10**11))
        resource = {
            "service.name": "ci-runner",
            "cicd.pipeline.name": "deploy",
            "cicd.pipeline.run.id": self.session,
            "vcs.repository.url.full": "https://github.com/acme/shop",
            "vcs.repository.name": "shop",
            "vcs.ref.head.name": "fix/login",
            "vcs.ref.head.revision": f"{dice.getrandbits(160):040x}",
        }
        self.sender = kind.get(f"ci-{self.session}", "acme.ci", "1.0.0", resource)
        about = {"cicd.pipeline.action.name": "RUN", "cicd.pipeline.result": "success"}
        self.root = self.sender.begin("RUN deploy", at_ns=begin_ns, kind=SpanKind.SERVER, attributes=about)

    @property
    def session_ids(self) -> tuple[str, ...]:
        return (self.session, f"{self.root.get_span_context().trace_id:032x}")

    def say(self, act: Act) -> None:
        self.spend(act.seconds)

    def tool(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        step = self.sender.span(
            act.what.split(" ", 1)[0],
            at_ns=begin,
            end_ns=end,
            parent=self.root,
            attributes={
                "cicd.pipeline.task.name": act.what,
                "cicd.pipeline.task.type": "build",
                "cicd.pipeline.task.run.id": str(self.dice.randrange(10**10, 10**11)),
                "cicd.pipeline.task.run.result": "success" if act.ok else "failure",
            },
        )
        for line in act.text.splitlines():
            self.sender.log(line, at_ns=end, attributes={"log.iostream": "stdout"}, parent=step)

    def close(self) -> None:
        self.root.end(self.now_ns)
