"""Telemetry that stops being whole: kinds of records, fields, content and whole agents that used to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import msgspec

from detectors.about import About
from detectors.detector import Detector, finding
from detectors.model import Category, Finding, Severity, Sighting
from detectors.streams import CONTENT, OTHER, SLOT_NS

RECENT = 8  # sessions of a product that may still show more
WHOLE = 10  # sessions before anything is expected of a product
SAMPLES = 8  # records of a kind before any field is expected of it
MISSED = 5  # in a row, before something counts as gone
MOSTLY = 0.9
MAX_KINDS = 32
COVERED = 6  # slots in which an agent's own stream and another's view agreed, before silence means anything
SILENT = 3  # slots in a row
MAX_SLOTS = 12
STANDARDS = ("ASI10", "MCP08:2025", "T1685", "AML.M0024")


def _about(title: str, runbook: str, severity: Severity = Severity.LOW) -> About:
    return About(
        title=title,
        severity=severity,
        category=Category.OVERREACH,
        standards=STANDARDS,
        runbook=runbook,
        rows=("D11",),
    )


class Field(msgspec.Struct, array_like=True):
    """How often a field was there, how often in a row it was not, and in which version it was there last."""

    there: int = 0
    missed: int = 0
    version: str = ""


class Kind(msgspec.Struct, array_like=True):
    """Samples of one kind of record."""

    samples: int = 0
    hidden: int = 0  # samples whose content was masked
    fields: dict[str, Field] = {}


class Product(msgspec.Struct, array_like=True):
    """What a product's records look like; `recent` are its last sessions and the groups of records they showed."""

    whole: int = 0
    recent: dict[str, dict[str, None]] = {}
    groups: dict[str, Field] = {}
    kinds: dict[str, Kind] = {}


class StreamIntegrity(Detector[Sighting, Product]):
    """Kinds of records, fields and content that a product used to send, and no longer does in several sessions.

    A session counts once eight newer ones of its product have begun. What is missed was there in nine of ten before.
    Blind spots: a product's first ten sessions; what was never sent; a field that only some records of a kind hold;
    a change in fewer than five sessions; two configurations of one product side by side.
    """

    id = "integrity.streams"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "integrity.events-missing": _about(
                "A product no longer sends a kind of record it always sent",
                "Compare the emitter's version and settings with those of before; turn the events on again.",
                Severity.MEDIUM,
            ),
            "integrity.fields-missing": _about(
                "A field is gone that a product's records always held",
                "Read the product's release notes and the dialect's aliases: the field was renamed or turned off.",
            ),
            "integrity.content-masked": _about(
                "Content is masked at the emitter that was readable before",
                "Rules on commands and paths are blind now: find who changed the emitter's content switches.",
                Severity.MEDIUM,
            ),
            "integrity.content-appeared": _about(
                "Content is readable that the emitter always masked",
                "Find who turned content on; prompts and results are now kept for the retention of the store.",
            ),
            "integrity.tool-names": _about(
                "Tools are no longer named",
                "Rules on tools are blind now: turn the emitter's tool details on again.",
            ),
        }
    )

    def new_state(self) -> Product:
        return Product()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "stream"

    def observe(self, event: Sighting, state: Product) -> Iterator[Finding]:
        if event.entity_kind != "stream":
            return
        detail = event.detail
        yield from self._session(event, state, detail.get("group", ""))
        name = detail.get("kind", "")
        kind = state.kinds.get(name)
        if kind is None:
            if len(state.kinds) >= MAX_KINDS:
                return
            kind = state.kinds[name] = Kind()
        yield from self._fields(event, kind, frozenset(filter(None, detail.get("fields", "").split(","))))

    def _session(self, event: Sighting, state: Product, group: str) -> Iterator[Finding]:
        """Note the group of records for its session; judge the oldest session when it has become whole."""
        if event.session_id in state.recent:
            state.recent[event.session_id][group] = None
        else:
            state.recent[event.session_id] = {group: None}
        known = state.groups.setdefault(group, Field())
        known.version = event.detail.get("version", "")
        if len(state.recent) <= RECENT:
            return
        shown = state.recent.pop(next(iter(state.recent)))
        if "call" not in shown:
            return
        state.whole += 1
        for name, seen in state.groups.items():
            if name in shown:
                seen.there, seen.missed = seen.there + 1, 0
                continue
            seen.missed += 1
            if seen.missed == MISSED and _expected(seen, state.whole, WHOLE):
                yield self._gone(event, "integrity.events-missing", name, seen)

    def _fields(self, event: Sighting, kind: Kind, fields: frozenset[str]) -> Iterator[Finding]:
        masked = bool(event.detail.get("masked"))
        kind.samples += 1
        for name in sorted(fields | kind.fields.keys()):
            seen = kind.fields.get(name)
            if seen is None:
                seen = kind.fields[name] = Field()
                hidden = name in CONTENT and kind.hidden >= SAMPLES and kind.hidden == kind.samples - 1
                if hidden and not masked:
                    yield self._gone(event, "integrity.content-appeared", name, seen)
            if name in fields:
                seen.there, seen.missed, seen.version = seen.there + 1, 0, event.detail.get("version", "")
                continue
            seen.missed += 1
            if seen.missed == MISSED and _expected(seen, kind.samples, SAMPLES):
                content = name in CONTENT and masked
                gone = "tool-names" if name == "tool.name" else "content-masked" if content else "fields-missing"
                yield self._gone(event, f"integrity.{gone}", name, seen)
        kind.hidden += masked

    def _gone(self, event: Sighting, rule: str, name: str, seen: Field) -> Finding:
        detail = event.detail
        return finding(
            self,
            event,
            rule_id=rule,
            key=f"{event.entity_id}/{detail.get('kind', '')}/{name}",
            evidence={
                "who": event.entity_id,
                "what": f"{name} of {detail.get('kind', '')} records of {event.entity_id}",
                "version": detail.get("version") or "not told",
                "version_before": seen.version or "not told",
                "seen_before": str(seen.there),
                "missing_since": f"{seen.missed} in a row",
            },
        )


def _expected(seen: Field, samples: int, least: int) -> bool:
    """Whether something had nearly always been there before it was missed."""
    before = samples - seen.missed
    return before >= least and seen.there >= MOSTLY * before


class Presence(msgspec.Struct, array_like=True):
    """When someone's own telemetry, and others', showed them at work."""

    own: dict[int, None] = {}
    other: dict[int, str] = {}  # slots not judged yet, and who saw
    latest: int = 0
    covered: int = 0
    judged: int = 0
    missed: int = 0


class SilentAgent(Detector[Sighting, Presence]):
    """A gateway or proxy sees someone act while the agent's own telemetry, which always went along, is silent.

    Judged per person, credential and host, in slots of five minutes, two slots later, so that late telemetry counts.
    Blind spots: whoever no gateway sees; people whose traffic comes from other programs too; the first six slots.
    """

    id = "integrity.silence"
    version = "1"
    scope = "entity"
    rules = MappingProxyType(
        {
            "integrity.silent-agent": _about(
                "An agent acts and its own telemetry is silent",
                "Ask its owner what runs there now; look for telemetry turned off, and take the gateway's log instead.",
                Severity.MEDIUM,
            )
        }
    )

    def new_state(self) -> Presence:
        return Presence()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == "presence"

    def observe(self, event: Sighting, state: Presence) -> Iterator[Finding]:
        if event.entity_kind != "presence":
            return
        slot = event.time_ns // SLOT_NS
        state.latest = max(state.latest, slot)
        if event.detail.get("view") == OTHER:
            state.other[slot] = event.detail.get("source", "")
        else:
            state.own[slot] = None
        for slots in (state.own, state.other):
            while len(slots) > MAX_SLOTS:
                del slots[min(slots)]
        for due in sorted(one for one in state.other if one + 2 <= state.latest):
            source = state.other.pop(due)
            state.judged += 1
            if not state.own.keys().isdisjoint((due - 1, due, due + 1)):
                state.covered, state.missed = state.covered + 1, 0
                continue
            state.missed += 1
            before = state.judged - state.missed
            if state.missed == SILENT and state.covered >= COVERED and state.covered >= MOSTLY * before:
                kind, _, name = event.entity_id.partition("/")
                yield finding(
                    self,
                    event,
                    rule_id="integrity.silent-agent",
                    key=event.entity_id,
                    evidence={
                        "who": name,
                        "what": f"{source or 'another'} saw it in {SILENT} slots of 5 min, its own telemetry in none",
                        "known_by": kind,
                        "agreed_before": str(state.covered),
                    },
                )
