"""The simulated fleet, in a process of its own: plays all sessions at once and tells the stage what it did.

What it did goes to standard output as one JSON object per line: `planted` when the deciding act of an incident was
exported, `done` at the end. The planted secrets go the same way, so that they are written to no file.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import deque

import msgspec

from pipeline.demo import honest, planted
from pipeline.demo.acts import Act, Story
from pipeline.demo.agents import ClaudeCode, Codex, Emitter, GenAI, Senders
from pipeline.demo.sender import Tally
from pipeline.demo.services import CiRunner, Egress, LiteLLM

AT_ONCE = 8  # sessions that are open at the same time
SHAPES: dict[str, type[Emitter]] = {
    "claude-code": ClaudeCode,
    "codex": Codex,
    "genai": GenAI,
    "litellm": LiteLLM,
    "envoy": Egress,
    "ci": CiRunner,
}


class Planted(msgspec.Struct, frozen=True, kw_only=True, tag="planted"):
    """An incident is out: its last export call came back at `exported_ns`."""

    title: str
    shape: str
    sessions: tuple[str, ...]
    expect: tuple[str, ...]
    secrets: tuple[tuple[str, ...], ...]
    exported_ns: int


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """Everything is out."""

    honest: tuple[tuple[str, ...], ...]
    spans: int
    logs: int
    failed: int
    seconds: float


class Playing:
    """A session being played, act by act."""

    def __init__(self, story: Story, senders: Senders, dice: random.Random) -> None:
        self.story = story
        self.acts: deque[Act] = deque(story.acts)
        lasts = sum(act.seconds for act in story.acts)
        self.emitter = SHAPES[story.shape](senders, dice, time.time_ns() - int(lasts * 1e9))

    def go_on(self) -> bool:
        """Play the next act; False after the last."""
        self.emitter.play(self.acts.popleft())
        if not self.acts:
            self.emitter.close()
        return bool(self.acts)


def order(dice: random.Random, sessions: int) -> list[Story]:
    """Honest sessions with the incidents spread evenly between them."""
    stories = honest.sessions(dice, sessions)
    incidents = planted.incidents(dice)
    for number, incident in enumerate(incidents):
        stories.insert(round((number + 0.7) * (sessions + len(incidents)) / len(incidents)), incident)
    return stories


def play(endpoint: str, *, seed: int, sessions: int, seconds: float) -> None:
    """Play everything within about `seconds`."""
    dice, tally = random.Random(seed), Tally()
    senders = Senders(endpoint, seed, tally)
    waiting = deque(order(dice, sessions))
    pause = seconds / sum(len(story.acts) for story in waiting)
    begun = next_at = time.monotonic()
    playing: list[Playing] = []
    quiet: list[tuple[str, ...]] = []
    while waiting or playing:
        while waiting and len(playing) < AT_ONCE:
            playing.append(Playing(waiting.popleft(), senders, dice))
        one = dice.choice(playing)
        if not one.go_on():
            playing.remove(one)
            if one.story.expect:
                _tell(_planted(one, senders))
            else:
                quiet.append(one.emitter.session_ids)
        next_at += pause
        time.sleep(max(0.0, next_at - time.monotonic()))
    senders.close()
    took = time.monotonic() - begun
    _tell(Done(honest=tuple(quiet), spans=tally.spans, logs=tally.logs, failed=tally.failed, seconds=took))


def _planted(one: Playing, senders: Senders) -> Planted:
    exported_ns = senders.flush()
    return Planted(
        title=one.story.title,
        shape=one.story.shape,
        sessions=one.emitter.session_ids,
        expect=one.story.expect,
        secrets=one.story.secrets,
        exported_ns=exported_ns,
    )


def _tell(event: Planted | Done) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint", help="OTLP/HTTP base URL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=15.0)
    args = parser.parse_args()
    play(args.endpoint, seed=args.seed, sessions=args.sessions, seconds=args.seconds)


if __name__ == "__main__":
    main()
