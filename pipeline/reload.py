"""Rules changed on disk take effect without a restart; broken ones change nothing and say what is wrong.

The folders and the overrides a deployment names are looked at every few seconds, and at once on SIGHUP. Reading
and compiling happen in a thread of their own; the driver swaps scanner and detectors between two steps. The rules
that come with spanwatch change with its version, not under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import structlog

import detectors
from detectors.engine import AnyDetector
from detectors.model import Span
from detectors.rule import RuleSet, is_rule_file
from detectors.secrets import Scanner
from pipeline import build, health
from pipeline.errors import RuleError
from pipeline.records import DeadLetter
from pipeline.settings import Rules, Settings
from pipeline.telemetry import Metrics, failure

log = structlog.get_logger()


class Ready(NamedTuple):
    """A set of rules, compiled: what a driver swaps in."""

    rules: RuleSet
    scanner: Scanner
    detectors: Sequence[AnyDetector]


Apply = Callable[[Ready], Awaitable[None]]
Tell = Callable[[Sequence[Span], Sequence[DeadLetter]], Awaitable[None]]


class Reload:
    """Watches the rules of one process; `apply` swaps them in, `tell` takes Spans about those that were refused."""

    def __init__(self, settings: Settings, running: RuleSet, metrics: Metrics, apply: Apply, tell: Tell) -> None:
        self._settings, self._metrics, self._apply, self._tell = settings, metrics, apply, tell
        self._running, self._hash = running, running.hash
        self._seen = stamps(settings.rules)
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        seconds = self._settings.rules.watch_seconds
        if threading.current_thread() is threading.main_thread():  # signals come to no other
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds or None):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            try:
                await self.look(asked)
            except Exception as error:  # noqa: BLE001  # whatever it is, the rules that run go on, and it must be seen
                log.error("rules not reloaded", **failure(error))
                self._metrics.rules_reloaded.labels("refused").inc()

    async def look(self, asked: bool = False) -> bool:
        """Swap the rules in if their files changed, or if somebody asked; whether other rules run now."""
        now = await asyncio.to_thread(stamps, self._settings.rules)
        if now == self._seen and not asked:
            return False
        self._seen = now
        try:
            ready = await asyncio.to_thread(_read, self._settings)
        except RuleError as error:
            errors: Sequence[RuleError] = getattr(error, "errors", (error,))
            spans = await asyncio.to_thread(self._refused, errors)
            for one in spans:
                told = {name: one.fields.get(f"health.{name}") for name in ("file", "line", "place", "reason")}
                log.error("rule refused", **told)
            log.error("rules kept as they were", hash=self._hash)
            self._metrics.rules_reloaded.labels("refused").inc()
            self._metrics.rules_refused.set(1)
            await self._tell(spans, [])
            return False
        self._metrics.rules_refused.set(0)
        if ready.rules.hash == self._hash:
            return False
        await self._apply(ready)
        log.info("rules reloaded", hash=ready.rules.hash, before=self._hash)
        self._running, self._hash = ready.rules, ready.rules.hash
        self._metrics.rules_reloaded.labels("loaded").inc()
        return True

    def _refused(self, errors: Sequence[RuleError]) -> list[Span]:
        """The faults as Spans; what a file says is masked by the rules that run, as everything is."""
        scanner = build.scanner(self._settings, self._running)
        return health.rules_refused(
            errors,
            rules_hash=self._hash,
            now_ns=time.time_ns(),
            mask=lambda text: scanner.mask(text, "rules")[0],
        )


def stamps(rules: Rules) -> tuple[tuple[str, int, int], ...]:
    """Path, time and size of every file the rules are read from; a file that is gone is missing here."""
    files = [file for folder in rules.folders for file in folder.rglob("*") if is_rule_file(file)]
    if rules.overrides is not None:
        files.append(rules.overrides)
    return tuple(sorted(_stamp(file) for file in files))


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        stat = file.stat()
    except OSError:
        return str(file), 0, -1
    return str(file), stat.st_mtime_ns, stat.st_size


def _read(settings: Settings) -> Ready:
    rules = build.rules(settings)
    return Ready(rules, build.scanner(settings, rules), detectors.load(rules))
