"""Configurations of MCP servers that hold a secret, administer a database, or share one credential."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import msgspec

from detectors import mcp_configs
from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting, Span
from detectors.written import written

MAX_USERS = 32  # users and projects of one credential
_SECRET = ("MCP01:2025", "LLM02:2026", "ASI03", "AML.T0083", "T1552.001")
_ADMIN_DSN = re.compile(
    r"\b(?P<scheme>postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|redis|mssql|sqlserver|clickhouse|oracle|cockroachdb)"
    r"(?:\+\w+)?://(?P<user>root|postgres|admin\w*|sa|superuser|dba|sys(?:tem|dba)?|owner|default|rds\w*admin|"
    r"supabase_admin|service_role|\w+_admin)(?::[^@\s\"']{0,300})?@(?P<host>[\w.-]+)",
    re.IGNORECASE,
)
_LOCAL = re.compile(
    r"^(?:localhost|127\.|0\.0\.0\.0|host\.docker\.internal|(?:db|postgres|mysql|redis|mongo)$)", re.IGNORECASE
)
_IN_COMMIT = re.compile(
    r"^(?:\+\+\+ b/|diff --git a/)\S*(?:\.?mcp[\w.-]*\.json|claude_desktop_config\.json)", re.MULTILINE
)


class McpConfig(Detector[Span, None]):
    """A write or a commit of an MCP configuration with a literal secret or the login of a database administrator.

    Blind spots: a configuration under a name of its own in a format that says nothing of MCP; a secret in a form no
    rule describes; an administrator whose login does not say so; a local database is nobody's loss.
    """

    id = "mcp.config"
    scope = "span"
    rules = MappingProxyType(
        {
            "mcp.literal-secret": About(
                title="An MCP configuration holds a literal secret",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=_SECRET,
                runbook="Take the secret out of the configuration, let the server read it from the environment or a "
                "vault, and rotate it if the file was committed.",
                rows=("K6",),
            ),
            "mcp.admin-login": About(
                title="An MCP server is given an administrator's database login",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("MCP02:2025", "MCP01:2025", "LLM03:2026", "ASI03", "AML.T0083"),
                runbook="Give the server a login of its own with the rights its tools need, read-only where they read.",
                rows=("K6",),
            ),
        }
    )

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "file_write" or "command.line" in fields

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, event in enumerate(events) if _concerns(event)]

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        if not _concerns(event):
            return
        line = event.text("command.line")
        text = written(event) or (line if "mcp" in line else "")
        if text and mcp_configs.configures(event, text):
            yield from self._secrets(event, text, event.text("path"), ("arguments", "command.line"))
            if (found := _ADMIN_DSN.search(text)) and not _LOCAL.match(found["host"]):
                yield finding(
                    self,
                    event,
                    rule_id="mcp.admin-login",
                    key=f"{found['user'].lower()}@{found['host'].lower()}"[:200],
                    evidence={
                        **describe(event),
                        "what": f"{found['scheme']} login {found['user']} at {found['host']} in {event.text('path')}",
                        "login": f"{found['user']}@{found['host']}",
                    },
                )
        elif "git" in line and event.secrets and (found := _IN_COMMIT.search(event.text("result"))):
            yield from self._secrets(event, event.text("result"), found[0].rpartition("/")[2], ("result",))

    def _secrets(self, event: Span, text: str, path: str, surfaces: tuple[str, ...]) -> Iterator[Finding]:
        servers: dict[str, str] = {mark: server for server, mark in mcp_configs.pairs(text)}
        told: set[str] = set()
        for match in event.secrets:
            mark = match.fingerprint
            if match.surface not in surfaces or mark in told or f"~{mark}~" not in text or match.verdict == "invalid":
                continue
            told.add(mark)
            server = servers.get(mark, "unknown")
            yield finding(
                self,
                event,
                rule_id="mcp.literal-secret",
                key=mark,
                evidence={
                    **describe(event),
                    "what": f"{match.rule_id} of {match.length} characters for the MCP server {server} in {path}",
                    "server": server,
                    "fingerprint": mark,
                    "path": path,
                },
            )


def _concerns(span: Span) -> bool:
    if span.kind == "file_write":
        return "mcp" in span.text("path").lower() or "mcp" in span.text("arguments")
    line = span.text("command.line") if span.kind == "command" else ""
    return bool(line) and ("mcp" in line or (bool(span.secrets) and "git" in line))


class Users(msgspec.Struct, array_like=True):
    """Who has a server with this credential, and in which projects."""

    users: dict[str, None] = {}
    projects: dict[str, None] = {}


class SharedServer(Detector[Sighting, Users]):
    """One MCP server with one and the same credential in several projects or with several users.

    Blind spots: a credential that comes from the environment is not seen in the configuration; a server under
    another name is another server; 32 users and projects of one credential are remembered.
    """

    id = "mcp.shared"
    scope = "entity"
    rules = MappingProxyType(
        {
            "mcp.shared-credential": About(
                title="One MCP server credential serves several projects or users",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("MCP01:2025", "MCP07:2025", "ASI03", "AML.T0083"),
                runbook="Give each user and project a credential of its own, then revoke the shared one.",
                rows=("K6",),
            )
        }
    )

    def new_state(self) -> Users:
        return Users()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "mcp-credential"

    def observe(self, event: Sighting, state: Users) -> Iterator[Finding]:
        if event.entity_kind != "mcp-credential":
            return
        more = False
        for known, name in (
            (state.users, event.detail.get("user", "")),
            (state.projects, event.detail.get("project", "")),
        ):
            if name and name not in known:
                more = more or bool(known)
                known[name] = None
                if len(known) > MAX_USERS:
                    del known[next(iter(known))]
        if not more:
            return
        server, _, mark = event.entity_id.rpartition("/")
        yield finding(
            self,
            event,
            rule_id="mcp.shared-credential",
            key=event.entity_id,
            confidence="confirmed",
            evidence={
                "who": event.detail.get("user", "") or event.agent_id or event.agent_type,
                "what": f"credential {mark} of the MCP server {server}",
                "server": server,
                "fingerprint": mark,
                "users": ", ".join(state.users) or "not told",
                "projects": ", ".join(state.projects) or "not told",
            },
        )
