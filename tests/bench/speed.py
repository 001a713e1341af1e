"""How fast secrets are masked: our own figures in one process, and against the peers on the same text and core.

Everything is processor time, since the wall clock of a shared machine measures the neighbours; what is compared is
measured in turns. Command lines are run on two sizes of text: the difference is their speed without start-up.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from detectors.secret_rules import SecretRule
from detectors.secrets import Scanner
from tests.bench.corpus import requests
from tests.bench.peers import Installed, Peer, pinned
from tests.bench.transcripts import record

SMALL, LARGE = 20_000_000, 120_000_000  # bytes of text the command lines are run on
FILE: Final = 1_000_000
SLOW: Final = 20  # the slowest get a twentieth of it
ROUNDS: Final = 4
FEW: Final = 60


def seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _mask_lines(scanner: Scanner, lines: Sequence[str]) -> Callable[[], object]:
    def work() -> None:
        for line in lines:
            scanner.mask(line, "line")

    return work


def throughput(rules: Sequence[SecretRule], scanner: Scanner, lines: Sequence[str]) -> dict[str, Any]:
    """MB/s of masking line by line, with all rules and with a few, in turns."""
    few = Scanner([*rules[:: max(1, len(rules) // FEW)]][:FEW], b"bench")
    all_work, few_work = _mask_lines(scanner, lines), _mask_lines(few, lines)
    all_work(), few_work()
    pairs = [(seconds(all_work), seconds(few_work)) for _ in range(5)]
    size = sum(len(line.encode()) for line in lines)
    fastest = min(a for a, _ in pairs)
    return {
        "bytes": size,
        "mb_per_second": round(size / statistics.median(a for a, _ in pairs) / 1e6, 1),
        "mb_per_second_best": round(size / fastest / 1e6, 1),
        "cost_of_all_to_sixty_rules": round(statistics.median(a / b for a, b in pairs), 2),
    }


def per_record(scanner: Scanner) -> dict[str, Any]:
    """Milliseconds for one record of 5 kB, every record several times: the slowest hundredth of the best times."""
    rng = random.Random(5)
    records = [record(rng, 5000) for _ in range(2000)]
    best = [min(seconds(lambda one=one: scanner.mask(one, "record")) for _ in range(5)) for one in records]  # type: ignore[misc]
    best.sort()
    return {
        "records": len(records),
        "bytes": round(statistics.mean(len(one) for one in records)),
        "p50_ms": round(best[len(best) // 2] * 1e3, 4),
        "p99_ms": round(best[len(best) * 99 // 100] * 1e3, 4),
        "max_ms": round(best[-1] * 1e3, 4),
    }


def per_span(scanner: Scanner) -> dict[str, Any]:
    """Microseconds for a span without a candidate: alone, and as ingest masks them, a request at a time."""
    texts = [
        [kv.value.string_value for kv in one.attributes if kv.value.string_value]
        for body in requests(4, 512, sessions=50, seed=3)
        for one in ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
    ]
    alone = ["\0".join(one) for one in texts]
    clean = [at for at, text in enumerate(alone) if not scanner.find(text)]
    batches = [[text for at in clean[first : first + 256] for text in texts[at]] for first in range(0, len(clean), 256)]
    single = [seconds(_mask_lines(scanner, [alone[at] for at in clean])) for _ in range(7)]
    together = [seconds(lambda: [scanner.mask_many(batch) for batch in batches]) for _ in range(7)]
    return {
        "spans": len(clean),
        "bytes": round(statistics.mean(len(alone[at].encode()) for at in clean)),
        "alone_us": round(min(single) / len(clean) * 1e6, 2),
        "in_requests_us": round(min(together) / len(clean) * 1e6, 2),
    }


_UNITS: Final = (
    *("a", "\\", '"', "=", "A1", "0f", "%41", "\\u0041", "eyJ", "sk-", "ghp_", "-----BEGIN RSA PRIVATE KEY-----\\n"),
    *('password="', "api_key=", "token: ", "--password ", "https://a:", "postgres://u:p", "SGVsbG8g", "H4sIAAAA"),
    *('" + "', '", "', "key", "datadog ", "aws_secret_access_key", "&quot;", "\n", "é", "\0", "Bearer ", "{", "a.b-"),
)


def growth(scanner: Scanner, rules: Sequence[SecretRule]) -> dict[str, Any]:
    """Time for 1 MB of adversarial text over time for 250 kB of it: 4 is linear."""
    rng = random.Random(7)
    rows: list[tuple[float, float, str]] = []
    units = [*_UNITS, *(one.examples.match[0][:60] for one in rng.sample(list(rules), min(60, len(rules))))]
    for unit in units:
        small, large = (unit * (size // len(unit) + 1) for size in (250_000, 1_000_000))
        quick = min(seconds(lambda text=small: scanner.find(text)) for _ in range(2))  # type: ignore[misc]
        slow = min(seconds(lambda text=large: scanner.find(text)) for _ in range(2))  # type: ignore[misc]
        rows.append((slow / max(quick, 1e-4), slow, unit[:24]))
    worst, slowest = max(rows), max(rows, key=lambda row: row[1])
    return {
        "texts": len(rows),
        "median_ratio": round(statistics.median(row[0] for row in rows), 2),
        "worst_ratio": round(worst[0], 2),
        "worst_text": worst[2],
        "slowest_seconds_per_mb": round(slowest[1], 3),
        "slowest_text": slowest[2],
    }


def _sized(lines: Sequence[str], size: int, target: Path) -> int:
    """Files of a megabyte with as many of the lines as make up `size` bytes; none twice, so that none is remembered."""
    target.mkdir()
    written, at = 0, 0
    while written < size:
        body = bytearray()
        while len(body) < FILE and written + len(body) < size:
            body += lines[at].encode() + b"\n"
            at += 1
        (target / f"{written:09}.jsonl").write_bytes(body)
        written += len(body)
    return written


def against(lines: Sequence[str], folder: Path, installed: Installed | None, peers: Sequence[Peer]) -> dict[str, Any]:
    """MB/s of every command line, with start-up and without, and how many times ours is theirs."""
    sizes = {name: _sized(lines, size, folder / name) for name, size in _files().items()}
    runs: dict[str, dict[str, list[float]]] = {}
    ours = [sys.executable, "-m", "tests.bench.mask_file"]
    for _ in range(ROUNDS):
        for name, slow, start in [("spanwatch", False, None), *((peer.name, peer.slow, peer) for peer in peers)]:
            for file in ("slow-small", "slow-large") if slow else ("small", "large"):
                if start is None:
                    ran = pinned([*ours, str(folder / file)], folder)
                else:
                    assert installed is not None
                    ran = installed.run(start, folder / file)
                runs.setdefault(name, {}).setdefault(file, []).append(ran.cpu)
    rows: dict[str, Any] = {}
    for name, by_file in runs.items():
        (small, fast), (large, long) = ((file, min(times)) for file, times in sorted(by_file.items(), reverse=True))
        rows[name] = {
            "mb_per_second": round((sizes[large] - sizes[small]) / max(long - fast, 1e-9) / 1e6, 1),
            "mb_per_second_with_start": round(sizes[large] / long / 1e6, 1),
            "seconds_large": round(long, 2),
        }
    for row in rows.values():
        row["ours_is_times"] = round(rows["spanwatch"]["mb_per_second"] / row["mb_per_second"], 2)
    return rows


def _files() -> dict[str, int]:
    return {"small": SMALL, "large": LARGE, "slow-small": SMALL // SLOW, "slow-large": LARGE // SLOW}
