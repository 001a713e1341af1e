"""A running gateway or embedded driver for tests that speak to it from outside, as clients do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from detectors.model import Span
from pipeline import build
from pipeline.auth import Tokens
from pipeline.embedded import Embedded
from pipeline.gateway import GatewayServer
from pipeline.ingest import Ingest
from pipeline.receiver import Receiver
from pipeline.records import Block, DeadLetter
from pipeline.settings import Gateway, Settings
from pipeline.telemetry import Metrics

T = TypeVar("T")
KEY = "key-of-the-tests"


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 120) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Kept:
    """An intake that keeps what it is handed, or raises what it was told to."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.dead_letters: list[DeadLetter] = []
        self.refuse: Exception | None = None

    async def submit(self, spans: Sequence[Span], dead_letters: Sequence[DeadLetter]) -> None:
        if self.refuse:
            raise self.refuse
        self.spans += spans
        self.dead_letters += dead_letters


class RunningGateway:
    """A gateway's addresses and parts."""

    def __init__(self, intake: Kept, metrics: Metrics) -> None:
        self.intake, self.metrics = intake, metrics
        self.reasons: dict[str, str] = {}
        self.url = self.grpc = ""

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def settings(data_dir: Path, **gateway: Any) -> Settings:
    """Free ports, a fixed key, everything else as shipped."""
    return Settings(data_dir=data_dir, key=KEY, gateway={"port": 0, "grpc_port": 0} | gateway)


@cache
def ingest(limits: Gateway) -> Ingest:
    """Compiled once per set of limits: compiling all secret rules takes a while."""
    chosen = Settings(key=KEY, gateway=limits)
    return build.ingest(chosen, build.rules(chosen))


@contextmanager
def gateway(
    *, check: Callable[[], None] = lambda: None, clock: Callable[[], float] | None = None, **limits: Any
) -> Iterator[RunningGateway]:
    """A gateway on free ports whose intake keeps everything."""
    chosen = Gateway(**({"port": 0, "grpc_port": 0} | limits))
    running = RunningGateway(Kept(), Metrics())
    tokens = Tokens(chosen.tokens_file, limit=chosen.requests_per_second)
    more = {"clock": clock} if clock else {}
    receiver = Receiver(ingest(chosen), running.intake, tokens, chosen, running.metrics, check=check, **more)
    loop = Loop()
    try:

        async def start() -> GatewayServer:
            server = GatewayServer(receiver, chosen, running.metrics, lambda: running.reasons)
            await server.start()
            return server

        server = loop.run(start())
        running.url = f"http://127.0.0.1:{server.ports.http}"
        running.grpc = f"127.0.0.1:{server.ports.grpc}"
        try:
            yield running
        finally:
            loop.run(server.stop())
    finally:
        loop.close()


class RunningEmbedded:
    """An embedded driver's addresses, and the way into its loop."""

    def __init__(self, loop: Loop, embedded: Embedded) -> None:
        self._loop, self.embedded = loop, embedded
        self.url = f"http://127.0.0.1:{embedded.http_port}"
        self.grpc = f"127.0.0.1:{embedded.grpc_port}"

    def wait_processed(self) -> None:
        self._loop.run(self.embedded.wait_processed())


@contextmanager
def embedded(
    chosen: Settings, *, listeners: Sequence[Callable[[Block], None]] = (), **parts: Any
) -> Iterator[RunningEmbedded]:
    """The embedded driver, from start to clean stop."""
    loop = Loop()
    try:

        async def start() -> Embedded:
            return await Embedded(chosen, listeners=listeners, **parts).__aenter__()

        driver = loop.run(start())
        try:
            yield RunningEmbedded(loop, driver)
        finally:
            loop.run(driver.stop())
    finally:
        loop.close()
