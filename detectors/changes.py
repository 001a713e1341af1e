"""Commits, branches, change requests and owners as entities: what feeds, CI and agents' own calls say about them.

Names differ between systems, so an entity's id is what all of them agree on: the first seven digits of a commit, the
last part of a repository's name. What was really said stands in the detail, and detectors compare that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial

import msgspec

from detectors import facts, same_change
from detectors.model import Span
from detectors.seen import Detail, Seen

FEED = "feed"
MINUTE_NS, DAY_NS = 60_000_000_000, 86_400_000_000_000
MAX_DETAIL = 4_000  # characters of one field of a feed event in a sighting
MAX_ITEMS = 100  # of a list in one
MAX_SHAS = 64
MAX_WHAT = 200
SHA = 7
ACTING = frozenset({"tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"})
TRIGGERS = frozenset(
    {"tool.name", "command.line", "user", "mcp.server", "commit.sha", "change.id", "ci.sha", "ci.ref"}
) | {
    f"feed.{name}"
    for name in ("owner", "agents", "credential", "credentials", "fingerprint", "repo", "sha", "patch", "action")
}
MADE = frozenset({"commit.sha", "commit.branch", "change.id", "commit.reverts"})  # fields of what a call made
OUTWARD = frozenset({"arguments", "command.line", "url", "header"})  # where a credential in use stands
SCANNERS = re.compile(
    r"gitleaks|trufflehog|ggshield|gitguardian|detect-secrets|secret[ _-]?scan|codeql|semgrep|snyk|trivy|grype|"
    r"sonar|bandit|checkov|dependency[ _-]review|spanwatch (?:scan|detect)",
    re.IGNORECASE,
)
REVERTS = re.compile(r"This reverts commit ([0-9a-f]{7,40})")  # what `git revert` writes
DEPLOYS = re.compile(r"\bdeploy|\brelease to\b|\brollout\b|\bpromote\b", re.IGNORECASE)
AGENTS = (  # who signs a commit as an agent: a trailer, an author or a login → agent type
    (
        "claude",
        re.compile(r"co-authored-by: *claude|noreply@anthropic\.com|claude\[bot\]|generated with \[?claude code"),
    ),
    ("copilot", re.compile(r"co-authored-by: *copilot|copilot-swe-agent|copilot\[bot\]|\+copilot@users\.noreply")),
    ("cursor", re.compile(r"cursoragent@|co-authored-by: *cursor|cursor\[bot\]")),
    ("codex", re.compile(r"co-authored-by: *codex|codex@openai\.com|chatgpt-codex-connector|codex\[bot\]")),
    ("devin", re.compile(r"devin-ai-integration|co-authored-by: *devin")),
    ("jules", re.compile(r"google-labs-jules|co-authored-by: *jules")),
    ("gemini", re.compile(r"co-authored-by: *gemini|gemini-code-assist|gemini-cli\[bot\]")),
    ("aider", re.compile(r"co-authored-by: *aider|\(aider\)|noreply@aider\.chat")),
    ("openhands", re.compile(r"openhands@all-hands|co-authored-by: *openhands")),
    ("amp", re.compile(r"amp@ampcode\.com|co-authored-by: *amp\b")),
)


def commit(sha: str) -> str:
    return sha.strip().lower()[:SHA]


def repository(name: str) -> str:
    """Last part of a repository's name or URL."""
    return name.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition(":")[2].lower()


def branch(repo: str, name: str) -> str:
    return f"{repository(repo)}@{name.removeprefix('refs/heads/').removeprefix('origin/')}"


def change(repo: str, number: str) -> str:
    return f"{repository(repo)}#{number.lstrip('#!')}"


def attributed(told: Mapping[str, str]) -> str:
    """The agent a commit or request says it is by; empty for a human's."""
    if agent := told.get("agent"):
        return agent
    said = "\n".join(told.get(name, "") for name in ("message", "author")).lower()
    return next((name for name, signs in AGENTS if signs.search(said)), "") if len(said) > 1 else ""


def items(text: str) -> list[str]:
    """A list of a feed event; a plain text is a list of one."""
    if text.startswith("["):
        try:
            return [str(one) for one in msgspec.json.decode(text, type=list[str])]
        except msgspec.DecodeError:
            return []
    return [text] if text else []


def concerns(kind: str, fields: frozenset[str], secrets: bool) -> bool:
    """Whether `of` can show anything of a span with these fields."""
    if kind == "llm_call":
        return secrets or not fields.isdisjoint(MADE | {"user", "credential"})
    return kind == FEED or kind in ("ci_run", "ci_step") or kind in ACTING


def of(span: Span) -> Iterator[Seen]:
    """Every commit, branch, request, owner and use of an agent that the span shows."""
    if span.kind == FEED:
        yield from _feed(span)
    elif span.kind in ("ci_run", "ci_step"):
        yield from _pipeline(span)
    elif span.kind in ACTING or span.kind == "llm_call":
        fields = span.fields
        if span.secrets or "user" in fields or "credential" in fields:
            yield from _people(span)
        if not MADE.isdisjoint(fields):
            yield from _made(span)
        for fix in same_change.of(span) if span.kind in ("command", "file_write", "mcp_call", "tool_call") else ():
            told = {"where": fix.where, "what": fix.what}
            yield Seen("patch", f"{span.agent_id}/{fix.id}", told, fix.where)


def _feed(span: Span) -> Iterator[Seen]:
    told = {name[len(FEED) + 1 :]: _cut(str(value)) for name, value in span.fields.items() if name.startswith("feed.")}
    told["feed"] = span.name
    repo, get = told.get("repo", ""), told.get
    for name in dict.fromkeys((get("owner", ""), *items(get("also", "")))):
        if name:
            yield Seen("owner", name, told, span.id)
    if span.name == "cloud_audit" and (name := get("agent", "")):
        use = {"use": "permission", "name": get("action", "")}
        yield Seen("agent", name, use, f"use/permission/{use['name']}/{span.start_ns // DAY_NS}")
    if span.name == "offboarding":
        for name in items(get("agents", "")):
            yield Seen("agent", name, told, span.id)
    for name in dict.fromkeys((get("credential", ""), *items(get("credentials", "")))):
        if name and span.name != "flow":
            yield Seen("lease", name, told, span.id)
    if mark := get("fingerprint"):
        yield Seen("lease", mark, told, span.id)
    for sha in dict.fromkeys(commit(one) for one in (get("sha", ""), *items(get("shas", ""))[:MAX_SHAS]) if one):
        yield Seen("commit", sha, told, span.id)
    if repo and (ref := get("branch")):
        yield Seen("branch", branch(repo, ref), told, span.id)
    if repo and (number := get("change")):
        yield Seen("change", change(repo, number), told, span.id)
    if patch := get("patch"):
        where = get("service") or repo
        yield Seen("patch", f"{attributed(told) or get('by', '')}/{patch}", {**told, "where": where}, span.id)
    if span.name == "commit" and (found := REVERTS.search(told.get("message", ""))):
        undoes = {**told, "feed": "revert", "sha": found[1], "by": get("author", ""), "agent": ""}
        yield Seen("commit", commit(found[1]), undoes, f"revert/{span.id}")
    if span.name == "commit" and (by := attributed(told)):
        author = get("author", "")
        yield Seen("owner" if author else "agent", author or by, told, span.id)


def _pipeline(span: Span) -> Iterator[Seen]:
    """What a CI run says of its commit and branch: a scan, a deploy, a failure."""
    fields = span.fields
    sha, repo, ref = span.text("ci.sha"), span.text("ci.repo"), span.text("ci.ref")
    name = f"{fields.get('ci.task', '')} {fields.get('ci.pipeline', '')}"
    failed = span.status == "error" or span.text("ci.result").lower() in ("failure", "failed", "error", "unstable")
    scan = span.kind == "ci_step" and SCANNERS.search(name)
    deploy = fields.get("ci.task.type") == "deploy" or DEPLOYS.search(name)
    event = "scan" if scan else "deploy" if deploy else "ci"
    if event != "scan" and not failed:
        return
    told = {
        "feed": event,
        "result": "failure" if failed else "success",
        "service": name.strip()[:MAX_WHAT],
        "scanner": name.strip()[:MAX_WHAT] if scan else "",
        "environment": span.text("environment"),
        "sha": sha,
        "repo": repo,
        "branch": ref,
        "by": span.text("user"),
    }
    if sha:
        yield Seen("commit", commit(sha), told, span.id)
    if repo and ref:
        yield Seen("branch", branch(repo, ref), told, span.id)


def what(span: Span) -> str:
    """A call in a few words."""
    text = span.text
    said = text("command.line") or text("db.statement") or text("path") or text("url")
    return f"{text('tool.name') or span.kind} {' '.join(said.split())}".strip()[:MAX_WHAT]


def _people(span: Span) -> Iterator[Seen]:
    """Who acted in which minute, and as which credential."""
    if user := span.text("user"):
        yield Seen("owner", user, {"what": what(span)}, f"minute/{span.start_ns // MINUTE_NS}")
    shown = dict.fromkeys(one.fingerprint for one in span.secrets if one.surface in OUTWARD)
    for subject in (span.text("credential"), *shown):
        if subject:
            told = {"what": what(span), "user": span.text("user")}
            yield Seen("lease", subject, told, f"minute/{span.start_ns // MINUTE_NS}")


def _made(span: Span) -> Iterator[Seen]:
    """The commit, branch and request a call made."""
    text = span.text
    sha, ref, repo = text("commit.sha"), text("commit.branch"), text("commit.repo") or text("ci.repo")
    number = text("change.id")
    if not (sha or ref or number or text("commit.reverts")):
        return
    told = {
        "sha": sha,
        "branch": ref,
        "repo": text("change.repo") or repo,
        "change": number,
        "user": text("user"),
        "what": what(span),
        "made": "yes",
    }
    told = {name: value for name, value in told.items() if value}
    if sha:
        yield Seen("commit", commit(sha), told, "made")
    if repo and ref:
        yield Seen("branch", branch(repo, ref), told, f"made/{commit(sha)}")
    if number:
        yield Seen("change", change(told["repo"], number), told, "made")
    if sha or ref:
        user = text("user")
        kind, name = ("owner", user) if user else ("agent", span.agent_id)
        yield Seen(kind, name, told, f"made/{commit(sha) or ref}")
    if reverted := text("commit.reverts"):
        told = {"feed": "revert", "sha": reverted, "by": text("user") or span.agent_id, "repo": repo}
        yield Seen("commit", commit(reverted), told, f"revert/{span.id}")


def uses(span: Span) -> Iterator[Seen]:
    """What an agent used on a day: tools, MCP servers, credentials, destinations and the effects of its commands."""
    if span.kind not in ACTING or not span.agent_id:
        return
    get, agent, day = span.fields.get, span.agent_id, span.start_ns // DAY_NS
    used = [
        ("tool", get("tool.name")),
        ("mcp", get("mcp.server")),
        ("credential", get("credential")),
        ("target", get("db.namespace") or get("egress.host")),
        *(("verb", verb) for verb in dict.fromkeys(_verbs(span))),
    ]
    for kind, told in used:
        if told:
            name = str(told)[:MAX_WHAT]
            yield Seen("agent", agent, partial(_use, span, kind, name), f"use/{kind}/{name}/{day}")


def _use(span: Span, kind: str, name: str) -> Detail:
    return {"use": kind, "name": name, "user": span.text("user")}


def _verbs(span: Span) -> Iterator[str]:
    for act in facts.of(span).acts:
        found = act.get("effect") or act.get("command.effect") or ()
        yield from (found,) if isinstance(found, str) else found if isinstance(found, tuple) else ()


def _cut(text: str) -> str:
    if len(text) <= MAX_DETAIL:
        return text
    if text.startswith("["):
        kept = [one[:MAX_WHAT] for one in items(text)[:MAX_ITEMS]]
        text = msgspec.json.encode(kept).decode()
        while len(text) > MAX_DETAIL and kept:
            kept = kept[: len(kept) // 2]
            text = msgspec.json.encode(kept).decode()
        return text
    return text[:MAX_DETAIL]
