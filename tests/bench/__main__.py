"""`make bench`: every figure of docs/benchmarks.md and docs/detection-quality.md, as a table and as JSON; no test."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import anomaly_page, behaviour_page, quality_page

PARTS = ("ingest", "engine", "sink", "embedded", "kafka", "memory", "secrets", "behaviour", "anomaly")


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def measure(part: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """One part in a process of its own, so that no part pays for another's memory or threads."""
    command = [sys.executable, "-m", "tests.bench", "--inside", part, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {"failed": f"exit status {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def flat(figures: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Figures of figures under one name each."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}: ")
        else:
            yield before + name, value


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], choices=[*PARTS, []], help="which parts (default: all)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--data", type=Path, help="secrets, behaviour: a folder of recorded sessions")
    parser.add_argument("--nab", type=Path, help="anomaly: a folder with the corpus of the Numenta Anomaly Benchmark")
    parser.add_argument("--peers", action="store_true", help="secrets: install other scanners and run them beside ours")
    parser.add_argument("--page", action="store_true", help="write the figures into docs/detection-quality.md")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        options = {"data": args.data} if args.inside in ("secrets", "behaviour") else {}
        options |= {"peers": args.peers} if args.inside == "secrets" else {}
        options |= {"nab_folder": args.nab} if args.inside == "anomaly" else {}
        print(json.dumps(importlib.import_module(f"tests.bench.{args.inside}").measure(**options)))
        return 0
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    console = Console(stderr=True)
    results: dict[str, Any] = {"machine": machine()}
    for part in args.parts or PARTS:
        console.print(f"measuring {part} ...")
        asked = [*(["--data", str(args.data)] if args.data else []), *(["--peers"] if args.peers else [])]
        asked += ["--nab", str(args.nab)] if args.nab else []
        results[part] = measure(part, asked)
    table = Table("part", "figure", "value", title="spanwatch bench")
    for part, figures in results.items():
        if part in ("behaviour", "anomaly"):  # printed as tables of their own
            continue
        for name, value in flat(figures):
            table.add_row(
                part,
                name,
                f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value),
            )
    console.print(table)
    text = json.dumps(results, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")
    if args.page and "planted" in results.get("secrets", {}):
        quality_page.write({**results["secrets"], "machine": results["machine"]})
    if args.page and "sets" in results.get("behaviour", {}):
        quality_page.write(results["behaviour"], behaviour_page.BLOCKS)
    if args.page and "cost" in results.get("anomaly", {}):
        quality_page.write(results["anomaly"], anomaly_page.BLOCKS)
    return int(any("failed" in figures for figures in results.values()))


if __name__ == "__main__":
    sys.exit(main())
