"""One session's activity in event time: Windows of counts for each agent's baseline, Sightings of entities."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from detectors import accesses, changes, entities, facts, urls
from detectors.model import Severity, Sighting, Span, Window, digest
from detectors.seen import Seen

WINDOW_NS = 60_000_000_000
LATENESS_NS = 30_000_000_000
SKEW_NS = 300_000_000_000  # a start further than this ahead of its arrival is a wrong clock
MAX_OPEN = 8
MAX_IDS = 10_000
MAX_NAMES = 64
MAX_COST = 1e9  # dollars; more is no price
MAX_SIGHTINGS = 2_048
MAX_RISKS = 32  # rules that found something in a session
MAX_RISKS_TOLD = 12
MAX_TASK = 200  # characters of a session's task
MAX_CALLS = 256  # decided calls of a session; the oldest are forgotten first
MAX_DETAIL = 4_000  # characters of what is told about an entity
MAX_LATER = 512  # sightings that wait for their minute to close
MAX_TEXT = 256  # characters of a name; longer entities are known by their hash

SUMS = (("bytes.out", "bytes_out"), ("bytes.in", "bytes_in"), ("tokens.in", "tokens_in"), ("tokens.out", "tokens_out"))


class Building(msgspec.Struct, array_like=True):
    """A window still open; `ids` holds what it counted, so that nothing is counted twice."""

    start_ns: int
    agent_id: str = ""
    agent_type: str = ""
    last: tuple[int, str, str] = (0, "", "")
    counts: dict[str, int] = {}
    calls: dict[str, int] = {}
    pairs: dict[str, int] = {}
    hosts: dict[str, None] = {}
    paths: dict[str, None] = {}
    models: dict[str, None] = {}
    shown: dict[str, str] = {}
    tool: str = ""  # called last
    ids: set[str] = set()


class Activity(msgspec.Struct, array_like=True):
    """What a session is doing: its open windows, how far its event time is, and which entities it has shown."""

    tenant: str
    session_id: str
    watermark_ns: int = 0
    closed_ns: int = 0  # windows that start before this are closed
    windows: dict[int, Building] = {}
    sighted: dict[str, None] = {}
    tree: str = ""  # working tree, the first directory the session was told to be in
    task: str = ""  # what it was last asked to do
    decided: dict[str, str] = {}  # call → who allowed or denied it
    agent: str = ""  # the agent last sighted in it
    began_ns: int = 0  # its first span
    risk: dict[str, int] = {}  # rule → worst severity of what was found in it
    mode: str = ""  # how much is asked: ask, edits, auto, bypass, ...
    later: list[Sighting] = []  # told when the minute they lie in has closed

    def hear(self, span: Span) -> None:
        """Remember what later spans of the session are understood by: its working tree, task, decisions."""
        fields = span.fields
        if not self.tree and (tree := fields.get("workdir") or fields.get("cwd")):
            self.tree = str(tree)[:MAX_TEXT]
        if (asked := fields.get("task") or fields.get("prompt")) and (said := " ".join(str(asked)[:1000].split())):
            self.task = said[:MAX_TASK]
        self.mode = str(fields.get("permission.mode", self.mode))[:MAX_TEXT]
        if span.call_id and "approval.decision" in fields:
            self.decided.pop(span.call_id, None)
            self.decided[span.call_id] = _approver(span)[:MAX_TEXT]
            if len(self.decided) > MAX_CALLS:
                del self.decided[next(iter(self.decided))]

    def judge(self, rule_id: str, severity: int) -> None:
        """Remember what was found in the session; where there is too much, the least severe goes."""
        if severity > self.risk.get(rule_id, 0):
            self.risk[rule_id] = severity
            if len(self.risk) > MAX_RISKS:
                del self.risk[min(self.risk, key=lambda name: (self.risk[name], name))]

    def risks(self) -> str:
        """What was found in the session above info, worst first: `high taint.acted, low egress.unlisted`."""
        worst = sorted(self.risk.items(), key=lambda one: (-one[1], one[0]))
        return ", ".join(f"{Severity(level).label} {name}" for name, level in worst[:MAX_RISKS_TOLD])

    def approver(self, span: Span) -> str:
        """Who allowed the span's call, as far as the session told; the literal "none" where nobody did.

        What a session lets through that asks nobody was allowed by no rule.
        """
        if "approval.decision" in span.fields:
            said = _approver(span)
        else:
            said = self.decided.get(span.call_id, "none") if span.call_id else "none"
        return "none (bypass mode)" if self.mode == "bypass" and said in ("none", "policy", "unknown") else said

    def add(self, span: Span) -> bool:
        """Count the span once; True when a window has become due to close."""
        now = span.start_ns
        if span.received_ns and now > span.received_ns + SKEW_NS:
            now = span.received_ns
        start = now - now % WINDOW_NS
        if now > self.watermark_ns:
            self.watermark_ns = now
        if not self.began_ns or now < self.began_ns:
            self.began_ns = now
        if start < self.closed_ns:
            return False
        window = self.windows.get(start)
        if window is None:
            window = self.windows[start] = Building(start)
        mark = span.id
        if span.call_id:  # a call's span and its log event are one; its approval is another
            mark = "?" + span.call_id if span.kind == "approval" else "!" + span.call_id
        if len(self.windows) == 1:
            known = mark in window.ids
        else:
            known = any(mark in other.ids for other in self.windows.values())
        if not known:
            if len(window.ids) < MAX_IDS:
                window.ids.add(mark)
            _count(window, span, now)
        if len(self.windows) == 1:
            return False
        return min(self.windows) + WINDOW_NS + LATENESS_NS <= self.watermark_ns or len(self.windows) > MAX_OPEN

    def due(self) -> Iterator[Window | Sighting]:
        """Close and yield the windows whose end and lateness the session's event time has passed."""
        while self.windows:
            start = min(self.windows)
            if start + WINDOW_NS + LATENESS_NS > self.watermark_ns and len(self.windows) <= MAX_OPEN:
                break
            yield self._close(start)
        settled = [one for one in self.later if one.time_ns < self.closed_ns]
        self.later = [one for one in self.later if one.time_ns >= self.closed_ns]
        yield from settled

    def close(self) -> Iterator[Window | Sighting]:
        """Close and yield every open window, and what waited for that."""
        for start in sorted(self.windows):
            yield self._close(start)
        settled, self.later = self.later, []
        yield from settled

    def _close(self, start: int) -> Window:
        window = self.windows.pop(start)
        self.closed_ns = max(self.closed_ns, start + WINDOW_NS)
        return Window(
            id=digest("window", self.tenant, self.session_id, start),
            tenant=self.tenant,
            agent_id=window.agent_id,
            agent_type=window.agent_type,
            session_id=self.session_id,
            start_ns=start,
            end_ns=start + WINDOW_NS,
            last_span_id=window.last[1],
            last_trace_id=window.last[2],
            counts=dict(sorted(window.counts.items())),
            calls=dict(sorted(window.calls.items())),
            pairs=dict(sorted(window.pairs.items())),
            hosts=tuple(sorted(window.hosts)),
            domains=tuple(sorted({urls.registered(host) or host for host in window.hosts})),
            paths=tuple(sorted(window.paths)),
            models=tuple(sorted(window.models)),
            began_ns=self.began_ns,
            shown=dict(sorted(window.shown.items())),
        )

    def sightings(self, span: Span, plan: entities.Plan) -> Iterator[Sighting]:
        """Entities of this span, by the sources it is put to, that the session had not shown before."""
        if span.kind != changes.FEED:
            self.agent = span.agent_id
        sighted = self.sighted
        for source in plan:
            for seen in source(span):
                name = seen.id if len(seen.id) <= MAX_TEXT else digest(seen.id)
                shown = seen.mark if len(seen.mark) <= MAX_TEXT else digest(seen.mark)
                mark = f"{seen.kind}/{name}/{shown}" if shown else f"{seen.kind}/{name}"
                if mark not in sighted:
                    yield from self._sight(span, seen, name, shown, mark)

    def _sight(self, span: Span, seen: Seen, name: str, shown: str, mark: str) -> Iterator[Sighting]:
        """An entity that is new to the session; one that has to wait is kept for later."""
        if len(self.sighted) >= MAX_SIGHTINGS:  # the oldest is forgotten; seen again, it has the same id again
            del self.sighted[next(iter(self.sighted))]
        self.sighted[mark] = None
        told = seen.told()
        detail = {"why": self.task, **told}
        if self.risk and "made" in detail:
            detail["risk"] = self.risks()
        again = (shown,) if shown else ()
        sighting = Sighting(
            id=digest("sighting", self.tenant, seen.kind, name, self.session_id, *again),
            tenant=self.tenant,
            entity_kind=seen.kind,
            entity_id=name,
            agent_id=span.agent_id,
            agent_type=span.agent_type,
            session_id=self.session_id,
            trace_id=span.trace_id,
            span_id=span.span_id,
            time_ns=span.start_ns,
            detail={key: value[:MAX_DETAIL] for key, value in detail.items() if value},
        )
        if detail.get("view") != accesses.SETTLED:
            yield sighting
        elif len(self.later) < MAX_LATER:
            self.later.append(sighting)


def _approver(span: Span) -> str:
    """Who decided, in words: the human's name, the rule or hook that did, or who refused."""
    source = span.text("approval.source") or "unknown"
    if span.fields.get("approval.decision") == "deny":
        return f"denied by {source}"
    if span.fields.get("approval.decision") != "allow":
        return "none"
    return span.text("user") or source if source == "human" else source


def _count(window: Building, span: Span, now: int) -> None:
    fields, counts, kind = span.fields, window.counts, span.kind
    counts["spans"] = counts.get("spans", 0) + 1
    if kind == "llm_call":
        counts["llm_calls"] = counts.get("llm_calls", 0) + 1
        if (model := fields.get("model")) is not None:
            _note(window.models, window.shown, "model", str(model), span)
    elif kind == "approval":
        if fields.get("approval.decision") == "deny":
            counts["denied"] = counts.get("denied", 0) + 1
        elif fields.get("approval.decision") == "allow":
            bypassed = fields.get("approval.source") == "bypass" or fields.get("permission.mode") == "bypass"
            counts["skipped" if bypassed else "allowed"] = counts.get("skipped" if bypassed else "allowed", 0) + 1
    elif (tool := fields.get("tool.name")) is not None:
        _called(window, span, str(tool)[:MAX_TEXT])
    if kind == "command":
        counts["commands"] = counts.get("commands", 0) + 1
    if span.status == "error" or fields.get("success") is False:
        counts["errors"] = counts.get("errors", 0) + 1
    hosts = fields.get("egress.hosts") or fields.get("egress.host")
    if hosts is not None:
        counts["egress"] = counts.get("egress", 0) + 1
        for host in str(hosts).split(","):
            _note(window.hosts, window.shown, "host", host, span)
    for field, name in SUMS:
        value = fields.get(field)
        if value is not None and isinstance(value, int):
            counts[name] = counts.get(name, 0) + value
    cost = fields.get("cost.usd")
    if isinstance(cost, float | int) and 0 <= cost < MAX_COST:
        counts["cost_micros"] = counts.get("cost_micros", 0) + round(cost * 1e6)
    if "path" in fields or "command.line" in fields:
        for act in facts.of(span).acts:
            for name in act.get("path.class") or ():  # type: ignore[union-attr]  # a tuple, by facts.FIELDS
                _note(window.paths, window.shown, "path", name, span)
    if not window.agent_id and span.agent_id:
        window.agent_id, window.agent_type = span.agent_id, span.agent_type
    if now >= window.last[0]:
        window.last = max(window.last, (now, span.span_id, span.trace_id))


def _called(window: Building, span: Span, tool: str) -> None:
    """A tool call: how often each tool, and which after which."""
    window.counts["tool_calls"] = window.counts.get("tool_calls", 0) + 1
    if tool in window.calls or len(window.calls) < MAX_NAMES:
        window.calls[tool] = window.calls.get(tool, 0) + 1
        window.shown.setdefault(f"tool:{tool}", span.span_id)
    if window.tool:
        pair = f"{window.tool}>{tool}"
        if pair in window.pairs or len(window.pairs) < MAX_NAMES:
            window.pairs[pair] = window.pairs.get(pair, 0) + 1
    window.tool = tool


def _note(known: dict[str, None], shown: dict[str, str], kind: str, value: str, span: Span) -> None:
    """Remember a value and who showed it first, up to a bound."""
    value = value[:MAX_TEXT]
    if value not in known and len(known) < MAX_NAMES:
        known[value] = None
        shown[f"{kind}:{value}"] = span.span_id
