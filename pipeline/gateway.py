"""OTLP over HTTP in, and the three pages an operator reads: /healthz, /readyz, /metrics.

The three OTLP paths are plain Starlette routes inside the FastAPI application: they see raw bodies, and FastAPI's
argument handling would cost more than their own HTTP work. Answers follow the OTLP specification to the letter:
which statuses a client retries decides whether its telemetry survives us.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline import answers
from pipeline.answers import SIGNALS, Answer, Encoding, Kind, SignalName
from pipeline.auth import check_bind
from pipeline.errors import DecodeError, SettingsError
from pipeline.ingest import inflate
from pipeline.otlp_grpc import GrpcServer, listener
from pipeline.receiver import Receiver
from pipeline.settings import Gateway
from pipeline.telemetry import Metrics

Ready = Callable[[], Mapping[str, str]]  # part → why it is not ready; empty when all are

MEDIA: dict[str, Encoding] = {"application/x-protobuf": "protobuf", "application/json": "json"}
STATUS: dict[Kind, int] = {
    "ok": 200,
    "unauthenticated": 401,
    "invalid": 400,
    "too_large": 413,
    "unsupported": 415,
    "limited": 429,
    "full": 429,
    "unavailable": 503,
}
MAX_HEAD = 1 << 20  # bytes of request line and headers
READ_SECONDS = 60.0  # a body that takes longer is given up: its sender holds memory of ours
BODIES_AT_ONCE = 4  # times max_body_bytes: bodies being read together
STOP_SECONDS = 5


class _Busy(Exception):
    """Too many bodies are being read at once."""


class _Bodies:
    """Reads request bodies, each and all together within bounds."""

    def __init__(self, max_bytes: int) -> None:
        self._max, self._held = max_bytes, 0

    async def read(self, request: Request) -> bytes:
        """The whole body. DecodeError("too_large") past the cap, TimeoutError, ClientDisconnect, _Busy."""
        chunks: list[bytes] = []
        size = dropped = 0
        try:
            async with asyncio.timeout(READ_SECONDS):
                async for chunk in request.stream():
                    if dropped or size + len(chunk) > self._max:
                        # Read on a little: a client that is cut off while sending never sees the answer.
                        dropped += len(chunk)
                        if dropped > self._max:
                            break
                        continue
                    if self._held + len(chunk) > BODIES_AT_ONCE * self._max:
                        raise _Busy
                    self._held += len(chunk)
                    size += len(chunk)
                    chunks.append(chunk)
        finally:
            self._held -= size
        if dropped:
            raise DecodeError("too_large", f"the body is over {self._max} bytes")
        return b"".join(chunks)


def create_app(receiver: Receiver, metrics: Metrics, ready: Ready) -> FastAPI:
    """The application; `receiver` does the work, this knows HTTP."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)  # a redirect quotes the URL
    bodies = _Bodies(receiver.limits.max_body_bytes)

    def endpoint(signal: SignalName) -> Callable[[Request], Awaitable[Response]]:
        async def export(request: Request) -> Response:
            encoding = MEDIA.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
            try:
                answer = await _answer(receiver, bodies, request, signal, encoding)
            except ClientDisconnect:
                answer = Answer("unavailable", "the client hung up", retry_after=1)
            except Exception as error:  # noqa: BLE001  # the last resort: exporters drop the batch on a 500
                answer = receiver.unexpected(error)
            metrics.requests.labels("http", signal, answer.kind).inc()
            return _response(answer, signal, encoding or "json")

        return export

    for signal in SIGNALS:
        app.add_route(f"/v1/{signal}", endpoint(signal), methods=["POST"])

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        reasons = dict(ready())
        body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        return JSONResponse(body, status_code=503 if reasons else 200)

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)

    return app


async def _answer(
    receiver: Receiver, bodies: _Bodies, request: Request, signal: SignalName, encoding: Encoding | None
) -> Answer:
    identity = receiver.admit(request.headers.get("authorization"))
    if isinstance(identity, Answer):
        return identity
    if encoding is None:
        return Answer("unsupported", "Content-Type must be application/x-protobuf or application/json")
    body = b""
    try:
        body = await bodies.read(request)
        receiver.metrics.request_bytes.labels("http", signal).inc(len(body))
        plain = inflate(body, request.headers.get("content-encoding", ""), receiver.limits)
    except DecodeError as error:
        return await receiver.refuse_body(signal, body, error, identity, "http")
    except (TimeoutError, _Busy):
        return Answer("unavailable", "the body could not be read now", retry_after=receiver.limits.retry_after_seconds)
    return await receiver.receive(signal, plain, encoding, identity, "http")


def _response(answer: Answer, signal: SignalName, encoding: Encoding) -> Response:
    headers = {"Retry-After": str(answer.retry_after)} if answer.retry_after else {}
    if answer.kind == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    if answer.kind == "too_large":
        headers["Connection"] = "close"  # what is left of the body is not read
    media = "application/json" if encoding == "json" else "application/x-protobuf"
    return Response(answers.body(answer, signal, encoding), STATUS[answer.kind], headers, media)


class _Protocol(HttpToolsProtocol):
    """HTTP that gives up a request whose head does not end: it is read before anybody is asked for a token."""

    _head = 0  # bytes of a head not yet complete
    _in_head = True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()


class _Uvicorn(uvicorn.Server):
    """Leaves the process's signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Ports(NamedTuple):
    """Where the gateway listens; `grpc` is 0 when OTLP/gRPC is off."""

    http: int
    grpc: int


class GatewayServer:
    """HTTP and gRPC of one gateway in the running event loop."""

    def __init__(self, receiver: Receiver, settings: Gateway, metrics: Metrics, ready: Ready) -> None:
        self._settings, self._receiver = settings, receiver
        app = create_app(receiver, metrics, ready)
        self._http = _Uvicorn(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._grpc = GrpcServer(receiver, settings, metrics) if settings.grpc_port >= 0 else None
        self._task: asyncio.Task[None] | None = None
        self.ports = Ports(0, 0)

    async def start(self) -> Ports:
        """Listen. Raises SettingsError when an address is not allowed or not free."""
        host, port = self._settings.host, self._settings.port
        check_bind(host, self._receiver.tokens)
        http = listener(host, port, "gateway.port")
        try:
            grpc_port = await self._grpc.start() if self._grpc else 0
        except SettingsError:
            http.close()
            raise
        self._task = asyncio.create_task(self._http.serve(sockets=[http]))
        while not self._http.started:
            if self._task.done():
                await self._task
                raise SettingsError(f"gateway {host}:{port}: could not start")
            await asyncio.sleep(0.005)
        self.ports = Ports(int(http.getsockname()[1]), grpc_port)
        return self.ports

    async def stop(self) -> None:
        """Answer what is in flight, then close."""
        if self._grpc:
            await self._grpc.stop(STOP_SECONDS)
        self._http.should_exit = True
        if self._task:
            await self._task


__all__ = ["GatewayServer", "Ports", "Ready", "create_app"]
