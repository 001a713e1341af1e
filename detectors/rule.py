"""Rule files become rules: read strictly, every error found told at once, one deployment's overrides laid over.

A folder holds `secrets/*.yml` (our own form), `egress/*.yml` (destination lists), `policies/*.yml` (one per agent
type), `inventory/*.yml` (what the organisation knows about its agents) and, anywhere else, Sigma rules
and Sigma correlations of logsource product `ai_agent`. What Sigma has no word for is in its block `spanwatch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import hyperscan
import msgspec
import yaml
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule, SigmaCorrelationType
from sigma.exceptions import SigmaError
from sigma.rule import SigmaDetection, SigmaDetections, SigmaRule
from sigma.rule.base import SigmaYAMLLoader

from detectors import IDS, standards
from detectors.behaviour import MATCHED, VIRTUAL, Matcher, SpanRule
from detectors.correlation import CorrelationRule, Kind
from detectors.egress import RANK, Destinations, EgressFile
from detectors.errors import RuleError, RuleErrors
from detectors.inventory import Inventory
from detectors.model import Category, Confidence, Severity, Span
from detectors.policy import Policy
from detectors.secret_findings import Allowed
from detectors.secret_rules import SecretRule, read_secrets
from detectors.sigma import Condition, Get, Unsupported, compile_condition, either

BUILTIN = Path(__file__).parent / "rules"
LEVELS = {"informational": "INFO"}
SIGMA_KEYS = frozenset(
    {"title", "id", "name", "taxonomy", "related", "status", "description", "license", "references", "tags", "author"}
    | {"date", "modified", "fields", "falsepositives", "level", "scope", "logsource", "detection", "correlation"}
    | {"spanwatch"}
)
COUNTING = ("event_count", "value_count")
KINDS: Mapping[SigmaCorrelationType, Kind] = MappingProxyType(
    {
        SigmaCorrelationType.TEMPORAL_ORDERED: "temporal_ordered",
        SigmaCorrelationType.TEMPORAL: "temporal",
        SigmaCorrelationType.EVENT_COUNT: "event_count",
        SigmaCorrelationType.VALUE_COUNT: "value_count",
    }
)
NOT_CALLS = frozenset({"approval", "llm_call", "prompt", "agent", "guardrail", "retrieval", "ci_run", "commit", "feed"})
CATEGORIES: Mapping[str, Callable[[Span], bool]] = MappingProxyType(
    {
        "": lambda span: True,
        "tool_call": lambda span: span.kind not in NOT_CALLS,
        "llm_call": lambda span: span.kind == "llm_call",
        "permission": lambda span: span.kind == "approval",
        "mcp": lambda span: span.kind == "mcp_call" or "mcp.server" in span.fields,
        "egress": lambda span: "egress.host" in span.fields,
        "vcs": lambda span: span.kind == "commit" or "commit.sha" in span.fields,
        "ci": lambda span: span.kind in ("ci_run", "ci_step"),
        "proxy": lambda span: span.kind in ("http_egress", "llm_call", "mcp_call"),
        "sensor": lambda span: True,
    }
)


class Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spans as mappings of the fields a rule reads; for a correlation, short lists of such mappings."""

    match: tuple[Any, ...] = ()
    no_match: tuple[Any, ...] = ()


class Extra(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The block `spanwatch` of a Sigma rule."""

    category: Category = Category.OVERREACH
    confidence: Confidence = "suspected"
    blind_spots: str = ""
    runbook: str = ""
    standards: tuple[str, ...] = ()
    approved: Literal["info", "low", "medium", "high", "critical"] | None = None
    examples: Examples = Examples()
    also: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()  # what of the requirement catalogue the rule shows


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one deployment changes about one rule or detector.

    `except` silences a Sigma rule where it matches, and is the allow-list of a secret rule or of all `secrets`.
    """

    enabled: bool = True
    severity: Literal["info", "low", "medium", "high", "critical"] | None = None
    threshold: float | None = None
    excepted: tuple[dict[str, Any], ...] = msgspec.field(default=(), name="except")

    @property
    def level(self) -> Severity | None:
        return None if self.severity is None else Severity[self.severity.upper()]


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what is detected; `hash` names it, and every run keeps that name."""

    secrets: tuple[SecretRule, ...]
    behaviour: tuple[SpanRule, ...]
    correlation: tuple[CorrelationRule, ...]
    destinations: Destinations
    policies: dict[str, Policy] = {}  # by agent type
    inventory: Inventory = Inventory()
    overrides: dict[str, Override]
    allowed: dict[str, tuple[Allowed, ...]] = {}
    hash: str


def read(
    folders: Sequence[Path] = (), overrides: Path | None = None, builtin: bool = True, *, only_secrets: bool = False
) -> RuleSet:
    """Rules of the built-in folder and of `folders`, with `overrides` laid over.

    `only_secrets` leaves everything else unread, for those who only mask. Raises RuleErrors with everything that
    is wrong, not the first.
    """
    return _Reading(only_secrets).read([*([BUILTIN] if builtin else []), *folders], overrides)


def read_policies(files: Sequence[Path], errors: list[RuleError]) -> dict[str, Policy]:
    """Policies of these files and folders by agent type; what is wrong goes to `errors`."""
    reading = _Reading(False)
    found: dict[str, Policy] = {}
    for file in files:
        for one in reading.found(file) if file.is_dir() else (file,):
            reading.policies(one, found)
    errors += reading.errors
    return found


class _Reading:
    """One pass over all files; collects errors on the way."""

    def __init__(self, only_secrets: bool) -> None:
        self.only_secrets = only_secrets
        self.errors: list[RuleError] = []
        self.digest = blake2b(digest_size=16)

    def read(self, folders: Sequence[Path], overrides: Path | None) -> RuleSet:
        files = [(folder, file) for folder in folders for file in self.found(folder)]
        secrets: list[SecretRule] = []
        lists: list[EgressFile] = []
        policies: dict[str, Policy] = {}
        inventories: list[Inventory] = []
        documents: list[tuple[str, str, Any]] = []
        for folder, file in files:
            self._hash(file)
            room = file.relative_to(folder).parts[0]
            if room == "secrets":
                try:
                    secrets += read_secrets([file])
                except RuleError as error:
                    self.errors += getattr(error, "errors", (error,))
            elif self.only_secrets:
                continue
            elif room == "egress":
                lists += [one for _, _, raw in self._load(file) if (one := self._convert(file, raw, EgressFile))]
            elif room == "policies":
                self.policies(file, policies)
            elif room == "inventory":
                inventories += [one for _, _, raw in self._load(file) if (one := self._convert(file, raw, Inventory))]
            else:
                documents += self._load(file)
        destinations = Destinations(lists, policies)
        changes = self._overrides(overrides)
        spans, correlations = self._sigma(documents, destinations, changes)
        known = [*(r.id for r in secrets), *(r.id for r in spans), *(r.id for r in correlations)]
        for name, count in Counter(known).items():
            if count > 1:
                self._wrong("rules", name, "defined more than once")
        unknown = set() if self.only_secrets else set(changes)  # they may change rules that were not read
        for name in sorted(unknown - {*known, *IDS, *(f"egress.{reach}" for reach in RANK)}):
            self._wrong(overrides or "overrides", name, "no rule or detector has this name")
        behaviour = tuple(self._overlaid(spans, changes))
        allowed = self._allowed({"secrets", *(rule.id for rule in secrets)}, changes)
        self._scannable(behaviour)
        if self.errors:
            raise RuleErrors(self.errors)
        return RuleSet(
            secrets=tuple(self._overlaid(secrets, changes)),
            behaviour=behaviour,
            correlation=tuple(self._overlaid(correlations, changes)),
            destinations=destinations,
            policies=policies,
            inventory=Inventory.joined(inventories),
            overrides=changes,
            allowed=allowed,
            hash=self.digest.hexdigest(),
        )

    def policies(self, file: Path, policies: dict[str, Policy]) -> None:
        """One policy a document; an agent type has one."""
        for name, path, raw in self._load(file):
            policy = self._convert(name, raw, Policy, path)
            if policy is None:
                continue
            if policy.agent_type in policies:
                self._wrong(name, f"{path}.agent_type", f"{policy.agent_type} has a policy already")
            policies[policy.agent_type] = policy

    def _wrong(self, file: Path | str, path: str, reason: str) -> None:
        self.errors.append(RuleError(str(file), path, reason))

    def found(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            self._wrong(folder, "$", "no such folder")
            return []
        found = sorted(file for file in folder.rglob("*") if file.suffix in (".yml", ".yaml"))
        if not found:
            self._wrong(folder, "$", "no rule file (*.yml, *.yaml) in it")
        return found

    def _hash(self, file: Path) -> None:
        raw = file.read_bytes()
        self.digest.update(len(raw).to_bytes(8, "big") + raw)

    def _load(self, file: Path) -> list[tuple[str, str, Any]]:
        """The file's YAML documents with their place; duplicate keys are refused."""
        try:
            documents = list(yaml.load_all(file.read_text("utf-8"), Loader=SigmaYAMLLoader))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            line = getattr(getattr(error, "problem_mark", None), "line", None)
            where = "$" if line is None else f"line {line + 1}"
            self._wrong(file, where, f"not readable as YAML: {str(error).splitlines()[0]}")
            return []
        return [(str(file), f"documents[{i}]", raw) for i, raw in enumerate(documents) if raw is not None]

    def _convert(self, file: Path | str, raw: Any, kind: Any, path: str = "$") -> Any:
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            reason, _, at = str(error).partition(" - at `")
            self._wrong(file, path + at.rstrip("`").removeprefix("$"), reason)
            return None

    # Sigma

    def _sigma(
        self, documents: list[tuple[str, str, Any]], destinations: Destinations, changes: dict[str, Override]
    ) -> tuple[list[SpanRule], list[CorrelationRule]]:
        virtual = {**VIRTUAL, "egress.class": destinations.worst}
        spans: list[SpanRule] = []
        correlations: list[CorrelationRule] = []
        quiet: set[str] = set()
        for file, path, raw in documents:
            if not isinstance(raw, dict):
                self._wrong(file, path, "expected a mapping")
                continue
            if unknown := sorted(str(key) for key in raw if key not in SIGMA_KEYS):
                self._wrong(file, f"{path}.{unknown[0]}", "unknown key")
                continue
            extra = self._convert(file, raw.get("spanwatch", {}), Extra, f"{path}.spanwatch")
            if extra is None:
                continue
            if "correlation" in raw:
                if found := self._correlation(file, path, raw, extra):
                    correlations.append(found)
                    if not raw["correlation"].get("generate"):
                        quiet.update(found.steps)
            elif rule := self._span_rule(file, path, raw, extra, virtual, changes):
                spans.append(rule)
        names = {rule.id for rule in spans}
        for one in correlations:
            for step in one.steps:
                if step not in names:
                    self._wrong(one.file, f"{one.id}.correlation.rules", f"no rule is named {step}")
        return [
            msgspec.structs.replace(rule, reports=False) if rule.id in quiet else rule for rule in spans
        ], correlations

    def _common(self, file: str, path: str, raw: dict[str, Any], parsed: Any, extra: Extra) -> dict[str, Any] | None:
        """What span rules and correlations share; None (and errors) when it is not all right."""
        before = len(self.errors)
        for error in parsed.errors:
            self._wrong(file, path, str(error))
        rule_id = parsed.name or (str(parsed.id) if parsed.id else "")
        if not rule_id:
            self._wrong(file, path, "a rule needs a name or an id")
        if parsed.level is None and not parsed.errors:
            self._wrong(file, f"{path}.level", "missing")
        tagged = [one for tag in parsed.tags if (one := standards.from_tag(str(tag)))]
        for one in standards.unknown(list(extra.standards)):
            self._wrong(file, f"{path}.spanwatch.standards", f"{one} is in no pinned edition")
        if len(self.errors) > before:
            return None
        level = parsed.level.name
        return {
            "id": rule_id,
            "title": parsed.title,
            "severity": Severity[LEVELS.get(level.lower(), level)],
            "category": extra.category,
            "confidence": extra.confidence,
            "standards": tuple(dict.fromkeys((*extra.standards, *(t for t in tagged if t in standards.IDS)))),
            "description": parsed.description or "",
            "blind_spots": extra.blind_spots,
            "runbook": extra.runbook,
            "status": parsed.status.name.lower() if parsed.status else "stable",
            "rows": extra.rows,
            "file": file,
            "source": raw,
        }

    def _span_rule(
        self,
        file: str,
        path: str,
        raw: dict[str, Any],
        extra: Extra,
        virtual: Mapping[str, Get],
        changes: dict[str, Override],
    ) -> SpanRule | None:
        parsed = SigmaRule.from_dict(raw, collect_errors=True)
        common = self._common(file, path, raw, parsed, extra)
        source = parsed.logsource
        applies = CATEGORIES.get(getattr(source, "category", None) or "")
        if common is None:
            return None
        if source.product != "ai_agent":
            self._wrong(file, f"{path}.logsource.product", f"{source.product or 'none'}: only ai_agent is known")
            return None
        if applies is None:
            self._wrong(file, f"{path}.logsource.category", f"{source.category}: not a category of ai_agent")
            return None
        condition = self._condition(file, f"{path}.detection", parsed.detection, virtual)
        if condition is None:
            return None
        change = changes.get(common["id"])
        excepted = change.excepted if change else ()
        exceptions = [self._exception(f"{common['id']}.except[{i}]", one, virtual) for i, one in enumerate(excepted)]
        if source.service:
            applies = _of_dialect(applies, source.service)
        return SpanRule(
            **common,
            approved=Severity[extra.approved.upper()] if extra.approved else None,
            applies=applies,
            condition=condition,
            exceptions=tuple(one for one in exceptions if one),
        )

    def _condition(
        self, file: str, path: str, detections: SigmaDetections, virtual: Mapping[str, Get]
    ) -> Condition | None:
        try:
            condition = either([compile_condition(one.parsed, virtual) for one in detections.parsed_condition])
        except (SigmaError, Unsupported) as error:
            self._wrong(file, path, str(error))
            return None
        if condition.signs is None and MATCHED not in condition.fields and "kind" not in condition.fields:
            self._wrong(file, path, "nothing positive to look for: every part is negated or about an absent field")
            return None
        return condition

    def _exception(self, path: str, raw: dict[str, Any], virtual: Mapping[str, Get]) -> Condition | None:
        try:
            detections = SigmaDetections({"s": SigmaDetection.from_definition(raw)}, ["s"])
            return compile_condition(detections.parsed_condition[0].parsed, virtual)
        except (SigmaError, Unsupported) as error:
            self._wrong("overrides", path, str(error))
            return None

    def _allowed(self, names: set[str], changes: dict[str, Override]) -> dict[str, tuple[Allowed, ...]]:
        """The allow-lists of secret rules, by rule id or `secrets` for all of them."""
        found: dict[str, tuple[Allowed, ...]] = {}
        for name, change in changes.items():
            if name in names and change.excepted:
                places = enumerate(change.excepted)
                entries = [self._convert("overrides", one, Allowed, f"{name}.except[{i}]") for i, one in places]
                found[name] = tuple(entry for entry in entries if entry is not None)
        return found

    def _correlation(self, file: str, path: str, raw: dict[str, Any], extra: Extra) -> CorrelationRule | None:
        try:
            parsed = SigmaCorrelationRule.from_dict(raw, collect_errors=True)
        except (SigmaError, TypeError) as error:  # some faults are raised even when errors are collected
            self._wrong(file, f"{path}.correlation", str(error))
            return None
        common = self._common(file, path, raw, parsed, extra)
        if common is None:
            return None
        reason = _unsupported(parsed, raw["correlation"])
        if reason:
            self._wrong(file, f"{path}.correlation.{reason[0]}", reason[1])
            return None
        kind, condition = KINDS[parsed.type], parsed.condition
        at_least, field = 0, ""
        if kind in COUNTING and isinstance(condition, SigmaCorrelationCondition):
            at_least = int(condition.count) + (condition.op.name == "GT")
            field = str(condition.fieldref or "")
        return CorrelationRule(
            **common,
            kind=kind,
            steps=tuple(reference.reference for reference in parsed.rules or ()),
            timespan_ns=parsed.timespan.seconds * 1_000_000_000,
            group_by=tuple(name for name in parsed.group_by or () if name != "session.id"),
            at_least=at_least,
            field=field,
        )

    def _scannable(self, rules: Sequence[SpanRule]) -> None:
        """Compile the scan of all rules; where it is refused, find out whose pattern it is."""
        try:
            Matcher(rules)
            return
        except hyperscan.error:
            pass
        for rule in rules:
            try:
                Matcher((rule,))
            except hyperscan.error as error:
                self._wrong(rule.file, f"{rule.id}.detection", f"Hyperscan refuses a pattern: {error}")

    # overrides

    def _overrides(self, file: Path | None) -> dict[str, Override]:
        if file is None:
            return {}
        if not file.is_file():
            self._wrong(file, "$", "no such file")
            return {}
        self._hash(file)
        loaded = self._load(file)
        if not loaded:
            return {}
        raw = loaded[0][2]
        if not isinstance(raw, dict):
            self._wrong(file, "$", "expected rule ids, and under each what changes")
            return {}
        found = {str(name): self._convert(file, change, Override, str(name)) for name, change in raw.items()}
        return {name: change for name, change in found.items() if change is not None}

    @staticmethod
    def _overlaid(rules: Sequence[Any], changes: dict[str, Override]) -> list[Any]:
        kept = []
        for rule in rules:
            change = changes.get(rule.id, Override())
            if change.enabled:
                kept.append(overlay(rule, change))
        return kept


def overlay(rule: Any, change: Override) -> Any:
    """The rule with one deployment's change; `except` is part of the rule since it was read."""
    if isinstance(rule, SecretRule):
        if change.severity is not None:
            rule = msgspec.structs.replace(rule, severity=change.severity)
        return rule if change.threshold is None else msgspec.structs.replace(rule, min_entropy=change.threshold)
    if change.level is not None:
        rule = msgspec.structs.replace(rule, severity=change.level)
    if change.threshold is not None and isinstance(rule, CorrelationRule) and rule.at_least:
        rule = msgspec.structs.replace(rule, at_least=int(change.threshold))
    return rule


def _unsupported(parsed: SigmaCorrelationRule, raw: Mapping[str, Any]) -> tuple[str, str] | None:
    """(key, reason) of the first thing in a correlation that is outside the supported subset."""
    kind, condition = KINDS.get(parsed.type), parsed.condition
    if kind is None:
        return "type", f"{parsed.type.name.lower()} is not supported"
    if not parsed.rules or not isinstance(condition, SigmaCorrelationCondition):
        return "condition", "extended conditions are not supported"
    if len(parsed.aliases):
        return "aliases", "field aliases are not supported"
    if kind not in COUNTING and raw.get("condition") is not None:
        return "condition", f"{kind} takes none: every step must occur"
    if kind in COUNTING and condition.op.name not in ("GTE", "GT"):
        return "condition", "only gte and gt are supported"
    if kind in COUNTING and isinstance(condition.fieldref, list):
        return "condition.field", "only one field is supported"
    return None


def _of_dialect(applies: Callable[[Span], bool], dialect: str) -> Callable[[Span], bool]:
    return lambda span: span.dialect == dialect and applies(span)
