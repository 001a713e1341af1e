"""The live driver: Faust shares the partitions out over the workers, each partition's records go through a Worker.

Acknowledgements are ours, never Faust's: `noack_take` leaves them to us, a crashing agent ends the process instead
of losing its batch, and an offset is acknowledged only when a checkpoint covers it. docs/decisions/0007 has the rest.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust
import prometheus_client
import structlog
from faust.types import TP
from mode import CrashingSupervisor

import detectors
from detectors.engine import AnyDetector
from detectors.model import Sighting, Span, Window
from detectors.rule import RuleSet
from detectors.secret_findings import spared
from pipeline import build, garbage, kafka, telemetry
from pipeline.errors import DecodeError, LogFull, SettingsError, SinkUnavailable
from pipeline.ingest import Ingest
from pipeline.kafka_gateway import serve_gateway
from pipeline.lanes import FIRST_DELAY, MAX_DELAY, Event, Stage
from pipeline.records import Activity, Block, DeadLetter, Entry, decode_activity, decode_entry
from pipeline.reload import Ready, Reload
from pipeline.settings import Kafka, Settings
from pipeline.worker import CHECKPOINT_SHARE, Worker

log = structlog.get_logger()

RECORD_SPANS = 64  # spans a record is expected to carry: how many records make a batch
OTLP_RECORDS = 64
BUFFER_RECORDS = 256  # fetched and not yet taken, per agent; a record is up to 1 MB
PUBLISH_SECONDS = 30.0
RELEASE_SECONDS = 4.0
STOP_SECONDS = 2.0


class Live:
    """One worker process: two keyed stages and the two topics an OpenTelemetry Collector writes."""

    def __init__(self, settings: Settings, rules: RuleSet, partitions: Mapping[str, int]) -> None:
        self.settings, self.rules = settings, rules
        self.metrics = telemetry.Metrics()
        self.app = _app(settings.kafka, settings)
        self._ingest = build.ingest(settings, rules)
        self._ingesting = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingest")
        self._producer = kafka.Producer(settings.kafka)
        self._partitions = partitions
        self._loaded: dict[str, Sequence[AnyDetector]] = {}
        self._loop: asyncio.AbstractEventLoop
        self.stages = [
            self._stage(settings.kafka.topic_spans, decode_entry, self._route),
            self._stage(settings.kafka.topic_activity, decode_activity, lambda activity: None),
        ]
        self.metrics.watch(self._ingest)
        self.metrics.watch_allowed(lambda: spared(one for loaded in self._loaded.values() for one in loaded))
        self._agents()
        self._lifecycle()

    def _stage(
        self,
        topic: str,
        decode: Callable[[bytes], Entry | Activity],
        route: Callable[[Sequence[Window | Sighting]], None],
    ) -> Stage:
        # Used by the stage's thread alone: neither clients nor matchers are for several threads. The matchers are
        # compiled now, before this process asks for partitions others could be working on meanwhile.
        settings = self.settings
        self._loaded[topic] = build.engine(settings, self.rules).detectors
        sink, store = build.sink(settings), build.store(settings)

        def make(partition: int) -> Worker:
            return Worker(
                build.engine(settings, self.rules, self._loaded[topic]),
                sink,
                store,
                topic=topic,
                partition=partition,
                route=route,
                after=[self._report, self.metrics.stored],
                decode=decode,
                rules_hash=self.rules.hash,
                now_ns=time.time_ns,
            )

        return Stage(topic, make, _Topic(self.app, topic), now_ns=time.time_ns, retried=self.metrics.writes_retried.inc)

    def _agents(self) -> None:
        worker, names = self.settings.worker, self.settings.kafka
        size = max(1, worker.batch_spans // RECORD_SPANS)

        def agent(topic: str, size: int, take: Callable[[Sequence[Event]], Any]) -> None:
            async def run(stream: Any) -> None:
                async for events in stream.noack_take(size, within=worker.batch_seconds):
                    await take(events)

            channel = self.app.topic(
                topic,
                key_type=bytes,
                value_type=bytes,
                key_serializer="raw",
                value_serializer="raw",
                internal=False,
            )
            self.app.agent(channel, name=topic, concurrency=1, supervisor_strategy=CrashingSupervisor)(run)

        for stage in self.stages:
            agent(stage.topic, size, stage.take)
        agent(names.topic_otlp_spans, OTLP_RECORDS, self._forward(names.topic_otlp_spans, self._ingest.traces))
        agent(names.topic_otlp_logs, OTLP_RECORDS, self._forward(names.topic_otlp_logs, self._ingest.logs))

    def _lifecycle(self) -> None:
        app = self.app

        async def revoked(_app: Any, _revoked: Any, **_: Any) -> None:
            await asyncio.gather(*(stage.release(RELEASE_SECONDS) for stage in self.stages))

        async def assigned(_app: Any, partitions: Any, **_: Any) -> None:
            self._loop = asyncio.get_running_loop()
            for stage in self.stages:
                stage.assigned()
            log.info("partitions assigned", count=len(partitions))

        async def stop(_app: Any, **_: Any) -> None:
            await asyncio.gather(*(stage.release(STOP_SECONDS) for stage in self.stages))
            await self._producer.stop()

        app.on_partitions_revoked.connect(revoked, weak=False)
        app.on_partitions_assigned.connect(assigned, weak=False)
        app.on_before_shutdown.connect(stop, weak=False)

        @app.task  # type: ignore[untyped-decorator]  # Faust ships no types
        async def reload() -> None:
            await Reload(self.settings, self.rules, self.metrics, self._use, self._tell).run()

        @app.task  # type: ignore[untyped-decorator]  # Faust ships no types
        async def checkpoint() -> None:
            rest = self.settings.worker.checkpoint_seconds
            while not app.should_stop:
                await app.sleep(rest)
                took = 0.0
                for stage in self.stages:
                    took += await stage.checkpoint()
                    self.metrics.checkpoints_saved.inc()
                rest = max(self.settings.worker.checkpoint_seconds, CHECKPOINT_SHARE * took)

    async def _use(self, ready: Ready) -> None:
        """Other rules: masking at once, detecting between two steps of every worker, those opened later too."""
        await asyncio.to_thread(self._ingest.use, ready.scanner)
        self.rules = ready.rules
        for stage in self.stages:
            loaded = await asyncio.to_thread(detectors.load, ready.rules)  # matchers are not for several threads
            self._loaded[stage.topic] = loaded
            await stage.change(lambda worker, loaded=loaded: worker.use(loaded, ready.rules.hash))  # type: ignore[misc]  # bound early

    async def _tell(self, spans: Sequence[Span], dead_letters: Sequence[DeadLetter]) -> None:
        """Spans about this process itself, to whichever partition is theirs."""
        names = self.settings.kafka
        await self._producer.send(
            kafka.span_messages(spans, dead_letters, topic=names.topic_spans, partitions=names.partitions)
        )

    # what the stages' threads send to the broker

    def _route(self, activity: Sequence[Window | Sighting]) -> None:
        names = self.settings.kafka
        self._publish(kafka.activity_messages(activity, topic=names.topic_activity, partitions=names.partitions))

    def _report(self, block: Block) -> None:
        self._publish(kafka.report_messages(block, self.settings.kafka, self._partitions))

    def _publish(self, messages: Sequence[kafka.Message]) -> None:
        """Called by a stage's thread: wait until the broker has them."""
        if not messages:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._producer.send(messages), self._loop).result(PUBLISH_SECONDS)
        except (LogFull, TimeoutError) as error:
            raise SinkUnavailable(f"broker: {type(error).__name__}") from None

    # the Collector's topics

    def _forward(self, topic: str, decode: Callable[..., Any]) -> Callable[[Sequence[Event]], Any]:
        """Bytes of the Collector → masked Spans in `spans`; acknowledged when the broker has those."""
        position = _Topic(self.app, topic)

        async def take(events: Sequence[Event]) -> None:
            current = [e for e in events if e.message.generation_id == position.generation()]
            messages = await asyncio.get_running_loop().run_in_executor(self._ingesting, self._masked, decode, current)
            delay = FIRST_DELAY
            while messages:
                try:
                    await self._producer.send(messages)
                    break
                except (LogFull, SinkUnavailable) as error:
                    log.warning("broker unavailable", topic=topic, reason=str(error), retry_seconds=delay)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, MAX_DELAY)
            for event in current:
                if event.message.generation_id == position.generation():
                    event.ack()

        return take

    def _masked(self, decode: Callable[..., Any], events: Sequence[Event]) -> list[kafka.Message]:
        names = self.settings.kafka
        spans, letters = [], []
        for event in events:
            body, message = event.value or b"", event.message
            origin = f"{message.topic}/{message.partition}/{message.offset}"
            received_ns = int((message.timestamp or 0) * 1000) * 1_000_000  # the record's own: the same each time
            try:
                got = decode(body, sniff(body), received_ns=received_ns, origin=origin)
            except DecodeError as error:
                letters.append(refused(self._ingest, body, error, received_ns, origin))
            else:
                spans += got.spans
                letters += got.dead_letters
        return kafka.span_messages(spans, letters, topic=names.topic_spans, partitions=names.partitions)


class _Topic:
    """`lanes.Position` of one topic through Faust's consumer."""

    def __init__(self, app: Any, topic: str) -> None:
        self._app, self._topic = app, topic

    def generation(self) -> object:
        return self._app.consumer_generation_id

    def end(self, partition: int) -> int | None:
        end: int | None = self._app.consumer.highwater(TP(self._topic, partition))
        return end

    async def first(self, partition: int) -> int:
        tp = TP(self._topic, partition)
        first: int = (await self._app.consumer.earliest_offsets(tp))[tp]
        return first

    async def seek(self, partition: int, offset: int) -> None:
        await self._app.consumer.seek(TP(self._topic, partition), offset)


def sniff(body: bytes) -> str:
    """Encoding of a Collector's record: no header names it, and protobuf cannot begin with a brace."""
    return "json" if body.lstrip()[:1] == b"{" else "protobuf"


def refused(ingest: Ingest, body: bytes, error: DecodeError, received_ns: int, origin: str) -> DeadLetter:
    letter: DeadLetter = ingest.dead_letter(
        body, error, tenant="default", emitter="", received_ns=received_ns, origin=origin
    )
    return letter


def _app(settings: Kafka, whole: Settings) -> Any:
    """The Faust application: everything it must not do by itself is off."""
    return faust.App(
        settings.group,
        broker=[f"kafka://{server}" for server in kafka.servers(settings)],
        broker_credentials=_credentials(settings),
        datadir=whole.data_dir / "worker",
        store="memory://",
        autodiscover=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        stream_wait_empty=False,
        stream_buffer_maxsize=BUFFER_RECORDS,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=kafka.MAX_RECORD_BYTES + 2**16,
        broker_commit_interval=1.0,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 3,
        broker_request_timeout=max(90.0, 2 * settings.session_timeout_seconds),
        web_enabled=False,
        worker_redirect_stdouts=False,
    )


def _credentials(settings: Kafka) -> Any:
    """The security settings in Faust's words, which end as the same aiokafka arguments."""
    context = kafka.ssl_context(settings)
    if not settings.security_protocol.startswith("SASL"):
        return faust.SSLCredentials(context) if context is not None else None
    options = kafka.client_options(settings)
    if settings.sasl_mechanism == "OAUTHBEARER":
        return faust.OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    return faust.SASLCredentials(
        username=options["sasl_plain_username"],
        password=options["sasl_plain_password"],
        mechanism=settings.sasl_mechanism,
        ssl_context=context,
    )


class _Process(faust.Worker):
    """Faust's worker without its debugging signals: they print the values of variables, or wait at a prompt."""

    def _install_signal_handlers_unix(self) -> None:
        self.loop.add_signal_handler(signal.SIGINT, self._on_sigint)
        self.loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)


def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; ends the process. Exit status 1 after a crash: start it again and it goes on.

    Raises SettingsError or SinkUnavailable when it cannot begin: no broker, topics not as set, metrics port taken.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    partitions = asyncio.run(kafka.ensure_topics(settings.kafka))
    live = Live(settings, build.rules(settings), partitions)
    _serve_metrics(live, settings)
    worker = _Process(live.app, override_logging=False, redirect_stdouts=False, quiet=True)
    live.app.conf.web_enabled = False  # the Worker turns it on
    status = 1
    try:
        garbage.settle()
        worker.execute_from_commandline()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # whatever it was is logged by type and place; the exit tells it
        log.error("worker crashed", exc_info=error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a thread that waits for a store that hangs must not keep the process


def _serve_metrics(live: Live, settings: Settings) -> None:
    port, host = settings.worker.metrics_port, settings.worker.metrics_host
    if port < 0:
        return
    try:
        prometheus_client.start_http_server(port, host, registry=live.metrics.registry)
    except OSError as error:
        raise SettingsError(f"worker.metrics_port {port}: {error.strerror}") from None


__all__ = ["Live", "run_worker", "serve_gateway"]
