"""The embedded driver as a process of its own, for tests that end it: `python -m tests.embedded_process DIR PORT`.

Prints the ports once it listens. A third argument names a table to drop first, as a schema that drifted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline import telemetry
from pipeline.embedded import Embedded, serve
from pipeline.settings import Settings
from tests.running import KEY


def main(data_dir: Path, port: int, drop: str = "") -> int:
    telemetry.configure("warning", "json")
    settings = Settings(
        data_dir=data_dir,
        key=KEY,
        gateway={"port": port, "grpc_port": -1},
        worker={"batch_spans": 200, "batch_seconds": 0.02, "checkpoint_seconds": 0.1},
    )

    def started(running: Embedded) -> None:
        if drop:
            running.query(f"DROP TABLE {drop}")
        print(running.http_port, flush=True)

    return serve(settings, started=started)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
