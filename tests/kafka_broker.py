"""A real Apache Kafka for the tests: one JVM in KRaft mode on loopback, or the broker SPANWATCH_TEST_KAFKA names.

Maven fetches the broker by its coordinates (tests/kafka/pom.xml) once into `.cache/kafka`; Java 17 runs it.
Where neither is there the tests skip with one line, unless SPANWATCH_TEST_REQUIRE lists `kafka`.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline import kafka
from pipeline.settings import Kafka

ROOT = Path(__file__).resolve().parent.parent
POM = ROOT / "tests" / "kafka" / "pom.xml"
CACHE = ROOT / ".cache" / "kafka"
START_SECONDS = 60

PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
"""


class Absent(Exception):
    """No broker can be had here, and why."""


class Broker:
    """One broker process; `data` holds its log directories."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        jars = str(fetched() / "*")
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        settings = folder / "server.properties"
        settings.write_text(PROPERTIES.format(port=port, controller=controller, data=self.data))
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["java", "-Xmx256m", "-cp", jars, "kafka.tools.StorageTool", "format", "--standalone"]
        subprocess.run([*tool, "-t", cluster, "-c", str(settings)], check=True, capture_output=True)
        options = ["-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self._log = (folder / "broker.log").open("wb")
        self._process = subprocess.Popen(
            ["java", *options, "-cp", jars, "kafka.Kafka", str(settings)], stdout=self._log, stderr=self._log
        )
        self._await(port)

    def _await(self, port: int) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        self.stop()
        raise RuntimeError("the broker did not start:\n" + (self.folder / "broker.log").read_text()[-2000:])

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


class Given:
    """A broker somebody else runs: its log directories are out of reach."""

    data: Path | None = None
    pid: int | None = None

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def stop(self) -> None:
        """Not ours to stop."""


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def fetched() -> Path:
    """The folder with the broker's jars, fetched when it is not there; one process fetches, others wait."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            raise Absent(f"no {tool} here and SPANWATCH_TEST_KAFKA names no broker")
    target = CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            partial = CACHE / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
            done = subprocess.run(
                [*command, f"-DoutputDirectory={partial}"], capture_output=True, text=True, check=False
            )
            if done.returncode:
                reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no reason given")
                raise Absent(f"Maven could not fetch Apache Kafka: {reason}")
            partial.rename(target)
    return target


def start(folder: Path) -> Broker | Given:
    """A running broker; raises Absent when there can be none."""
    named = os.environ.get("SPANWATCH_TEST_KAFKA")
    return Given(named) if named else Broker(folder)


def own_topics(bootstrap: str, **changes: object) -> Kafka:
    """Settings of a deployment nobody else on this broker has."""
    name = uuid.uuid4().hex[:8]
    values = {field: f"{field[6:]}-{name}" for field in Kafka.model_fields if field.startswith("topic_")}
    return Kafka.model_validate(
        {"bootstrap": bootstrap, "group": f"group-{name}", "partitions": 4, **values, **changes}
    )


async def read(settings: Kafka, topic: str) -> list[tuple[int, int, bytes]]:
    """Everything in a topic as (partition, offset, value)."""
    consumer = AIOKafkaConsumer(**kafka.client_options(settings), auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = [TopicPartition(topic, p) for p in range(settings.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        found: list[tuple[int, int, bytes]] = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                found += [(r.partition, r.offset, r.value) for r in records]
        return sorted(found)
    finally:
        await consumer.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | Given]:
    """The broker of this test session."""
    try:
        running = start(tmp_path_factory.mktemp("kafka"))
    except Absent as reason:
        if "kafka" in os.environ.get("SPANWATCH_TEST_REQUIRE", "").split(","):
            pytest.fail(f"Apache Kafka is required here: {reason}")
        pytest.skip(f"no Apache Kafka: {reason}")
    yield running
    running.stop()
