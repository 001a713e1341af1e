"""The embedded driver as its own process for the benchmark, steered by lines on stdin, answering in JSON lines.

`rows` counts the stored spans; `watch SESSION` answers once an alert of that session can be read from the store;
`use` tells CPU seconds and memory.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pipeline import telemetry
from pipeline.embedded import Embedded, serve
from pipeline.settings import Settings

LOOK_SECONDS = 0.05  # between two looks at the alerts table: part of every latency measured


class Steering:
    """Answers the bench process from threads of its own."""

    def __init__(self, running: Embedded) -> None:
        self._running = running
        self._watched: set[str] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._look, daemon=True).start()

    def say(self, **values: Any) -> None:
        with self._lock:
            print(json.dumps(values), flush=True)

    def _listen(self) -> None:
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            if command == "rows":
                self.say(rows=self._running.query("SELECT count() FROM spanwatch.spans")[0][0])
            elif command == "use":
                used = resource.getrusage(resource.RUSAGE_SELF)
                self.say(cpu=used.ru_utime + used.ru_stime, rss_mib=used.ru_maxrss / 1024)
            elif command == "watch":
                with self._lock:
                    self._watched.add(argument)

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                wanted = sorted(self._watched)
            if not wanted:
                continue
            found = self._running.query(
                "SELECT DISTINCT SessionId FROM spanwatch.alerts WHERE SessionId IN {wanted:Array(String)}",
                wanted=wanted,
            )
            now = time.time_ns()
            for (session,) in found:
                self.say(session=session, readable_ns=now)
            with self._lock:
                self._watched.difference_update(session for (session,) in found)


def main(data_dir: Path) -> int:
    telemetry.configure("warning", "json")
    settings = Settings(data_dir=data_dir, key="bench", gateway={"port": 0, "grpc_port": -1})

    def started(running: Embedded) -> None:
        Steering(running).say(port=running.http_port)

    return serve(settings, started=started)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
