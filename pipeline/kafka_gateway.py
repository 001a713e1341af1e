"""The gateway as a process of its own: OTLP in, masked, to Kafka; it detects nothing and stores nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import structlog
import uvloop

from pipeline import build, garbage, kafka
from pipeline.auth import Tokens, check_bind
from pipeline.errors import LogFull, SinkUnavailable
from pipeline.gateway import GatewayServer, Ports
from pipeline.receiver import Receiver
from pipeline.reload import Ready, Reload
from pipeline.settings import Settings
from pipeline.telemetry import Metrics

log = structlog.get_logger()


class KafkaGateway:
    """A running gateway in front of the broker; use as an async context manager."""

    ports: Ports

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self._intake = kafka.gateway_intake(settings)
        self._server: GatewayServer

    async def __aenter__(self) -> KafkaGateway:
        settings = self.settings
        tokens = Tokens(settings.gateway.tokens_file, limit=settings.gateway.requests_per_second)
        check_bind(settings.gateway.host, tokens)
        rules = await asyncio.to_thread(build.rules, settings)
        ingest = await asyncio.to_thread(build.ingest, settings, rules)
        self.metrics.watch(ingest)
        await self._intake.start()
        receiver = Receiver(ingest, self._intake, tokens, settings.gateway, self.metrics, check=self._intake.check)
        self._server = GatewayServer(receiver, settings.gateway, self.metrics, self._reasons)
        self.ports = await self._server.start()

        async def use(ready: Ready) -> None:
            await asyncio.to_thread(ingest.use, ready.scanner)

        self._watching = asyncio.create_task(Reload(settings, rules, self.metrics, use, self._intake.submit).run())
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._watching.cancel()
        await self._server.stop()
        await self._intake.stop()

    def _reasons(self) -> dict[str, str]:
        """Why nothing can be taken just now; empty when ready."""
        try:
            self._intake.check()
        except (LogFull, SinkUnavailable) as error:
            return {"broker": str(error)}
        return {}


async def _serve(settings: Settings, started: Callable[[KafkaGateway], None]) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with KafkaGateway(settings) as running:
        garbage.settle()
        log.info("listening", http=running.ports.http, grpc=running.ports.grpc)
        started(running)
        await stop.wait()
        log.info("stopping")
    return 0


def serve_gateway(settings: Settings, *, started: Callable[[KafkaGateway], None] = lambda running: None) -> int:
    """Run until SIGTERM or SIGINT; the exit status. Raises SinkUnavailable when there is no broker to begin with."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, started))


__all__ = ["KafkaGateway", "serve_gateway"]
