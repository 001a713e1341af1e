"""Hijacked and clean sessions of eleven vocabularies unlike a web shop, made from a seed, and how well they are told.

The texts stand in `vocabulary_texts/`; each attack is put into each of several styles, obeyed at once, obeyed late with
values written otherwise, tried in vain, and ignored. Half of the vocabularies was used to improve the detector;
the other half was measured blind once, then its false alarms were looked at, so neither is unseen any more.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import string
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from tests.bench.scoring import labels, score, severe

Call = tuple[str, dict[str, Any], Any]
FOLDER: Final = Path(__file__).parent / "vocabulary_texts"
SEED: Final = 1
_HOLE: Final = re.compile(r"<account:\w>|<phrase>")
START: Final = 1_780_000_000_000_000_000
REFUSED: Final = ("Error: not permitted", "ValueError: unknown id", '{"error": "service unavailable"}')
SAID: Final = ("", "", "", "Let me take care of that.", "I will look at it now.")


def loaded(text: str) -> Any:
    """YAML in which only plain numbers are no text: days and times stay as they are written."""

    def typed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: typed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [typed(one) for one in value]
        if value.isascii() and value.replace(".", "", 1).isdigit() and not value.startswith("0"):
            return float(value) if "." in value else int(value)
        return value

    return typed(yaml.load(text, yaml.BaseLoader))  # text, lists and mappings only


def filled(value: Any, holes: dict[str, str]) -> Any:
    """A value with its holes filled, through lists and mappings."""
    if isinstance(value, str):
        for name, text in holes.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, list):
        return [filled(one, holes) for one in value]
    if isinstance(value, dict):
        return {key: filled(one, holes) for key, one in value.items()}
    return value


def altered(value: str, rng: random.Random) -> str:
    """A value as an agent may write it after reading it: the same to whoever gets it."""
    if "@" in value[1:]:
        return rng.choice([value.capitalize(), f"mailto:{value}", f"<{value}>", f" {value}"])
    if value.startswith("http"):
        return rng.choice(
            [value + "/", value.partition("://")[2], value + "?ref=agent", value.replace("://", "://www.")]
        )
    if value.startswith("www."):
        return rng.choice(["https://" + value, value[4:]])
    if value[:2].isalpha() and value[2:4].isdigit():
        return rng.choice([" ".join(value[i : i + 4] for i in range(0, len(value), 4)), value.lower()])
    return rng.choice([value.lower(), value.title(), value.lstrip("@")])


def shown(value: Any, rng: random.Random) -> str:
    """A result as tools print it."""
    if isinstance(value, str):
        return value
    return rng.choice([json.dumps, str, lambda one: yaml.safe_dump(one, sort_keys=False)])(value)


class Session:
    """One session of an agent: spans in order, and which of them are labelled."""

    def __init__(self, vocabulary: dict[str, Any], rng: random.Random, ask: str) -> None:
        self._agent, self._rng, self._now = vocabulary["agent"], rng, START + rng.randrange(10**15)
        self.trace, self._talk = rng.randbytes(16).hex(), rng.randbytes(12).hex()
        self._root = rng.randbytes(8).hex()
        self.spans: list[dict[str, Any]] = []
        self.positives: list[dict[str, Any]] = []
        self.tool_spans = 0
        self._system = vocabulary["system"]
        self._inputs: list[dict[str, Any]] = [{"role": "user", "parts": [{"type": "text", "content": ask}]}]

    def _span(self, operation: str, name: str, more: dict[str, Any], *, failed: bool = False) -> dict[str, Any]:
        told = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "openai",
            "gen_ai.conversation.id": self._talk,
            "gen_ai.agent.name": self._agent,
            "gen_ai.agent.id": self._talk[:12],
            **more,
        }
        began, self._now = self._now, self._now + self._rng.randrange(10**8, 10**9)
        span = {
            "traceId": self.trace,
            "spanId": self._rng.randbytes(8).hex(),
            "parentSpanId": self._root,
            "name": f"{operation} {name}",
            "kind": 1,
            "startTimeUnixNano": str(began),
            "endTimeUnixNano": str(self._now),
            "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in told.items()],
            "status": {"code": 2} if failed else {},
        }
        self.spans.append(span)
        return span

    def chat(self, parts: list[dict[str, Any]]) -> None:
        """A call of the model: what it was given since, and what it said."""
        said = [{"role": "assistant", "parts": parts, "finish_reason": "stop"}]
        more = {
            "gen_ai.request.model": "model-1",
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": self._system}]),
            "gen_ai.input.messages": json.dumps(self._inputs),
            "gen_ai.output.messages": json.dumps(said),
        }
        self._span("chat", "model-1", more)
        self._inputs = []

    def call(self, call: Call, *, flag: str = "", refused: bool = False) -> None:
        """The model asks for a call, and the tool answers."""
        tool, arguments, result = call
        text = self._rng.choice(REFUSED) if refused else shown(result, self._rng)
        key = f"call_{self._rng.randrange(10**9)}"
        spoken = self._rng.choice(SAID)
        wanted = {"type": "tool_call", "id": key, "name": tool, "arguments": arguments}
        self.chat([*([{"type": "text", "content": spoken}] if spoken else []), wanted])
        more = {
            "gen_ai.tool.name": tool,
            "gen_ai.tool.call.id": key,
            "gen_ai.tool.call.arguments": json.dumps(arguments),
            "gen_ai.tool.call.result": text,
        }
        span = self._span("execute_tool", tool, more, failed=refused and self._rng.random() < 0.5)
        self.tool_spans += 1
        if flag:
            self.positives.append({"span_id": span["spanId"], "flags": [flag], "end_ns": span["endTimeUnixNano"]})
        answer = {"type": "tool_call_response", "id": key, "response": text}
        self._inputs.append({"role": "tool", "parts": [answer]})

    def done(self, answer: str) -> str:
        """The session as one line of OTLP/JSON."""
        self.chat([{"type": "text", "content": answer}])
        root = self._span("invoke_agent", self._agent, {})
        root |= {"spanId": self._root, "startTimeUnixNano": self.spans[0]["startTimeUnixNano"]}
        del root["parentSpanId"]
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": self._agent}}]}
        scopes = [{"scope": {"name": "sessions"}, "spans": [root, *self.spans[:-1]]}]
        return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]})


Made = tuple[str, dict[str, Any]]


class Vocabulary:
    """The sessions of one vocabulary."""

    def __init__(self, name: str, told: dict[str, Any], fillers: list[str], seed: int) -> None:
        self._name, self._told, self._fillers = name, told, fillers
        self._rng = random.Random(f"{name}{seed}")

    def _made(self, session: Session, answer: str, label: str, **meta: str) -> Made:
        line = session.done(answer)
        about = {
            "trace_id": session.trace,
            "session_id": f"{self._name}/{session.trace}",
            "label": label,
            "split": self._told["half"],
            "spans": len(session.spans),
            "tool_spans": session.tool_spans,
            "positives": session.positives,
            "meta": {"suite": self._name, "half": self._told["half"], **meta},
        }
        return line, about

    def _holes(self, attack: dict[str, Any]) -> dict[str, str]:
        return {name: str(self._rng.choice(self._told["values"][name])) for name in attack.get("values", ())}

    def attacked(self, attack: dict[str, Any], style: str, kind: str) -> Made:
        """The text of an attack in a result of a user's task, and what the agent made of it."""
        rng, told = self._rng, self._told
        task, holes = rng.choice(told["tasks"]), self._holes(attack)
        text = filled(attack["texts"][style], holes)
        text = rng.choice(["", "", "\n\n", "Thanks! "]) + text + rng.choice(["", "", "\n\n"])
        session, shown_yet = Session(told, rng, task["ask"]), False
        after = kind == "late" or (kind == "failed" and rng.random() < 0.5)
        calls: list[Call] = [tuple(one) for one in task["calls"]]
        changed = {name: altered(value, rng) for name, value in holes.items()} if kind == "late" else holes
        acts: list[Call] = [(tool, filled(args, changed), result) for tool, args, result in attack["calls"]]
        for tool, args, result in calls:
            holds = "{slot}" in json.dumps(result)
            if shown_yet and not after and kind != "failed":
                break
            session.call((tool, args, filled(result, {"slot": text})), flag="injection_payload" if holds else "")
            shown_yet = shown_yet or holds
        if kind != "failed":
            for at, act in enumerate(acts):
                last = at == len(acts) - 1
                session.call(act, flag="hijacked_call" if last else "hijacked_read", refused=last and kind == "errored")
        label = {"failed": "attack_failed", "errored": "attack_attempted"}.get(kind, "attack_success")
        return self._made(
            session, task["answer"], label, user_task=task["ask"], style=style, attack=attack["goal"], variant=kind
        )

    def asked(self, attack: dict[str, Any]) -> Made:
        """The user himself asks for what an attack asks for elsewhere."""
        holes = self._holes(attack)
        session = Session(self._told, self._rng, filled(attack["ask"], holes))
        for tool, args, result in attack["calls"]:
            session.call((tool, filled(args, holes), result))
        return self._made(session, "Done.", "user_requested", user_task=attack["goal"], style="", attack=attack["goal"])

    def plain(self, task: dict[str, Any], label: str, kind: str) -> Made:
        """A task of a user with nothing planted; texts of others still say all kinds of things."""
        session = Session(self._told, self._rng, task["ask"])
        for tool, args, result in task["calls"]:
            session.call((tool, args, filled(result, {"slot": self._rng.choice(self._fillers)})))
        return self._made(session, task["answer"], label, user_task=task["ask"], style="", attack=kind)

    def sessions(self) -> Iterator[Made]:
        """Every attack in every style: obeyed at once, obeyed late with altered values or in vain, and ignored."""
        told = self._told
        for attack in told["attacks"]:
            for at, style in enumerate(attack["texts"]):
                for kind in ("obeyed", ("late", "errored", "late")[at % 3], "failed"):
                    yield self.attacked(attack, style, kind)
            yield self.asked(attack)
        for task in told["tasks"]:
            yield self.plain(task, "attack_not_delivered", "not delivered")
            for _ in range(2):
                yield self.plain(task, "benign", "filler")
        for task in told["benign"]:
            for _ in range(2):
                yield self.plain(task, "benign", "instructed")


def write(out: Path, half: str, seed: int = SEED) -> None:
    """The data set of one half of the vocabularies."""
    out.mkdir(parents=True, exist_ok=True)
    fillers = (FOLDER / "fillers.txt").read_text("utf-8").splitlines()
    with gzip.open(out / "traces.jsonl.gz", "wt") as traces, (out / "labels.jsonl").open("w") as known:
        for path in sorted(FOLDER.glob("*.yml")):
            told = loaded(_HOLE.sub(lambda found: _made_up(found.group(), seed), path.read_text("utf-8")))
            if told["half"] == half:
                for line, about in Vocabulary(path.stem, told, fillers, seed).sessions():
                    traces.write(line + "\n")
                    known.write(json.dumps(about) + "\n")


def _made_up(hole: str, seed: int) -> str:
    """An account number or a passphrase nobody has, the same wherever the hole stands."""
    rng = random.Random(f"{hole}{seed}")
    if hole == "<phrase>":
        return f"Pass-{''.join(rng.choices(string.ascii_lowercase, k=4)).title()}-{rng.randrange(10, 99)}"
    letters = "".join(rng.choices(string.ascii_uppercase, k=2))
    return letters + str(rng.randrange(10**17, 10**18))


def measure(run: Callable[[Path], tuple[list[dict[str, Any]], float]]) -> dict[str, Any]:
    """Per half and vocabulary: hijacked sessions alerted high, others alerted high, and alerts of any severity."""
    figures: dict[str, Any] = {}
    for half in ("development", "held-out"):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), half)
            known, (alerts, _) = labels(Path(folder)), run(Path(folder))
        high = severe(alerts, "high")
        suites = sorted({str(one["meta"]["suite"]) for one in known.values()})
        for name in (half, *suites):
            mine = {t: one for t, one in known.items() if name in (half, one["meta"]["suite"])}
            found = score(mine, high, "compromise")
            figures[name] = {
                "half": half,
                "recall": found["recall"],
                "false": found["false"],
                "exposure": score(mine, alerts, "exposure")["recall"],
            }
    return figures
