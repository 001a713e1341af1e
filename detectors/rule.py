"""Rule files become rules: read strictly, every error found told at once, one deployment's overrides laid over.

A folder holds `secrets/*.yml` (our own form), `egress/*.yml` (destination lists), `policies/*.yml` (one per agent
type), `inventory/*.yml` (what the organisation knows about its agents) and, anywhere else, Sigma rules
and Sigma correlations of logsource product `ai_agent`. What Sigma has no word for is in its block `spanwatch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import hyperscan
import msgspec

from detectors import IDS, load, package_lists
from detectors.behaviour import Matcher, SpanRule
from detectors.correlation import CorrelationRule
from detectors.egress import RANK, Destinations, EgressFile
from detectors.errors import RuleError, RuleErrors
from detectors.inventory import Inventory
from detectors.model import Severity
from detectors.policy import Policy
from detectors.rule_file import convert, documents, located
from detectors.secret_findings import Allowed
from detectors.secret_rules import SecretRule, read_secrets
from detectors.sigma_rules import Document, SigmaReader

BUILTIN = Path(__file__).parent / "rules"


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
    errors += located(reading.errors)
    return found


def is_rule_file(file: Path) -> bool:
    """Whether a file of a rules folder is read: YAML, and lists of packages in the folder `inventory`."""
    return file.suffix in (".yml", ".yaml") or package_lists.is_list(file)


class _Reading:
    """One pass over all files; collects errors on the way."""

    def __init__(self, only_secrets: bool) -> None:
        self.only_secrets = only_secrets
        self.errors: list[RuleError] = []
        self.digest = blake2b(digest_size=16)
        self._unknown: dict[str, Path] = {}  # names in overrides that are no rule of a file

    def read(self, folders: Sequence[Path], overrides: Path | None) -> RuleSet:
        files = [(folder, file) for folder in folders for file in self.found(folder)]
        secrets: list[SecretRule] = []
        lists: list[EgressFile] = []
        policies: dict[str, Policy] = {}
        inventories: list[Inventory] = []
        sigma: list[Document] = []
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
                lists += self._decoded(file, EgressFile)
            elif room == "policies":
                self.policies(file, policies)
            elif package_lists.is_list(file):
                inventories += self._packages(file)
            elif room == "inventory":
                inventories += self._decoded(file, Inventory)
            else:
                sigma += self._load(file)
        destinations = Destinations(lists, policies)
        changes = self._overrides(overrides)
        excepted = {name: change.excepted for name, change in changes.items()}
        reader = SigmaReader(self._wrong, {"egress.class": destinations.worst}, excepted, str(overrides))
        spans, correlations = reader.read(sigma)
        self._names(secrets, [*spans, *correlations], changes, overrides)
        behaviour = tuple(self._overlaid(spans, changes))
        allowed = self._allowed({"secrets", *(rule.id for rule in secrets)}, changes, overrides)
        self._scannable(behaviour)
        found = RuleSet(
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
        self._nameless(found)
        if self.errors:
            raise RuleErrors(located(self.errors))
        return found

    def _nameless(self, found: RuleSet) -> None:
        """Overrides may also name what a detector in code reports; they are asked only where nothing else fits."""
        if not self._unknown:
            return
        bare = msgspec.structs.replace(found, behaviour=(), correlation=(), overrides={})
        described = {name for detector in load(bare) for name in detector.rules}
        for name, file in self._unknown.items():
            if name not in described:
                self._wrong(file, name, "no rule or detector has this name")

    def _names(
        self,
        secrets: Sequence[SecretRule],
        sigma: Sequence[SpanRule | CorrelationRule],
        changes: dict[str, Override],
        overrides: Path | None,
    ) -> None:
        """Every name stands for one rule, and overrides name what there is."""
        places = {rule.id: ("", "") for rule in secrets}
        for rule in sigma:
            if rule.id in places:
                first = places[rule.id][0] or "a secret rule"
                self._wrong(rule.file, rule.at, f"{rule.id}: defined more than once, first in {first}")
            places.setdefault(rule.id, (rule.file, rule.at))
        for name, count in Counter(rule.id for rule in secrets).items():
            if count > 1:
                self._wrong("rules", name, "defined more than once")
        reaches = {f"egress.{reach}" for reach in RANK}
        unknown = set() if self.only_secrets else set(changes) - {*places, *IDS, *reaches}  # secrets alone were read
        self._unknown = {name: overrides or Path("overrides") for name in sorted(unknown)}

    def _packages(self, file: Path) -> list[Inventory]:
        try:
            return [package_lists.read(file)]
        except RuleError as error:
            self.errors.append(error)
            return []

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
        found = sorted(file for file in folder.rglob("*") if is_rule_file(file))
        if not found:
            self._wrong(folder, "$", "no rule file (*.yml, *.yaml) in it")
        return found

    def _hash(self, file: Path) -> None:
        raw = file.read_bytes()
        self.digest.update(len(raw).to_bytes(8, "big") + raw)

    def _load(self, file: Path) -> list[Document]:
        """The file's YAML documents with their place."""
        try:
            return [(str(file), path, raw) for path, raw in documents(file)]
        except RuleError as error:
            self.errors.append(error)
            return []

    def _decoded(self, file: Path, kind: Any) -> list[Any]:
        """The documents of a file as `kind`, those that are right."""
        return [one for name, path, raw in self._load(file) if (one := self._convert(name, raw, kind, path))]

    def _convert(self, file: Path | str, raw: Any, kind: Any, path: str) -> Any:
        found, faults = convert(raw, kind)
        for at, reason in faults:
            self._wrong(file, path + at, reason)
        return found

    def _allowed(
        self, names: set[str], changes: dict[str, Override], overrides: Path | None
    ) -> dict[str, tuple[Allowed, ...]]:
        """The allow-lists of secret rules, by rule id or `secrets` for all of them."""
        found: dict[str, tuple[Allowed, ...]] = {}
        for name, change in changes.items():
            if name in names and change.excepted:
                places = enumerate(change.excepted)
                entries = [self._convert(str(overrides), one, Allowed, f"{name}.except[{i}]") for i, one in places]
                found[name] = tuple(entry for entry in entries if entry is not None)
        return found

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
                self._wrong(rule.file, f"{rule.at}.detection", f"Hyperscan refuses a pattern: {error}")

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
        rule = msgspec.structs.replace(rule, at_least=change.threshold)
    return rule
