"""What the command line, the demo and the tests put together from one Settings."""

from __future__ import annotations

from collections.abc import Sequence

import detectors
from detectors import rule
from detectors.engine import AnyDetector, Engine
from detectors.secrets import Scanner
from pipeline.compiled_cache import CompiledCache
from pipeline.ingest import Ingest
from pipeline.settings import Settings
from pipeline.sinks.clickhouse import ClickHouseSink
from pipeline.state import ClickHouseStore


def rules(settings: Settings) -> rule.RuleSet:
    """All rules of this deployment with its overrides; RuleError names every fault, not the first."""
    chosen = settings.rules
    return rule.read(chosen.folders, overrides=chosen.overrides, builtin=chosen.builtin)


def secret_rules(settings: Settings) -> rule.RuleSet:
    """The rules that mask, without those that detect: enough for a scan, and read in a fraction of the time."""
    chosen = settings.rules
    return rule.read(chosen.folders, overrides=chosen.overrides, builtin=chosen.builtin, only_secrets=True)


def scanner(settings: Settings, ruleset: rule.RuleSet) -> Scanner:
    return Scanner(ruleset.secrets, settings.deployment_key(), CompiledCache(settings.cache_dir))


def ingest(settings: Settings, ruleset: rule.RuleSet) -> Ingest:
    return Ingest(scanner(settings, ruleset), settings.gateway, settings.deployment_key())


def engine(settings: Settings, ruleset: rule.RuleSet, loaded: Sequence[AnyDetector] = ()) -> Engine:
    """One partition's engine with every detector on.

    `loaded` are detectors another engine of the same thread has: they hold no state, and compiling takes a while.
    """
    return Engine(
        loaded or detectors.load(ruleset),
        key=settings.deployment_key(),
        max_sessions=settings.worker.max_sessions,
        idle_ns=int(settings.worker.session_idle_seconds * 1e9),
    )


def sink(settings: Settings) -> ClickHouseSink:
    return ClickHouseSink(settings.clickhouse, settings.data_dir)


def store(settings: Settings) -> ClickHouseStore:
    return ClickHouseStore(settings.clickhouse, settings.data_dir)
