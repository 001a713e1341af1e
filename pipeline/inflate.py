"""Undoing Content-Encoding without trusting what comes out: bounded in size and in ratio while it inflates."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import zstandard

from pipeline.errors import DecodeError
from pipeline.settings import Gateway

_CHUNK = 1 << 18
_SIP = 256  # a block is at least 4 bytes and at most 128 KiB: no sip of zstd swells beyond 8 MiB
_WINDOW = 1 << 27
_MEMBERS = 1000  # of one body; honest senders make one
_PADDING = re.compile(rb"\0*")
_RATIO_FROM = 1 << 20  # honest telemetry that is small may compress very well


def inflate(body: bytes, content_encoding: str, limits: Gateway) -> bytes:
    """The body as it was before compression.

    Raises DecodeError: "gzip" or "zstd" for damaged or cut-off data, "too_large" and "ratio" for what inflates
    beyond the limits, "encoding" for an encoding we do not know.
    """
    encoding = content_encoding.strip().lower()
    if encoding in ("", "identity"):
        if len(body) > limits.max_body_bytes:
            raise DecodeError("too_large", f"body exceeds {limits.max_body_bytes} bytes")
        return body
    if encoding in ("gzip", "x-gzip"):
        chunks = _gzip(body)
    elif encoding == "zstd":
        chunks = _zstd(body)
    else:
        raise DecodeError("encoding", "content encoding is neither gzip, zstd nor identity")
    out, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > limits.max_body_bytes:
            raise DecodeError("too_large", f"body inflates beyond {limits.max_body_bytes} bytes")
        if size > _RATIO_FROM and size > limits.max_ratio * len(body):
            raise DecodeError("ratio", f"body inflates more than {limits.max_ratio} times")
        out.append(chunk)
    return b"".join(out)


def _gzip(body: bytes) -> Iterator[bytes]:
    """Members of a gzip stream, each checked to its end."""
    at = 0
    for _ in range(_MEMBERS):
        stream = zlib.decompressobj(wbits=31)
        try:
            while not stream.eof:
                piece = body[at : at + _CHUNK]
                at += len(piece)
                ended = not piece
                while (piece or ended) and not stream.eof:
                    chunk = stream.decompress(piece, _CHUNK)
                    piece = stream.unconsumed_tail
                    if ended and not chunk and not stream.eof:
                        raise DecodeError("gzip", "truncated stream")
                    yield chunk
        except zlib.error:
            raise DecodeError("gzip", "damaged stream") from None
        at -= len(stream.unused_data)
        at = _PADDING.match(body, at).end()  # type: ignore[union-attr]  # matches anything
        if at == len(body):
            return
    raise DecodeError("gzip", "too many members")


def _zstd(body: bytes) -> Iterator[bytes]:
    """Frames of a zstd stream, each checked to its end."""
    at = 0
    for _ in range(_MEMBERS):
        stream = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        try:
            while not stream.eof:
                piece = body[at : at + _SIP]
                if not piece:
                    raise DecodeError("zstd", "truncated stream")
                at += len(piece)
                yield stream.decompress(piece)
        except zstandard.ZstdError:
            raise DecodeError("zstd", "damaged stream") from None
        at -= len(stream.unused_data)
        if at == len(body):
            return
    raise DecodeError("zstd", "too many frames")
