"""What an agent does to the world: tool calls, commands, MCP, traffic, queries; narrowed to the most specific kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from detectors.model import Scalar
from pipeline import targets
from pipeline.dialect import Dialect, Dialects
from pipeline.targets import Names

CLIENT, SERVER = 3, 2
_AIMED = frozenset(("url", "command.line", "code"))
_JSON = frozenset(("{", "["))
_DETAILS = frozenset(("command.line", "code", "url", "db.statement"))


class Calls:
    """Reads what a call aims at from its arguments; stateless but for what it knows of tool names."""

    def __init__(self, dialects: Dialects) -> None:
        names = dialects.common.arguments
        self._commands, self._paths = Names(names["command"]), Names(names["path"])
        self._codes, self._directories = Names(names["code"]), Names(names["cwd"])
        self._urls, self._statements = Names(names["url"]), Names(names["statement"])
        self._tool_kind = lru_cache(8192)(dialects.tool_kind)

    def call(
        self,
        dialect: Dialect,
        kind: str,
        span_kind: int,
        service: str,
        fields: dict[str, Scalar],
        aside: dict[str, Any],
    ) -> str:
        """A tool call: its command, path, URL and hosts; returns the class of its tool."""
        tool: Any = fields.get("tool.name", "")
        mcp = self._mcp(dialect, tool, span_kind, service, fields, aside)
        tool_kind = self._tool_kind(tool) if tool else ""
        if operation := aside.get("file.operation"):
            tool_kind = "file_read" if operation == "read" else "file_write"
        text: Any = fields.get("arguments", "")
        opened = targets.open_json(text) if text else None
        if opened is None and text[:1] in _JSON:
            aside["truncated"] = True
        objects = targets.levels(opened)
        if tool_kind == "code":
            tool_kind = self._code(opened, objects, text, fields)
        elif tool_kind == "command" or "command.args" in aside:
            self._command(tool_kind, opened, objects, text, fields, aside)
        elif text and "path" not in fields:
            self._path(opened, objects, text, fields)
        if tool_kind == "db_query" and (statement := targets.argument(objects, self._statements)):
            fields.setdefault("db.statement", statement)
        if objects and ("//" in text or "\\/" in text) and "url" not in fields:
            url = targets.argument(objects, self._urls)
            if "://" in url:
                fields["url"] = url
        if tool_kind == "command" and "cwd" not in fields and (cwd := targets.argument(objects, self._directories)):
            fields["cwd"] = cwd
        if not fields.keys().isdisjoint(_AIMED) or tool_kind == "http_egress":
            self._aim(tool_kind, text, fields)
        if tool_kind and not (mcp and (tool_kind.startswith("file_") or fields.keys().isdisjoint(_DETAILS))):
            return tool_kind
        if not mcp:
            return "command" if "command.line" in fields and kind in ("", "tool_call") else kind or "tool_call"
        uri = aside.get("mcp.uri", "")
        if uri.startswith("file:"):
            fields.setdefault("path", targets.file_path(uri))
            return "file_read" if fields.get("mcp.method") == "resources/read" else "mcp_call"
        return "mcp_call"

    @staticmethod
    def _mcp(
        dialect: Dialect,
        tool: str,
        span_kind: int,
        service: str,
        fields: dict[str, Scalar],
        aside: Mapping[str, Any],
    ) -> bool:
        """Whether the call goes to an MCP server; its server is filled in where anything names it."""
        kind = fields.get("tool.type")
        marked = kind is not None and kind in ("mcp", dialect.mcp_tool_type)
        if not (marked or "mcp.method" in fields or "mcp.server" in fields or tool.startswith("mcp__")):
            return False
        if "mcp.server" not in fields:
            if tool.startswith("mcp__"):
                server = tool.split("__")[1]
            else:
                server = service if span_kind == SERVER else str(aside.get("url.host", ""))
            if server:
                fields["mcp.server"] = server
        fields.pop("egress.port", None)
        return True

    def _command(
        self,
        tool_kind: str,
        opened: Any,
        objects: list[dict[str, Any]],
        text: str,
        fields: dict[str, Scalar],
        aside: Mapping[str, Any],
    ) -> None:
        """The command line, the longest of what the dialect named and what the arguments hold."""
        line = ""
        if tool_kind == "command":
            line = targets.argument(objects, self._commands)
            if not line and opened is None and text:
                line = targets.cut_argument(text, self._commands.ordered)
                line = line or ("" if text.lstrip().startswith("{") else text)
            elif not line and isinstance(opened, list):
                line = targets.command_line(opened)
        if "command.args" in aside:
            line = line or targets.command_line(aside["command.args"])
        if len(line) > len(str(fields.get("command.line", ""))):
            fields["command.line"] = line

    def _code(self, opened: Any, objects: list[dict[str, Any]], text: str, fields: dict[str, Scalar]) -> str:
        """The script a tool is given to run; running one is a command."""
        code = targets.argument(objects, self._codes)
        if not code and opened is None and text:
            code = targets.cut_argument(text, self._codes.ordered) or ("" if text.lstrip().startswith("{") else text)
        if code:
            fields["code"] = code
        return "command"

    def _path(self, opened: Any, objects: list[dict[str, Any]], text: str, fields: dict[str, Scalar]) -> None:
        path = targets.argument(objects, self._paths) or targets.patched_path(text)
        if not path and opened is None:
            path = targets.cut_argument(text, self._paths.ordered)
        if path:
            fields["path"] = path

    @staticmethod
    def _aim(tool_kind: str, text: str, fields: dict[str, Scalar]) -> None:
        """Hosts of the call's URL and command line; of any URL in the arguments of a tool made to fetch."""
        found: list[str] = []
        if url := fields.get("url"):
            place = targets.endpoint(str(url))
            found = [place.host] if place else []
        if line := fields.get("command.line") or fields.get("code"):
            found += targets.command_hosts(str(line))
        elif tool_kind == "http_egress" and text:
            named = targets.urls(text)
            found += targets.hosts(named)
            if named:
                fields.setdefault("url", named[0])
        if found:
            fields["egress.host"] = found[0]
            fields["egress.hosts"] = ",".join(dict.fromkeys(found[: targets.MAX_HOSTS]))

    def plain(self, dialect: Dialect, span_kind: int, fields: dict[str, Scalar], aside: Mapping[str, Any]) -> str:
        """What is no agent's own record: traffic, queries, processes, files, pipelines."""
        if "http.method" in fields or "url" in fields:
            return self._traffic(dialect, span_kind, fields, aside)
        if "db.system" in fields:
            fields.pop("egress.port", None)
            if found := targets.endpoint(str(aside.get("url.host", ""))):
                fields["db.host"] = found.host
            return "db_query"
        if "command.args" in aside or "command.line" in fields:
            self._command("", None, [], "", fields, aside)
            self._aim("", "", fields)
            return "command"
        if dialect.name in ("cicd", "jenkins") or "ci.task" in fields:
            if "ci.task" in fields or "ci.task.run" in aside:
                return "ci_step"
            return "ci_run" if "ci.pipeline" in fields else "other"
        return "file_read" if "path" in fields else "other"

    @staticmethod
    def _traffic(dialect: Dialect, span_kind: int, fields: dict[str, Scalar], aside: Mapping[str, Any]) -> str:
        """HTTP as seen by a client or a proxy; a server's view is no egress and its bytes run the other way."""
        if span_kind == SERVER and dialect.name != "agentgateway":
            out, back = fields.pop("bytes.out", None), fields.pop("bytes.in", None)
            if out is not None:
                fields["bytes.in"] = out
            if back is not None:
                fields["bytes.out"] = back
            fields.pop("egress.port", None)
            fields.pop("egress.peer", None)
            return "other"
        host = aside.get("url.host", "")
        found = targets.endpoint(str(fields.get("url") or host)) or targets.endpoint(host)
        if found is None:
            fields.pop("egress.port", None)
            return "http_egress"
        fields["egress.host"] = fields["egress.hosts"] = found.host
        if found.port is not None:
            fields.setdefault("egress.port", found.port)
        if "url" not in fields and "url.path" in aside:
            fields["url"] = f"http://{found.host}{aside['url.path']}"
        return "http_egress"
