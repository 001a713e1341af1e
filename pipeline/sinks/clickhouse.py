"""ClickHouse and chDB behind one client: opens the store, and writes blocks so that each is stored once.

A block's plan row goes in first, then each table's rows under the block's token. An insert that failed midway is
completed by writing the same block again; a block whose process died is cut again by `planned` and written again.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import clickhouse_connect
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError, ProgrammingError

from pipeline.errors import SettingsError, SinkRejected, SinkUnavailable
from pipeline.records import Block
from pipeline.settings import ClickHouse
from pipeline.sinks import rows
from pipeline.sinks.rows import Rows, Stored

# When a value does not fit its column, this part of the driver logs it with a traceback. No value goes into a log.
logging.getLogger("clickhouse_connect.driver.transform").setLevel(logging.CRITICAL)

# Errors that pass when the store is helped or rests: wait and write again. All others are ours.
UNAVAILABLE = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE: the request was cut off
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR: a full disk
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        164,  # READONLY
        173,  # CANNOT_ALLOCATE_MEMORY
        198,  # DNS_ERROR
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        204,  # CANNOT_FSYNC
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT: the token makes the second try safe
        394,  # QUERY_WAS_CANCELLED
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        499,  # S3_ERROR: storage behind the server
        574,  # DISTRIBUTED_TOO_MANY_PENDING_BYTES
        692,  # TOO_MANY_MUTATIONS
        733,  # TABLE_IS_BEING_RESTARTED
        735,  # QUERY_WAS_CANCELLED_BY_CLIENT
        745,  # SERVER_OVERLOADED
        999,  # KEEPER_EXCEPTION
    }
)
AUTHENTICATION_FAILED = 516
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
REMEMBERED = 1024  # blocks begun whose time is kept, so that a second try stores the same rows


def connect(settings: ClickHouse, data_dir: Path) -> Any:
    """A client of the store. One per thread: a client serialises its calls.

    Raises SettingsError when the store cannot be this one's (owned by another process, wrong password),
    SinkUnavailable when the server does not answer.
    """
    if settings.interface == "chdb":
        path = data_dir / "chdb"
        try:
            path.mkdir(parents=True, exist_ok=True)
            return clickhouse_connect.get_client(interface="chdb", path=str(path))
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from None
        except ProgrammingError:
            raise SettingsError(
                f"{path}: the store cannot be opened: another process owns it (chDB allows one), or this one has "
                "another store open; stop that process, choose another data_dir, or use a ClickHouse server"
            ) from None
    try:
        return clickhouse_connect.get_client(
            interface=settings.interface,
            host=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password.get_secret_value(),
            compress=False if settings.host in LOOPBACK else "lz4",
            connect_timeout=10,
            send_receive_timeout=60,
            autogenerate_session_id=False,  # sessions allow one query at a time and buy us nothing
        )
    except ClickHouseError as error:
        if getattr(error, "code", None) == AUTHENTICATION_FAILED:
            raise SettingsError(f"{settings.host}:{settings.port}: the server refused user or password") from None
        raised(f"ClickHouse at {settings.host}:{settings.port} (SPANWATCH_CLICKHOUSE__HOST, __PORT)", error)


def raised(what: str, error: ClickHouseError | OSError) -> NoReturn:
    """Say what the driver must do about an error of the store; never quotes it, since it can quote values."""
    code = getattr(error, "code", None)
    if isinstance(error, OSError) or code in UNAVAILABLE or (code is None and _transport(error)):
        raise SinkUnavailable(f"{what}: store unavailable ({_label(error, code)})") from None
    raise SinkRejected(f"{what}: refused by the store ({_label(error, code)})") from None


def _transport(error: Exception) -> bool:
    """No code: nothing answered (the client says OperationalError), or a proxy did, with an HTTP status."""
    return isinstance(error, OperationalError) or "HTTP status 5" in str(error) or "HTTP status 429" in str(error)


def _label(error: Exception, code: int | None) -> str:
    if code is None:
        return type(error).__name__
    return f"code {code} {getattr(error, 'name', None) or ''}".rstrip()


@cache
def types(names: tuple[str, ...]) -> list[ClickHouseType]:
    return [get_from_name(name) for name in names]


def insert_settings(token: str, *, cluster: bool) -> dict[str, Any]:
    """What makes an insert stored once and its return the commit point."""
    settings: dict[str, Any] = {
        "insert_deduplication_token": token,
        "insert_deduplicate": 1,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        "async_insert": 0,
    }
    if cluster:
        settings["distributed_foreground_insert"] = 1
    return settings


class Clients:
    """One client per thread, opened when first asked for."""

    def __init__(self, settings: ClickHouse, data_dir: Path) -> None:
        self._settings, self._data_dir = settings, data_dir
        self._local = threading.local()
        self._lock = threading.Lock()
        self._opened: list[Any] = []

    def mine(self) -> Any:
        """This thread's client."""
        if not hasattr(self._local, "client"):
            self._local.client = connect(self._settings, self._data_dir)
            with self._lock:
                self._opened.append(self._local.client)
        return self._local.client

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, []
        for client in opened:
            client.close()
        self._local = threading.local()


class ClickHouseSink:
    """A Sink over chDB or a server. Safe to use from several threads, each with a client of its own."""

    def __init__(self, settings: ClickHouse, data_dir: Path) -> None:
        self._database, self._cluster = settings.database, bool(settings.cluster)
        self._clients = Clients(settings, data_dir)
        self._lock = threading.Lock()
        self._begun: OrderedDict[str, int] = OrderedDict()  # token -> when its block was first planned

    def write(self, block: Block) -> None:
        stored = Stored(
            run=block.run,
            topic=block.topic,
            partition=block.partition,
            first=block.first,
            last=block.last,
            at_ns=self._begin(block.token),
        )
        made = rows.rows(block, stored)
        self._insert(rows.plan(stored), block.token)
        for table in made:
            self._insert(table, block.token)

    def planned(self, topic: str, partition: int, from_offset: int) -> list[tuple[int, int]]:
        """Ranges the live run began at or after an offset; of ranges two owners cut differently, the first."""
        query = (
            "SELECT FirstOffset, LastOffset, toUnixTimestamp64Nano(min(StoredAt))\n"
            f"FROM {self._database}.plan\n"
            "WHERE Run = 'live' AND Topic = {topic:String} AND Partition = {partition:UInt32}\n"
            "AND FirstOffset >= {first:Int64}\n"
            "GROUP BY FirstOffset, LastOffset ORDER BY FirstOffset, min(StoredAt), LastOffset"
        )
        try:
            found = (
                self._client()
                .query(query, parameters={"topic": topic, "partition": partition, "first": from_offset})
                .result_rows
            )
        except (ClickHouseError, OSError) as error:
            raised("plan", error)
        ranges: list[tuple[int, int]] = []
        for first, last, at_ns in found:
            if not ranges or first > ranges[-1][1]:
                ranges.append((first, last))
                self._begin(Block(topic=topic, partition=partition, first=first, last=last).token, at_ns)
        return ranges

    def close(self) -> None:
        self._clients.close()

    def _client(self) -> Any:
        try:
            return self._clients.mine()
        except SettingsError as error:  # a password changed under a running worker: stop, and say why
            raise SinkRejected(str(error)) from None

    def _begin(self, token: str, at_ns: int | None = None) -> int:
        """When a block was first planned. Written again it gets the same time, so the same rows and partitions."""
        with self._lock:
            at_ns = self._begun.setdefault(token, at_ns or time.time_ns())
            self._begun.move_to_end(token)
            while len(self._begun) > REMEMBERED:
                self._begun.popitem(last=False)
            return at_ns

    def _insert(self, made: Rows, token: str) -> None:
        try:
            self._client().insert(
                f"{self._database}.{made.table}",
                made.columns,
                column_names=made.names,
                column_types=types(made.types),
                column_oriented=True,
                settings=insert_settings(token, cluster=self._cluster),
            )
        except (ClickHouseError, OSError) as error:
            raised(made.table, error)
        except (ValueError, TypeError, AttributeError, ArithmeticError, struct.error) as error:
            # A value that does not fit its column: the driver passes on whatever the conversion raised.
            raise SinkRejected(f"{made.table}: a value does not fit its column ({type(error).__name__})") from None
