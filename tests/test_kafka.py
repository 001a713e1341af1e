"""The broker side: settings become client options, topics are made as set, a session stays in its partition."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from detectors.model import Span
from pipeline import kafka
from pipeline.errors import LogFull, SettingsError, SinkUnavailable
from pipeline.records import DeadLetter, decode_entry, partition_of
from pipeline.settings import Kafka
from tests.kafka_broker import Broker, free_ports, own_topics, read
from tests.make import span


@asynccontextmanager
async def intake(settings: Kafka) -> AsyncIterator[kafka.KafkaIntake]:
    running = kafka.KafkaIntake(settings)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


def letter(seq: int) -> DeadLetter:
    return DeadLetter(
        id=f"letter-{seq}",
        reason="protobuf",
        detail="",
        origin="http:/v1/traces",
        tenant="default",
        emitter="",
        size=3,
        fingerprint="",
        received_ns=1,
    )


def many(sessions: int, each: int, **changes: object) -> list[Span]:
    return [span(seq, session=f"s{s}", **changes) for seq in range(each) for s in range(sessions)]


def test_plaintext_needs_no_credentials() -> None:
    options = kafka.client_options(Kafka(bootstrap="a:1, b:2"))
    assert options == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT", "ssl_context": None}


def test_sasl_over_tls_passes_through() -> None:
    settings = Kafka(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="spanwatch",
        sasl_password="<password>",
    )
    options = kafka.client_options(settings)
    assert isinstance(options["ssl_context"], ssl.SSLContext)
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("spanwatch", "<password>")


def test_oauth_hands_the_token_over() -> None:
    settings = Kafka(security_protocol="SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", sasl_password="<token>")
    options = kafka.client_options(settings)
    assert options["ssl_context"] is None
    assert asyncio.run(options["sasl_oauth_token_provider"].token()) == "<token>"


def test_wrong_security_settings_are_refused_before_any_connection(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="sasl_mechanism"):
        kafka.client_options(Kafka(security_protocol="SASL_SSL"))
    with pytest.raises(SettingsError, match="ssl"):
        kafka.client_options(Kafka(security_protocol="SSL", ssl_cafile=tmp_path / "absent.pem"))


def test_one_record_per_partition_and_every_session_in_its_own() -> None:
    spans = many(20, 5)
    messages = kafka.span_messages(spans, [letter(1)], topic="spans", partitions=4)
    assert len(messages) == len({m.partition for m in messages}) == 4
    entries = {m.partition: decode_entry(m.value) for m in messages}
    assert sorted(s.id for e in entries.values() for s in e.spans) == sorted(s.id for s in spans)
    for partition, entry in entries.items():
        assert {partition_of(s.session_key, 4) for s in entry.spans} <= {partition}
        for session in {s.session_id for s in entry.spans}:
            here = [s.id for s in entry.spans if s.session_id == session]
            assert here == [s.id for s in spans if s.session_id == session]
    assert [d.id for e in entries.values() for d in e.dead_letters] == ["letter-1"]


def noise(size: int, seed: int) -> str:
    """Text that does not compress to much less than half."""
    return random.Random(seed).randbytes(size // 2).hex()


def test_a_large_share_is_split_and_keeps_its_order() -> None:
    spans = [span(seq, attributes={"blob": noise(400_000, seq)}) for seq in range(12)]
    messages = kafka.span_messages(spans, [], topic="spans", partitions=4)
    assert len(messages) > 1
    assert all(len(m.value) <= kafka.SPLIT_BYTES for m in messages)
    assert [s.id for m in messages for s in decode_entry(m.value).spans] == [s.id for s in spans]


def test_a_span_no_record_can_hold_becomes_a_dead_letter_and_the_rest_stays() -> None:
    huge = span(1, attributes={"blob": noise(2 * kafka.MAX_RECORD_BYTES + 2**20, 1)})
    messages = kafka.span_messages([span(0), huge, span(2)], [], topic="spans", partitions=1)
    entries = [decode_entry(m.value) for m in messages]
    assert [s.id for e in entries for s in e.spans] == [span(0).id, span(2).id]
    assert [d.reason for e in entries for d in e.dead_letters] == ["too_large"]


@pytest.mark.kafka
def test_topics_are_made_once_and_as_set(broker: Broker) -> None:
    settings = own_topics(broker.bootstrap, partitions=3)

    async def run() -> list[dict[str, int]]:
        return [await kafka.ensure_topics(settings), await kafka.ensure_topics(settings)]

    first, second = asyncio.run(run())
    assert first == second == dict.fromkeys(kafka.topics(settings), 3)


@pytest.mark.kafka
def test_a_topic_with_other_partitions_is_refused(broker: Broker) -> None:
    """Which partition a session belongs to must not change silently."""
    settings = own_topics(broker.bootstrap, partitions=3)
    asyncio.run(kafka.ensure_topics(settings))
    with pytest.raises(SettingsError, match="has 3 partitions, 4 are set"):
        asyncio.run(kafka.ensure_topics(settings.model_copy(update={"partitions": 4})))


@pytest.mark.kafka
def test_what_submit_accepted_is_in_the_topic(broker: Broker) -> None:
    settings = own_topics(broker.bootstrap)
    spans = [*many(20, 5), span(999, attributes={"blob": noise(3 * 2**20, 1)})]

    async def run() -> list[tuple[int, int, bytes]]:
        async with intake(settings) as gateway:
            await asyncio.gather(gateway.submit(spans[:50], [letter(1)]), gateway.submit(spans[50:], []))
        return await read(settings, settings.topic_spans)

    found = [(partition, decode_entry(value)) for partition, _, value in asyncio.run(run())]
    assert sorted(s.id for _, e in found for s in e.spans) == sorted(s.id for s in spans)
    assert [d.id for _, e in found for d in e.dead_letters] == ["letter-1"]
    assert all(partition_of(s.session_key, 4) == partition for partition, e in found for s in e.spans)


@pytest.mark.kafka
def test_a_full_producer_says_so_and_takes_again_later(broker: Broker) -> None:
    settings = own_topics(broker.bootstrap)

    async def run() -> None:
        await kafka.ensure_topics(settings)
        producer = kafka.Producer(settings, max_in_flight=1000)
        message = kafka.Message(settings.topic_spans, 0, b"x" * 800)
        first = asyncio.create_task(producer.send([message]))
        await asyncio.sleep(0)
        with pytest.raises(LogFull):
            await producer.send([message])
        await first
        await producer.send([message])
        await producer.stop()

    asyncio.run(run())
    assert len(asyncio.run(read(settings, settings.topic_spans))) == 2


def test_no_broker_is_unavailable_not_an_error_of_the_library() -> None:
    port = free_ports(1)[0]

    async def run() -> None:
        with pytest.raises(SinkUnavailable):
            await kafka.KafkaIntake(Kafka(bootstrap=f"127.0.0.1:{port}")).start()
        with pytest.raises(SinkUnavailable):
            await kafka.Producer(Kafka(bootstrap=f"127.0.0.1:{port}")).send([kafka.Message("spans", 0, b"")])

    asyncio.run(run())
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
