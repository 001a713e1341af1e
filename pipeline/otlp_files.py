"""OTLP requests out of files: JSON documents, JSON lines, protobuf and framed protobuf, plain or compressed.

One reader for `detect` and for replay from files. It holds one request at a time; what cannot be a request becomes
a `Broken` with the place and the reason, never with the input, and the rest of the file is still read.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import zstandard
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError as ProtobufError
from google.protobuf.unknown_fields import UnknownFieldSet

Signal: TypeAlias = Literal["traces", "logs"]

STDIN = Path("-")
SUFFIXES = (".json", ".jsonl", ".ndjson", ".otlp", ".pb", ".binpb")
UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_VARINT, _FIXED64, _LEN = 0, 1, 2  # protobuf wire types
_BLANK = b" \t\r\n"


class Payload(NamedTuple):
    """One request as it stood in the file."""

    where: str
    encoding: Literal["protobuf", "json"]
    signal: Signal
    body: bytes


class Broken(NamedTuple):
    """A line, frame or file that is no request; `foreign` when it is sound but of another kind."""

    where: str
    reason: str
    foreign: bool = False


class _Envelope(msgspec.Struct):
    """Which signals a JSON request holds, without decoding them."""

    spans: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="resourceSpans")
    logs: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="resourceLogs")


_envelope = msgspec.json.Decoder(_Envelope)


def find(paths: list[Path]) -> list[Path]:
    """The files to read, in a fixed order: named ones as named, folders by the suffixes of OTLP files."""
    found: list[Path] = []
    for path in paths:
        if path == STDIN or not path.is_dir():
            found.append(path)
        else:
            names = (p for p in sorted(path.rglob("*")) if p.is_file())
            found += [p for p in names if p.name.removesuffix(".gz").removesuffix(".zst").endswith(SUFFIXES)]
    return found


class File:
    """One input, opened: iterate over it for its requests."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.name = "stdin" if path == STDIN else str(path)
        self._max = max_bytes
        self._raw: Any = sys.stdin.buffer if path == STDIN else path.open("rb")

    @property
    def position(self) -> int:
        """How many bytes of the file were taken so far; 0 for a pipe."""
        return int(self._raw.tell()) if self._raw.seekable() else 0

    def close(self) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[Payload | Broken]:
        try:
            stream = unpacked(self._raw)
            head = stream.peek(64)[:64]
            text = head.lstrip(_BLANK)
            if not text or (text[:1] == b"{" and text[1:].lstrip(_BLANK)[:1] in (b'"', b"}", b"")):
                yield from self._json(stream)
            elif head[:1] == b"\x00":
                yield from self._framed(stream)
            else:
                yield from self._protobuf(stream)
        except UNREADABLE as error:
            yield Broken(self.name, f"unreadable ({type(error).__name__})")

    # ------------------------------------------------------------------ JSON
    def _json(self, stream: io.BufferedReader) -> Iterator[Payload | Broken]:
        """JSON lines, unless the first line is the beginning of one long document."""
        number, first = 1, stream.readline(self._max + 1)
        while first and not first.strip():
            number, first = number + 1, stream.readline(self._max + 1)
        if not first:
            return
        envelope = _decoded(first)
        if envelope is not None or not stream.peek(1):
            yield from _requests(f"{self.name}:{number}", first, envelope)
            yield from self._lines(stream, number + 1)
            return
        rest = stream.read(max(self._max - len(first) + 1, 0))
        document = first + rest
        if rest.lstrip(_BLANK).startswith(b'{"'):  # a broken first line of many
            yield Broken(f"{self.name}:{number}", "not JSON")
            yield from self._lines(_joined(rest, stream), number + 1)
        elif len(document) > self._max:
            yield Broken(self.name, f"a document of more than {self._max:,} bytes")
        else:
            yield from _requests(self.name, document, _decoded(document))

    def _lines(self, stream: io.BufferedReader, number: int) -> Iterator[Payload | Broken]:
        while line := stream.readline(self._max + 1):
            where = f"{self.name}:{number}"
            if len(line) > self._max:
                yield Broken(where, f"a line of more than {self._max:,} bytes")
                while line and not line.endswith(b"\n"):
                    line = stream.readline(self._max + 1)
            elif line.strip():
                yield from _requests(where, line, _decoded(line))
            number += 1

    # ------------------------------------------------------------------ protobuf
    def _protobuf(self, stream: io.BufferedReader) -> Iterator[Payload | Broken]:
        """One bare request, or requests each behind its length as a varint."""
        body = stream.read(self._max + 1)
        parts = _parts(body) if len(body) <= self._max else []
        if parts and all((number, wire) == (1, _LEN) for number, wire, _ in parts):
            yield from _framed_request(self.name, body)
            return
        joined, number = _joined(body, stream), 1
        while joined.peek(1):
            where = f"{self.name}#{number}"
            size = _varint(joined)
            if size is None:
                yield Broken(where, "not a length")
                return
            yield from self._frame(where, joined, size)
            number += 1

    def _framed(self, stream: io.BufferedReader) -> Iterator[Payload | Broken]:
        """Requests each behind its length in four bytes, big-endian, as the Collector's file exporter writes them."""
        number = 1
        while size := stream.read(4):
            yield from self._frame(f"{self.name}#{number}", stream, int.from_bytes(size))
            number += 1

    def _frame(self, where: str, stream: io.BufferedReader, size: int) -> Iterator[Payload | Broken]:
        if size > self._max:
            yield Broken(where, f"a frame of more than {self._max:,} bytes")
            while size and (passed := stream.read(min(size, 2**20))):
                size -= len(passed)
            return
        body = stream.read(size)
        if len(body) < size:
            yield Broken(where, "the frame ends early")
            return
        if body.startswith(_ZSTD):
            try:
                body = zstandard.ZstdDecompressor().stream_reader(body).read(self._max + 1)
            except zstandard.ZstdError:
                yield Broken(where, "not zstd")
                return
        if len(body) > self._max:
            yield Broken(where, f"a frame of more than {self._max:,} bytes")
        else:
            yield from _framed_request(where, body)


def unpacked(stream: Any) -> io.BufferedReader:
    """The stream itself, or what its gzip or zstd frames hold."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)
    magic = buffered.peek(4)
    inner: Any = None
    if magic.startswith(_GZIP):
        inner = gzip.GzipFile(fileobj=buffered)
    elif magic.startswith(_ZSTD):
        inner = zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True, closefd=False)
    return buffered if inner is None else io.BufferedReader(inner, 2**20)


class _Joined(io.RawIOBase):
    """Bytes already taken from a stream, then the rest of it."""

    def __init__(self, head: bytes, tail: io.BufferedReader) -> None:
        self._head, self._tail = io.BytesIO(head), tail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head.read(len(buffer)) or self._tail.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _joined(head: bytes, tail: io.BufferedReader) -> io.BufferedReader:
    return io.BufferedReader(_Joined(head, tail), 2**16)


def _decoded(text: bytes) -> _Envelope | None:
    try:
        return _envelope.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _requests(where: str, text: bytes, envelope: _Envelope | None) -> Iterator[Payload | Broken]:
    if envelope is None:
        yield Broken(where, "not JSON")
        return
    if envelope.spans:
        yield Payload(where, "json", "traces", text)
    if envelope.logs:
        yield Payload(where, "json", "logs", text)
    if not envelope.spans and not envelope.logs:
        yield Broken(where, "JSON without resourceSpans or resourceLogs", foreign=True)


def _framed_request(where: str, body: bytes) -> Iterator[Payload | Broken]:
    if body[:1] == b"{":
        yield from _requests(where, body, _decoded(body))
    elif body and not _parts(body):
        yield Broken(where, "neither JSON nor protobuf")
    elif signal := _signal(body):
        yield Payload(where, "protobuf", signal, body)
    else:
        yield Broken(where, "protobuf without spans or logs", foreign=True)


def _parts(body: bytes) -> list[tuple[int, int, Any]]:
    """Top-level fields of a protobuf message as (number, wire type, data); empty when it is none."""
    try:
        fields: Any = UnknownFieldSet(Empty.FromString(body))
    except ProtobufError:
        return []
    return [(f.field_number, f.wire_type, f.data) for f in fields]


def _inside(parts: list[tuple[int, int, Any]], number: int) -> Iterator[list[tuple[int, int, Any]]]:
    for found, wire, data in parts:
        if found == number and wire == _LEN:
            yield _parts(data)


def _signal(body: bytes) -> Signal | None:
    """Traces or logs: the two requests have one shape down to the record, where the wire types differ."""
    for resource in _inside(_parts(body), 1):
        for scope in _inside(resource, 2):
            for record in _inside(scope, 2):
                wires = {number: wire for number, wire, _ in record}
                if wires.get(1) == _LEN and (wires.get(2) == _LEN or _FIXED64 in (wires.get(7), wires.get(8))):
                    lengths = {number: len(data) for number, wire, data in record if wire == _LEN}
                    return "traces" if lengths[1] == 16 else None  # else a metric, which starts with its name
                if _FIXED64 in (wires.get(1), wires.get(11)) or wires.get(2) == _VARINT or wires.get(9) == _LEN:
                    return "logs"
    return None


def _varint(stream: io.BufferedReader) -> int | None:
    """A length; None where there is none."""
    value = shift = 0
    while shift < 35 and (byte := stream.read(1)):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    return None
