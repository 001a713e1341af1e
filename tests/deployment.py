"""A whole live deployment for tests: topics of its own on the broker, a database of its own, worker processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr

from detectors.model import Span
from pipeline import kafka, migrate
from pipeline.settings import ClickHouse, Gateway, Rules, Settings
from pipeline.sinks.clickhouse import connect
from pipeline.state import ClickHouseStore
from tests.kafka_broker import Broker, free_ports, own_topics
from tests.running import KEY

ROOT = Path(__file__).resolve().parent.parent
FEW_RULES = Rules(builtin=False, folders=(ROOT / "tests" / "few_rules",))  # a worker with these starts at once
SECTIONS = ("kafka", "clickhouse", "worker", "gateway")


def environment(settings: Settings) -> dict[str, str]:
    """The environment a process needs to come to these settings; which rules it uses stands in a file beside it."""
    config = settings.data_dir.with_suffix(".toml")
    folders = json.dumps([str(folder) for folder in settings.rules.folders])
    config.write_text(f"[rules]\nbuiltin = {json.dumps(settings.rules.builtin)}\nfolders = {folders}\n")
    values = {
        "SPANWATCH_DATA_DIR": str(settings.data_dir),
        "SPANWATCH_KEY": KEY,
        "SPANWATCH_CONFIG": str(config),
    }
    for section in SECTIONS:
        part = getattr(settings, section)
        for field, declared in type(part).model_fields.items():
            value = getattr(part, field)
            if value == declared.default:
                continue
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            values[f"SPANWATCH_{section}__{field}".upper()] = text
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPANWATCH_")}
    return kept | values


class Process:
    """`spanwatch <command>` as a process of its own; its log goes to a file."""

    def __init__(self, command: str, settings: Settings, log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from pipeline.cli import main; main()", command],
                env=environment(settings),
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def terminate(self, seconds: float) -> int:
        """Exit status after SIGTERM; fails when it takes longer."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def wait(self, seconds: float) -> int:
        return self._process.wait(seconds)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None


class Deployment:
    """Settings, the store seen from outside, and the worker processes started so far."""

    def __init__(
        self, broker: Broker, clickhouse: ClickHouse, folder: Path, *, rules: Any = FEW_RULES, **worker: Any
    ) -> None:
        self.folder = folder
        pace = {"batch_seconds": 0.05, "checkpoint_seconds": 0.5} | worker
        names = own_topics(broker.bootstrap, session_timeout_seconds=1.5)
        self.settings = Settings(data_dir=folder, key=KEY, rules=rules, kafka=names, clickhouse=clickhouse, worker=pace)
        self.processes: list[Process] = []
        asyncio.run(kafka.ensure_topics(self.settings.kafka))
        self._client = connect(clickhouse, folder)
        migrate.migrate(self._client, clickhouse)

    def start(self, command: str = "worker", **changes: Any) -> Process:
        """One more process; each has a folder of its own, as each has a machine of its own."""
        place = self.folder / f"process-{len(self.processes)}"
        settings = self.settings.model_copy(update={"data_dir": place, **changes})
        process = Process(command, settings, place.with_suffix(".log"))
        self.processes.append(process)
        return process

    def gateway(self) -> str:
        """Start a gateway; its address once it is ready."""
        port = free_ports(1)[0]
        self.start("gateway", gateway=Gateway(port=port, grpc_port=-1))
        url = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            try:
                return httpx.get(f"{url}/readyz").status_code == 200
            except httpx.TransportError:
                return False

        self.wait(ready, "the gateway")
        return url

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
        self._client.close()

    def submit(self, batches: Sequence[Sequence[Span]], pause: float = 0) -> None:
        """What a gateway does: each batch one request, `pause` seconds between them."""

        async def run() -> None:
            intake = kafka.KafkaIntake(self.settings.kafka)
            await intake.start()
            for batch in batches:
                await intake.submit(batch, [])
                await asyncio.sleep(pause)
            await intake.stop()

        asyncio.run(run())

    def produce(self, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
        async def run() -> None:
            producer = kafka.Producer(self.settings.kafka)
            await producer.send([kafka.Message(topic, partition, value) for value in values])
            await producer.stop()

        asyncio.run(run())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query; `{db}` is the database."""
        found = self._client.query(query.replace("{db}", self.settings.clickhouse.database))
        return [tuple(row) for row in found.result_rows]

    def ends(self, *topics: str) -> dict[TopicPartition, int]:
        """Where each partition ends on the broker."""

        async def run() -> dict[TopicPartition, int]:
            consumer = AIOKafkaConsumer(**kafka.client_options(self.settings.kafka))
            await consumer.start()
            try:
                parts = [TopicPartition(t, p) for t in topics for p in range(self.settings.kafka.partitions)]
                ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
                return ends
            finally:
                await consumer.stop()

        return asyncio.run(run())

    def committed(self, *topics: str) -> dict[TopicPartition, int]:
        """What the group has committed; 0 where nothing."""

        async def run() -> dict[TopicPartition, int]:
            options = kafka.client_options(self.settings.kafka)
            consumer = AIOKafkaConsumer(**options, group_id=self.settings.kafka.group, enable_auto_commit=False)
            await consumer.start()
            try:
                parts = [TopicPartition(t, p) for t in topics for p in range(self.settings.kafka.partitions)]
                return {part: await consumer.committed(part) or 0 for part in parts}
            finally:
                await consumer.stop()

        return asyncio.run(run())

    def checkpoints(self, *topics: str) -> dict[TopicPartition, int]:
        """Next offset of each partition by its checkpoint."""
        store = ClickHouseStore(self.settings.clickhouse, self.folder)
        try:
            return {
                TopicPartition(topic, part): saved.next_offset if (saved := store.load(topic, part)) else 0
                for topic in topics
                for part in range(self.settings.kafka.partitions)
            }
        finally:
            store.close()

    def settle(self, seconds: float = 60) -> None:
        """Return when every record of both stages is stored and covered by a checkpoint."""
        names = self.settings.kafka
        otlp = (names.topic_otlp_spans, names.topic_otlp_logs)
        stages = (names.topic_spans, names.topic_activity)
        self.wait(lambda: self.committed(*otlp) == self.ends(*otlp), "the Collector's topics", seconds)
        self.wait(lambda: self.checkpoints(stages[0]) == self.ends(stages[0]), "stage one", seconds)
        self.wait(lambda: self.checkpoints(stages[1]) == self.ends(stages[1]), "stage two", seconds)

    def wait(self, done: Any, what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not there after {seconds} s\n{self.logs()[-3000:]}")
            time.sleep(0.2)

    def logs(self) -> str:
        """Everything the processes said."""
        return "".join(f"--- {p.log.name}\n{p.log.read_text()}" for p in self.processes)


@contextmanager
def deployment(
    broker: Broker, clickhouse: ClickHouse, folder: Path, *, rules: Any = FEW_RULES, **worker: Any
) -> Iterator[Deployment]:
    made = Deployment(broker, clickhouse, folder, rules=rules, **worker)
    try:
        yield made
    finally:
        made.stop()
        if made.settings.clickhouse.interface != "chdb":
            client = connect(made.settings.clickhouse, folder)
            client.command(f"DROP DATABASE IF EXISTS {made.settings.clickhouse.database}")
            client.close()


__all__ = ["FEW_RULES", "Deployment", "Process", "deployment"]
