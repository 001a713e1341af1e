"""OTLP over gRPC in: the same bytes on the same way as over HTTP, with gRPC's words for the answers."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from pipeline import answers
from pipeline.answers import Answer, Kind, SignalName
from pipeline.errors import SettingsError
from pipeline.receiver import Receiver
from pipeline.settings import Gateway
from pipeline.telemetry import Metrics

SERVICES: dict[SignalName, str] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
CODES: dict[Kind, grpc.StatusCode] = {
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "too_large": grpc.StatusCode.RESOURCE_EXHAUSTED,  # without RetryInfo: not to be sent again
    "unsupported": grpc.StatusCode.UNIMPLEMENTED,
    "limited": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}
Call = Callable[[bytes, Any], Awaitable[bytes]]


class GrpcServer:
    """The three Export services with raw bytes for messages: Ingest decodes them, not gRPC."""

    def __init__(self, receiver: Receiver, settings: Gateway, metrics: Metrics) -> None:
        self._receiver, self._settings, self._metrics = receiver, settings, metrics
        self._server: grpc.aio.Server | None = None

    async def start(self) -> int:
        """Listen; the port. Raises SettingsError when the address is not free."""
        self._server = server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._settings.max_body_bytes),  # also after decompression
                ("grpc.so_reuseport", 0),
            ]
        )
        for signal, service in SERVICES.items():
            handler = grpc.unary_unary_rpc_method_handler(self._export(signal))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        listener(self._settings.host, self._settings.grpc_port, "gateway.grpc_port").close()  # gRPC never says why not
        try:
            port = server.add_insecure_port(f"{host}:{self._settings.grpc_port}")
        except RuntimeError:
            raise SettingsError(f"gateway.grpc_port: {host}:{self._settings.grpc_port}: address not free") from None
        await server.start()
        return int(port)

    async def stop(self, grace: float) -> None:
        if self._server is not None:
            await self._server.stop(grace)

    def _export(self, signal: SignalName) -> Call:
        async def export(body: bytes, context: Any) -> bytes:
            try:
                answer = await self._answer(signal, body, context.invocation_metadata())
            except Exception as error:  # noqa: BLE001  # the last resort: "later" keeps the client's batch alive
                answer = self._receiver.unexpected(error)
            self._metrics.requests.labels("grpc", signal, answer.kind).inc()
            if answer.kind == "ok":
                return answers.body(answer, signal, "protobuf")
            code = CODES[answer.kind]
            await context.abort(code, answer.message, trailing_metadata=_details(code, answer))
            raise AssertionError("abort raises")

        return export

    async def _answer(self, signal: SignalName, body: bytes, metadata: Sequence[tuple[str, Any]]) -> Answer:
        authorization = next((value for key, value in metadata if key == "authorization"), None)
        identity = self._receiver.admit(authorization)
        if isinstance(identity, Answer):
            return identity
        self._metrics.request_bytes.labels("grpc", signal).inc(len(body))
        return await self._receiver.receive(signal, body, "protobuf", identity, "grpc")


def listener(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Raises SettingsError that names the setting, the address and the system's reason."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        hint = "; stop what listens there, or set another port" if number == errno.EADDRINUSE else ""
        raise SettingsError(f"{setting}: {host}:{port}: {reason}{hint}") from None


def _details(code: grpc.StatusCode, answer: Answer) -> tuple[tuple[str, bytes], ...]:
    """RetryInfo for what may be sent again: without it a client gives up on RESOURCE_EXHAUSTED."""
    if not answer.retry_after:
        return ()
    status = status_pb2.Status(code=code.value[0], message=answer.message)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=answer.retry_after)))
    return (("grpc-status-details-bin", status.SerializeToString()),)
