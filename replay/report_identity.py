"""Who answers for what: how far events resolve, which credentials last, who authorised each step, what was changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from detectors.accesses import OUTWARD
from detectors.model import Span
from replay.report import Cell, Past, Table
from replay.report_agents import CALLS, iso

PARTS = ("agent", "session", "owner", "credential")
INFRASTRUCTURE = ("infrastructure.", "destructive.infra", "privilege.")
MAX_STEPS = 10_000


def identity(past: Past) -> Iterator[Table]:
    """How much of each sender's events resolve to an agent, a session, an owner and a credential."""
    totals: Counter[tuple[str, str]] = Counter()
    resolved: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    versions: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for span in past.spans():
        sender = span.resource.service or "(none)", span.dialect
        totals[sender] += 1
        said = {
            "agent": bool(span.agent_id),
            "session": span.session_from == "attribute",
            "owner": "user" in span.fields,
            "credential": "credential" in span.fields,
        }
        resolved[sender].update(part for part, known in said.items() if known)
        if not any(said.values()):
            resolved[sender]["nobody"] += 1
        for field in ("model", "tool.version", "config.digest"):
            if value := span.text(field):
                versions[span.agent_type, span.agent_id, field].add(value)
    rows: list[tuple[Cell, ...]] = [
        (*sender, count, *(f"{resolved[sender][part] / count:.0%}" for part in PARTS), resolved[sender]["nobody"])
        for sender, count in totals.most_common()
    ]
    columns = ("service", "dialect", "events", *PARTS, "nobody")
    yield Table(title="Events that resolve to", columns=columns, rows=rows)
    yield Table(
        title="Models, versions and settings",
        columns=("agent type", "agent", "what", "values"),
        rows=[(*key, ", ".join(sorted(values)[:8])) for key, values in sorted(versions.items())],
        note="Each event holds its own: what ran at a time is what the event of that time says.",
    )


def credentials(past: Past) -> Iterator[Table]:
    """Share of static and short-lived credentials in use, per agent type, and each static one."""
    static = {rule.id: rule.static for rule in past.rules.secrets}
    kinds: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    seen: dict[tuple[str, str, str], list[int]] = {}
    for span in past.spans():
        used = [(one.fingerprint, one.rule_id, one.says) for one in span.secrets if one.surface in OUTWARD]
        if span.dialect == "litellm" and (key := span.text("credential")):
            used.append((key, "proxy key", ()))
        for mark, kind, says in used:
            short = any(one.startswith(("temporary", "expires")) for one in says) or not static.get(kind, True)
            lasts = "short-lived" if short else "static"
            kinds[span.agent_type][lasts].add(mark)
            if lasts == "static":
                times = seen.setdefault((span.agent_type, mark, kind), [span.start_ns, span.start_ns, 0])
                times[:] = min(times[0], span.start_ns), max(times[1], span.start_ns), times[2] + 1
    rows = []
    for agent_type, found in sorted(kinds.items()):
        fixed, short_lived = len(found["static"]), len(found["short-lived"])
        rows.append((agent_type, fixed, short_lived, f"{fixed / (fixed + short_lived):.0%}"))
    columns = ("agent type", "static", "short-lived", "share static")
    yield Table(title="Credentials in use", columns=columns, rows=rows)
    yield Table(
        title="Static credentials in use",
        columns=("agent type", "credential", "kind", "first", "last", "uses"),
        rows=[(*key, iso(first), iso(last), uses) for key, (first, last, uses) in sorted(seen.items())],
        note="A credential is shown by its keyed fingerprint, or by the hash its proxy knows it by.",
    )


def approvals(past: Past) -> Iterator[Table]:
    """Every step in order, who authorised it, and how long that took; a stored rule or hook is no human."""
    decided: dict[tuple[str, str], tuple[str, str, int]] = {}
    modes: dict[str, str] = {}
    steps: dict[tuple[str, str], tuple[Span, str]] = {}  # a call's span and its log event are one step
    waits: dict[str, list[int]] = defaultdict(list)
    for span in past.spans():
        if mode := span.text("permission.mode"):
            modes[span.session_id] = mode
        if decision := span.text("approval.decision"):
            source = span.text("approval.source")
            by = span.text("user") if source == "human" else ""
            if source == "policy" and modes.get(span.session_id) == "bypass":
                source = "bypass"
            told = f"{decision} by {source}", by, span.start_ns
            if span.call_id and (span.kind == "approval" or (span.session_id, span.call_id) not in decided):
                decided[span.session_id, span.call_id] = told
            if span.kind == "approval" and source == "human" and span.signal == "span":
                waits[span.agent_type].append((span.end_ns - span.start_ns) // 1_000_000)
        if span.kind in CALLS and len(steps) < MAX_STEPS:
            missing = "bypass" if modes.get(span.session_id) == "bypass" else "none"
            steps.setdefault((span.session_id, span.call_id or span.id), (span, missing))
    rows = []
    for step, missing in steps.values():
        how, by, at_ns = decided.get((step.session_id, step.call_id), (missing, "", 0))
        late = (step.start_ns - at_ns) // 1_000_000 if at_ns else ""
        said = step.text("command.line") or step.text("db.statement") or step.text("path") or step.text("url")
        rows.append((iso(step.start_ns), step.session_id, step.text("tool.name") or step.kind, said, how, by, late))
    columns = ("time", "session", "tool", "what", "authorised", "by", "ms before the step")
    yield Table(title="Who authorised each step", columns=columns, rows=rows)
    latency = [
        (agent_type, len(each), sorted(each)[len(each) // 2], max(each)) for agent_type, each in sorted(waits.items())
    ]
    yield Table(
        title="How long humans took", columns=("agent type", "decisions", "median ms", "longest ms"), rows=latency
    )


def infrastructure(past: Past) -> Iterator[Table]:
    """Changes of infrastructure by agents that no human had approved, counted per month."""
    months: Counter[tuple[str, str, str]] = Counter()
    for found in past.findings():
        if found.rule_id.startswith(INFRASTRUCTURE) and found.severity > 0:
            month = datetime.fromtimestamp(found.time_ns / 1e9, UTC).strftime("%Y-%m")
            months[month, found.agent_id, found.rule_id] += 1
    yield Table(
        title="Unapproved changes of infrastructure per month",
        columns=("month", "agent", "rule", "changes"),
        rows=[(*key, count) for key, count in sorted(months.items())],
    )
