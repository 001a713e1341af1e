"""`make bench`: every figure of docs/benchmarks.md in one run, as a table and as JSON; never a test."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PARTS = ("ingest", "engine", "sink", "embedded", "kafka", "memory")


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


def measure(part: str) -> dict[str, Any]:
    """One part in a process of its own, so that no part pays for another's memory or threads."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--inside", part], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        return {"failed": f"exit status {done.returncode}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=[], choices=[*PARTS, []], help="which parts (default: all)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(importlib.import_module(f"tests.bench.{args.inside}").measure()))
        return 0
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    console = Console(stderr=True)
    results: dict[str, Any] = {"machine": machine()}
    for part in args.parts or PARTS:
        console.print(f"measuring {part} ...")
        results[part] = measure(part)
    table = Table("part", "figure", "value", title="spanwatch bench")
    for part, figures in results.items():
        for name, value in figures.items():
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
    return int(any("failed" in figures for figures in results.values()))


if __name__ == "__main__":
    sys.exit(main())
