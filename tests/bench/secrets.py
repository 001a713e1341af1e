"""Quality and speed of secret detection: every figure of docs/detection-quality.md in one run.

Parts: breadth of the rules, secrets planted in raw agent JSON lines, false alarms on clean real text, forms of
vendors nobody has heard of, speed. The same planted lines and the same text go to the peers' command lines when
they are asked for.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectors.secret_rules import SecretRule
from tests.bench import clean, planted, speed, unseen
from tests.bench.mask_file import scanner
from tests.bench.peers import PEERS, Installed
from tests.bench.planted import Case, ratio
from tests.bench.transcripts import lines_of


def breadth(rules: Sequence[SecretRule]) -> dict[str, Any]:
    """How many kinds, of how many issuers, and how they are recognised and proved."""
    return {
        "kinds": len(rules),
        "issuers": len({rule.issuer for rule in rules} - {"unknown"}),
        "by_form": sum(not rule.keys and not rule.near for rule in rules),
        "by_name_of_key": sum(bool(rule.keys) for rule in rules),
        "by_name_of_issuer": sum(bool(rule.near) for rule in rules),
        "checks": len({rule.check for rule in rules} - {""}),
        "kinds_with_a_check": sum(bool(rule.check) for rule in rules),
        "tiers": dict(Counter(rule.tier for rule in rules)),
        "rotation": dict(Counter(rule.rotation for rule in rules)),
        "short_lived": sum(not rule.static for rule in rules),
    }


def with_secrets(lines: Sequence[str], planted_lines: Sequence[str]) -> list[str]:
    """Every fiftieth line has a secret, as long as there are any: text to measure speed on."""
    mixed: list[str] = []
    rest = iter(planted_lines)
    for number, line in enumerate(lines):
        mixed.append(line)
        if number % 50 == 49:
            mixed += [one for one in [next(rest, None)] if one]
    return mixed


def peer_scores(cases: Sequence[Case], folder: Path, installed: Installed) -> dict[str, Any]:
    """What every peer reports of the planted lines, by line: a report on a planted line counts as right."""
    text = folder / "planted.jsonl"
    text.write_text("".join(case.line + "\n" for case in cases), encoding="utf-8")
    scores: dict[str, Any] = {}
    for peer in PEERS:
        reported = [(number - 1, value) for number, value in peer.read(installed.run(peer, text).output)]
        lines = Counter(number for number, _ in reported)
        right = sum(count for number, count in lines.items() if cases[number].parts)
        found = [case for number, case in enumerate(cases) if case.parts and lines[number]]
        scores[peer.name] = {
            "version": installed.versions[peer.name],
            "recall_by_line": ratio(len(found), sum(bool(case.parts) for case in cases)),
            "precision": ratio(right, len(reported)),
            "false_hits": len(reported) - right,
            "carriers": by_carrier(cases, found),
        }
    return scores


def by_carrier(cases: Sequence[Case], found: Sequence[Case]) -> dict[str, float]:
    planted_in, found_in = Counter(case.carrier for case in cases if case.parts), Counter(c.carrier for c in found)
    return {name: ratio(found_in[name], count) for name, count in sorted(planted_in.items())}


def measure(*, data: Path | None = None, peers: bool = False) -> dict[str, Any]:
    """All parts; `data` is a folder of recorded sessions, `peers` installs and runs the command lines."""
    ours = scanner()
    rules = ours.rules
    cases = planted.cases(data)
    score, judged = planted.score(ours, cases)
    score["carriers_by_line"] = by_carrier(cases, [one.case for one in judged if one.case.parts and one.hits])
    result: dict[str, Any] = {"breadth": breadth(rules), "planted": score, "clean": clean.measure(ours, data)}
    result["unseen"] = unseen.measure(ours)
    lines = with_secrets(lines_of(data, speed.LARGE, 11), [case.line for case in cases if case.parts])
    result["speed"] = {
        "lines": speed.throughput(rules, ours, lines[: len(lines) // 8]),
        "records_5kb": speed.per_record(ours),
        "spans": speed.per_span(ours),
        "growth": speed.growth(ours, rules),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        installed = Installed(folder) if peers else None
        chosen = PEERS if peers else ()
        for peer in chosen:
            print(f"installing {peer.name} ...", file=sys.stderr)
            assert installed is not None
            installed.add(peer)
        result["against"] = speed.against(lines, folder, installed, chosen)
        if installed is not None:
            result["peers"] = peer_scores(cases, folder, installed)
    return result
