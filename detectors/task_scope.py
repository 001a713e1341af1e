"""Task scope: files changed outside the boundary that a ticket, branch or request set for the task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from posixpath import normpath
from types import MappingProxyType

import msgspec

from detectors import changes, facts
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.inventory import covered
from detectors.model import Category, Finding, Severity, Sighting, Span
from detectors.remembered import tell

MAX_FILES = 256
MAX_LISTED = 50
STANDARDS = ("LLM03:2026", "ASI02", "ASI10", "AML.T0053")
WRITES = frozenset({"write", "delete"})
ELSEWHERE = frozenset({"temp"})  # scratch files are nobody's boundary


class Boundary(msgspec.Struct, array_like=True):
    """What the task may change, and what was changed."""

    paths: tuple[str, ...] = ()
    ticket: str = ""
    tree: str = ""
    files: dict[str, str] = {}  # file → span that changed it; waits for a scope that comes late
    outside: dict[str, None] = {}


def inside(path: str, paths: Iterable[str]) -> bool:
    """Whether a file is covered: by a glob, by itself, or by the folder it is in."""
    name = path.removeprefix("./")
    for one in paths:
        pattern = one.removeprefix("./")
        if covered(name, (pattern,)) or name.startswith(pattern.rstrip("/*") + "/"):
            return True
    return False


class TaskScope(Detector[Span, Boundary]):
    """Files a session's calls write outside the paths its scope event allows; the scope may come after the calls.

    Blind spots: files a script changes without naming them; sessions whose scope event names no session; of writes
    before a late scope event the newest 256 are known. Without a scope event it is silent.
    """

    id = "scope.session"
    scope = "session"
    rules = MappingProxyType(
        {
            "scope.file-outside-task": About(
                title="A file outside the task's boundary was changed",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=STANDARDS,
                runbook="Ask why the task needed these files; revert them if it did not, and narrow the agent's tree.",
                rows=("F5",),
            )
        }
    )

    def new_state(self) -> Boundary:
        return Boundary()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind == changes.FEED or "path" in fields or "command.line" in fields

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, event in enumerate(events) if _concerns(event)]

    def observe(self, event: Span, state: Boundary) -> Iterator[Finding]:
        if not _concerns(event):
            return
        if event.kind == changes.FEED:
            state.paths = tuple(changes.items(event.text("feed.paths")))[:MAX_FILES] or state.paths
            state.ticket = event.text("feed.ticket") or event.text("feed.task") or state.ticket
            waiting = dict(state.files)
        else:
            waiting = {name: event.span_id for name in _written(event) if name not in state.files}
            for name, span_id in waiting.items():
                state.files[name] = span_id
                if len(state.files) > MAX_FILES:
                    del state.files[next(iter(state.files))]
        if not state.paths:
            return
        for name, span_id in waiting.items():
            if inside(name, state.paths) or not tell(state.outside, name, MAX_FILES):
                continue
            yield finding(
                self,
                event,
                rule_id="scope.file-outside-task",
                confidence="confirmed",
                key=state.ticket or "task",
                subject=name,
                evidence={
                    "what": f"{event.text('tool.name') or event.kind} changed {name}",
                    "file": name,
                    "files": ", ".join(list(state.outside)[-MAX_LISTED:]),
                    "allowed": ", ".join(state.paths),
                    "why": state.ticket or "not told by the telemetry",
                },
                span_ids=(span_id,) if span_id else (),
            )


def _concerns(span: Span) -> bool:
    if span.kind == changes.FEED:
        return span.name == "scope" and "feed.session" in span.fields
    return span.kind in changes.ACTING and ("path" in span.fields or "command.line" in span.fields)


def _written(span: Span) -> Iterator[str]:
    """Files the span changed, from the root of the working tree where that is known."""
    tree = span.text("workdir").rstrip("/")
    for act in facts.of(span).acts:
        if WRITES.isdisjoint(_each(act.get("path.action"))) or not ELSEWHERE.isdisjoint(_each(act.get("path.scope"))):
            continue
        for name in _each(act.get("path.full")):
            path = normpath(name)
            yield path.removeprefix(tree + "/") if tree else path


def _each(value: object) -> tuple[str, ...]:
    """A fact's values; one that has none says nothing."""
    return tuple(map(str, value)) if isinstance(value, tuple) else () if value is None else (str(value),)


class Asked(msgspec.Struct, array_like=True):
    """The boundary of a branch or request and the files its events named."""

    paths: tuple[str, ...] = ()
    ticket: str = ""
    files: dict[str, None] = {}
    told: dict[str, None] = {}


class ChangeScope(Detector[Sighting, Asked]):
    """Files of a branch or request outside the paths its scope event allows, whichever event comes first.

    Blind spots: events that do not list files; lists longer than a hundred files are cut; who changed the file.
    """

    id = "scope.change"
    scope = "entity"
    rules = MappingProxyType(
        {
            "scope.change-outside-task": About(
                title="A change touches files outside the task's boundary",
                severity=Severity.MEDIUM,
                category=Category.OVERREACH,
                standards=STANDARDS,
                runbook="Hold the merge; have the author split off what the task did not ask for.",
                rows=("F5",),
            )
        }
    )

    def new_state(self) -> Asked:
        return Asked()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return kind in ("branch", "change")

    def observe(self, event: Sighting, state: Asked) -> Iterator[Finding]:
        if event.entity_kind not in ("branch", "change"):
            return
        told = event.detail
        if told.get("feed") == "scope":
            state.paths = tuple(changes.items(told.get("paths", ""))) or state.paths
            state.ticket = told.get("ticket") or told.get("task") or state.ticket
        for name in changes.items(told.get("files", "")):
            tell(state.files, name, MAX_FILES)
        if not state.paths:
            return
        outside = [name for name in state.files if not inside(name, state.paths)]
        new = [name for name in outside if tell(state.told, name, MAX_FILES)]
        if new:
            yield finding(
                self,
                event,
                rule_id="scope.change-outside-task",
                confidence="confirmed",
                key=event.entity_id,
                subject=new[0],
                evidence={
                    "who": changes.attributed(told) or told.get("author", "") or "unknown",
                    "what": f"{len(outside)} files of {event.entity_id} outside the task: {', '.join(outside)}",
                    "files": ", ".join(outside[:MAX_LISTED]),
                    "allowed": ", ".join(state.paths),
                    "why": state.ticket or "not told by the telemetry",
                },
            )
