"""A process that owns a chDB store and answers ClickHouse's HTTP interface as clickhouse-connect speaks it.

No ClickHouse server can be installed where these tests run, so the server path is tested against this: the engine
is ClickHouse's own, the network between is real, and users, clusters and replication are not there.
The same tests run against a real server when SPANWATCH_TEST_CLICKHOUSE names one (http://user:password@host:port).

`python -m tests.clickhouse_server --path DIR --port 8123` runs it; port 0 takes a free one and prints it.
`GET /control?mode=refuse&seconds=2` makes it refuse (503), `drop` hang up, `lose` do the work and hang up, and
`error` answer with ClickHouse error `code`; `count` ends the mode after so many requests, `mode=none` at once.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import pytest

from pipeline.settings import ClickHouse

REAL = "SPANWATCH_TEST_CLICKHOUSE"
ENGINES = 4  # handles of the one engine: queries running at a time

_insert = re.compile(rb"\s*INSERT\s+INTO\s+(.+?)\s+FORMAT\s+(\w+)\s*\Z", re.IGNORECASE | re.DOTALL)
_code = re.compile(r"Code: (\d+)")
# Read by the HTTP layer of a real server, or of no effect here; everything else is a setting of the query.
_TRANSPORT = frozenset(
    {
        "query",
        "database",
        "query_id",
        "session_id",
        "wait_end_of_query",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "enable_http_compression",
        "client_protocol_version",
        "cancel_http_readonly_queries_on_client_close",
        "cast_string_to_dynamic_use_inference",
        "date_time_input_format",
    }
)


class Refusal(NamedTuple):
    """How requests are refused for a while."""

    mode: str
    until: float
    count: int
    code: int


class Store:
    """The engine: a few handles of one chDB store, lent to one request each."""

    def __init__(self, path: str) -> None:
        import chdb  # here, so that a test process that only asks for the fixture never loads the engine

        self._path, self._chdb = path, chdb
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(ENGINES):
            self._free.put(chdb.connect(path))

    def run(self, body: bytes, params: dict[str, str]) -> bytes:
        statement = params.get("query", "").encode()
        head, newline, data = body.partition(b"\n")
        insert = _insert.match(statement or (head if newline else b""))
        handle = self._free.get()
        try:
            if "database" in params:
                handle.query(f"USE `{params['database']}`")
            if insert:
                return self._load(handle, insert, body if statement else data, params)
            sql = statement + (b"\n" + body if statement and body else body)
            values = {name[6:]: value for name, value in params.items() if name.startswith("param_")}
            settings = _settings(params)
            for name, value in settings.items():
                handle.query(f"SET {name} = '{value}'")
            try:
                return bytes(handle.query(sql.decode(), "TabSeparated", params=values).bytes() or b"")
            finally:
                for name in settings:
                    handle.query(f"SET {name} = DEFAULT")
        finally:
            self._free.put(handle)

    def _load(self, handle: Any, insert: re.Match[bytes], data: bytes, params: dict[str, str]) -> bytes:
        clause = ", ".join(f"{name} = '{value}'" for name, value in _settings(params).items())
        with tempfile.NamedTemporaryFile(prefix="insert-") as file:
            file.write(data)
            file.flush()
            target, form = insert[1].decode(), insert[2].decode()
            settings = f"SETTINGS {clause} " if clause else ""
            handle.query(f"INSERT INTO {target} FROM INFILE '{file.name}' {settings}FORMAT {form}", "TabSeparated")
        return b""

    def close(self) -> None:
        while not self._free.empty():
            self._free.get().close()


def _settings(params: dict[str, str]) -> dict[str, str]:
    return {
        name: value.replace("\\", "\\\\").replace("'", "\\'")
        for name, value in params.items()
        if name not in _TRANSPORT and not name.startswith("param_")
    }


class Handler(BaseHTTPRequestHandler):
    """One connection. The server's state hangs on `self.server`."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet for headers and a small answer
    server: Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        params = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.path == "/control":
            self.server.refuse(params)
            self._answer(200, b"Ok.\n")
        elif "query" not in params:
            self._answer(200, b"Ok.\n")
        else:
            self._query(params)

    def do_POST(self) -> None:
        self._query(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)))

    def _query(self, params: dict[str, str]) -> None:
        body = self._body()
        refusal = self.server.refusing()
        if refusal is not None and refusal.mode != "lose":
            if refusal.mode == "drop":
                self._hang_up()
            elif refusal.mode == "error":
                self._error(500, refusal.code, f"Code: {refusal.code}. DB::Exception: as told. (AS_TOLD)")
            else:
                self._answer(503, b"refused")
            return
        if not self.server.knows(self.headers.get("Authorization", "")):
            self._error(403, 516, "Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
            return
        try:
            answer = self.server.store.run(body, params)
        except Exception as error:  # noqa: BLE001  # whatever the engine says is the answer, as from a server
            text = str(error)
            code = _code.search(text)
            self._error(500, int(code[1]) if code else 1002, text[text.find("Code: ") :] if code else text)
            return
        if refusal is not None:
            self._hang_up()
        else:
            self._answer(200, answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            data = b"".join(parts)
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "lz4":
            import lz4.frame

            data = lz4.frame.decompress(data)
        return data

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Timezone", "UTC")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _error(self, status: int, code: int, text: str) -> None:
        self._answer(status, text.encode(), X_ClickHouse_Exception_Code=str(code))

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a query can hold data."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, store: Store, password: str = "") -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.store, self._password = store, password
        self._refusal: Refusal | None = None
        self._lock = threading.Lock()

    def refuse(self, params: dict[str, str]) -> None:
        with self._lock:
            until = time.monotonic() + float(params.get("seconds", "3600"))
            refusal = Refusal(params["mode"], until, int(params.get("count", "1000000")), int(params.get("code", "0")))
            self._refusal = None if refusal.mode == "none" else refusal

    def refusing(self) -> Refusal | None:
        with self._lock:
            now = self._refusal
            if now is None or now.count < 1 or time.monotonic() > now.until:
                return None
            self._refusal = now._replace(count=now.count - 1)
            return now

    def knows(self, authorization: str) -> bool:
        if not self._password:
            return True
        sent = base64.b64decode(authorization.partition(" ")[2]).partition(b":")[2]
        return hmac.compare_digest(sent, self._password.encode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed hang up midway; that is what they are for."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--path", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    store = Store(options.path)
    server = Server(options.port, store, options.password)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(server.server_address[1], flush=True)
    server.serve_forever(poll_interval=0.05)
    store.close()


class Running:
    """A server for tests: this file's process, or the real one the environment names."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        self.folder, self.password, self.port = folder, password, 0
        self.real = urlsplit(os.environ[REAL]) if os.environ.get(REAL) and not password else None
        self.start()

    def start(self) -> None:
        """Start, or start again at the same port over the same store."""
        if self.real:
            return
        command = [sys.executable, "-m", "tests.clickhouse_server", "--path", str(self.folder / "server")]
        command += ["--port", str(self.port), "--password", self.password]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server ended before it listened"
        self.port = int(line)

    @property
    def pid(self) -> int | None:
        """The process to measure; None when the server is not ours."""
        return None if self.real else self._process.pid

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if not self.real:
            self._process.kill()
            self._end()

    def stop(self) -> None:
        if not self.real:
            self._process.terminate()
            self._end()

    def _end(self) -> None:
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def control(self, mode: str, **options: float) -> None:
        """See the module's first lines; skips the test where the server is not ours to command."""
        if self.real:
            pytest.skip(f"{REAL} names a real server, which cannot be told to fail")
        query = "&".join(f"{name}={value}" for name, value in {"mode": mode, **options}.items())
        with urlopen(f"http://127.0.0.1:{self.port}/control?{query}") as answer:
            answer.read()

    def settings(self, database: str = "", **changes: Any) -> ClickHouse:
        """Settings that lead here, with a database of their own unless one is named."""
        values: dict[str, Any] = {"interface": "http", "host": "127.0.0.1", "port": self.port}
        if self.real:
            values = {"interface": self.real.scheme, "host": self.real.hostname, "port": self.real.port or 8123}
            values |= {"username": self.real.username or "default", "password": self.real.password or ""}
        elif self.password:
            values["password"] = self.password
        return for_tests(database, **{**values, **changes})


def for_tests(database: str = "", **changes: Any) -> ClickHouse:
    """Settings of a store whose retention never reaches the fixed dates of test data."""
    values: dict[str, Any] = {"retention_days": 36_500, "alert_retention_days": 36_500}
    values["database"] = database or f"test_{uuid.uuid4().hex[:12]}"
    return ClickHouse(**{**values, **changes})


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A ClickHouse server over HTTP, shared by the session: use `settings()` for a database of one's own."""
    running = Running(tmp_path_factory.mktemp("clickhouse"))
    yield running
    running.stop()


if __name__ == "__main__":
    main()
