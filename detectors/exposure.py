"""Secrets presumed exposed, shown by an edit, and found again in a pipeline's log."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.behaviour import describe
from detectors.detector import Detector, finding
from detectors.exposures import ACTING
from detectors.model import Category, Finding, Severity, Sighting, Span
from detectors.secret_prints import hinted, shown
from detectors.written import written

MAX_SECRETS = 128  # of one file
MAX_SESSIONS = 16  # that edited, held or logged one secret
_EXPOSED = ("LLM02:2026", "ASI03", "AML.T0055", "T1552.001")


class Holds(msgspec.Struct, array_like=True):
    """What a file was seen to hold: fingerprint → rule."""

    secrets: dict[str, str] = {}


class PresumedExposed(Detector[Sighting, Holds]):
    """A file of secrets was read and the telemetry does not show what came of it: all it holds is presumed exposed.

    Medium where the file was seen to hold secrets, else low.
    Blind spots: a file nobody was seen reading with its content is told by its class alone; the same file under
    another path is another file; per file 128 secrets are remembered, the first seen forgotten first; a program that
    uses the file without showing it does not count.
    """

    id = "exposure.presumed"
    scope = "entity"
    rules = MappingProxyType(
        {
            "exposure.presumed": About(
                title="A file of secrets was read unseen: its secrets are presumed exposed",
                severity=Severity.MEDIUM,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=_EXPOSED,
                runbook="Rotate every secret of the file, those listed first, unless the agent's own log proves that "
                "it did not see them; then have the emitter capture results.",
                rows=("F4",),
            )
        }
    )

    def new_state(self) -> Holds:
        return Holds()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "secret-file"

    def observe(self, event: Sighting, state: Holds) -> Iterator[Finding]:
        if event.entity_kind != "secret-file":
            return
        detail = event.detail
        if mark := detail.get("secret", ""):
            state.secrets[mark] = detail.get("rule", "")
            if len(state.secrets) > MAX_SECRETS:
                del state.secrets[next(iter(state.secrets))]
            return
        known = state.secrets
        yield finding(
            self,
            event,
            rule_id="exposure.presumed",
            severity=Severity.MEDIUM if known else Severity.LOW,
            key=event.entity_id,
            evidence={
                "who": detail.get("user", "") or event.agent_id or event.agent_type,
                "what": f"read {event.entity_id}, content not captured",
                "path": event.entity_id,
                "class": detail.get("class", ""),
                "tool": detail.get("tool", ""),
                "presumed": ", ".join(known) or f"every secret of {event.entity_id}, none of them seen before",
                "rules": ", ".join(sorted(set(known.values()))) or "unknown",
                "count": str(len(known)) if known else "unknown",
            },
        )


class SecretPrinted(Detector[Span, None]):
    """An edit that prints, traces or caches a variable that holds a secret.

    Blind spots: a variable whose name does not say that it is secret; printing by a helper; languages whose way to
    read the environment is not known; a whole environment printed at once.
    """

    id = "exposure.printed"
    scope = "span"
    rules = MappingProxyType(
        {
            "exposure.printed": About(
                title="An edit shows a secret variable",
                severity=Severity.LOW,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "LLM10:2026", "ASI05", "T1552"),
                runbook="Take the line out before the change is merged; where it ran, look for the value in its log.",
                rows=("K3",),
            )
        }
    )

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "file_write" or (kind in ACTING and "command.line" in fields)  # what `hinted` reads

    def observe(self, event: Span, state: None) -> Iterator[Finding]:
        if event.kind not in ACTING:
            return
        for one in shown(written(event)) if hinted(event) else ():
            yield finding(
                self,
                event,
                rule_id="exposure.printed",
                key=one.name,
                evidence={**describe(event), "variable": one.name, "how": one.how},
            )


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a session touched a secret or its variable."""

    session_id: str
    span_id: str
    time_ns: int
    what: str
    repo: str = ""


class Trail(msgspec.Struct, array_like=True):
    """Sessions that held or printed a secret, and pipelines whose logs show it."""

    agents: dict[str, Place] = {}
    logs: dict[str, Place] = {}


class SecretInLog(Detector[Sighting, Trail]):
    """A secret that an agent's session held, or whose variable it had code print, in a pipeline's log.

    Blind spots: a log that is not sent; a secret printed encoded; a variable of the same name in another repository,
    where neither side tells its repository; 16 sessions and 16 logs of one secret are remembered.
    """

    id = "exposure.logged"
    scope = "entity"
    rules = MappingProxyType(
        {
            "exposure.logged": About(
                title="A secret an agent had stands in a pipeline's log",
                severity=Severity.HIGH,
                category=Category.CREDENTIAL_EXPOSURE,
                standards=("LLM02:2026", "ASI03", "AML.T0055", "T1552"),
                runbook="Rotate the secret now, delete the log, take out the line that prints it, then list who could "
                "read the log.",
                rows=("K3",),
            )
        }
    )

    def new_state(self) -> Trail:
        return Trail()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("secret-seen", "secret-variable")

    def observe(self, event: Sighting, state: Trail) -> Iterator[Finding]:
        if event.entity_kind not in ("secret-seen", "secret-variable"):
            return
        detail = event.detail
        what = detail.get("ci", "") or detail.get("edit", "") or detail.get("surface", "")
        place = Place(event.session_id, event.span_id, event.time_ns, what, detail.get("repo", ""))
        if "ci" in detail:
            state.logs.setdefault(event.session_id, place)
            for agent in state.agents.values():
                yield from self._link(event, agent, place)
        else:
            state.agents.setdefault(event.session_id, place)
            for log in state.logs.values():
                yield from self._link(event, place, log)
        for known in (state.agents, state.logs):
            if len(known) > MAX_SESSIONS:
                del known[next(iter(known))]

    def _link(self, event: Sighting, agent: Place, log: Place) -> Iterator[Finding]:
        apart = agent.repo and log.repo and agent.repo != log.repo and event.entity_kind == "secret-variable"
        if apart or log.time_ns < agent.time_ns or agent.session_id == log.session_id:
            return
        variable = event.entity_id if event.entity_kind == "secret-variable" else ""
        mark = event.detail.get("secret", "") if variable else event.entity_id
        yield finding(
            self,
            event,
            rule_id="exposure.logged",
            confidence="suspected" if variable else "confirmed",
            key=event.entity_id,
            subject=f"{agent.session_id}/{log.session_id}",
            evidence={
                "what": f"{variable or 'secret ' + mark} in the log of {log.what}",
                "log": f"session {log.session_id} span {log.span_id}: {log.what}",
                "agent_session": f"session {agent.session_id} span {agent.span_id}: {agent.what}",
                **({"variable": variable} if variable else {}),
                **({"fingerprint": mark} if mark else {}),
            },
            span_ids=tuple(one for one in (agent.span_id, log.span_id) if one),
        )
