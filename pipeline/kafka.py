"""Everything that speaks to the broker besides Faust: client settings, topics, and the gateway's way to `spans`.

A request is answered only after every record it led to was acknowledged by all in-sync replicas.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError

from detectors.model import Alert, Sighting, Span, Window, digest
from pipeline import ocsf
from pipeline.errors import LogFull, SettingsError, SinkUnavailable
from pipeline.records import Activity, Block, DeadLetter, Entry, encode, partition_of
from pipeline.settings import Kafka, Settings

log = structlog.get_logger()

SPLIT_BYTES = 900_000  # above it a record becomes two: brokers and consumers like them small
MAX_RECORD_BYTES = 8 * 2**20  # one span alone can be larger than SPLIT_BYTES; larger than this it is a dead letter
ACTIVITY_EVENTS = 2_000  # windows and sightings of one record: far below SPLIT_BYTES
PAUSE_SECONDS = 1.0  # after a failure nothing is decoded for a broker that will not take it
REQUEST_TIMEOUT_MS = 10_000  # past it the gateway answers 503 and the emitter sends again


class Message(NamedTuple):
    """One record to produce, its partition chosen by us."""

    topic: str
    partition: int
    value: bytes


class StaticToken(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types
    """OAUTHBEARER with the token given as `sasl_password`."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token


def ssl_context(settings: Kafka) -> ssl.SSLContext | None:
    """The TLS side of the settings, None without TLS; SettingsError when a file cannot be used."""
    if "SSL" not in settings.security_protocol.split("_"):
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.ssl_cafile) if settings.ssl_cafile else None)
        if settings.ssl_certfile is not None:
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"kafka.ssl_*file: {error.strerror or type(error).__name__}") from None
    return context


def client_options(settings: Kafka) -> dict[str, Any]:
    """Keyword arguments of every aiokafka client of this deployment."""
    options: dict[str, Any] = {
        "bootstrap_servers": servers(settings),
        "security_protocol": settings.security_protocol,
        "ssl_context": ssl_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        if settings.sasl_mechanism is None:
            raise SettingsError("kafka.sasl_mechanism: needed by kafka.security_protocol")
        options["sasl_mechanism"] = settings.sasl_mechanism
        secret = settings.sasl_password.get_secret_value()
        if settings.sasl_mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = StaticToken(secret)
        else:
            options["sasl_plain_username"] = settings.sasl_username
            options["sasl_plain_password"] = secret
    return options


def servers(settings: Kafka) -> list[str]:
    return [server.strip() for server in settings.bootstrap.split(",")]


def topics(settings: Kafka) -> list[str]:
    """Every topic the live driver reads or writes."""
    return [
        settings.topic_spans,
        settings.topic_activity,
        settings.topic_dead_letters,
        settings.topic_alerts,
        settings.topic_otlp_spans,
        settings.topic_otlp_logs,
    ]


async def ensure_topics(settings: Kafka) -> dict[str, int]:
    """Create the topics that are missing; the number of partitions of each one.

    Raises SinkUnavailable without a broker, SettingsError when topics cannot be made or are not as set: which
    partition a session belongs to is a function of their number.
    """
    admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        wanted = [
            NewTopic(
                name,
                settings.partitions,
                settings.replication_factor,
                topic_configs={"max.message.bytes": str(MAX_RECORD_BYTES + 2**16)},
            )
            for name in topics(settings)
        ]
        made = await admin.create_topics(wanted)
        _check_made(made.topic_errors)
        found = await _partitions(admin, topics(settings))
    except KafkaError as error:
        raise SinkUnavailable(
            f"broker {settings.bootstrap} (SPANWATCH_KAFKA__BOOTSTRAP): {type(error).__name__}"
        ) from None
    finally:
        await admin.close()
    for name in (settings.topic_spans, settings.topic_activity):
        if found.get(name) != settings.partitions:
            raise SettingsError(
                f"kafka.partitions: topic {name} has {found.get(name, 0)} partitions, {settings.partitions} are set"
            )
    return found


async def _partitions(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Partitions of each topic; a topic just made takes a moment to be known everywhere."""
    found: dict[str, int] = {}
    for _ in range(50):
        found = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics(list(names))}
        if all(found.values()):
            break
        await asyncio.sleep(0.1)
    return found


def _check_made(errors: Sequence[tuple[Any, ...]]) -> None:
    tolerated = (0, TopicAlreadyExistsError.errno, TopicAuthorizationFailedError.errno)  # others may make them for us
    for name, code, *rest in errors:
        if code not in tolerated:
            raise SettingsError(f"topic {name} cannot be made: {rest[0] if rest and rest[0] else f'error {code}'}")


class Producer:
    """Produces and waits for the acknowledgements; replaces its client after a failure.

    aiokafka's idempotent client can end for good after a timeout (a sequence gap), so a failed one is not kept.
    """

    def __init__(self, settings: Kafka, *, max_in_flight: int = 256 * 2**20) -> None:
        self._settings, self._max_in_flight = settings, max_in_flight
        self._client: Any = None  # AIOKafkaProducer ships no types
        self._starting = asyncio.Lock()
        self._failed_at = -math.inf
        self.in_flight = 0

    def check(self) -> None:
        """Raise LogFull or SinkUnavailable when `send` would, without waiting for the broker."""
        if self.in_flight >= self._max_in_flight:
            raise LogFull("more records wait for the broker than may")
        if asyncio.get_running_loop().time() - self._failed_at < PAUSE_SECONDS:
            raise SinkUnavailable(f"broker {self._settings.bootstrap}: failed a moment ago")

    async def start(self) -> None:
        """Raises SinkUnavailable without a broker, SettingsError when the settings cannot work."""
        await self._ready()

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

    async def send(self, messages: Sequence[Message]) -> None:
        """Return when all are acknowledged. Raises LogFull over the bound, SinkUnavailable when one was not."""
        size = sum(len(m.value) for m in messages)
        if self.in_flight and self.in_flight + size > self._max_in_flight:
            raise LogFull("more records wait for the broker than may")
        self.in_flight += size
        client: Any = None
        try:
            client = await self._ready()
            sent = [await client.send(m.topic, m.value, partition=m.partition) for m in messages]
            if sent:
                done, _ = await asyncio.wait(sent)  # gather would cancel what is on its way when we are cancelled
                failed = next((error for one in done if (error := one.exception()) is not None), None)
                if failed is not None:
                    raise failed
        except KafkaError as error:
            self._failed_at = asyncio.get_running_loop().time()
            await self._discard(client)
            raise SinkUnavailable(f"broker {self._settings.bootstrap}: {type(error).__name__}") from None
        finally:
            self.in_flight -= size

    async def _ready(self) -> Any:
        async with self._starting:
            if self._client is not None:
                return self._client
            client = AIOKafkaProducer(
                **client_options(self._settings),
                acks="all",
                enable_idempotence=True,
                max_request_size=MAX_RECORD_BYTES + 2**16,
                max_batch_size=2**18,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
            )
            try:
                await client.start()
            except KafkaError as error:
                self._failed_at = asyncio.get_running_loop().time()
                await client.stop()
                raise SinkUnavailable(f"broker {self._settings.bootstrap}: {type(error).__name__}") from None
            self._client = client
            return client

    async def _discard(self, client: Any) -> None:
        if client is not None and self._client is client:
            self._client = None
            try:
                await asyncio.wait_for(client.stop(), REQUEST_TIMEOUT_MS / 1000)
            except (KafkaError, TimeoutError) as error:
                log.warning("producer did not stop cleanly", reason=type(error).__name__)


def span_messages(
    spans: Sequence[Span], dead_letters: Sequence[DeadLetter], *, topic: str, partitions: int
) -> list[Message]:
    """Records of `spans`: one per partition, more where one would be too large."""
    shares: dict[int, tuple[list[Span], list[DeadLetter]]] = {}
    by_key: dict[str, int] = {}
    for span in spans:
        key = span.session_key
        partition = by_key.get(key)
        if partition is None:
            partition = by_key[key] = partition_of(key, partitions)
        shares.setdefault(partition, ([], []))[0].append(span)
    for letter in dead_letters:
        shares.setdefault(partition_of(letter.id, partitions), ([], []))[1].append(letter)
    return [
        Message(topic, partition, value)
        for partition, (some, letters) in shares.items()
        for value in _split(some, letters)
    ]


def _split(spans: Sequence[Span], letters: Sequence[DeadLetter]) -> list[bytes]:
    value = encode(Entry(spans=spans, dead_letters=letters))
    if len(value) <= SPLIT_BYTES:
        return [value]
    if len(spans) > 1:
        half = len(spans) // 2
        return _split(spans[:half], letters) + _split(spans[half:], ())
    if len(value) <= MAX_RECORD_BYTES:
        return [value]
    return [encode(Entry(dead_letters=[*letters, *(_too_large(span, len(value)) for span in spans)]))]


def _too_large(span: Span, size: int) -> DeadLetter:
    return DeadLetter(
        id=digest("dead", "too_large", span.tenant, span.id),
        reason="too_large",
        detail=f"one span of {size} bytes; a record may have {MAX_RECORD_BYTES}",
        origin="producer",
        tenant=span.tenant,
        emitter=span.resource.emitter,
        size=size,
        fingerprint="",
        received_ns=span.received_ns,
    )


def activity_messages(events: Sequence[Window | Sighting], *, topic: str, partitions: int) -> list[Message]:
    """Records of `activity`: windows by agent, sightings by entity, in order."""
    shares: dict[int, list[Window | Sighting]] = {}
    for event in events:
        key = event.agent_key if isinstance(event, Window) else event.entity_key
        shares.setdefault(partition_of(key, partitions), []).append(event)
    return [
        Message(topic, partition, encode(_activity(some[at : at + ACTIVITY_EVENTS])))
        for partition, some in shares.items()
        for at in range(0, len(some), ACTIVITY_EVENTS)
    ]


def _activity(events: Sequence[Window | Sighting]) -> Activity:
    return Activity(
        windows=tuple(e for e in events if isinstance(e, Window)),
        sightings=tuple(e for e in events if isinstance(e, Sighting)),
    )


def report_messages(block: Block, settings: Kafka, partitions: Mapping[str, int]) -> list[Message]:
    """What of a stored block others read: alerts as Detection Findings, dead letters as JSON."""
    alerts, letters = settings.topic_alerts, settings.topic_dead_letters
    return [
        Message(alerts, partition_of(outcome.id, partitions[alerts]), ocsf.encode(outcome))
        for outcome in block.outcomes
        if isinstance(outcome, Alert)
    ] + [
        Message(letters, partition_of(letter.id, partitions[letters]), msgspec.json.encode(letter))
        for letter in block.dead_letters
    ]


class KafkaIntake:
    """The gateway's intake: masked Spans to the topic `spans`, each session to its own partition.

    Dead letters travel with them; the worker of the partition stores them and copies them to their topic.
    """

    def __init__(self, settings: Kafka) -> None:
        self._settings = settings
        self._producer = Producer(settings)

    async def start(self) -> None:
        """Make the topics and connect. Raises SinkUnavailable without a broker, SettingsError when it refuses."""
        await ensure_topics(self._settings)
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    def check(self) -> None:
        """Raise LogFull or SinkUnavailable when `submit` would: asked before a body is decoded."""
        self._producer.check()

    async def submit(self, spans: Sequence[Span], dead_letters: Sequence[DeadLetter]) -> None:
        """Return when the broker has all of it. Raises LogFull (429) or SinkUnavailable (503)."""
        settings = self._settings
        messages = span_messages(spans, dead_letters, topic=settings.topic_spans, partitions=settings.partitions)
        await self._producer.send(messages)


def gateway_intake(settings: Settings) -> KafkaIntake:
    """What `spanwatch gateway` hands its spans to."""
    return KafkaIntake(settings.kafka)


__all__ = [
    "KafkaIntake",
    "Message",
    "Producer",
    "activity_messages",
    "client_options",
    "ensure_topics",
    "gateway_intake",
    "report_messages",
    "servers",
    "span_messages",
    "ssl_context",
    "topics",
]
