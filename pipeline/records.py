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
_spans = msgspec.msgpack.Decoder(list[Span])


class Activity(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One record of the `activity` topic: what stage one tells stage two about one agent or entity."""

    windows: tuple[Window, ...] = ()
    sightings: tuple[Sighting, ...] = ()


_activity = msgspec.msgpack.Decoder(Activity)


class Record(NamedTuple):
    """One entry of a partition: a batch of Spans (or an Activity) as bytes, at its offset."""

    topic: str
    partition: int
    offset: int
    payload: bytes


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


class Located(NamedTuple):
    """A Span with the place its record had in history."""

    span: Span
    partition: int
    offset: int
    index: int


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one range of offsets of one partition led to: written whole under one token, or redone."""

    topic: str
    partition: int
    first: int
    last: int
    run: str = "live"
    spans: Sequence[Located] = ()
    outcomes: Sequence[Outcome] = ()
    dead_letters: Sequence[DeadLetter] = ()

    @property
    def token(self) -> str:
        """Deduplication token of every insert of this block: equal range, equal token, stored once."""
        return f"{self.run}/{self.topic}/{self.partition}/{self.first}-{self.last}"


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


def encode_spans(spans: Sequence[Span]) -> bytes:
    """A record's payload: MessagePack, zstd level 1."""
    return zstandard.compress(_encoder.encode(spans), 1)


def decode_spans(payload: bytes) -> list[Span]:
    """Spans of a record; DecodeError("record") when the payload is not one of ours."""
    try:
        return _spans.decode(zstandard.decompress(payload))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise DecodeError("record", type(error).__name__) from None


def encode_activity(activity: Activity) -> bytes:
    return zstandard.compress(_encoder.encode(activity), 1)


def decode_activity(payload: bytes) -> Activity:
    """Windows and sightings of a record; DecodeError("record") when the payload is not one of ours."""
    try:
        return _activity.decode(zstandard.decompress(payload))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise DecodeError("record", type(error).__name__) from None
