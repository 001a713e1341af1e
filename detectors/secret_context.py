"""Where a secret stood, which way it was going and how it came in: what decides how bad its exposure is.

The masker knows only a text; the Span around it says whether a person pasted the secret, a tool returned it or the
agent sent it, and that is what a responder asks first.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

from detectors.model import SecretMatch, Span

Surface: TypeAlias = Literal[
    "user prompt",
    "tool argument",
    "tool result",
    "model output",
    "command",
    "URL",
    "header",
    "file content",
    "CI log",
    "config",
    "attribute",
]
Direction: TypeAlias = Literal["model", "tool", "outside", "user", "none"]
Entered: TypeAlias = Literal[
    "user paste",
    "environment",
    ".env file",
    "hardcoded",
    "secrets manager",
    "tool result",
    "config",
    "CI log",
    "unknown",
]
PathClass: TypeAlias = Literal[
    "none", "secrets", "test", "example", "docs", "vendored", "generated", "lockfile", "ci", "config", "source", "other"
]

_CALLED = frozenset({"arguments", "command.line", "url", "header", "body"})
_CI = frozenset({"ci_run", "ci_step"})
_PATTERNS: dict[PathClass, str] = {  # the first that fits
    "lockfile": r"(?:^|/)(?:[\w.-]*lock(?:\.json|\.yaml)?|go\.sum|[\w.-]*\.lock|npm-shrinkwrap\.json)$",
    "vendored": r"(?:^|/)(?:node_modules|vendor|third_party|site-packages|\.venv|venv|bower_components)/",
    "generated": r"(?:^|/)(?:dist|build|target|out|coverage|__pycache__)/|\.min\.(?:js|css)$|\.map$",
    "test": r"(?:^|/)(?:tests?|specs?|__tests__|fixtures?|testdata|mocks?)/"
    r"|(?:^|/)(?:test_|conftest)|[_.-](?:test|spec)s?\.\w+$",
    "example": r"(?:^|/)(?:examples?|samples?|demos?)/|\.(?:example|sample|template|dist)$",
    "secrets": r"(?:^|/)(?:\.env(?:\.[\w-]+)?|\.envrc|\.netrc|\.pgpass|\.npmrc|\.pypirc|credentials|id_[a-z0-9]+)$"
    r"|(?:^|/)(?:\.git-credentials|secrets?\.[\w.]+)$|\.(?:pem|key|p12|pfx|ppk|kdbx|jks|keystore)$"
    r"|(?:^|/)\.(?:ssh|aws|gnupg|kube|docker|azure|config/gcloud)/",
    "ci": r"(?:^|/)(?:\.github/workflows|\.circleci|\.buildkite)/"
    r"|(?:^|/)(?:\.gitlab-ci\.yml|Jenkinsfile|azure-pipelines\.yml|\.travis\.yml)$",
    "docs": r"(?:^|/)docs?/|(?:^|/)(?:README|CHANGELOG|CONTRIBUTING)[^/]*$|\.(?:md|rst|adoc)$",
    "config": r"\.(?:ya?ml|toml|ini|cfg|conf|properties|tfvars|tfstate|json|xml|plist)$"
    r"|(?:^|/)(?:Dockerfile|docker-compose)[^/]*$",
    "source": r"\.(?:py|js|jsx|ts|tsx|mjs|cjs|go|rs|java|kt|rb|php|cs|c|h|cc|cpp|hpp|swift|scala"
    r"|sh|bash|zsh|ps1|sql|tf|vue|svelte|dart|lua|pl|r|ipynb)$",
}
_PATH_CLASSES = [(name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _PATTERNS.items()]
_ENV_FILE = re.compile(r"(?:^|[/\s'\"=])\.env(?:rc|\.[\w-]+)?(?=$|[\s'\"|;&<>)])")
_ENVIRONMENT = re.compile(
    r"(?:^|[|;&(\s])(?:printenv|env|set|export -p|declare -x)(?:\s*$|\s*[|;&>]|\s+[A-Z_]+\s*$)"
    r"|echo\s+[\"']?\$\{?\w|os\.environ|process\.env|/proc/[\w*]+/environ"
)
_MANAGERS: dict[str, str] = {  # what reads a secret out of each, on a command line
    "HashiCorp Vault": r"\bvault\s+(?:kv\s+get|read|unwrap|token\s+create)\b",
    "AWS Secrets Manager": r"\bsecretsmanager\s+(?:batch-)?get-secret",
    "AWS Parameter Store": r"\bssm\s+get-parameters?",
    "Google Secret Manager": r"\bgcloud\s+(?:beta\s+)?secrets\s+versions\s+access",
    "Azure Key Vault": r"\bkeyvault\s+(?:secret|key|certificate)\s+(?:show|download)",
    "1Password": r"\bop\s+(?:read|item|run|inject|document)\b",
    "Kubernetes": r"\b(?:kubectl|oc)\s+(?:-\S+\s+(?:\w[\w-]*\s+)?){0,4}(?:get|describe|extract)\s+"
    r"(?:-\S+\s+(?:\w[\w-]*\s+)?){0,4}secrets?\b",
    "Doppler": r"\bdoppler\s+(?:secrets|run)",
    "Infisical": r"\binfisical\s+(?:secrets|run|export)",
    "Bitwarden": r"\bbws?\s+(?:get|secret)\b",
    "a password store": r"\bpass\s+(?:show\s+)?[\w-]+/\S|\blpass\s+show|\bkeyring\s+get\b|\bsecret-tool\s+lookup",
    "SOPS": r"\bsops\s+(?:-d|--decrypt|decrypt|exec-env)\b",
    "the system's keychain": r"\bsecurity\s+find-\w+-password",
    "Chamber": r"\bchamber\s+(?:read|export|exec)\b",
}
_MANAGER = re.compile("|".join(f"(?P<m{i}>{pattern})" for i, pattern in enumerate(_MANAGERS.values())), re.IGNORECASE)
_MANAGER_HOST = re.compile(
    r"(?:^|[/@.])(?:secretmanager\.googleapis\.com|secretsmanager\.[\w-]+\.amazonaws\.com|[\w-]+\.vault\.azure\.net"
    r"|api\.(?:doppler|infisical)\.com|[\w.-]*vault[\w.-]*(?::\d+)?/v1/)",
    re.IGNORECASE,
)
_MANAGER_TOOL = re.compile(
    r"(?:get|read|fetch|access|reveal|retrieve|lookup)_?secret|secret_?(?:value|manager)|hashicorp|(?:^|[_-])vault"
    r"|1password|onepassword|bitwarden|key_?vault|infisical|doppler",
    re.IGNORECASE,
)


class Context(NamedTuple):
    """A secret's surroundings; `brought_by` is who put it into the session."""

    surface: Surface
    direction: Direction
    entered: Entered
    path_class: PathClass

    @property
    def brought_by(self) -> Literal["user", "agent"]:
        """The user where a person pasted it, the agent for everything it fetched, read or made up."""
        return "user" if self.entered == "user paste" else "agent"


def path_class(path: str) -> PathClass:
    """What kind of file a path names, by its name alone."""
    if not path:
        return "none"
    path = path.replace("\\", "/")
    return next((name for name, pattern in _PATH_CLASSES if pattern.search(path)), "other")


def context(span: Span, match: SecretMatch) -> Context:
    """What the Span says of one of its secrets, as if it were the first to hold it."""
    where = path_class(span.text("path"))
    return Context(_surface(span, match, where), _direction(span, match), _entered(span, match, where), where)


def _surface(span: Span, match: SecretMatch, where: PathClass) -> Surface:
    if span.kind in _CI:
        return "CI log"
    if match.surface in ("result", "arguments") and span.kind in ("file_read", "file_write"):
        return "config" if where in ("config", "ci", "secrets") else "file content"
    if match.surface == "resource":
        return "config"
    plain: dict[str, Surface] = {
        "prompt": "user prompt",
        "arguments": "tool argument",
        "result": "tool result",
        "completion": "model output",
        "command.line": "command",
        "url": "URL",
        "header": "header",
    }
    return plain.get(match.surface, "attribute")


def _direction(span: Span, match: SecretMatch) -> Direction:
    if match.surface in ("prompt", "result"):
        return "model"
    if match.surface == "completion":
        return "user"
    if match.surface in _CALLED or (match.surface == "attribute" and "egress.host" in span.fields):
        return "outside" if "egress.host" in span.fields or match.surface in ("url", "header") else "tool"
    return "none"


def _entered(span: Span, match: SecretMatch, where: PathClass) -> Entered:
    if match.surface == "prompt":
        return "user paste"
    if span.kind in _CI:
        return "CI log"
    if match.surface == "resource":
        return "environment"
    if "environment_variable" in match.where:
        return "environment"
    if match.surface != "result":
        return "hardcoded" if span.kind == "file_write" else "unknown"
    line = _line(span)
    name = span.text("path") or line
    if manager(span):
        return "secrets manager"
    if _ENV_FILE.search(name):
        return ".env file"
    if line and _ENVIRONMENT.search(line):
        return "environment"
    if span.kind == "file_read":
        return "config" if where in ("config", "ci", "secrets") else "hardcoded"
    return "tool result"


def manager(span: Span) -> str:
    """The secrets manager a call reads from; empty where it reads from none."""
    found = _MANAGER.search(_line(span))
    if found:
        return list(_MANAGERS)[int((found.lastgroup or "m0")[1:])]
    if _MANAGER_HOST.search(span.text("url")):
        return "a secrets manager by HTTP"
    named = _MANAGER_TOOL.search(f"{span.text('mcp.server')} {span.text('tool.name')}")
    return f"the tool {span.text('tool.name')}"[:100] if named else ""


def _line(span: Span) -> str:
    return span.text("command.line") or (span.text("arguments") if span.kind == "command" else "")
