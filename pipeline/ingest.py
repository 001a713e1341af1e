"""OTLP bytes to masked, normalised Spans: one pass, bytes in, Spans out; everything behind it is safe to store.

decode (what arrived) → vocabulary (each distinct KeyValue decoded and masked once) → normalise (what it means)
→ sessions (whom it belongs to). Text is masked before anything is derived from it, ids included.
"""

from __future__ import annotations

import hmac
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from detectors.model import Resource, Scalar, SecretMatch, Span, digest
from detectors.secrets import Scanner
from pipeline import decode, dialect, otlp_json
from pipeline.decode import Broken, Group, Item
from pipeline.errors import DecodeError
from pipeline.inflate import inflate
from pipeline.normalise import Meaning, Normaliser, Place, Unknown
from pipeline.records import DeadLetter
from pipeline.settings import Gateway
from pipeline.traces import MAX_ID, UNTOLD, Trace, Traces, hear, session_of, short
from pipeline.vocabulary import MAX_NAME, Vocabulary

Encoding: TypeAlias = Literal["protobuf", "json"]

MAX_PLACES = 10_000
MAX_PLACE_BYTES = 64 * 2**20  # of them together, as they came
MAX_RESOURCE, MAX_SCOPE = 16_384, 4096  # attributes of them in characters, 64 each besides: every record carries them
MAX_SERVICE = 1024
MAX_MATCHES = 64  # secrets of a resource and scope: every record of it reports them
EARLIEST_NS = 946_684_800_000_000_000  # 2000-01-01
LATEST_NS = 4_102_444_800_000_000_000  # 2100-01-01
_STATUS: tuple[Literal["unset", "ok", "error"], ...] = ("unset", "ok", "error")
_SEVERITY_ERROR = 17


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request: `records` counts all that was in it."""

    spans: list[Span]
    dead_letters: list[DeadLetter]
    records: int


class _Home(NamedTuple):
    """A resource and scope, masked: what its Spans share."""

    resource: Resource
    scope: str
    scope_version: str
    scope_attributes: dict[str, Scalar]
    place: Place
    secrets: tuple[SecretMatch, ...]
    truncated: bool


class _Owner(NamedTuple):
    """A resource, masked: what its scopes share."""

    resource: Resource
    secrets: tuple[SecretMatch, ...]
    truncated: bool


class _Draft(msgspec.Struct, frozen=True, gc=False):
    """A record on its way: everything but whom it belongs to."""

    home: _Home
    item: Item
    name: str
    attributes: dict[str, Scalar]
    meaning: Meaning
    secrets: tuple[SecretMatch, ...]
    truncated: bool


class Ingest:
    """Decode, mask, normalise. Keeps caches and the sessions of recent traces, never a raw secret past a request."""

    def __init__(self, scanner: Scanner, limits: Gateway, key: bytes) -> None:
        self.counts: Counter[str] = Counter()  # records, spans, dead_letters, unresolved, nobody, truncated, clamped
        self.masked: Counter[str] = Counter()  # by rule id
        self._limits, self._key = limits, key
        self._normaliser = Normaliser(dialect.load())
        self._traces = Traces(self._normaliser.dialects.common.agent_services)
        self._lock = threading.Lock()  # one request at a time: the caches are shared
        self.use(scanner)

    def use(self, scanner: Scanner) -> None:
        """Mask by other rules from the next request on; what was learnt under the old ones is forgotten."""
        with self._lock:
            self._words = {
                "protobuf": Vocabulary(scanner, self._limits, decode.pair, self.masked),
                "json": Vocabulary(scanner, self._limits, otlp_json.pair, self.masked),
            }
            self._homes: dict[tuple[str, bytes, bytes, str, str], _Home] = {}
            self._homes_bytes = 0

    @property
    def unknown(self) -> Unknown:
        """Attribute keys no dialect knows, per scope and product version."""
        return self._normaliser.unknown

    def traces(
        self,
        body: bytes,
        encoding: Encoding,
        *,
        tenant: str = "default",
        emitter: str = "",
        received_ns: int,
        origin: str = "",
    ) -> Ingested:
        """Spans of an ExportTraceServiceRequest; DecodeError only when nothing of it can be used."""
        most = self._limits.max_attributes
        with self._lock:
            if encoding == "json":
                groups, broken = otlp_json.spans(body, most, self._limits.max_depth)
            else:
                groups, broken = decode.spans(body, most)
            return self._ingest(groups, broken, encoding, tenant, emitter, received_ns, origin, log=False)

    def logs(
        self,
        body: bytes,
        encoding: Encoding,
        *,
        tenant: str = "default",
        emitter: str = "",
        received_ns: int,
        origin: str = "",
    ) -> Ingested:
        """Log records of an ExportLogsServiceRequest as Spans; DecodeError as `traces`."""
        most = self._limits.max_attributes
        with self._lock:
            if encoding == "json":
                groups, broken = otlp_json.logs(body, most, self._limits.max_depth)
            else:
                groups, broken = decode.logs(body, most)
            return self._ingest(groups, broken, encoding, tenant, emitter, received_ns, origin, log=True)

    def dead_letter(
        self, body: bytes, error: DecodeError, *, tenant: str, emitter: str, received_ns: int, origin: str
    ) -> DeadLetter:
        """What to remember of a body nobody could use: why, how large, its keyed fingerprint."""
        broken = Broken(error.reason, error.detail, body)
        return self._dead(broken, self._fingerprint(body), 0, tenant, emitter, received_ns, origin)

    def _ingest(
        self,
        groups: list[Group],
        broken: list[Broken],
        encoding: Encoding,
        tenant: str,
        emitter: str,
        received_ns: int,
        origin: str,
        log: bool,
    ) -> Ingested:
        words = self._words[encoding]
        try:
            homes = self._learn(words, groups, encoding, tenant, emitter)
            drafts: list[_Draft] = []
            for group, home in zip(groups, homes, strict=True):
                if isinstance(home, DecodeError):
                    broken += [Broken(home.reason, home.detail, group.resource or group.scope)] * len(group.items)
                    continue
                for item in group.items:
                    if words.broken and not words.broken.keys().isdisjoint(_pairs(item)):
                        broken.append(Broken(encoding, "malformed attribute", b"".join(item.attributes)))
                    else:
                        drafts.append(self._draft(words, home, item, log))
            spans = self._resolve(drafts, tenant, received_ns, log)
        finally:
            words.end_request()
            self._normaliser.settle()
        self.counts["records"] += len(spans) + len(broken)
        self.counts["spans"] += len(spans)
        self.counts["dead_letters"] += len(broken)
        marks = {raw: self._fingerprint(raw) for raw in {b.raw for b in broken}}  # a resource may take many along
        letters = [self._dead(b, marks[b.raw], n, tenant, emitter, received_ns, origin) for n, b in enumerate(broken)]
        return Ingested(spans=spans, dead_letters=letters, records=len(spans) + len(broken))

    def _learn(
        self, words: Vocabulary, groups: list[Group], encoding: Encoding, tenant: str, emitter: str
    ) -> list[_Home | DecodeError]:
        """Have every KeyValue and name of the request decoded and masked, in one scan; then each group's home."""
        reader: Any = otlp_json if encoding == "json" else decode
        most = self._limits.max_attributes
        if len(self._homes) > MAX_PLACES or self._homes_bytes > MAX_PLACE_BYTES:
            self._homes.clear()
            self._homes_bytes = 0
        fresh: dict[tuple[str, bytes, bytes, str, str], tuple[list[bytes], decode.Origin] | DecodeError] = {}
        resource = cache(lambda raw: reader.resource(raw, most))  # one may have many scopes
        keys = []
        for group in groups:
            key = (encoding, group.resource, group.scope, tenant, emitter)
            keys.append(key)
            if key not in self._homes and key not in fresh:
                try:
                    fresh[key] = resource(group.resource), reader.scope(group.scope, most)
                except DecodeError as error:
                    fresh[key] = error
        items = [item for group in groups for item in group.items]
        pairs: set[bytes] = set().union(*[item.attributes for item in items])
        names = {item.name for item in items}
        for item in items:
            if item.events or item.links:
                for event in item.events:
                    pairs.update(event.attributes)
                    names.add(event.name)
                for link in item.links:
                    pairs.update(link.attributes)
                    names.add(link.state)
        for found in fresh.values():
            if not isinstance(found, DecodeError):
                pairs.update(found[0], found[1].attributes)
                names.update((found[1].name, found[1].version))
        words.learn(pairs.difference(words.pairs), names.difference(words.names))
        owners: dict[bytes, _Owner | DecodeError] = {}
        kept: dict[Any, _Home | DecodeError] = {
            key: self._homes.get(key) or self._home(words, key, fresh[key], owners) for key in dict.fromkeys(keys)
        }
        return [kept[key] for key in keys]

    def _home(
        self,
        words: Vocabulary,
        key: tuple[str, bytes, bytes, str, str],
        found: tuple[list[bytes], decode.Origin] | DecodeError,
        owners: dict[bytes, _Owner | DecodeError],
    ) -> _Home | DecodeError:
        if isinstance(found, DecodeError):
            return found
        pairs, scope = found
        owner = owners.get(key[1]) or owners.setdefault(key[1], _owner(words, key, pairs))
        if isinstance(owner, DecodeError):
            return owner
        if words.broken and not words.broken.keys().isdisjoint(scope.attributes):
            return DecodeError(key[0], "malformed scope attribute")
        attributes, secrets, cut = _read(words, scope.attributes, "scope.")
        attributes, over = _within(attributes, MAX_SCOPE)
        for text, where in ((scope.name, "scope.name"), (scope.version, "scope.version")):
            secrets += _named(words, text, where)
        name, of = words.names[scope.name], owner.resource
        home = _Home(
            of,
            name,
            words.names[scope.version],
            {f"scope.{k}": v for k, v in attributes.items()},
            self._normaliser.place(name, of.service, of.service_version, of.attributes),
            (owner.secrets + secrets)[:MAX_MATCHES],
            owner.truncated or cut or over,
        )
        if not home.secrets:  # the key is raw bytes: no secret outlives its request there
            self._homes[key] = home
            self._homes_bytes += len(key[1]) + len(key[2])
        return home

    def _draft(self, words: Vocabulary, home: _Home, item: Item, log: bool) -> _Draft:
        """The record with its attributes masked and its meaning read."""
        attributes: dict[str, Scalar] = dict(map(words.pairs.__getitem__, item.attributes))
        secrets: tuple[SecretMatch, ...] = ()
        truncated = item.truncated or home.truncated
        if words.notes and not words.notes.keys().isdisjoint(item.attributes):
            attributes, secrets, cut = _read(words, item.attributes, "")
            truncated |= cut
        if item.events or item.links:
            more, cut = self._flatten(words, item, attributes)
            secrets += more
            truncated |= cut
        if home.scope_attributes:
            attributes = {**home.scope_attributes, **attributes}
        if home.secrets:
            secrets += home.secrets
        name = words.names[item.name]
        if item.name in words.name_secrets:
            secrets += words.name_secrets[item.name]
        failed = None
        if not log and item.status:
            failed = item.status == 2
        meaning = self._normaliser.read(home.place, log, name, item.kind, failed, attributes)
        if secrets:
            secrets = tuple(msgspec.structs.replace(m, surface=self._normaliser.surface(m, meaning)) for m in secrets)
        truncated |= "truncated" in meaning.aside or len(item.name) > MAX_NAME
        return _Draft(home, item, name, attributes, meaning, secrets, truncated)

    def _flatten(
        self, words: Vocabulary, item: Item, attributes: dict[str, Scalar]
    ) -> tuple[tuple[SecretMatch, ...], bool]:
        """Events and links into the attributes, up to the limit for the record as a whole."""
        secrets: tuple[SecretMatch, ...] = ()
        room = self._limits.max_attributes
        cut = False
        for index, event in enumerate(item.events):
            if len(attributes) >= room:
                return secrets, True
            at = f"events.{index}."
            attributes[at + "name"] = words.names[event.name]
            attributes[at + "time_ns"] = event.time_ns
            found, more, some = _read(words, event.attributes, at)
            attributes.update((at + k, v) for k, v in found.items())
            secrets += more + _named(words, event.name, at + "name")
            cut |= some
        for index, link in enumerate(item.links):
            if len(attributes) >= room:
                return secrets, True
            at = f"links.{index}."
            attributes[at + "trace_id"], attributes[at + "span_id"] = link.trace_id, link.span_id
            if link.state:
                attributes[at + "state"] = words.names[link.state]
            found, more, some = _read(words, link.attributes, at)
            attributes.update((at + k, v) for k, v in found.items())
            secrets += more + _named(words, link.state, at + "state")
            cut |= some
        return secrets, cut

    def _resolve(self, drafts: Sequence[_Draft], tenant: str, received_ns: int, log: bool) -> list[Span]:
        """Spans with session and agent: what any record of a trace says holds for the whole trace, in any order."""
        traces = self._traces.of(tenant)
        for draft in drafts:
            if draft.item.trace_id:
                hear(traces, draft.item.trace_id, draft.home.resource.service, draft.meaning)
        spans = [self._span(draft, traces.get(draft.item.trace_id, UNTOLD), received_ns, log) for draft in drafts]
        self._traces.trim(tenant)
        return spans

    def _span(self, draft: _Draft, known: Trace, received_ns: int, log: bool) -> Span:
        home, item, meaning = draft.home, draft.item, draft.meaning
        service = home.resource.service
        session, session_from = session_of(meaning, known, item.trace_id, service)
        if session_from == "none":
            self.counts["unresolved"] += 1
        agent_id, agent_type = self._traces.agent_of(meaning, known, service)
        if not agent_id and session_from != "attribute" and meaning.fields.keys().isdisjoint(("user", "credential")):
            self.counts["nobody"] += 1
        call_id = meaning.call_id
        if len(session) + len(agent_id) + len(agent_type) + len(call_id) > MAX_ID:
            session, agent_id, agent_type, call_id = map(short, (session, agent_id, agent_type, call_id))
        attributes, fields = draft.attributes, meaning.fields
        start, end = item.start_ns, item.end_ns
        if not log and "duration_ms" not in fields and end > start >= EARLIEST_NS:
            fields["duration_ms"] = (end - start) / 1e6
        if log or not (item.trace_id and item.span_id):
            identity = self._identity(draft)
        else:
            identity = item.trace_id + item.span_id
        if not EARLIEST_NS <= start < LATEST_NS or not start <= end < LATEST_NS:
            attributes, start, end = self._clamp(attributes, start, end, received_ns)
        if draft.truncated:
            self.counts["truncated"] += 1
        if log:
            status: Literal["unset", "ok", "error"] = "error" if item.status >= _SEVERITY_ERROR else "unset"
        else:
            status = _STATUS[item.status] if 0 <= item.status < 3 else "unset"
        return Span(
            id=identity,
            signal="log" if log else "span",
            trace_id=item.trace_id,
            span_id=item.span_id,
            parent_id=item.parent_id,
            session_id=session,
            session_from=session_from,
            agent_id=agent_id,
            agent_type=agent_type,
            resource=home.resource,
            scope=home.scope,
            scope_version=home.scope_version,
            dialect=meaning.plan.dialect.name,
            name=(meaning.event or draft.name) if log else draft.name,
            kind=meaning.kind,
            status=status,
            start_ns=start,
            end_ns=end,
            received_ns=received_ns,
            call_id=call_id,
            fields=fields,
            attributes=attributes,
            secrets=draft.secrets,
            truncated=draft.truncated,
        )

    def _clamp(
        self, attributes: dict[str, Scalar], start: int, end: int, received_ns: int
    ) -> tuple[dict[str, Scalar], int, int]:
        """Times no clock can have meant, replaced by the time of arrival; the original stays as an attribute."""
        self.counts["clamped"] += 1
        original = {"spanwatch.original_start_ns": decode.bounded_int(start)}
        if EARLIEST_NS <= start < LATEST_NS and EARLIEST_NS <= end < LATEST_NS:
            return {**attributes, **original}, start, start  # ends before it starts
        if EARLIEST_NS <= start < LATEST_NS:
            return {**attributes, **original}, start, start
        start = received_ns if EARLIEST_NS <= received_ns < LATEST_NS else EARLIEST_NS
        return {**attributes, **original}, start, start

    @staticmethod
    def _identity(draft: _Draft) -> str:
        """Id of a record that brings none: a hash of what it says, so that delivered twice is one."""
        home, item = draft.home, draft.item
        return digest(
            home.resource.tenant,
            home.resource.emitter,
            repr(sorted(home.resource.attributes.items())),
            home.scope,
            item.trace_id,
            item.span_id,
            draft.name,
            item.start_ns,
            item.end_ns,
            item.status,
            repr(sorted(draft.attributes.items())),
        )

    def _fingerprint(self, raw: bytes) -> str:
        return hmac.digest(self._key, raw, "sha256")[:8].hex()

    @staticmethod
    def _dead(
        broken: Broken, fingerprint: str, number: int, tenant: str, emitter: str, received_ns: int, origin: str
    ) -> DeadLetter:
        return DeadLetter(
            id=digest("dead", tenant, origin, fingerprint, broken.reason, number, received_ns),
            reason=broken.reason,
            detail=broken.detail,
            origin=origin,
            tenant=tenant,
            emitter=emitter,
            size=len(broken.raw),
            fingerprint=fingerprint,
            received_ns=received_ns,
        )


def _pairs(item: Item) -> Iterable[bytes]:
    return chain(
        item.attributes, *(event.attributes for event in item.events), *(link.attributes for link in item.links)
    )


def _owner(words: Vocabulary, key: tuple[str, bytes, bytes, str, str], pairs: Sequence[bytes]) -> _Owner | DecodeError:
    """The resource whose KeyValues these are; DecodeError when one of them is malformed."""
    if words.broken and not words.broken.keys().isdisjoint(pairs):
        return DecodeError(key[0], "malformed resource attribute")
    attributes, secrets, cut = _read(words, pairs, "resource.")
    service, version = (str(attributes.get(f"service.{one}", ""))[:MAX_SERVICE] for one in ("name", "version"))
    attributes, over = _within(attributes, MAX_RESOURCE)
    resource = Resource(tenant=key[3], emitter=key[4], service=service, service_version=version, attributes=attributes)
    return _Owner(resource, secrets[:MAX_MATCHES], cut or over)


def _within(attributes: dict[str, Scalar], room: int) -> tuple[dict[str, Scalar], bool]:
    """Attributes as far as there is room for them, the last one cut; and whether it was too little."""
    if sum(len(k) + 64 + (len(v) if isinstance(v, str) else 0) for k, v in attributes.items()) <= room:
        return attributes, False
    kept: dict[str, Scalar] = {}
    for key, value in attributes.items():
        room -= len(key) + 64
        if room <= 0:
            break
        kept[key] = value[:room] if isinstance(value, str) else value
        room -= len(value) if isinstance(value, str) else 0
    return kept, True


def _named(words: Vocabulary, text: str, where: str) -> tuple[SecretMatch, ...]:
    """Secrets that stood in a name, under the place it had."""
    return tuple(msgspec.structs.replace(m, where=where) for m in words.name_secrets.get(text, ()))


def _read(
    words: Vocabulary, raws: Sequence[bytes], prefix: str
) -> tuple[dict[str, Scalar], tuple[SecretMatch, ...], bool]:
    """Attributes with what is special about them: values that are none left out, secrets under their full place."""
    attributes: dict[str, Scalar] = {}
    secrets: dict[str, tuple[SecretMatch, ...]] = {}
    truncated = False
    for raw in raws:
        key, value = words.pairs[raw]
        note = words.notes.get(raw)
        attributes.pop(key, None)
        secrets.pop(key, None)
        if note is None:
            attributes[key] = value
            continue
        if not note.null:
            attributes[key] = value
        truncated |= note.truncated
        if note.secrets:
            secrets[key] = tuple(msgspec.structs.replace(m, where=prefix + m.where) for m in note.secrets)
    return attributes, tuple(m for found in secrets.values() for m in found), truncated


__all__ = ["Encoding", "Ingest", "Ingested", "inflate"]
