"""How coding agents tell the same act: Claude Code, Codex, and an agent by the GenAI conventions."""

from __future__ import annotations

import json
import random
import uuid
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import SpanKind

from pipeline.demo.acts import Act
from pipeline.demo.sender import Sender, Tally


def at(seconds: float) -> int:
    return int(seconds * 1e9)


def iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class Emitter(ABC):
    """One session of one agent (or gateway, or runner), told through the senders of its kind."""

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        self.senders = kind
        self.dice = dice
        self.now_ns = begin_ns
        self.calls = 0
        self.session = str(uuid.UUID(int=dice.getrandbits(128), version=4))

    @property
    def session_ids(self) -> tuple[str, ...]:
        """Session ids under which results of this session may stand."""
        return (self.session,)

    def spend(self, seconds: float) -> tuple[int, int]:
        begin = self.now_ns
        self.now_ns += at(seconds)
        return begin, self.now_ns

    def call_id(self, prefix: str) -> str:
        self.calls += 1
        return f"{prefix}_{self.dice.getrandbits(64):016x}"

    def play(self, act: Act) -> None:
        """Tell one act; its end is now."""
        if act.kind == "say":
            self.say(act)
        else:
            self.tool(act)

    @abstractmethod
    def say(self, act: Act) -> None: ...

    @abstractmethod
    def tool(self, act: Act) -> None: ...

    def close(self) -> None:  # noqa: B027  # not every emitter has something left to send
        """End of the session."""


class Senders:
    """The senders of one kind of emitter, shared by its sessions; made when first needed."""

    def __init__(self, endpoint: str, seed: int, tally: Tally) -> None:
        self._endpoint, self._seed, self._tally = endpoint, seed, tally
        self._made: dict[str, Sender] = {}

    def get(self, name: str, scope: str, version: str, resource: dict[str, Any]) -> Sender:
        if name not in self._made:
            seed = f"{self._seed}/{name}"
            self._made[name] = Sender(
                self._endpoint, resource, scope=scope, version=version, seed=seed, tally=self._tally
            )
        return self._made[name]

    def flush(self) -> int:
        return max((sender.flush() for sender in self._made.values()), default=0)

    def close(self) -> None:
        for sender in self._made.values():
            sender.close()


class ClaudeCode(Emitter):
    """Log events for decisions and results, beta trace spans with the output of tools."""

    VERSION = "2.1.232"
    TOOLS = {"shell": "Bash", "read": "Read", "edit": "Edit", "fetch": "WebFetch", "mcp": "mcp_tool"}  # noqa: RUF012

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        super().__init__(kind, dice, begin_ns)
        resource = {"service.name": "claude-code", "service.version": self.VERSION, "os.type": "linux"}
        self.events = kind.get("claude-events", "com.anthropic.claude_code.events", self.VERSION, resource)
        self.spans = kind.get("claude-spans", "com.anthropic.claude_code.tracing", "1.0.0", resource)
        self.user = {"user.id": f"{dice.getrandbits(80):020x}", "session.id": self.session, "terminal.type": "vscode"}
        self.sequence = 0
        self.root = self.spans.begin(
            "claude_code.interaction",
            at_ns=begin_ns,
            attributes={**self.user, "span.type": "interaction", "interaction.sequence": 1},
        )

    def event(self, name: str, at_ns: int, about: dict[str, Any]) -> None:
        common = {"event.name": name, "event.timestamp": iso(at_ns), "event.sequence": self.sequence}
        self.events.log(
            f"claude_code.{name}", at_ns=at_ns, attributes={**self.user, **common, **about}, parent=self.root
        )
        self.sequence += 1

    def say(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        if act.what:
            self.event("user_prompt", begin, {"prompt_length": str(len(act.what)), "prompt": act.what})
        tokens = {"input_tokens": 400 + self.dice.randrange(900), "output_tokens": 40 + len(act.text) // 4}
        request = self.call_id("req")
        model = {"model": "claude-sonnet-5", "request_id": request, "duration_ms": (end - begin) // 10**6}
        self.event("api_request", end, {**model, **tokens, "cost_usd": 0.0123})
        if act.text:
            self.event("assistant_response", end, {"response": act.text, "response_length": str(len(act.text))})
        self.spans.span(
            "claude_code.llm_request",
            at_ns=begin,
            end_ns=end,
            parent=self.root,
            attributes={**self.user, **model, **tokens, "span.type": "llm_request", "gen_ai.system": "anthropic"},
        )

    def tool(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        call = self.call_id("toolu")
        tool, shown, given = self.TOOLS[act.kind], {}, {}
        about: dict[str, Any] = {"tool_name": tool, "tool_use_id": call}
        if act.kind == "shell":
            shown, given = {"bash_command": act.what.split(" ", 1)[0], "full_command": act.what}, {"command": act.what}
        elif act.kind == "mcp":
            shown = {"mcp_server_name": act.server, "mcp_tool_name": act.what}
            given = json.loads(act.arguments)
        elif act.kind == "edit":
            given = {"file_path": act.what, "old_string": "", "new_string": act.arguments}
        else:
            given = {"url" if act.kind == "fetch" else "file_path": act.what}
        details = {"tool_parameters": as_json(shown)} if shown else {}
        if act.approval != "none":
            source = "user_temporary" if act.approval == "human" else "config"
            builtin = {"tool_source": "mcp" if act.kind == "mcp" else "builtin"}
            self.event("tool_decision", begin, {**about, "decision": "accept", "source": source, **builtin, **details})
        outcome = {"success": "true" if act.ok else "false", "duration_ms": str((end - begin) // 10**6)}
        if not act.ok:
            outcome |= {"error_type": "ShellError", "error": act.text}
        self.event("tool_result", end, {**about, **outcome, **details, "tool_input": as_json(given)})
        self.spans.span(
            "claude_code.tool",
            at_ns=begin,
            end_ns=end,
            parent=self.root,
            attributes={
                **self.user,
                **about,
                "span.type": "tool",
                "gen_ai.tool.call.id": call,
                **({"full_command": act.what} if act.kind == "shell" else {}),
                **({"file_path": act.what} if act.kind in ("read", "edit") else {}),
            },
            events=[("tool.output", {"output": act.text})],
        )

    def close(self) -> None:
        self.root.end(self.now_ns)


class Codex(Emitter):
    """Log events only; arguments and output of tools are on by default."""

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        super().__init__(kind, dice, begin_ns)
        host = f"dev-laptop-{dice.randrange(10, 60)}"
        resource = {"service.name": "codex_cli_rs", "service.version": "0.98.0", "env": "dev", "host.name": host}
        self.sender = kind.get(f"codex-{host}", "codex_otel.log_only", "", resource)
        self.common = {
            "conversation.id": self.session,
            "app.version": "0.98.0",
            "originator": "codex_cli_rs",
            "model": "gpt-5.2-codex",
        }
        self.event("conversation_starts", begin_ns, {"provider_name": "OpenAI", "approval_policy": "on-request"})

    def event(self, name: str, at_ns: int, about: dict[str, Any]) -> None:
        named = {"event.name": f"codex.{name}", "event.timestamp": iso(at_ns)}
        self.sender.log(None, at_ns=at_ns, attributes={**named, **self.common, **about})

    def say(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        if act.what:
            self.event("user_prompt", begin, {"prompt_length": str(len(act.what)), "prompt": act.what})
        self.event("api_request", end, {"http.response.status_code": 200, "attempt": 0, "endpoint": "/responses"})
        tokens = {"input_token_count": str(900 + self.dice.randrange(9000)), "output_token_count": "120"}
        self.event("sse_event", end, {"event.kind": "response.completed", **tokens})

    def tool(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        name, arguments, server = "exec_command", {"cmd": act.what, "workdir": "/home/dev/shop"}, ""
        if act.kind == "read":
            arguments = {"cmd": f"sed -n 1,200p {act.what}", "workdir": "/home/dev/shop"}
        elif act.kind == "fetch":
            arguments = {"cmd": f"curl -fsS {act.what}", "workdir": "/home/dev/shop"}
        elif act.kind == "edit":
            name = "apply_patch"
            patch = f"*** Begin Patch\n*** Update File: {act.what}\n@@\n+{act.arguments}\n*** End Patch"
            arguments = {"input": patch}
        elif act.kind == "mcp":
            name, arguments, server = act.what, json.loads(act.arguments), act.server
        about = {"tool_name": name, "call_id": self.call_id("call")}
        if act.approval != "none":
            source = "User" if act.approval == "human" else "Config"
            self.event("tool_decision", begin, {**about, "decision": "approved", "source": source})
        self.event(
            "tool_result",
            end,
            {
                **about,
                "arguments": as_json(arguments),
                "duration_ms": str((end - begin) // 10**6),
                "success": "true" if act.ok else "false",
                "output": act.text,
                "mcp_server": server,
                "mcp_server_origin": f"https://{server}.mcp.example.com" if server else "",
            },
        )


class GenAI(Emitter):
    """Spans by the OpenTelemetry GenAI conventions, messages and arguments captured."""

    TOOLS = {"shell": "run_shell", "read": "read_file", "edit": "write_file", "fetch": "http_get"}  # noqa: RUF012
    ARGUMENT = {"shell": "command", "read": "path", "edit": "path", "fetch": "url"}  # noqa: RUF012

    def __init__(self, kind: Senders, dice: random.Random, begin_ns: int) -> None:
        super().__init__(kind, dice, begin_ns)
        resource = {"service.name": "release-agent", "service.version": "3.4.1", "host.name": "node-a17"}
        self.sender = kind.get("genai", "opentelemetry.util.genai.handler", "0.5b0", resource)
        self.common = {"gen_ai.conversation.id": self.session}
        self.agent = {"gen_ai.agent.name": "ReleaseAgent", "gen_ai.agent.id": "release-agent"}
        about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "openai", **self.agent}
        self.root = self.sender.begin("invoke_agent ReleaseAgent", at_ns=begin_ns, attributes={**about, **self.common})

    def say(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        said = [{"role": "user", "parts": [{"type": "text", "content": act.what}]}] if act.what else []
        answer = [{"role": "assistant", "parts": [{"type": "text", "content": act.text}], "finish_reason": "stop"}]
        self.sender.span(
            "chat gpt-5.2",
            at_ns=begin,
            end_ns=end,
            kind=SpanKind.CLIENT,
            parent=self.root,
            attributes={
                **self.common,
                **self.agent,
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-5.2",
                "gen_ai.usage.input_tokens": 300 + self.dice.randrange(2000),
                "gen_ai.usage.output_tokens": 30 + len(act.text) // 4,
                "server.address": "api.openai.com",
                "gen_ai.input.messages": as_json(said),
                "gen_ai.output.messages": as_json(answer),
            },
        )

    def tool(self, act: Act) -> None:
        begin, end = self.spend(act.seconds)
        name = self.TOOLS.get(act.kind, act.what)
        if act.kind == "mcp":
            arguments = act.arguments
        else:
            arguments = as_json(
                {self.ARGUMENT[act.kind]: act.what, **({"content": act.arguments} if act.arguments else {})}
            )
        self.sender.span(
            f"execute_tool {name}",
            at_ns=begin,
            end_ns=end,
            parent=self.root,
            attributes={
                **self.common,
                **self.agent,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": self.call_id("call"),
                "gen_ai.tool.call.arguments": arguments,
                "gen_ai.tool.call.result": act.text,
                **({} if act.ok else {"error.type": "tool_error"}),
            },
            error="" if act.ok else "tool_error",
        )

    def close(self) -> None:
        self.root.end(self.now_ns)
