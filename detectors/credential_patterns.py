"""How code that an agent writes gets its credentials, and what would be better or is usual in the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType

import msgspec
import re2

from detectors import mcp_configs, path_classes
from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Span
from detectors.written import written

MAX_TEXT = 65_536
MAX_KEYS = 64  # of a session, with the services each is used for
MAX_SERVICES = 8
NEAR = 400  # characters between a key and the service it is used for

STRONGEST_FIRST = ("workload identity", "scoped OAuth", "vault-issued", "strict API key", "hardcoded")
_NAME = r"[A-Z0-9_]*(?:TOKEN|SECRET|PASSWO?R?D|(?:API|ACCESS|PRIVATE|AUTH|ACCOUNT)_?KEY|CREDENTIALS?)[A-Z0-9_]*"
_PATTERNS = {
    "workload identity": r"id-token\s*:\s*write|id_tokens\s*:|role-to-assume|workload_identity|DefaultAzureCredential"
    r"|ManagedIdentityCredential|WorkloadIdentityCredential|google\.auth\.default|getApplicationDefault"
    r"|(?i:assume_?role_?with_?web_?identity)|eks\.amazonaws\.com/role-arn|iam\.gke\.io/gcp-service-account"
    r"|azure\.workload\.identity|fromInstanceMetadata|fromTokenFile|fromWebToken|instance[_ ]profile|(?i:spiffe)",
    "scoped OAuth": r"client_credentials|OAuth2Session|OAuth2Client|authorization_code|createAppAuth|InstalledAppFlow"
    r"|ConfidentialClientApplication|acquire_token_for_client|\bfetch_token\(|google\.oauth2\.credentials"
    r"|installation_?access_?token|createInstallationAccessToken",
    "vault-issued": r"\bhvac\b|VAULT_ADDR|\bvault\s+(?:kv|read)\b|secretsmanager|get_?secret_?value|GetSecretValue"
    r"|SecretManagerServiceClient|access_secret_version|SecretClient\(|azure-keyvault|op://|ExternalSecret|secretKeyRef"
    r"|SecretProviderClass|ssm.{0,40}get_?parameter",
    "strict API key": rf"(?:os\.environ(?:\.get)?|getenv|ENV|System\.getenv|Getenv|env::var|Deno\.env\.get)"
    rf"\s*[\[(.]\s*[\"'`]{_NAME}|(?:process\.env|import\.meta\.env)\.{_NAME}|secrets\.{_NAME}|\$\{{{_NAME}[}}:]",
    "hardcoded": r"MASKED~",
}
_CLOUD = re.compile(
    r"AWS_(?:SECRET_)?ACCESS_KEY|GOOGLE_APPLICATION_CREDENTIALS|GOOGLE_CREDENTIALS|AZURE_CLIENT_SECRET|ARM_CLIENT_SECRET"
)
_KEY = re.compile(rf"MASKED~[^~\s]{{1,120}}~\d+~([0-9a-f]{{16}})~|(?:[\"'`.{{$]|\benv\s)({_NAME})\b")
_URL = re.compile(r"https?://([\w-]+(?:\.[\w-]+)+)")
_NO_SERVICE = re.compile(
    r"^(?:localhost|127\.|0\.0\.0\.0|www\.w3\.org|schemas?\.|json-schema\.org)|\.(?:test|invalid|localhost)$"
)


def _compiled() -> re2.Set:
    patterns = re2.Set.SearchSet()
    for name in STRONGEST_FIRST:
        patterns.Add(_PATTERNS[name])
    patterns.Compile()
    return patterns


_SET = _compiled()


def patterns(text: str) -> list[str]:
    """Ways of getting a credential that a text shows, the strongest first."""
    return [STRONGEST_FIRST[i] for i in sorted(_SET.Match(text[:MAX_TEXT]) or ())]


class Known(msgspec.Struct, array_like=True):
    """What the session has read in the repository, and the services each key is used for."""

    read: dict[str, str] = {}  # pattern → first file it was read in
    services: dict[str, list[str]] = {}
    told: dict[str, None] = {}


class CredentialPatterns(Detector[Span, Known]):
    """How integration code or configuration that an agent writes gets its credentials.

    Weaker is: a literal where any other way would do; a static key of a cloud that offers workload identity; a way
    below one the session had read in the repository. Says whether the session had read the same way before.
    Blind spots: a way of getting credentials that is not known here; a helper of the organisation's own; keys and
    services named in different files; 64 keys of a session are remembered.
    """

    id = "integration.credentials"
    scope = "session"
    rules = MappingProxyType(
        {
            "integration.weaker-credential": About(
                title="Agent-written integration picks a weaker credential than it could",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03", "T1552.001"),
                runbook="Have the change use the stronger way named here before it is merged.",
                rows=("K16",),
            ),
            "integration.credential-pattern": About(
                title="Agent-written integration gets a credential",
                severity=Severity.INFO,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03"),
                runbook="Nothing to do: for the record of how agents get credentials.",
                rows=("K16",),
            ),
            "integration.one-key-many-services": About(
                title="Agent-written code uses one key for several services",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03", "T1552.001"),
                runbook="Give each service a key of its own: a shared one cannot be revoked for one of them.",
                rows=("K16",),
            ),
        }
    )

    def new_state(self) -> Known:
        return Known()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        reads = kind in ("file_read", "command") and ("result" in fields or "command.line" in fields)
        return reads or kind == "file_write"

    def observe(self, event: Span, state: Known) -> Iterator[Finding]:
        if event.kind not in ("file_write", "file_read", "command"):
            return
        path = event.text("path")
        text = "" if "test" in path_classes.classes(path) else written(event)
        if text and mcp_configs.configures(event, text):
            return  # has findings of its own
        if text:
            yield from self._written(event, text, state)
        elif result := event.text("result"):
            for name in patterns(result):
                state.read.setdefault(name, (path or event.text("command.line"))[:200])

    def _written(self, event: Span, text: str, state: Known) -> Iterator[Finding]:
        found = patterns(text)
        if "hardcoded" in found and not _literal(event):
            found.remove("hardcoded")
        if not found:
            return
        pick = found[-1]
        better = _better(found, text, state)
        severity = Severity.MEDIUM if pick == "hardcoded" else None
        yield finding(
            self,
            event,
            rule_id="integration.weaker-credential" if better else "integration.credential-pattern",
            severity=severity if better else None,
            key=f"{event.text('path')[:200]}/{pick}",
            evidence={
                **describe(event),
                "what": f"{pick} in {event.text('path') or event.text('command.line')[:200]}",
                "pattern": pick,
                "better": better or "nothing known to be better here",
                "read_before": f"yes, in {state.read[pick]}" if pick in state.read else "no",
                "repository_uses": ", ".join(state.read) or "nothing read yet",
            },
        )
        for key, services in _uses(text):
            known = state.services.setdefault(key, [])
            fresh = [one for one in services if one not in known]
            del fresh[max(MAX_SERVICES - len(known), 0) :]
            known += fresh
            if len(state.services) > MAX_KEYS:
                del state.services[next(iter(state.services))]
            if fresh and len(known) > 1 and key not in state.told:
                state.told[key] = None
                if len(state.told) > MAX_KEYS:
                    del state.told[next(iter(state.told))]
                yield finding(
                    self,
                    event,
                    rule_id="integration.one-key-many-services",
                    key=key,
                    evidence={**describe(event), "what": f"{key} for {', '.join(known)}", "services": ", ".join(known)},
                )


def _literal(span: Span) -> bool:
    """Whether what was written holds a secret that is one beyond doubt of its form."""
    return any(
        match.surface in ("arguments", "command.line") and match.tier != "possible" and match.verdict != "invalid"
        for match in span.secrets
    )


def _better(found: list[str], text: str, state: Known) -> str:
    """A stronger way that was to be had and is not already part of it; empty where none is known."""
    pick = found[-1]
    if pick == "hardcoded":
        return "a variable, a vault, or an identity of the workload"
    rank = STRONGEST_FIRST.index(pick)
    stronger = [name for name in STRONGEST_FIRST[:rank] if name in state.read and name not in found]
    if stronger:
        return f"{stronger[0]}, which the repository uses in {state.read[stronger[0]]}"
    if pick == "strict API key" and _CLOUD.search(text):
        return "workload identity: this cloud gives short-lived credentials to workloads"
    return ""


def _uses(text: str) -> Iterator[tuple[str, list[str]]]:
    """(key, services) as they stand close to each other in a text."""
    services = [(m.start(), m[1].lower()) for m in _URL.finditer(text) if not _NO_SERVICE.match(m[1].lower())]
    if not services:
        return
    uses: dict[str, list[str]] = {}
    for found in _KEY.finditer(text):
        near = min(services, key=lambda one: abs(one[0] - found.start()))
        if abs(near[0] - found.start()) <= NEAR:
            hosts = uses.setdefault(found[1] or found[2], [])
            if _site(near[1]) not in hosts:
                hosts.append(_site(near[1]))
    yield from uses.items()


def _site(host: str) -> str:
    return ".".join(host.split(".")[-2:])
