"""Who acts, and as whom: events nobody answers for, credentials that are shared, static, or outlive their task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.accesses import DAY_NS, WORKLOAD
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting, Span

MAX_HOLDERS = 16
MAX_MARKS = 64
MAX_WHAT = 300
DAYS = 7  # a credential seen on so many days outlives any task
DEPLOYMENTS = 3
MAX_USER = 200  # characters of a user that are remembered
SESSION_TELLING = frozenset({"config.digest", "model"})
_VERSION = re.compile(r"[-@:_.]?(?:\d{4}-?\d{2}-?\d{2}|\d{6,8}|v\d[\w.]*|latest)$")


class Holder(msgspec.Struct, frozen=True, array_like=True):
    """Who was seen with a credential, and where."""

    actor: str
    agent_type: str
    agent: str
    user: str
    session_id: str
    span_id: str
    time_ns: int

    @property
    def name(self) -> str:
        """The holder in words: agent, pipeline or human, and for whom."""
        named = self.agent or self.agent_type or "unknown"
        if self.actor == "human":
            return f"human {self.user}"
        return f"{'pipeline' if self.actor == 'ci' else 'agent'} {named}" + (f" of {self.user}" if self.user else "")


class Holders(msgspec.Struct, array_like=True):
    """Holders of one credential, the newest last."""

    known: list[Holder] = []


def _holder(event: Sighting) -> Holder:
    told = event.detail.get
    instance = told("instance", "")
    agent = "" if event.agent_id in (instance, event.agent_type) else event.agent_id
    return Holder(
        told("actor", "agent"),
        event.agent_type,
        agent,
        told("user", "")[:MAX_USER],
        event.session_id,
        event.span_id,
        event.time_ns,
    )


def _shared(one: Holder, other: Holder, workload: bool) -> Severity | None:
    """How bad it is that two hold one credential; None where they are one, or meant to share it."""
    if one.session_id == other.session_id:
        return None  # agents of one task
    if one.actor != other.actor or one.agent_type != other.agent_type:
        return Severity.MEDIUM
    if one.actor == "agent" and one.user and other.user and one.user != other.user:
        return Severity.MEDIUM
    if workload or one.actor != "agent" or not one.agent or not other.agent or one.agent == other.agent:
        return None
    return Severity.LOW


class SharedCredential(Detector[Sighting, Holders]):
    """One credential subject, role or secret, used by two agents, by an agent and a human, or by an agent and CI.

    Two sessions of one agent share theirs, as do instances of one deployment and agents of one session. Agents of one
    type under one workload identity are one workload; under any other credential they are told with severity low.
    Blind spots: credentials no telemetry names; sixteen holders of a credential are remembered.
    """

    id = "identity.shared_credential"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "identity.shared-credential": About(
                title="One credential, two holders",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("ASI03", "MCP01:2025", "LLM02:2026", "T1078.004"),
                runbook="Give each holder a credential of its own, then revoke the shared one.",
                rows=("I2",),
            )
        }
    )

    def new_state(self) -> Holders:
        return Holders()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "holder"

    def observe(self, event: Sighting, state: Holders) -> Iterator[Finding]:
        if event.entity_kind != "holder":
            return
        one = _holder(event)
        same = (one.actor, one.agent_type, one.agent, one.user)
        for place, known in enumerate(state.known):
            if (known.actor, known.agent_type, known.agent, known.user) == same:
                state.known[place] = one
                return
        worst: tuple[Severity, Holder] | None = None
        workload = event.detail.get("form") == "workload" or any(sign in event.entity_id for sign in WORKLOAD)
        for other in state.known:
            severity = _shared(one, other, workload)
            if severity is not None and (worst is None or severity > worst[0]):
                worst = severity, other
        state.known.append(one)
        del state.known[:-MAX_HOLDERS]
        if worst is None:
            return
        severity, other = worst
        yield finding(
            self,
            event,
            rule_id="identity.shared-credential",
            severity=severity,
            confidence="confirmed",
            key=event.entity_id[:64],
            subject="/".join(sorted((one.name, other.name))),
            evidence={
                "who": f"{one.name} and {other.name}",
                "what": event.detail.get("what") or "use of the credential",
                "credential": event.entity_id,
                "first": other.name,
                "second": one.name,
                "other_session": other.session_id,
                "step_1": f"{other.span_id} {other.name}".strip(),
                "step_2": f"{one.span_id} {one.name}".strip(),
            },
            span_ids=tuple(span for span in (other.span_id, one.span_id) if span),
        )


class Uses(msgspec.Struct, array_like=True):
    """Days on which a credential was used, and deployments that used it."""

    days: list[int] = []
    deployments: list[str] = []
    static: list[str] = []  # agent types it was flagged for
    told: bool = False


class LongLived(Detector[Sighting, Uses]):
    """Static credentials in use, and credentials used on so many days or by so many deployments that no task fits.

    Subjects of workload identities and of humans are names, not credentials, and last as long as they should.
    Blind spots: a static credential whose kind no secret rule knows; a rotated secret of the same account; a
    credential that is only read, and never sent.
    """

    id = "identity.long_lived"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "identity.static-credential": About(
                title="Static credential in use by an agent",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("ASI03", "MCP01:2025", "LLM02:2026"),
                runbook="Replace it by a short-lived credential issued per task, then revoke it.",
                rows=("I8",),
            ),
            "identity.credential-outlives-task": About(
                title="Credential that outlives its task: the same one over days or deployments",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("ASI03", "MCP01:2025", "T1552.001"),
                runbook="Find who issued it, end it, and issue the next one for one task only.",
                rows=("I10",),
            ),
        }
    )

    def __init__(self, static: Mapping[str, bool], *, days: int = DAYS, deployments: int = DEPLOYMENTS) -> None:
        self._static = static
        self._days, self._deployments = days, deployments

    def new_state(self) -> Uses:
        return Uses()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "holder" and "form" in fields

    def select(self, events: Sequence[Sighting]) -> Iterable[int]:
        return [
            i
            for i, event in enumerate(events)
            if event.entity_kind == "holder" and event.detail.get("form") in ("secret", "key")
        ]

    def observe(self, event: Sighting, state: Uses) -> Iterator[Finding]:
        told = event.detail
        if event.entity_kind != "holder" or told.get("form") not in ("secret", "key"):
            return
        evidence = {
            "who": told.get("user") or event.agent_id or event.agent_type,
            "what": told.get("what", "") or "use of the credential",
            "credential": event.entity_id,
            "kind": told.get("rule_id", told.get("form", "")),
        }
        static = told.get("form") == "key" or self._static.get(told.get("rule_id", ""), False)
        static = static and told.get("lasts") != "short"
        if told.get("tier") == "possible" and told.get("rule_id", "").startswith("secret.generic"):
            return  # may be no credential at all
        holder = event.agent_type or event.agent_id
        if static and holder not in state.static and len(state.static) < MAX_HOLDERS:
            state.static.append(holder)
            yield finding(
                self,
                event,
                rule_id="identity.static-credential",
                confidence="confirmed",
                key=event.entity_id[:64],
                subject=f"{event.entity_id}/{holder}",
                evidence=evidence,
            )
        self._count(state.days, event.time_ns // DAY_NS)
        if deployment := told.get("deployment"):
            self._count(state.deployments, deployment)
        if not state.told and (len(state.days) >= self._days or len(state.deployments) >= self._deployments):
            state.told = True
            yield finding(
                self,
                event,
                rule_id="identity.credential-outlives-task",
                confidence="confirmed",
                key=event.entity_id[:64],
                subject=event.entity_id,
                evidence={
                    **evidence,
                    "days": str(len(state.days)),
                    "deployments": ", ".join(state.deployments[-8:]),
                },
            )

    @staticmethod
    def _count(seen: list[int] | list[str], one: int | str) -> None:
        if one not in seen:
            seen.append(one)  # type: ignore[arg-type]  # each list holds one type
            del seen[:-MAX_MARKS]


class Set(msgspec.Struct, array_like=True):
    """What a session said about itself: versions and settings, and what was told about it."""

    settings: dict[str, tuple[int, str]] = {}  # when it was last said, and what
    nobody: dict[str, None] = {}


class SessionIdentity(Detector[Span, Set]):
    """Events that resolve to no agent, session, human or credential; versions and settings that change in a session.

    Blind spots: a sender that makes up an identity has one; settings no event tells; a model another name of which is
    the same model; 64 settings of a session are remembered.
    """

    id = "identity.session"
    version = "1"
    scope = "session"
    rules = MappingProxyType(
        {
            "identity.unresolved": About(
                title="Events that nobody answers for: no agent, session, human or credential",
                severity=Severity.LOW,
                category=Category.SHADOW_AI,
                standards=("ASI03", "MCP08:2025", "LLM03:2026"),
                runbook="Find the sender by its address and its emitter's name, and have it say who it is.",
                rows=("I1",),
            ),
            "identity.changed-in-session": About(
                title="Version or settings of an agent changed inside a session",
                severity=Severity.LOW,
                category=Category.OVERREACH,
                standards=("ASI10", "ASI04", "LLM03:2026"),
                runbook="Replay the events around the change: what held before it need not hold after it.",
                rows=("I15",),
            ),
        }
    )

    def new_state(self) -> Set:
        return Set()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        told = not SESSION_TELLING.isdisjoint(fields) or kind == "agent"
        return told or fields.isdisjoint(("user", "credential"))

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [
            i
            for i, span in enumerate(events)
            if _nobody(span) or not SESSION_TELLING.isdisjoint(span.fields) or span.kind == "agent"
        ]

    def observe(self, event: Span, state: Set) -> Iterator[Finding]:
        if _nobody(event):
            sender = event.resource.emitter or event.scope or event.dialect
            if sender not in state.nobody and len(state.nobody) < MAX_MARKS:
                state.nobody[sender] = None
                yield finding(
                    self,
                    event,
                    rule_id="identity.unresolved",
                    confidence="confirmed",
                    key=sender[:64],
                    subject=sender,
                    evidence={"who": "nobody", "what": f"{event.kind} {event.name}"[:MAX_WHAT], "sender": sender},
                )
            return
        for name, now in _settings(event):
            said_ns, before = state.settings.get(name, (0, now))
            if event.start_ns < said_ns:
                continue  # late: what was said after it stands
            state.settings[name] = event.start_ns, now
            if len(state.settings) > MAX_MARKS:
                del state.settings[next(iter(state.settings))]
            if before != now:
                yield finding(
                    self,
                    event,
                    rule_id="identity.changed-in-session",
                    confidence="confirmed",
                    key=name[:64],
                    subject=f"{name}/{before}/{now}",
                    evidence={"what": f"{name}: {before} → {now}"[:MAX_WHAT], "before": before, "after": now},
                )


def _nobody(span: Span) -> bool:
    """Whether the span resolves to no agent, no session, no human and no credential."""
    if span.agent_id and not span.agent_id.startswith("unknown_service"):
        return False
    return span.session_from in ("none", "trace_id") and "user" not in span.fields and "credential" not in span.fields


def _settings(span: Span) -> Iterator[tuple[str, str]]:
    """What a span says about how its agent is set up: what should not change while a session runs."""
    if version := span.text("tool.version"):
        yield f"version of {span.resource.service or span.agent_type}"[:100], version[:100]
    if span.kind != "llm_call" and (settings := span.text("config.digest")):  # a call's own tools may differ
        yield f"settings of {span.agent_id} in {span.name}"[:100], settings
    if span.kind == "llm_call" and (model := span.text("model")) and (family := _VERSION.sub("", model)) != model:
        yield f"version of model {family}"[:100], model[:100]
