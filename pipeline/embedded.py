"""The default driver: gateway, durable log, worker and chDB in one process.

The event loop receives, decodes and masks; a writer thread commits; one worker thread detects and stores. A 200
means the masked spans are in the log, and what is in the log is processed exactly once however the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import structlog
import uvloop

from detectors.secret_findings import spared
from pipeline import build, garbage
from pipeline.auth import Tokens, check_bind
from pipeline.drain import PARTITION, TOPIC, WARM_BATCHES, Drain, LogIntake
from pipeline.errors import LogFull
from pipeline.gateway import GatewayServer
from pipeline.log import Log
from pipeline.migrate import migrate
from pipeline.receiver import Receiver
from pipeline.records import Block, Sink, StateStore
from pipeline.reload import Ready, Reload
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import Clients
from pipeline.telemetry import Metrics, failure
from pipeline.worker import Worker

log = structlog.get_logger()

LOG_FILE = "log.sqlite"
STOP_SECONDS = 30.0

Listener = Callable[[Block], None]


class Embedded:
    """Everything in one process, as an async context manager.

    `listeners` see every block after it was stored; one that raises is reported and does not disturb the rest.
    `sink` and `store` replace the built ones, for tests and for other stores.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        listeners: Sequence[Listener] = (),
        sink: Sink | None = None,
        store: StateStore | None = None,
    ) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.failed = asyncio.Event()
        self.entries: Log  # once started
        self._listeners = listeners
        self._given = sink, store
        self._parts = contextlib.ExitStack()
        self._clients = Clients(settings.clickhouse, settings.data_dir)

    async def __aenter__(self) -> Embedded:
        try:
            await self._start()
        except BaseException:
            await asyncio.to_thread(self._parts.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def http_port(self) -> int:
        return self._server.ports.http

    @property
    def grpc_port(self) -> int:
        return self._server.ports.grpc

    def query(self, text: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a query on the store, from any thread: chDB lives in this process and answers nobody else."""
        rows: list[tuple[Any, ...]] = self._clients.mine().query(text, parameters=parameters).result_rows
        return rows

    def ready(self) -> Mapping[str, str]:
        """Part → why it is not ready."""
        reasons: dict[str, str] = {}
        try:
            self.entries.check()
        except LogFull as error:
            reasons["intake"] = str(error)
        if not self._drain.alive:
            reasons["worker"] = self._drain.problem or "stopped"
        elif self._drain.problem:
            reasons["sink"] = self._drain.problem
        return reasons

    async def wait_processed(self, timeout: float = 60.0) -> None:
        """Until the results of everything accepted so far are stored. Raises what ended the worker."""
        target = self.entries.end
        async with asyncio.timeout(timeout):
            while self._drain.done < target:
                if self._drain.failed is not None:
                    raise self._drain.failed
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer what is in flight, work off the log, checkpoint, close."""
        self._watching.cancel()
        await self._server.stop()
        await asyncio.to_thread(self._drain.stop, STOP_SECONDS)
        await asyncio.to_thread(self._parts.close)

    async def _start(self) -> None:
        settings = self.settings
        tokens = Tokens(settings.gateway.tokens_file, limit=settings.gateway.requests_per_second)
        check_bind(settings.gateway.host, tokens)
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        rules = await asyncio.to_thread(build.rules, settings)
        ingest = self._ingest = await asyncio.to_thread(build.ingest, settings, rules)
        worker = await asyncio.to_thread(self._open_worker, rules)
        entries = Log(settings.data_dir / LOG_FILE, max_bytes=settings.log.max_bytes, sync=settings.log.sync)
        self.entries = entries
        self._parts.callback(entries.close)
        entries.advance(max(worker.next_offset, worker.planned_end + 1))
        intake = LogIntake(entries, WARM_BATCHES * settings.worker.batch_spans)
        loop = asyncio.get_running_loop()
        self._drain = Drain(
            entries,
            intake,
            worker,
            settings.worker,
            self.metrics,
            on_failure=lambda: loop.call_soon_threadsafe(self.failed.set),
        )
        self.metrics.watch(ingest)
        self.metrics.watch_allowed(lambda: spared(worker.engine.detectors))
        receiver = Receiver(ingest, intake, tokens, settings.gateway, self.metrics, check=entries.check)
        self._server = GatewayServer(receiver, settings.gateway, self.metrics, self.ready)
        await self._server.start()
        self._drain.start()
        self._watching = asyncio.create_task(Reload(settings, rules, self.metrics, self._use, intake.submit).run())

    async def _use(self, ready: Ready) -> None:
        """Other rules: masking at once, detecting between two steps of the worker."""
        await asyncio.to_thread(self._ingest.use, ready.scanner)
        self._drain.soon(lambda worker: worker.use(ready.detectors, ready.rules.hash))

    def _open_worker(self, rules: Any) -> Worker:
        settings = self.settings
        sink, store = self._given
        if sink is None:
            self._parts.callback(self._clients.close)
            migrate(self._clients.mine(), settings.clickhouse)
            sink = self._parts.enter_context(contextlib.closing(build.sink(settings)))
        worker = Worker(
            build.engine(settings, rules),
            sink,
            store or self._parts.enter_context(contextlib.closing(build.store(settings))),
            topic=TOPIC,
            partition=PARTITION,
            after=[self.metrics.stored, self._tell],
            rules_hash=rules.hash,
        )
        worker.restore()
        return worker

    def _tell(self, block: Block) -> None:
        for listener in self._listeners:
            try:
                listener(block)
            except Exception as error:  # noqa: BLE001  # a broken terminal must not stop detection
                log.error("listener failed", **failure(error))


async def _serve(settings: Settings, listeners: Sequence[Listener], started: Callable[[Embedded], None]) -> int:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Embedded(settings, listeners=listeners) as running:
        garbage.settle()
        log.info("listening", http=running.http_port, grpc=running.grpc_port)
        started(running)
        waits = [asyncio.create_task(event.wait()) for event in (stop, running.failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        log.info("stopping")
    return 1 if running.failed.is_set() else 0


def serve(
    settings: Settings,
    *,
    listeners: Sequence[Listener] = (),
    started: Callable[[Embedded], None] = lambda running: None,
) -> int:
    """Run until SIGTERM or SIGINT; the exit status. 1 when the store refused for good or the worker broke."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, listeners, started))
