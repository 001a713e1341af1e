"""How well hijacked sessions are found in what nobody tuned the detector for: by task, attack, model and vocabulary.

The detector's rules are set by hand, so leaving a part out changes no weight; what is shown is how even the figures
are over parts that have nothing in common. Two runs take knowledge away from it: all tool names made meaningless, as
in a suite of unknown tools, and for each attack the verb it uses taken out of the word lists, as in a suite of
unknown actions. The loss against the plain run is the figure that counts.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from detectors import rule, taint_judge, taint_text, taint_words
from detectors.model import Span, digest
from detectors.secrets import Scanner
from detectors.taint import Taint
from pipeline.ingest import Ingest
from pipeline.settings import Gateway
from tests.bench.scoring import HIJACKED, labels, rate, score

PARTS: Final = ("suite", "user_task", "injection_task", "model")
KEY: Final = b"bench"
CACHED: Final = (
    taint_words.stem,
    taint_words.parts,
    taint_words.families,
    taint_judge._learned,
    taint_judge._words_of,
    taint_text._asking,
    taint_text.paragraphs,
)


def sessions(folder: Path, rules: rule.RuleSet) -> dict[str, list[Span]]:
    """Masked spans of every recorded session, in the order they ended."""
    ingest = Ingest(Scanner(rules.secrets, KEY), Gateway(), KEY)
    found: dict[str, list[Span]] = defaultdict(list)
    with gzip.open(folder / "traces.jsonl.gz", "rb") as lines:
        for line in lines:
            for span in ingest.traces(line.strip(), "json", received_ns=time.time_ns()).spans:
                found[span.trace_id].append(msgspec.structs.replace(span, attributes={}))
    return {trace: sorted(spans, key=lambda one: (one.end_ns, one.start_ns)) for trace, spans in found.items()}


def alerts(detector: Taint, recorded: Mapping[str, Sequence[Span]]) -> list[dict[str, Any]]:
    """What the detector alone says, as alerts are written."""
    out: list[dict[str, Any]] = []
    for trace, spans in recorded.items():
        state = detector.new_state()
        for place in detector.select(spans):
            out += [
                {"trace_id": trace, "severity": one.severity.label, "ts_ns": one.time_ns, "rule_id": one.rule_id}
                for one in detector.observe(spans[place], state)
            ]
    return out


def nameless(spans: Sequence[Span]) -> list[Span]:
    """The same spans from tools whose names say nothing."""
    return [
        msgspec.structs.replace(one, fields={**one.fields, "tool.name": f"t{digest(str(one.fields['tool.name']))[:6]}"})
        if "tool.name" in one.fields
        else one
        for one in spans
    ]


@contextmanager
def without(verbs: frozenset[str]) -> Iterator[None]:
    """The detector while it does not know these verbs."""
    taken = {verb: taint_words.FAMILY.pop(verb) for verb in verbs if verb in taint_words.FAMILY}
    try:
        _forget()
        yield
    finally:
        taint_words.FAMILY.update(taken)
        _forget()


def _forget() -> None:
    for cached in CACHED:
        cached.cache_clear()


def verbs_of(known: Mapping[str, dict[str, Any]], recorded: Mapping[str, Sequence[Span]]) -> dict[str, frozenset[str]]:
    """Per attack the verbs of the sentences that carry it: those in its payload spans, in every session of it."""
    counted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    clean: set[str] = set()
    for trace, one in known.items():
        payload = {p["span_id"] for p in one["positives"] if "injection_payload" in p["flags"]}
        for span in recorded.get(trace, ()):
            for asked in taint_text.asking(span.text("result")) if "result" in span.fields else ():
                if span.span_id in payload:
                    counted[str(one["meta"].get("injection_task"))][asked.text] += 1
                elif not one["positives"]:
                    clean.add(asked.text)
    found: dict[str, frozenset[str]] = {}
    for attack, texts in counted.items():
        top = sorted((text for text in texts if text not in clean), key=lambda text: -texts[text])[:2]
        found[attack] = frozenset(verb for text in top for one in taint_text.asking(text) for verb in one.verbs)
    return found


def _part(known: Mapping[str, dict[str, Any]], said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = score(dict(known), said, "compromise")
    return {name: found[name] for name in ("recall", "false", "in_time")}


def table(data: Path) -> dict[str, Any]:
    """Figures by part and with knowledge taken away, and the same as one Markdown text under `text`."""
    folder = data / "agentdyn"
    rules = rule.read()
    known, recorded = labels(folder), sessions(folder, rules)
    detector = Taint(rules.destinations)
    high = [one for one in alerts(detector, recorded) if one["severity"] in ("high", "critical")]
    figures: dict[str, Any] = {"whole": _part(known, high), "parts": {}}
    for name in PARTS:
        kinds = sorted({str(one["meta"].get(name)) for one in known.values()})
        figures["parts"][name] = {
            kind: _part({t: one for t, one in known.items() if str(one["meta"].get(name)) == kind}, high)
            for kind in kinds
        }
    unnamed = alerts(detector, {trace: nameless(spans) for trace, spans in recorded.items()})
    figures["unknown tools"] = _part(known, [one for one in unnamed if one["severity"] in ("high", "critical")])
    figures["unknown verb"] = _unknown_verbs(detector, known, recorded)
    figures["text"] = _text(figures)
    return figures


def _unknown_verbs(
    detector: Taint, known: Mapping[str, dict[str, Any]], recorded: Mapping[str, Sequence[Span]]
) -> dict[str, Any]:
    """Recall when the verbs of an attack are unknown, over all attacks, each measured without its own."""
    hits = of = 0
    cells: dict[str, Any] = {}
    for attack, verbs in sorted(verbs_of(known, recorded).items()):
        mine = {t: recorded[t] for t, one in known.items() if _hijacked_by(one, attack)}
        with without(verbs):
            said = {one["trace_id"] for one in alerts(detector, mine) if one["severity"] in ("high", "critical")}
        cells[f"{attack} without {', '.join(sorted(verbs)) or 'nothing'}"] = rate(len(said), len(mine))
        hits, of = hits + len(said), of + len(mine)
    return {"recall": rate(hits, of), "attacks": cells}


def _hijacked_by(one: dict[str, Any], attack: str) -> bool:
    return one["label"] in HIJACKED and str(one["meta"].get("injection_task")) == attack


def _cell(one: dict[str, Any]) -> str:
    return f"{one['rate']:.3f} ({one['hits']} of {one['of']})" if one.get("of") else "-"


def _row(name: str, one: dict[str, Any]) -> str:
    return f"| {name} | {_cell(one['recall'])} | {_cell(one['false'])} | {_cell(one['in_time'])} |"


def _text(figures: dict[str, Any]) -> str:
    lines = ["| only, or without | recall, high | false sessions | in time |", "|---|---|---|---|"]
    lines.append(_row("everything", figures["whole"]))
    for name, kinds in figures["parts"].items():
        lines += [_row(f"only {name} {kind}", one) for kind, one in kinds.items()]
    lines.append(_row("without every tool's name", figures["unknown tools"]))
    lines.append(f"| without the attack's own verbs | {_cell(figures['unknown verb']['recall'])} | - | - |")
    lines += [f"| {name} | {_cell(one)} | - | - |" for name, one in figures["unknown verb"]["attacks"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    measured = table(Path(sys.argv[1]))
    print(measured.pop("text"), file=sys.stderr)
    print(json.dumps(measured, indent=1))
