"""Secrets and what leads to them as entities: files, variables, places, MCP servers, reach, workloads, pipelines.

What one session shows of them matters for the next: which secrets a file holds, which variable an edit prints, which
places a tool reads from, what an agent and a pipeline have used before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from detectors import facts, mcp_configs, path_classes
from detectors.model import Span
from detectors.secret_context import context, manager
from detectors.secret_prints import hinted, shown
from detectors.seen import Seen
from detectors.written import written


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTING = frozenset(("tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"))
CI = frozenset(("ci_run", "ci_step"))
SECRET_CLASSES = _words(
    "env cloud-credentials package-token agent-credentials ssh-key private-key password-store kube-config secrets-dir "
    "mcp-config"
)
HARMLESS = frozenset(("test", "source", "dependency-lock"))
SHOW = _words(  # programs that put a file's content in front of whoever runs them
    "cat bat less more head tail nl tac grep egrep rg ag sed awk cut strings xxd od hexdump base64 jq yq sort "
    "Get-Content gc type vim vi nano view dotenv"
)
SLOT_NS = 300_000_000_000
MAX_FILES = 16
MAX_NAME = 200
MAX_SERVER = 120
TRIGGERS = frozenset(
    ("path", "command.line", "mcp.server", "host.name", "ci.pipeline", "feed.destination", "arguments")
)
SHOWING = frozenset(("path", "command.line", "mcp.server", "host.name", "credential", "ci.pipeline"))
_NAMED_SECRET = re.compile(r"\b([A-Z][A-Z0-9_]{2,60})[\"']?\s{0,2}[=:]\s{0,2}[\"']?MASKED~")
_USED_NAME = re.compile(
    r"\$\{?(?:env:)?([A-Z][A-Z0-9_]*(?:TOKEN|SECRET|PASSWORD|KEY|CREDENTIALS)[A-Z0-9_]*)\b|\bsecrets\.([A-Z][A-Z0-9_]+)\b"
)
_PUSHES = re.compile(
    r"^(?:git push\b|gh (?:pr (?:merge|create|edit|close)|release create|api .*-X\s*(?:POST|PUT|PATCH|DELETE))"
    r"|glab (?:mr (?:merge|create)|release create))"
)


def concerns(kind: str, fields: frozenset[str], secrets: bool) -> bool:
    """Whether `of` can show anything of a span with these fields."""
    return secrets or kind in ("feed", "file_write") or not fields.isdisjoint(SHOWING)


def of(span: Span) -> Iterator[Seen]:
    """Every such entity of the span."""
    kind = span.kind
    if kind == "approval" or span.fields.get("approval.decision") == "deny":
        return
    if kind in ACTING:
        yield from _files(span)
        yield from _variables(span)
        yield from _pairs(span)
        yield from _pipeline(span)
    elif span.secrets and _in_pipeline(span):
        yield from _logged(span)
    yield from _reach(span)
    yield from _places(span)
    yield from _workloads(span)


def secret_files(span: Span) -> list[str]:
    """Files of secrets whose content the call puts in front of the agent."""
    found: list[str] = []
    for act in facts.of(span).acts:
        if act.get("path.action") != "read":
            continue
        name = act.get("command.name")
        if name is not None and name not in SHOW:
            continue
        full = act.get("path.full", ())
        for path in full if isinstance(full, tuple) else (str(full),):
            classes = path_classes.classes(path)
            if not SECRET_CLASSES.isdisjoint(classes) and HARMLESS.isdisjoint(classes) and not path.endswith(".pub"):
                found.append(path)
    return list(dict.fromkeys(found))[:MAX_FILES]


def captured(span: Span) -> bool:
    """Whether the telemetry shows what the call gave back, or that it gave nothing back."""
    fields = span.fields
    failed = span.status == "error" or fields.get("success") is False or fields.get("exit_code", 0) != 0
    return failed or "result" in fields or "error" in fields


def _files(span: Span) -> Iterator[Seen]:
    if "path" not in span.fields and "command.line" not in span.fields:
        return
    files = secret_files(span)
    if not files:
        return
    if not captured(span):
        for path in files:
            detail = {
                "read": "unseen",
                "user": span.text("user")[:MAX_NAME],
                "tool": (span.text("tool.name") or span.kind)[:MAX_NAME],
            }
            yield Seen("secret-file", path, {**detail, "class": _classes(path)}, "unseen")
    elif len(files) == 1:
        for match in span.secrets:
            if match.surface == "result":
                yield Seen(
                    "secret-file", files[0], {"secret": match.fingerprint, "rule": match.rule_id}, match.fingerprint
                )


def _classes(path: str) -> str:
    return ", ".join(one for one in path_classes.classes(path) if one in SECRET_CLASSES)


def _variables(span: Span) -> Iterator[Seen]:
    for one in shown(written(span)) if hinted(span) else ():
        detail = {"edit": one.how, "path": span.text("path")[:MAX_NAME], "repo": _repository(span)}
        yield Seen("secret-variable", one.name, detail, "edit")
    for match in span.secrets:
        yield Seen("secret-seen", match.fingerprint, {"rule": match.rule_id, "surface": match.surface}, "agent")


def _held_by(text: str) -> Iterator[tuple[str, str]]:
    """(variable, fingerprint) of masked assignments in a text."""
    if "MASKED~" in text:
        for found in _NAMED_SECRET.finditer(text):
            parts = text[found.end() : found.end() + 200].split("~", 3)
            if len(parts) == 4:
                yield found[1], parts[2]


def _in_pipeline(span: Span) -> bool:
    return span.kind in CI or ("ci.pipeline" in span.fields and span.kind in ("other", "ci_step"))


def _logged(span: Span) -> Iterator[Seen]:
    """Secrets in a pipeline's own log, by fingerprint and by the variable they stand behind."""
    run = f"{span.text('ci.pipeline')} {span.text('ci.run')} {span.text('ci.task')}".strip()[:MAX_NAME]
    detail = {"ci": run or span.resource.service or "pipeline", "repo": _repository(span)}
    for match in span.secrets:
        yield Seen("secret-seen", match.fingerprint, {**detail, "rule": match.rule_id}, "ci")
    texts = [span.text(field) for field in ("result", "arguments", "command.line")]
    texts += [value for value in span.attributes.values() if isinstance(value, str) and "MASKED~" in value]
    for text in dict.fromkeys(texts):
        for name, mark in _held_by(text):
            yield Seen("secret-variable", name, {**detail, "secret": mark}, "ci")


def _repository(span: Span) -> str:
    """The repository, in the one part of its name that all systems agree on."""
    name = span.text("ci.repo") or span.text("workdir")
    return name.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2].lower()[:MAX_NAME]


def _reach(span: Span) -> Iterator[Seen]:
    """Credentials and MCP servers an agent has had in its hands."""
    agent = span.agent_id
    if not agent or span.kind == "feed":
        return
    if server := span.text("mcp.server"):
        yield Seen("reach", agent, {"what": "MCP server", "name": server[:MAX_NAME]}, f"server {server}"[:MAX_NAME])
    for match in span.secrets:
        if match.tier != "possible" and match.verdict != "invalid":
            yield Seen("reach", agent, {"what": "credential", "name": match.rule_id}, f"secret {match.fingerprint}")


def _places(span: Span) -> Iterator[Seen]:
    """Where a tool's execution context was seen to read secrets from."""
    product = span.agent_type or span.resource.service
    if not product:
        return
    for match in span.secrets:
        if match.surface != "result" or match.tier == "possible" or span.kind == "llm_call":
            continue
        if place := _place(span, context(span, match).entered):
            detail = {"place": place, "tool": span.text("tool.name")[:MAX_NAME], "user": span.text("user")[:MAX_NAME]}
            yield Seen("secret-place", product, detail, place)


def _place(span: Span, entered: str) -> str:
    if entered == "secrets manager":
        return manager(span)
    if entered == "environment":
        return "environment variables"
    files = secret_files(span)
    if files:
        return f"files of class {_classes(files[0])}"
    if server := span.text("mcp.server"):
        return f"MCP server {server}"[:MAX_NAME]
    return {"config": "configuration files", "hardcoded": "source files", ".env file": "files of class env"}.get(
        entered, ""
    )


def _pairs(span: Span) -> Iterator[Seen]:
    """MCP servers with the credentials they are given, in the project they are configured in."""
    if not span.secrets:
        return
    text, server = written(span), span.text("mcp.server")
    if not (server or "mcp" in text.lower()):
        return
    detail = {"user": span.text("user")[:MAX_NAME], "project": mcp_configs.project(span)}
    seen = mcp_configs.pairs(text) if text else []
    if server:
        seen += [(server, one.fingerprint) for one in span.secrets if one.surface in ("header", "attribute", "url")]
    for name, mark in seen[:MAX_FILES]:
        where = f"{detail['user']}/{detail['project']}"
        yield Seen(
            "mcp-credential", f"{name[:MAX_SERVER]}/{mark}", {**detail, "server": name[:MAX_SERVER]}, where[:MAX_NAME]
        )


def _workloads(span: Span) -> Iterator[Seen]:
    """Hosts, workloads and credentials a session runs on, and the flows that leave from them."""
    fields = span.fields
    if span.kind == "feed":
        if to := span.text("feed.destination")[:MAX_NAME]:
            detail = {"flow": to, "port": span.text("feed.port"), "bytes": span.text("feed.bytes"), "from": "flow log"}
            for field in ("feed.host", "feed.workload", "feed.credential"):
                if name := span.text(field):
                    yield Seen("workload", name.lower()[:MAX_NAME], {**detail, "same": field[5:]}, f"{to}/{span.id}")
        return
    names = [(field, str(fields[field])) for field in ("host.name", "credential") if field in fields]
    if not names:
        return
    acting = span.kind in ACTING and "tool.name" in fields
    for field, name in names:
        same = field.partition(".")[0]
        if acting or span.kind in ("llm_call", "prompt"):
            slot = span.start_ns // SLOT_NS
            yield Seen(
                "workload",
                name.lower()[:MAX_NAME],
                {"view": "session", "user": span.text("user")[:MAX_NAME]},
                f"s{slot}",
            )
        elif span.kind == "http_egress" and (to := span.text("egress.host")[:MAX_NAME]):
            detail = {
                "flow": to,
                "bytes": span.text("bytes.out"),
                "from": span.resource.service[:MAX_NAME],
                "same": same,
            }
            yield Seen("workload", name.lower()[:MAX_NAME], detail, f"{to}/{span.start_ns // SLOT_NS}")


def _pipeline(span: Span) -> Iterator[Seen]:
    """What an agent that runs in a pipeline uses: secrets, rights to deploy, rights to write a repository."""
    name = span.text("ci.pipeline")
    if not name:
        return
    workflow = f"{_repository(span)}/{name}"[:MAX_NAME]
    yield Seen("workflow", workflow, {"run": span.text("ci.run")}, "run")
    for what in dict.fromkeys(_capabilities(span)):
        yield Seen("workflow", workflow, {"uses": what, "run": span.text("ci.run")}, what[:MAX_NAME])


def _capabilities(span: Span) -> Iterator[str]:
    for match in span.secrets:
        if match.tier != "possible":
            yield f"secret {match.rule_id} {match.fingerprint}"
    for found in _USED_NAME.finditer(span.text("command.line")):
        yield f"secret {found[1] or found[2]}"
    for act in facts.of(span).acts:
        effects = act.get("command.effect", ())
        if isinstance(effects, tuple) and "deploy" in effects:
            yield f"deployment by {act.get('command.name')}"
        if _PUSHES.match(str(act.get("command.words", ""))):
            yield f"repository write by {' '.join(str(act['command.words']).split()[:3])}"
