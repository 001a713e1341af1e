"""Packages: what agents install or ask for that the organisation never used, or that does not exist at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import msgspec

from detectors import facts, package_names
from detectors.about import About
from detectors.detector import Detector, finding
from detectors.inventory import Inventory, covered
from detectors.model import Category, Finding, Severity, Span
from detectors.remembered import tell

MAX_TOLD = 256
MAX_READ = 50_000  # characters of a result or a manifest
TEXTS = ("content", "new_string", "new_str", "text", "contents", "patch", "diff")


class Told(msgspec.Struct, array_like=True):
    """Packages told of."""

    names: dict[str, None] = {}


class Packages(Detector[Span, Told]):
    """Installs and manifest edits beside the organisation's package list; names the registry does not know.

    Without a list in the inventory only names a registry refused are told. Blind spots: packages of a lockfile the
    agent did not write; names inside scripts and container files; registries that answer 404 for private packages.
    """

    id = "hallucination.packages"
    scope = "session"
    rules = MappingProxyType(
        {
            "hallucination.package-not-found": About(
                title="An agent tried to install a package that does not exist",
                severity=Severity.MEDIUM,
                category=Category.HALLUCINATION,
                standards=("LLM07:2026", "ASI04", "AML.T0060"),
                runbook="Look for the name in the code the agent wrote and take it out; whoever registers the name "
                "later runs code wherever it is still asked for.",
                rows=(),
            ),
            "hallucination.unlisted-package": About(
                title="An agent brought in a package the organisation has never used",
                severity=Severity.MEDIUM,
                category=Category.HALLUCINATION,
                standards=("LLM07:2026", "LLM04:2026", "ASI04", "T1195.001"),
                runbook="Check who publishes the package and since when; add it to the list or take it out.",
                rows=(),
            ),
        }
    )

    def __init__(self, inventory: Inventory) -> None:
        self._known = {
            kind: frozenset(package_names.plain(kind, name) for name in names)
            for kind, names in inventory.packages.items()
        }

    def new_state(self) -> Told:
        return Told()

    def concerns(self, kind: str, fields: frozenset[str], secrets: bool) -> bool:
        return "path" in fields or "command.line" in fields

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, event in enumerate(events) if _concerns(event)]

    def observe(self, event: Span, state: Told) -> Iterator[Finding]:
        if not _concerns(event):
            return
        if event.kind == "file_write":
            for ecosystem, name in package_names.asked(event.text("path"), _text(event)):
                if self._unlisted(ecosystem, name) and tell(state.names, f"{ecosystem}/{name}", MAX_TOLD):
                    yield self._found(event, "hallucination.unlisted-package", ecosystem, name, event.text("path"))
            return
        said = f"{event.text('result')}\n{event.text('error')}"[:MAX_READ]
        for act in facts.of(event).acts:
            words = str(act.get("command.words", ""))
            ecosystem, names = package_names.installed(str(act.get("command.name", "")), words.split())
            if not ecosystem or "install" not in _each(act.get("command.effect")):
                continue
            absent = [name for name in package_names.missing(ecosystem, said) if not names or name in names]
            for name in absent:
                if tell(state.names, f"absent/{ecosystem}/{name}", MAX_TOLD):
                    yield self._found(event, "hallucination.package-not-found", ecosystem, name, words)
            for name in names:
                if name in absent or not self._unlisted(ecosystem, name):
                    continue
                if tell(state.names, f"{ecosystem}/{name}", MAX_TOLD):
                    yield self._found(event, "hallucination.unlisted-package", ecosystem, name, words)

    def _unlisted(self, ecosystem: str, name: str) -> bool:
        known = self._known.get(ecosystem)
        return known is not None and name not in known and not covered(name, known)

    def _found(self, event: Span, rule_id: str, ecosystem: str, name: str, what: str) -> Finding:
        return finding(
            self,
            event,
            rule_id=rule_id,
            confidence="confirmed" if rule_id.endswith("not-found") else "suspected",
            key=f"{ecosystem}/{name}",
            subject=f"{ecosystem}/{name}",
            evidence={"what": what, "package": name, "registry": ecosystem},
        )


def _concerns(span: Span) -> bool:
    if span.kind == "file_write":
        return "path" in span.fields
    return "command.line" in span.fields and span.kind not in ("approval", "llm_call", "prompt")


def _each(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _text(span: Span) -> str:
    """What was written into the file."""
    arguments = span.text("arguments")
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeError):
        return arguments[:MAX_READ]
    if not isinstance(given, dict):
        return ""
    return "\n".join(str(given[name]) for name in TEXTS if isinstance(given.get(name), str))[:MAX_READ]
