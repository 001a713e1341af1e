"""What travels between the parts: records of a partition, blocks for the sink, checkpoints, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

import msgspec
import zstandard

from detectors.model import Outcome, Sighting, Span, Window
from pipeline.errors import DecodeError

_encoder = msgspec.msgpack.Encoder()


class Activity(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One record of the `activity` topic: what stage one tells stage two about one agent or entity."""

    windows: tuple[Window, ...] = ()
    sightings: tuple[Sighting, ...] = ()


_activity = msgspec.msgpack.Decoder(Activity)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Input that could not become Spans. Never holds the input: it may hold secrets nobody could find in it.

    `origin` is an endpoint ("http:/v1/traces", "grpc:traces") or "topic/partition/offset"; `size` its bytes;
    `fingerprint` the keyed hash of the bytes, so that a resent payload is recognised.
    """

    id: str
    reason: str
    detail: str
    origin: str
    tenant: str
    emitter: str
    size: int
    fingerprint: str
    received_ns: int


class Entry(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One record of the `spans` topic or the embedded log: Spans of one partition, and what could not become any."""

    spans: Sequence[Span] = ()
    dead_letters: Sequence[DeadLetter] = ()


class Record(NamedTuple):
    """One entry of a partition at its offset: bytes, or what they decode to where the driver still holds it."""

    topic: str
    partition: int
    offset: int
    payload: bytes | Entry | Activity


class Located(NamedTuple):
    """A Span with the place its record had in history."""

    span: Span
    partition: int
    offset: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls on a place


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one range of offsets of one partition led to: written whole under one token, or redone."""

    topic: str
    partition: int
    first: int
    last: int
    run: str = "live"
    tick_ns: int = 0  # set: outcomes of the clock, not of records; no range, no plan
    spans: Sequence[Located] = ()
    outcomes: Sequence[Outcome] = ()
    dead_letters: Sequence[DeadLetter] = ()

    @property
    def token(self) -> str:
        """Deduplication token of every insert of this block: equal range, equal token, stored once."""
        range_ = f"tick-{self.tick_ns}" if self.tick_ns else f"{self.first}-{self.last}"
        return f"{self.run}/{self.topic}/{self.partition}/{range_}"


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """State of one partition's engine together with the offset it stands for, one value, written whole."""

    topic: str
    partition: int
    next_offset: int
    state: bytes
    rules_hash: str = ""
    saved_ns: int = 0


class Sink(Protocol):
    """Where blocks go. Raises SinkUnavailable or SinkRejected, nothing else."""

    def write(self, block: Block) -> None:
        """Store the block; a block written twice with equal token is stored once."""
        ...

    def planned(self, topic: str, partition: int, from_offset: int) -> list[tuple[int, int]]:
        """Ranges (first, last) begun at or after `from_offset` before a restart, ascending: to be redone as cut."""
        ...


class StateStore(Protocol):
    """Where checkpoints live."""

    def load(self, topic: str, partition: int) -> Checkpoint | None: ...

    def save(self, checkpoint: Checkpoint) -> None: ...


def partition_of(key: str, partitions: int) -> int:
    """Partition of a session, agent or entity key; chosen by us, so a client's hash can never change it."""
    return crc32(key.encode("utf-8", "surrogatepass")) % partitions


_entry = msgspec.msgpack.Decoder(Entry)


def encode(value: Entry | Activity) -> bytes:
    """A record's payload: MessagePack, zstd level 1."""
    return zstandard.compress(_encoder.encode(value), 1)


def decode_entry(payload: bytes) -> Entry:
    """Spans and dead letters of a record; DecodeError("record") when the payload is not one of ours."""
    try:
        return _entry.decode(zstandard.decompress(payload))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise DecodeError("record", type(error).__name__) from None


def decode_activity(payload: bytes) -> Activity:
    """Windows and sightings of a record; DecodeError("record") when the payload is not one of ours."""
    try:
        return _activity.decode(zstandard.decompress(payload))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise DecodeError("record", type(error).__name__) from None
