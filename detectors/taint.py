"""What an agent does with text that others wrote: instructions in it, and calls that carry them out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import ClassVar

import msgspec

from detectors import facts
from detectors.about import About
from detectors.behaviour import approval
from detectors.detector import Detector, finding
from detectors.egress import Destinations
from detectors.model import Category, Finding, Severity, Span
from detectors.taint_judge import Call, Signs, call_of, carried, near, score, signs, sought
from detectors.taint_origin import MAX_LATE_NS, Heard, Origins, Step
from detectors.taint_text import STRONG, values
from detectors.taint_words import OTHER

CALLS = frozenset(("tool_call", "mcp_call", "command", "file_read", "file_write", "http_egress", "db_query"))
SAID = frozenset(("prompt", "instructions", "tool.results"))
ADDRESSES = frozenset(("email", "url", "mask"))
MAX_WHAT = 400
STANDARDS = ("LLM01:2026", "ASI01", "AML.T0051.001")

HEARD, ACTED, PAIR, CHAIN = (
    "taint.injected-instruction",
    "taint.acted-on-instruction",
    "taint.risky-pair",
    "taint.way-out",
)


class Taint(Detector[Span, Origins]):
    """Instructions in text the agent read, calls that carry them out, and private data near both.

    A sentence that asks its reader to do something is told from plain data by its form; a call is bound to it by the
    values and words that stand in it and that neither the user nor the operator said.
    Blind spots: instructions in other languages than English; a hijack that changes only what the agent says; values
    the attacker has the agent put together; what the user asked for in the very words of the attacker; per session
    64 sentences and the latest 16 calls are remembered, the oldest forgotten first; of a text 32 KB are read; a result
    that arrives late is joined to calls up to five minutes of event time after it.
    """

    id = "taint.session"
    version = "1"
    scope = "session"
    rules: ClassVar[Mapping[str, About]] = {
        HEARD: About(
            title="Text the agent read asks it to do something",
            severity=Severity.LOW,
            category=Category.DATA_EXFILTRATION,
            standards=STANDARDS,
            runbook="Find out who wrote the text, take it out of reach, and check what the agent did after reading it.",
            rows=("E7",),
        ),
        ACTED: About(
            title="The agent did what a text it read told it to do, and nobody else asked for it",
            severity=Severity.HIGH,
            category=Category.DATA_EXFILTRATION,
            standards=(*STANDARDS, "ASI02", "AML.T0053"),
            runbook="Stop the session, undo the call if it can be undone, and remove the text from where it was read.",
            rows=("E7",),
        ),
        PAIR: About(
            title="Instructions of unknown origin and private data in one session",
            severity=Severity.MEDIUM,
            category=Category.DATA_EXFILTRATION,
            standards=(*STANDARDS, "LLM02:2026", "ASI03"),
            runbook="Watch what the session sends from here on; rotate what it read if anything left.",
            rows=("E8",),
        ),
        CHAIN: About(
            title="Private data left after instructions of unknown origin were read",
            severity=Severity.HIGH,
            category=Category.DATA_EXFILTRATION,
            standards=(*STANDARDS, "LLM02:2026", "ASI02", "ASI03", "AML.T0086"),
            runbook="Rotate the credentials the session read, block the destination, list what else was sent there.",
            rows=("E8",),
        ),
    }

    def __init__(self, destinations: Destinations, *, severities: Mapping[str, Severity] | None = None) -> None:
        self._destinations = destinations
        self._severities = dict(severities or {})

    def new_state(self) -> Origins:
        return Origins()

    def select(self, events: Sequence[Span]) -> Iterable[int]:
        return [i for i, span in enumerate(events) if span.kind in CALLS or not span.fields.keys().isdisjoint(SAID)]

    def observe(self, event: Span, state: Origins) -> Iterator[Finding]:
        if event.kind not in CALLS:
            if told := event.fields.get("instructions"):
                state.trust(str(told), wishes=False)
            if (said := event.text("prompt")) and not said.startswith(("[{", "{")):
                state.trust(said, wishes=True)
            if (results := event.text("tool.results")) and not state.direct:
                for one in state.read(event, results, call_of(event)):
                    yield from self._heard(event, one, state)
            return
        if approval(event)[0] == "deny":
            return
        call = call_of(event)
        state.direct = state.direct or "result" in event.fields
        state.shell = state.shell or event.kind == "command"
        yield from self._acted(event, call, state.heard, state)
        yield from self._left(event, call, state)
        fresh = state.read(event, event.text("result"), call)
        for heard in fresh:
            yield from self._heard(event, heard, state)
        yield from self._private(event, state)
        if fresh:
            for earlier in state.calls:
                if earlier.subject != call.subject and event.end_ns <= earlier.time_ns <= event.end_ns + MAX_LATE_NS:
                    yield from self._acted(event, earlier, fresh, state)
        if "arguments" in event.fields or event.kind in ("command", "http_egress"):
            state.remember(call)

    # an agent that acts

    def _acted(self, event: Span, call: Call, heard: Iterable[Heard], state: Origins) -> Iterator[Finding]:
        best: tuple[float, Heard, Signs] | None = None
        worst = Severity.INFO
        at = sought(call, state.trusted)
        idle = state.asked and not state.busy
        for one in chain(heard, state.unasked(at)):
            if one.time_ns > call.time_ns or one.span_id == call.span_id or not near(one.asking, at):
                continue
            found = signs(one.asking, at, state.trusted)
            sure = score(one.asking, found, idle)
            if sure < 0.5 or (best is not None and sure <= best[0]):
                continue
            severity = self._severity(event, call, one, found, state)
            if severity > Severity.INFO:
                best, worst = (sure, one, found), severity
        if best is None or not state.tell(f"{ACTED}/{call.subject}"):
            return
        sure, one, found = best
        held = carried(one.asking, call, state.trusted)
        why = []
        if held:
            why.append(f"{', '.join(sorted({kind for kind, _ in held}))} of the sentence stands in the call")
        else:
            why.append("the call is in the sentence's words")
        if found.family:
            why.append("the call does what the sentence asks for")
        if not found.asked:
            why.append("the user did not ask for such a call")
        about = msgspec.structs.replace(
            event, start_ns=call.time_ns, trace_id=call.trace_id, span_id=call.span_id, call_id=call.subject
        )
        yield finding(
            self,
            about,
            rule_id=ACTED,
            severity=self._severities.get(ACTED, worst),
            confidence="confirmed" if found.strong and found.family and not found.elsewhere else "suspected",
            score=round(sure, 3),
            subject=call.subject,
            evidence={
                "what": f"{call.tool or event.kind}: {call.what}",
                "tool": call.tool or event.kind,
                "value": ", ".join(dict.fromkeys(value for _, value in held))[:200] or "none",
                "instruction": one.asking.text,
                "form": one.asking.form,
                "source": f"{one.span_id} {one.tool}".strip(),
                "reason": "; ".join(why),
                "step_1": f"{one.span_id} {one.tool or 'a call'} returned the instruction",
                "step_2": f"{call.span_id} {call.tool or event.kind} carried it out",
            },
            span_ids=tuple(x for x in (one.span_id, call.span_id) if x),
        )

    def _severity(self, event: Span, call: Call, one: Heard, found: Signs, state: Origins) -> Severity:
        """High, unless the user handed the decision to the text; info where a call works on a tree of files."""
        edits = call.local and event.kind not in ("tool_call", "mcp_call")  # to share a folder of a drive is no edit
        if edits or (state.shell and (call.local or one.local)):
            held = {kind for kind, _ in carried(one.asking, call, state.trusted)}
            if held & ADDRESSES and event.span_id == call.span_id and self._destinations.outside(event):
                return Severity.HIGH
            return Severity.INFO
        if one.asking.form == "told" and state.shell:
            return Severity.INFO
        close = state.busy and (one.named or one.asking.letter)  # who only asks about a letter hands nothing over to it
        if not found.strong and (close or (state.shell and not one.asking.agent)):
            return Severity.INFO
        followed = one.meant >= 0 and (one.named or one.sourced or one.meant or one.asking.letter)
        if state.delegates and (followed or (one.meant >= 0 and found.asked and found.family)):
            return Severity.MEDIUM
        if state.owes and self._due(call, one, found, state):
            return Severity.MEDIUM
        if found.quiet and found.family and not (found.strong or found.title or found.weak) and self._own(call, state):
            return Severity.MEDIUM
        if found.asked and (not (found.strong or found.title) or not found.family or one.named or found.elsewhere):
            return Severity.MEDIUM
        if one.asking.families == (OTHER,) and (found.elsewhere or found.asked):
            return Severity.MEDIUM
        if found.elsewhere and (one.asking.letter or not found.own):  # to answer whoever wrote is no hijack
            return Severity.MEDIUM
        return Severity.HIGH

    def _due(self, call: Call, one: Heard, found: Signs, state: Origins) -> bool:
        """Whether the call may be what the bill or the issue asks for that the user wants dealt with."""
        if one.asking.form == "told":
            return not found.strong
        held = carried(one.asking, call, state.trusted)
        if one.meant <= 0 or any(kind == "slug" for kind, _ in held):
            return False  # another record, or another repository than the one he named
        if "pay" in state.trusted.families:  # who wants a bill paid wants nothing else, and it paid once
            paid = [one for one in state.calls if "pay" in one.families and one.subject != call.subject]
            other = any(not all(value in one.said for kind, value in held if kind in STRONG) for one in paid)
            return "pay" in call.families and not other
        return bool(found.asked or not found.known)

    def _own(self, call: Call, state: Origins) -> bool:
        """Whether all that the call names was named by the user, an address among it."""
        named = [state.trusted.named(kind, value) for kind, value in values(call.said) if kind in ADDRESSES]
        return bool(named) and all(named)

    # what was read

    def _heard(self, event: Span, heard: Heard, state: Origins) -> Iterator[Finding]:
        one = heard.asking
        own = one.values[: one.own]
        addressed = [kind for kind, value in own if kind in ADDRESSES and not state.trusted.named(kind, value)]
        if (
            not one.families
            or (one.families == (OTHER,) and not addressed)
            or (one.letter and not addressed and not one.agent)
        ):
            return
        if heard.local and state.shell and not one.agent:
            return
        if state.tainted is None:
            state.tainted = Step(heard.time_ns, heard.span_id, heard.trace_id, f"{heard.tool} {one.text}"[:160])
        if not state.tell(f"{HEARD}/{heard.span_id}"):
            return
        yield finding(
            self,
            event,
            rule_id=HEARD,
            severity=self._severities.get(HEARD, Severity.MEDIUM if one.agent else Severity.LOW),
            evidence={
                "what": f"{heard.tool or event.kind} returned: {one.text}"[:MAX_WHAT],
                "instruction": one.text,
                "form": one.form,
                "source": f"{heard.span_id} {heard.tool}".strip(),
            },
        )

    # private data, untrusted text, a way out

    def _private(self, event: Span, state: Origins) -> Iterator[Finding]:
        if state.sensitive is None and _sensitive(event):
            what = f"{event.text('tool.name')} {event.text('path') or event.text('command.line')}".strip()[:160]
            state.sensitive = Step(event.start_ns, event.span_id, event.trace_id, what)
        if state.sensitive is None or state.tainted is None or not state.tell(PAIR):
            return
        yield finding(
            self,
            event,
            rule_id=PAIR,
            severity=self._severities.get(PAIR, Severity.MEDIUM),
            evidence={
                "what": f"read {state.sensitive.what}"[:MAX_WHAT],
                "step_1": f"{state.tainted.span_id} {state.tainted.what}",
                "step_2": f"{state.sensitive.span_id} {state.sensitive.what}",
            },
            span_ids=(state.tainted.span_id, state.sensitive.span_id),
        )

    def _left(self, event: Span, call: Call, state: Origins) -> Iterator[Finding]:
        tainted, private = state.tainted, state.sensitive
        if tainted is None or private is None or max(tainted.time_ns, private.time_ns) > call.time_ns:
            return
        outside = self._outward(event, call, state)
        if not outside or not state.tell(f"{CHAIN}/{call.subject}"):
            return
        yield finding(
            self,
            event,
            rule_id=CHAIN,
            severity=self._severities.get(CHAIN, Severity.HIGH),
            evidence={
                "what": f"{call.tool or event.kind}: {call.what}",
                "host": outside,
                "step_1": f"{tainted.span_id} {tainted.what}",
                "step_2": f"{private.span_id} {private.what}",
                "step_3": f"{call.span_id} {call.tool or event.kind} sent to {outside}",
            },
            span_ids=(tainted.span_id, private.span_id, call.span_id),
        )

    def _outward(self, event: Span, call: Call, state: Origins) -> str:
        """Where the call sends something to, when nobody trusted named that place; empty otherwise."""
        hosts = [host for host in self._destinations.outside(event) if not state.trusted.named("url", host.lower())]
        if not hosts:
            return ""
        effects = {str(word) for act in facts.of(event).acts for word in _words(act.get("effect"))}
        sends = "send" in effects or event.text("http.method").upper() in ("POST", "PUT", "PATCH")
        return ",".join(hosts)[:200] if sends else ""


def _words(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),) if value else ()


def _sensitive(span: Span) -> bool:
    """Whether a span reads credentials: a secret in its result, or a file of a kind that holds some."""
    if any(match.surface == "result" and match.severity >= Severity.MEDIUM for match in span.secrets):
        return True
    return any(
        "read" in _words(act.get("path.action")) and set(_words(act.get("path.class"))) & SECRET_FILES
        for act in facts.of(span).acts
    )


SECRET_FILES = frozenset(("env", "ssh-key", "cloud-credentials", "credentials", "keystore", "browser-profile"))
