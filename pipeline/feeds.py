"""Events of other systems: the shape of each kind, read strictly from JSON lines and told as OTLP log records.

A line is an object with `feed` (the kind), `time` and the kind's fields. On the wire it is a log record with the
event name `spanwatch.feed.<kind>` and each field as the attribute `feed.<field>`; the dialect `feed` reads it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from pipeline.errors import DecodeError

EVENT = "spanwatch.feed."
PREFIX = "feed."
Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
Names: TypeAlias = tuple[str, ...]


FIELDS: Mapping[str, str] = {  # every field of every kind; one name means one thing
    "time": "when it happened: ISO 8601 with a zone",
    "session": "the agent's session it belongs to, as its telemetry names it",
    "agent": "agent id or type, as its telemetry names it",
    "owner": "human or team an agent or credential belongs to, as telemetry names the user",
    "also": "further names of the owner: login, account id, e-mail",
    "agents": "agent ids that are theirs",
    "credentials": "credential subjects that are theirs, or were issued for the session",
    "credential": "credential subject or id, as telemetry names it; never the credential itself",
    "fingerprint": "keyed fingerprint of the credential, as findings show it",
    "issued": "when the credential began; without it, `time`",
    "expires": "when the credential ends, until when the approval holds",
    "scopes": "what the credential permits",
    "task": "what it is for: pr_review, deploy, ...",
    "reason": "expired, revoked or rotated",
    "repo": "repository, owner/name or its URL",
    "branch": "branch the work is on; of a request, where it comes from",
    "base": "branch a request goes to",
    "change": "number of the pull or merge request",
    "ticket": "where it is written down",
    "paths": "files that may change: globs from the repository's root",
    "repos": "repositories that may be touched: globs",
    "sha": "the commit: pushed, scanned, deployed, taken back or reverted; of a merge, the merge commit",
    "shas": "the commits in it",
    "author": "who wrote it: e-mail or login",
    "title": "title of the request",
    "message": "the commit's message, trailers and all",
    "files": "files changed, from the repository's root",
    "lines": "lines added and removed",
    "patch": "patch id (`git patch-id`): equal for the same change elsewhere",
    "ready": "ready for review, no draft",
    "reviewer": "who reviewed",
    "human": "false for a bot",
    "verdict": "of a review: approved, changes_requested, commented; of an alert: true, false, benign",
    "seconds": "time spent on the review; without it, the time since the request was ready",
    "merged_by": "who merged it",
    "reviewers": "humans who approved it, where no review events are sent",
    "review_seconds": "time all reviews took, likewise",
    "scanner": "which scanner ran",
    "findings": "how many findings it had",
    "result": "passed, failed or error; of a deploy: success or failure",
    "service": "what was deployed or rolled back",
    "environment": "production, staging, ...",
    "by": "who or what did it",
    "user": "identity the proxy saw",
    "target": "database or host",
    "command": "command or statement",
    "client": "address, host or user agent it came with",
    "record": "the proxy's own id of the query or session",
    "host": "host or workload a connection came from",
    "destination": "host or address it went to",
    "port": "port it went to",
    "bytes": "bytes sent",
    "workload": "workload or pod",
    "principal": "credential subject or role that called",
    "action": "what was called",
    "resource": "on what",
    "account": "cloud account, project or subscription",
    "source": "address it came from",
    "approver": "who decided",
    "requester": "who asked",
    "decision": "allow or deny",
    "operation": "what was decided on: a command, a rule id, a target",
    "call": "the tool call it is for",
    "alert": "id of the alert",
    "by_sha": "the commit that does it",
}


class Feed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="feed", omit_defaults=True):
    """What every kind may say."""

    time: Moment
    session: str = ""
    agent: str = ""


class Offboarding(Feed, frozen=True, kw_only=True, tag="offboarding"):
    """A human left: whatever acts for them afterwards should not. Source: HR system, identity provider."""

    owner: str
    also: Names = ()
    agents: Names = ()
    credentials: Names = ()


class CredentialIssued(Feed, frozen=True, kw_only=True, tag="credential_issued"):
    """A token was issued. Source: secrets manager, OIDC or cloud issuer."""

    credential: str
    expires: Moment
    issued: Moment | None = None
    fingerprint: str = ""
    owner: str = ""
    task: str = ""
    scopes: Names = ()


class CredentialExpired(Feed, frozen=True, kw_only=True, tag="credential_expired"):
    """A token ended: expired, revoked or rotated. Source: the same."""

    credential: str
    fingerprint: str = ""
    reason: str = "expired"


class SessionEnded(Feed, frozen=True, kw_only=True, tag="session_ended"):
    """A task is over. Source: orchestrator, CI."""

    credentials: Names = ()
    task: str = ""


class Scope(Feed, frozen=True, kw_only=True, tag="scope"):
    """The boundary of a task, by session, or by repository and branch or change. Source: tickets, VCS, orchestrator."""

    repo: str = ""
    branch: str = ""
    change: str = ""
    ticket: str = ""
    paths: Names = ()
    repos: Names = ()
    task: str = ""


class ChangeRequest(Feed, frozen=True, kw_only=True, tag="change_request"):
    """A pull or merge request was opened or updated. Source: VCS webhook."""

    repo: str
    change: str
    branch: str = ""
    base: str = ""
    author: str = ""
    title: str = ""
    lines: int = 0
    files: Names = ()
    shas: Names = ()
    ready: bool = False


class ReviewGiven(Feed, frozen=True, kw_only=True, tag="review"):
    """Somebody reviewed a change. Source: VCS webhook."""

    repo: str
    change: str
    reviewer: str
    branch: str = ""
    human: bool = True
    verdict: str = "approved"
    seconds: float | None = None


class Merge(Feed, frozen=True, kw_only=True, tag="merge"):
    """A change was merged. Source: VCS webhook."""

    repo: str
    change: str = ""
    branch: str = ""
    base: str = ""
    sha: str = ""
    shas: Names = ()
    author: str = ""
    merged_by: str = ""
    message: str = ""
    lines: int = 0
    reviewers: Names = ()
    review_seconds: float | None = None


class Commit(Feed, frozen=True, kw_only=True, tag="commit"):
    """A commit was pushed. Source: VCS webhook. Attribution: `agent`, else the trailers of `message`."""

    repo: str
    sha: str
    branch: str = ""
    author: str = ""
    message: str = ""
    files: Names = ()
    lines: int = 0
    patch: str = ""


class Scan(Feed, frozen=True, kw_only=True, tag="scan"):
    """A scanner ran. Source: CI, code host."""

    repo: str
    scanner: str
    branch: str = ""
    sha: str = ""
    result: str = "passed"
    findings: int = 0


class Deploy(Feed, frozen=True, kw_only=True, tag="deploy"):
    """A version went out, or failed to. Source: CD system."""

    service: str
    result: str = "success"
    repo: str = ""
    sha: str = ""
    shas: Names = ()
    change: str = ""
    environment: str = ""
    by: str = ""
    patch: str = ""


class Rollback(Feed, frozen=True, kw_only=True, tag="rollback"):
    """A version was taken back. Source: CD system."""

    service: str
    sha: str
    repo: str = ""
    change: str = ""
    environment: str = ""
    by: str = ""


class Revert(Feed, frozen=True, kw_only=True, tag="revert"):
    """A change was reverted. Source: VCS webhook."""

    repo: str
    sha: str = ""
    change: str = ""
    by: str = ""
    by_sha: str = ""


class ProxyCommand(Feed, frozen=True, kw_only=True, tag="proxy_command"):
    """What an identity-aware proxy recorded. Source: its audit log."""

    user: str
    target: str
    command: str
    client: str = ""
    record: str = ""


class Flow(Feed, frozen=True, kw_only=True, tag="flow"):
    """A connection. Source: flow logs, firewall, service mesh."""

    host: str
    destination: str
    port: int = 0
    bytes: int = 0
    workload: str = ""
    credential: str = ""


class CloudAudit(Feed, frozen=True, kw_only=True, tag="cloud_audit"):
    """A call in a cloud's audit log."""

    principal: str
    action: str
    resource: str = ""
    account: str = ""
    source: str = ""
    client: str = ""


class Approval(Feed, frozen=True, kw_only=True, tag="approval"):
    """Somebody allowed or refused an operation outside the agent. Source: ticket system, chat, access broker."""

    approver: str
    decision: str = "allow"
    requester: str = ""
    operation: str = ""
    call: str = ""
    ticket: str = ""
    expires: Moment | None = None


class Label(Feed, frozen=True, kw_only=True, tag="label"):
    """What an analyst decided about an alert."""

    alert: str
    verdict: str
    by: str = ""


KINDS: dict[str, type[Feed]] = {
    str(one.__struct_config__.tag): one
    for one in (
        Offboarding, CredentialIssued, CredentialExpired, SessionEnded, Scope, ChangeRequest, ReviewGiven, Merge,
        Commit, Scan, Deploy, Rollback, Revert, ProxyCommand, Flow, CloudAudit, Approval, Label,
    )
}  # fmt: skip


ABOUT = (
    ("repo", "change"), ("repo", "branch"), ("sha",), ("repo",), ("owner",), ("credential",), ("service",), ("target",),
    ("host",), ("principal",), ("operation",), ("alert",),
)  # fmt: skip


def subject(fields: Mapping[str, Any]) -> str:
    """What an event is about, in place of a session: what is said about one change or owner stands together."""
    for names in ABOUT:
        words = [str(fields[PREFIX + name]) for name in names if PREFIX + name in fields]
        if len(words) == len(names):
            return "/".join(("feed", *words))
    return "feed"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A feed event as OTLP says it."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


def event(raw: Any) -> Event:
    """One object as the log record it is sent as; DecodeError says what is wrong with it."""
    if not isinstance(raw, dict):
        raise DecodeError("feed", "expected an object")
    kind = KINDS.get(str(raw.get("feed", "")))
    if kind is None:
        raise DecodeError("feed", f"`feed` must be one of {', '.join(KINDS)}")
    try:
        told = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise DecodeError("feed", f"{raw['feed']}: {error}") from None
    given = msgspec.to_builtins(told, builtin_types=(datetime,))
    name, time = given.pop("feed"), given.pop("time")
    values = {PREFIX + key: value.isoformat() if isinstance(value, datetime) else value for key, value in given.items()}
    ns = int(time.timestamp()) * 10**9 + time.microsecond * 1000
    return Event(name=EVENT + name, time_ns=ns, attributes=values)


def read(lines: Iterable[bytes], name: str) -> Iterator[Event]:
    """The events of a file of JSON lines; DecodeError names file and line of the first that is none."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield event(msgspec.json.decode(line))
        except msgspec.DecodeError as error:
            raise DecodeError("feed", f"{name}:{number}: no JSON: {error}") from None
        except DecodeError as error:
            raise DecodeError("feed", f"{name}:{number}: {error.detail}") from None
