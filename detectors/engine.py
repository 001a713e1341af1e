"""Runs every detector over events in order: keyed state, windows, alerts, snapshots; pure, and deterministic.

State is keyed by what a detector's scope names: a session, an agent, or an entity. It lives here and nowhere
else, so that the same events after the same snapshot give the same outcomes in every driver.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, TypeAlias, cast

import msgspec

from detectors import entities, facts
from detectors.activity import LATENESS_NS, WINDOW_NS, Activity
from detectors.alerting import Alerting, Case
from detectors.detector import Detector
from detectors.dispatch import Dispatch
from detectors.errors import StateError
from detectors.evidence import complete
from detectors.model import Event, Failure, Outcome, Sighting, Span, Window, digest

AnyDetector: TypeAlias = Detector[Any, Any]
FORMAT = 3
QUIET_NS = WINDOW_NS + LATENESS_NS  # a session this long without a new arrival has its windows closed
TAG_BYTES = 32
PLACED = frozenset({"path", "command.line", "code"})  # fields that are read against the session's working tree
TELLING = frozenset({"workdir", "cwd", "task", "prompt", "approval.decision", "permission.mode"})
MAX_RECENT = 16_384  # windows and sightings remembered by id: more than lie between two checkpoints


class _Session(msgspec.Struct):
    received_ns: int
    activity: Activity
    states: dict[int, Any] = {}  # detector's place in the list → its state

    @property
    def tree(self) -> str:
        return self.activity.tree


class _Asleep(msgspec.Struct):
    """A silent session as the bytes of its `_Saved`, which the next snapshot has ready."""

    received_ns: int
    saved: msgspec.Raw
    tree: str = ""


class _Slot(msgspec.Struct):
    states: dict[int, Any] = {}


class _Saved(msgspec.Struct, array_like=True):
    """One key's state as stored; `states` is detector id and version → what its `dump` gave."""

    key: str
    states: dict[str, bytes]
    received_ns: int = 0
    activity: Activity | None = None


class _Snapshot(msgspec.Struct, array_like=True):
    format: int
    sessions: list[msgspec.Raw]  # each a _Saved
    awake: list[str]
    agents: list[_Saved]
    entities: list[_Saved]
    types: list[_Saved]
    cases: dict[str, Case]
    recent: list[str] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Snapshot).decode
_decode_saved = msgspec.msgpack.Decoder(_Saved).decode


class Engine:
    """`run` is the hot call: a batch of events in, findings and what follows from them out.

    Windows and sightings among the outcomes are for the caller to route, to this engine or to another.
    At most `max_sessions` sessions (and agents, entities, cases) are remembered; the longest silent go first, and
    a session silent for `idle_ns` of arrival time goes too. `key` authenticates snapshots.
    """

    def __init__(
        self,
        detectors: Sequence[AnyDetector],
        *,
        key: bytes = b"",
        max_sessions: int = 100_000,
        idle_ns: int = 3_600_000_000_000,
    ) -> None:
        self._key = hmac.digest(key, b"spanwatch engine state", "sha256")
        self._max, self._idle_ns = max_sessions, idle_ns
        self._wire(detectors)
        self._clear()

    def _wire(self, detectors: Sequence[AnyDetector]) -> None:
        self.detectors = tuple(detectors)
        self._on_span = self._dispatch("span", "session")
        self._on_window = self._dispatch("agent")
        self._on_type = self._dispatch("type")
        self._on_sighting = self._dispatch("entity")
        self._plans = entities.Plans()
        self._blank = [_dumped(detector) for detector in self.detectors]

    def _dispatch(self, *scopes: str) -> Dispatch:
        return Dispatch(self.detectors, [i for i, d in enumerate(self.detectors) if d.scope in scopes])

    def use(self, detectors: Sequence[AnyDetector]) -> None:
        """Go on with these detectors; each keeps the state of the one with its id and version."""
        state = self.snapshot()
        self._wire(detectors)
        self.restore(state)

    def _clear(self) -> None:
        self._sessions: dict[str, _Session | _Asleep] = {}  # least recently seen first
        self._awake: dict[str, _Session] = {}  # those of them not silent yet, in the same order
        self._agents: dict[str, _Slot] = {}
        self._types: dict[str, _Slot] = {}
        self._entities: dict[str, _Slot] = {}
        self._recent: dict[str, None] = {}
        self._alerting = Alerting(self._max)

    def step(self, event: Event) -> list[Outcome]:
        """Outcomes of one event."""
        return self.run((event,))

    def run(self, events: Sequence[Event]) -> list[Outcome]:
        """Outcomes of a batch: those of its events in order, then the last version of each alert and incident."""
        outcomes: list[Outcome] = []
        for kind, group in groupby(events, type):
            batch: list[Any] = list(group)
            if kind is Span:
                self._spans(batch, outcomes)
            elif kind is Window:
                fresh = [event for event in batch if self._is_new(event.id)]
                self._keyed(fresh, self._on_window, self._agents, outcomes, lambda window: window.agent_key)
                self._keyed(fresh, self._on_type, self._types, outcomes, lambda window: window.type_key)
            else:
                fresh = [event for event in batch if self._is_new(event.id)]
                self._keyed(fresh, self._on_sighting, self._entities, outcomes, lambda seen: seen.entity_key)
        outcomes.extend(self._alerting.drain())
        facts.forget()
        return outcomes

    def tick(self, now_ns: int) -> list[Outcome]:
        """Windows of sessions silent by arrival time; forgets sessions idle for too long."""
        outcomes: list[Outcome] = []
        self._close_quiet(now_ns, outcomes)
        self._drop_idle(now_ns, outcomes)
        return outcomes

    def flush(self) -> list[Outcome]:
        """End of input: every open window, closed."""
        outcomes: list[Outcome] = []
        for session in self._awake.values():
            outcomes.extend(session.activity.close())
        self._awake.clear()
        return outcomes

    # spans

    def _placed(self, spans: list[Span]) -> list[Span]:
        """The spans, those that name files with the working tree their session told before."""
        trees: dict[str, str] = {}
        placed = spans
        for i, span in enumerate(spans):
            fields = span.fields
            if told := fields.get("workdir") or fields.get("cwd"):
                kept = self._sessions.get(span.session_key)
                trees.setdefault(span.session_key, kept.tree if kept and kept.tree else str(told))
            if "workdir" in fields or fields.keys().isdisjoint(PLACED):
                continue
            kept = self._sessions.get(span.session_key)
            if tree := kept.tree if kept and kept.tree else trees.get(span.session_key, ""):
                placed = list(spans) if placed is spans else placed
                placed[i] = msgspec.structs.replace(span, fields={**fields, "workdir": tree})
        return placed

    def _spans(self, spans: list[Span], outcomes: list[Outcome]) -> None:
        spans = self._placed(spans)
        chosen, plans = self._on_span.of(spans), self._plans
        sessions, awake = self._sessions, self._awake
        for i, span in enumerate(spans):
            key = span.session_key
            received = span.received_ns
            kept = sessions.pop(key, None)
            if kept is None:
                self._drop_idle(received, outcomes)
                session = _Session(received, Activity(span.resource.tenant, span.session_id))
            else:
                session = self._wake(kept, span, outcomes) if type(kept) is _Asleep else cast(_Session, kept)
            session.received_ns = received
            sessions[key] = session
            activity = session.activity
            if activity.add(span):
                outcomes.extend(activity.due())
            awake.pop(key, None)
            awake[key] = session
            if not span.fields.keys().isdisjoint(TELLING):
                activity.hear(span)
            plan = plans.of(span, span.agent_id != activity.agent)
            if plan:
                outcomes.extend(activity.sightings(span, plan))
            for place in chosen[i]:
                self._observe(place, span, session.states, outcomes, activity)
            if received - next(iter(awake.values())).received_ns > QUIET_NS:
                self._close_quiet(received, outcomes)

    def _close_quiet(self, now_ns: int, outcomes: list[Outcome]) -> None:
        while self._awake:
            key, session = next(iter(self._awake.items()))
            if now_ns - session.received_ns <= QUIET_NS:
                return
            del self._awake[key]
            outcomes.extend(session.activity.close())
            self._sessions[key] = self._sleep(key, session)

    def _sleep(self, key: str, session: _Session) -> _Session | _Asleep:
        """The session put away; as it was when a detector's `dump` fails, which the next snapshot will tell."""
        try:
            return _Asleep(session.received_ns, self._saved(key, session), session.tree)
        except Exception:  # noqa: BLE001 - one broken detector must not stop the others
            return session

    def _wake(self, asleep: _Asleep, span: Span, outcomes: list[Outcome]) -> _Session:
        """The session as it was. A detector whose `load` fails starts blank in it, with a Failure."""
        saved = _decode_saved(asleep.saved)
        session = _Session(saved.received_ns, saved.activity or Activity(span.resource.tenant, span.session_id))
        for place, detector in enumerate(self.detectors):
            blob = saved.states.get(_slot_name(detector))
            if blob is None:
                continue
            try:
                session.states[place] = detector.load(blob)
            except Exception as error:  # noqa: BLE001 - a detector's `load` may raise anything
                outcomes.append(_failure(detector, span, type(error).__name__))
        return session

    def _drop_idle(self, now_ns: int, outcomes: list[Outcome]) -> None:
        """Forget sessions idle for too long, and the longest silent where there are too many."""
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if len(self._sessions) < self._max and now_ns - session.received_ns <= self._idle_ns:
                return
            del self._sessions[key]
            open_ = self._awake.pop(key, None)
            if open_ is not None:
                outcomes.extend(open_.activity.close())

    # windows and sightings

    def _keyed(
        self,
        events: Sequence[Window | Sighting],
        on: Dispatch,
        slots: dict[str, _Slot],
        outcomes: list[Outcome],
        key_of: Callable[[Any], str],
    ) -> None:
        chosen = on.of(events)
        for i, event in enumerate(events):
            if not chosen[i]:
                continue
            key = key_of(event)
            slot = slots.pop(key, None)
            if slot is None:
                slot = _Slot()
                if len(slots) >= self._max:
                    del slots[next(iter(slots))]
            slots[key] = slot
            for place in chosen[i]:
                self._observe(place, event, slot.states, outcomes)

    def _is_new(self, event_id: str) -> bool:
        """False for a window or sighting seen before: another partition's worker sends its last ones again after a
        restart, and a model must not learn them twice."""
        recent = self._recent
        if event_id in recent:
            return False
        recent[event_id] = None
        if len(recent) > MAX_RECENT:
            del recent[next(iter(recent))]
        return True

    # detectors

    def _observe(
        self,
        place: int,
        event: Any,
        states: dict[int, Any],
        outcomes: list[Outcome],
        session: Activity | None = None,
    ) -> None:
        """One detector on one event; whatever it raises becomes a Failure and the engine goes on."""
        detector = self.detectors[place]
        try:
            if detector.scope == "span":
                found = list(detector.observe(event, None))
            else:
                if place not in states:
                    states[place] = detector.new_state()
                found = list(detector.observe(event, states[place]))
            if not found:
                return
            found = [complete(one, event, session) for one in found if one.rule_id not in detector.silenced]
        except Exception as error:  # noqa: BLE001 - one broken detector must not stop the others
            outcomes.append(_failure(detector, event, type(error).__name__))
            return
        new = [one for one in found if self._alerting.add(one)]
        if session is not None:
            for one in new:
                session.judge(one.rule_id, one.severity)
        outcomes.extend(new)

    # snapshots

    def snapshot(self) -> bytes:
        """All state, authenticated with the engine's key; `restore` on equal detectors goes on as if never stopped."""
        body = _encode(
            _Snapshot(
                format=FORMAT,
                sessions=[
                    s.saved if isinstance(s, _Asleep) else self._saved(key, s) for key, s in self._sessions.items()
                ],
                awake=list(self._awake),
                agents=[_Saved(key, self._dump(s.states)) for key, s in self._agents.items()],
                types=[_Saved(key, self._dump(s.states)) for key, s in self._types.items()],
                entities=[_Saved(key, self._dump(s.states)) for key, s in self._entities.items()],
                cases=self._alerting.cases,
                recent=list(self._recent),
            )
        )
        return hmac.digest(self._key, body, "sha256") + body

    def restore(self, blob: bytes) -> None:
        """Replace all state by a snapshot's. Slots of detectors that are gone or changed version are forgotten.

        Raises StateError, and leaves blank state, when the blob is not authentic or does not fit.
        """
        self._clear()
        tag, body = blob[:TAG_BYTES], blob[TAG_BYTES:]
        if not hmac.compare_digest(tag, hmac.digest(self._key, body, "sha256")):
            raise StateError("snapshot: wrong key, or changed since it was written")
        try:
            saved = _decode(body)
            if saved.format != FORMAT:
                raise StateError(f"snapshot: format {saved.format}, expected {FORMAT}")
            self._load(saved)
        except StateError:
            self._clear()
            raise
        except Exception as error:  # noqa: BLE001 - a detector's `load` may raise anything on bytes that do not fit
            self._clear()
            raise StateError(f"snapshot: {type(error).__name__}") from None

    def _load(self, saved: _Snapshot) -> None:
        places = {_slot_name(d): i for i, d in enumerate(self.detectors)}

        def states(one: _Saved) -> dict[int, Any]:
            known = {places[name]: raw for name, raw in one.states.items() if name in places}
            return {place: self.detectors[place].load(raw) for place, raw in known.items()}

        awake = set(saved.awake)
        for raw in saved.sessions:
            one = _decode_saved(raw)
            if one.key not in awake:
                tree = one.activity.tree if one.activity else ""
                self._sessions[one.key] = _Asleep(one.received_ns, raw.copy(), tree)
            elif one.activity is not None:
                self._sessions[one.key] = self._awake[one.key] = _Session(one.received_ns, one.activity, states(one))
        self._agents = {one.key: _Slot(states(one)) for one in saved.agents}
        self._types = {one.key: _Slot(states(one)) for one in saved.types}
        self._entities = {one.key: _Slot(states(one)) for one in saved.entities}
        self._recent = dict.fromkeys(saved.recent)
        self._alerting.cases = saved.cases

    def _saved(self, key: str, session: _Session) -> msgspec.Raw:
        return msgspec.Raw(_encode(_Saved(key, self._dump(session.states), session.received_ns, session.activity)))

    def _dump(self, states: dict[int, Any]) -> dict[str, bytes]:
        """What each detector remembers; one that remembers nothing of the key is left out."""
        dumped = ((i, self.detectors[i].dump(state)) for i, state in states.items())
        return {_slot_name(self.detectors[i]): raw for i, raw in dumped if raw != self._blank[i]}


def _dumped(detector: AnyDetector) -> bytes | None:
    """Blank state as stored; None where it cannot be, which the next snapshot will tell."""
    try:
        return detector.dump(detector.new_state())
    except Exception:  # noqa: BLE001 - a detector may raise anything
        return None


def _slot_name(detector: AnyDetector) -> str:
    return f"{detector.id}@{detector.version}"


def _failure(detector: AnyDetector, event: Event, reason: str) -> Failure:
    time_ns = event.start_ns if isinstance(event, Span | Window) else event.time_ns
    return Failure(
        id=digest("failure", detector.id, detector.version, event.tenant, event.session_id, event.id),
        detector_id=detector.id,
        tenant=event.tenant,
        session_id=event.session_id,
        span_id=event.last_span_id if isinstance(event, Window) else event.span_id,
        time_ns=time_ns,
        reason=reason,
    )
