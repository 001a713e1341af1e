"""What happens to an OTLP body once a transport has read it; the same for HTTP and gRPC.

Identify, limit, decode and mask, hand over, answer. Every outcome is an `Answer`; nothing is raised to the
transport, because an unexpected error must become "try again later" and never "give up": exporters throw away
the batch they get a 500 for.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec
import structlog
from google.protobuf.message import DecodeError as ProtobufError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from detectors.model import Span
from pipeline.answers import Answer, Encoding, Kind, SignalName, Transport
from pipeline.auth import Identity, Tokens
from pipeline.errors import DecodeError, LogFull, SinkUnavailable
from pipeline.ingest import Ingest
from pipeline.records import DeadLetter
from pipeline.settings import Gateway
from pipeline.telemetry import Metrics, failure

log = structlog.get_logger()

HANDOVER_SECONDS = 10.0  # exporters give up after ten seconds themselves
TOO_LARGE = frozenset({"too_large", "ratio"})


class Intake(Protocol):
    """Where masked spans are handed over durably."""

    async def submit(self, spans: Sequence[Span], dead_letters: Sequence[DeadLetter]) -> None:
        """Return once they are safe. Raises LogFull or SinkUnavailable, and then the client keeps them."""
        ...


class Bucket:
    """Requests of one emitter: `rate` per second with a burst of two seconds' worth."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate, self.burst = rate, max(1.0, 2 * rate)
        self.left, self.at = self.burst, now

    def wait(self, now: float) -> float:
        """Take one request; seconds until one is free when none is."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / self.rate


class Receiver:
    """One gateway's receiving side, shared by its transports. Time is an argument so that tests own it.

    `check` raises LogFull or SinkUnavailable when a hand-over would: asked before a body is read, so that
    refusing costs little just when there is too much to do.
    """

    def __init__(
        self,
        ingest: Ingest,
        intake: Intake,
        tokens: Tokens,
        limits: Gateway,
        metrics: Metrics,
        *,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.limits, self.metrics = limits, metrics
        self.tokens = tokens
        self._ingest, self._intake = ingest, intake
        self._check, self._clock, self._now_ns = check, clock, now_ns
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def admit(self, authorization: str | None) -> Identity | Answer:
        """Who sends, or why nothing is taken from them now. Costs no look at the body."""
        identity = self.tokens.identify(authorization)
        if identity is None:
            return Answer("unauthenticated", "a known bearer token is needed")
        if wait := self._over_rate(identity):
            return Answer("limited", "over the emitter's request rate", retry_after=max(1, math.ceil(wait)))
        try:
            self._check()
        except (LogFull, SinkUnavailable) as error:
            return self._busy(error)
        return identity

    async def receive(
        self, signal: SignalName, body: bytes, encoding: Encoding, identity: Identity, transport: Transport
    ) -> Answer:
        """Decode, mask, hand over; never raises."""
        started = self._clock()
        try:
            if signal == "metrics":
                return self._count_points(body, encoding)
            return await self._take(signal, body, encoding, identity, transport)
        except DecodeError as error:
            return await self.refuse_body(signal, body, error, identity, transport)
        except (LogFull, SinkUnavailable) as error:
            return self._busy(error)
        except Exception as error:  # noqa: BLE001  # the last resort: unexpected is "later", never "give up"
            return self.unexpected(error)
        finally:
            self.metrics.request_seconds.labels(signal).observe(max(0.0, self._clock() - started))

    async def refuse_body(
        self, signal: SignalName, body: bytes, error: DecodeError, identity: Identity, transport: Transport
    ) -> Answer:
        """The answer to a body nobody can use, which is remembered as a dead letter where that is possible."""
        self.metrics.records_rejected.labels(signal, error.reason).inc()
        kind: Kind = "too_large" if error.reason in TOO_LARGE else "invalid"
        if error.reason == "encoding":
            kind = "unsupported"
        elif signal != "metrics":
            letter = self._ingest.dead_letter(
                body,
                error,
                tenant=identity.tenant,
                emitter=identity.emitter,
                received_ns=self._now_ns(),
                origin=f"{transport}:{signal}",
            )
            try:
                await asyncio.wait_for(self._intake.submit([], [letter]), HANDOVER_SECONDS)
            except (LogFull, SinkUnavailable, TimeoutError) as unable:
                log.warning("dead letter not kept", reason=error.reason, because=type(unable).__name__)
        return Answer(kind, str(error))

    def unexpected(self, error: BaseException) -> Answer:
        """503 for what nobody foresaw, counted and logged by type and place only."""
        self.metrics.request_errors.labels(type(error).__name__).inc()
        log.error("request failed", **failure(error))
        return Answer("unavailable", "internal failure, try again", retry_after=self.limits.retry_after_seconds)

    async def _take(
        self,
        signal: Literal["traces", "logs"],
        body: bytes,
        encoding: Encoding,
        identity: Identity,
        transport: Transport,
    ) -> Answer:
        decode = self._ingest.traces if signal == "traces" else self._ingest.logs
        got = decode(
            body,
            encoding,
            tenant=identity.tenant,
            emitter=identity.emitter,
            received_ns=self._now_ns(),
            origin=f"{transport}:{signal}",
        )
        if got.spans or got.dead_letters:
            try:
                await asyncio.wait_for(self._intake.submit(got.spans, got.dead_letters), HANDOVER_SECONDS)
            except TimeoutError:
                raise SinkUnavailable("the hand-over took too long") from None
        self.metrics.records_accepted.labels(signal).inc(len(got.spans))
        if not got.dead_letters:
            return Answer("ok")
        reasons = Counter(letter.reason for letter in got.dead_letters)
        for reason, count in reasons.items():
            self.metrics.records_rejected.labels(signal, reason).inc(count)
        listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        return Answer("ok", f"records kept as dead letters: {listed}", rejected=len(got.dead_letters))

    def _count_points(self, body: bytes, encoding: Encoding) -> Answer:
        self.metrics.points_dropped.inc(_points_json(body) if encoding == "json" else _points(body))
        return Answer("ok")

    def _over_rate(self, identity: Identity) -> float:
        if not identity.limit:
            return 0.0
        now, name = self._clock(), (identity.tenant, identity.emitter)
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate != identity.limit:
            bucket = self._buckets[name] = Bucket(identity.limit, now)
        return bucket.wait(now)

    def _busy(self, error: LogFull | SinkUnavailable) -> Answer:
        full = isinstance(error, LogFull)
        message = "the log is full" if full else "the hand-over is not possible now"
        return Answer("full" if full else "unavailable", message, retry_after=self.limits.retry_after_seconds)


def _points(body: bytes) -> int:
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except ProtobufError:
        raise DecodeError("protobuf", "not an ExportMetricsServiceRequest") from None
    count = 0
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                count += len(getattr(metric, kind).data_points) if kind else 0
    return count


class _Data(msgspec.Struct, frozen=True, rename={"data_points": "dataPoints"}):
    data_points: list[msgspec.Raw] | None = None


class _Metric(msgspec.Struct, rename={"exponential_histogram": "exponentialHistogram"}):
    gauge: _Data | None = None
    sum: _Data | None = None
    histogram: _Data | None = None
    exponential_histogram: _Data | None = None
    summary: _Data | None = None


class _Scope(msgspec.Struct):
    metrics: list[_Metric] | None = None


class _Resource(msgspec.Struct, rename={"scope_metrics": "scopeMetrics"}):
    scope_metrics: list[_Scope] | None = None


class _Request(msgspec.Struct, rename={"resource_metrics": "resourceMetrics"}):
    resource_metrics: list[_Resource] | None = None


def _points_json(body: bytes) -> int:
    try:
        request = msgspec.json.decode(body, type=_Request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError("json", type(error).__name__) from None
    return sum(
        len(data.data_points)
        for resource in request.resource_metrics or ()
        for scope in resource.scope_metrics or ()
        for metric in scope.metrics or ()
        for data in (metric.gauge, metric.sum, metric.histogram, metric.exponential_histogram, metric.summary)
        if data and data.data_points
    )
