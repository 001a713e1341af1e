"""False alarms on clean real text: how many findings a megabyte of it gives, and which rules they come from."""

from __future__ import annotations

import json
import random
import site
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from detectors.secrets import Scanner
from tests.bench.families import B64, HEX, chars
from tests.bench.transcripts import noise, prose, recorded_lines, uuid

MAX_FILE: Final = 2_000_000
MAX_SOURCE: Final = 40_000_000  # bytes of one source
_TEXT: Final = {
    ".py",
    ".pyi",
    ".js",
    ".ts",
    ".json",
    ".yml",
    ".yaml",
    ".toml",
    ".cfg",
    ".txt",
    ".md",
    ".rst",
    ".html",
    ".css",
    ".c",
    ".h",
    ".sql",
    ".sh",
    "",
}


def files(folder: Path, skip: str = "") -> Iterator[str]:
    """Texts of a tree, in a fixed mixed order so that a bounded part of it is a fair sample."""
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix in _TEXT and path.is_file() and not path.is_symlink() and (not skip or skip not in path.parts)
    ]
    random.Random(1).shuffle(found := sorted(found))
    for path in found:
        if path.stat().st_size <= MAX_FILE:
            try:
                yield path.read_text("utf-8")
            except UnicodeDecodeError:
                continue


def _package_lock(rng: random.Random) -> str:
    packages = {
        f"node_modules/pkg-{n}": {
            "version": f"{rng.randrange(9)}.{rng.randrange(30)}.{rng.randrange(9)}",
            "resolved": f"https://registry.example.org/pkg-{n}/-/pkg-{n}-1.0.0.tgz",
            "integrity": f"sha512-{chars(rng, B64, 86)}==",
        }
        for n in range(300)
    }
    return json.dumps({"name": "shop", "lockfileVersion": 3, "packages": packages}, indent=2)


def _poetry_lock(rng: random.Random) -> str:
    return "".join(
        f'[[package]]\nname = "pkg-{n}"\nversion = "1.{n}.0"\nfiles = [\n'
        f'    {{file = "pkg_{n}-1.{n}.0-py3-none-any.whl", hash = "sha256:{chars(rng, HEX, 64)}"}},\n]\n\n'
        for n in range(400)
    )


def _go_sum(rng: random.Random) -> str:
    return "".join(f"example.org/mod/m{n} v1.{n}.0 h1:{chars(rng, B64, 43)}=\n" for n in range(600))


def _log(rng: random.Random) -> str:
    return "".join(
        f"2026-11-03T10:12:{n % 60:02}.{rng.randrange(1000):03}Z INFO [{uuid(rng)}] {noise(rng)}" for n in range(400)
    )


def _notebook(rng: random.Random) -> str:
    def cell(n: int) -> dict[str, Any]:
        image = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" + chars(rng, B64, 6000) + "="}}
        source = [line + "\n" for line in prose(rng, 12).splitlines()]
        return {
            "cell_type": "code",
            "id": chars(rng, HEX, 8),
            "execution_count": n,
            "source": source,
            "outputs": [image],
        }

    return json.dumps({"cells": [cell(n) for n in range(30)], "nbformat": 4}, indent=1)


def _made(make: Any) -> Iterator[str]:
    for seed in range(40):
        yield make(random.Random(seed))


def sources(data: Path | None) -> dict[str, Iterable[str]]:
    """Name and texts of everything at hand."""
    packages = [Path(one) for one in site.getsitepackages()]
    found: dict[str, Iterable[str]] = {
        "Python standard library": files(Path(sysconfig.get_paths()["stdlib"]), "site-packages"),
        "installed packages": (text for folder in packages for text in files(folder)),
        "lockfiles (made)": (text for make in (_package_lock, _poetry_lock, _go_sum) for text in _made(make)),
        "logs (made)": _made(_log),
        "notebooks (made)": _made(_notebook),
    }
    if data is not None:
        found["recorded agent sessions"] = recorded_lines(data)
    return found


def measure(scanner: Scanner, data: Path | None, seen: Any = None) -> dict[str, Any]:
    """Findings per megabyte of every source and of all; `seen` is called with each hit and its text."""
    rows: dict[str, Any] = {}
    rules: Counter[str] = Counter()
    for name, texts in sources(data).items():
        tiers: Counter[str] = Counter()
        different: set[tuple[str, str]] = set()
        size = 0
        for text in texts:
            size += len(text.encode("utf-8", "surrogatepass"))
            for hit in scanner.find(text):
                tiers[hit.tier] += 1
                different.add((hit.rule.id, hit.fingerprint))
                rules[f"{hit.rule.id} {hit.tier}"] += 1
                if seen is not None:
                    seen(name, text, hit)
            if size > MAX_SOURCE:
                break
        rows[name] = _row(size, tiers, len(different))
    total = Counter({tier: sum(row[tier] for row in rows.values()) for tier in ("verified", "likely", "possible")})
    size = round(sum(row["megabytes"] for row in rows.values()) * 1e6)
    rows["all"] = _row(size, total, sum(row["different"] for row in rows.values()))
    return {"sources": rows, "rules": dict(rules.most_common(25))}


def _row(size: int, tiers: Counter[str], different: int) -> dict[str, Any]:
    megabytes = max(size, 1) / 1e6
    return {
        "megabytes": round(megabytes, 2),
        "verified": tiers["verified"],
        "likely": tiers["likely"],
        "possible": tiers["possible"],
        "different": different,
        "upper_per_mb": round((tiers["verified"] + tiers["likely"]) / megabytes, 3),
        "all_per_mb": round(tiers.total() / megabytes, 3),
        "different_per_mb": round(different / megabytes, 3),
    }
