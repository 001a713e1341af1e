"""What goes wrong inside becomes a Span of our own, so that it is stored, detected and shown like everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

from detectors.errors import RuleError
from detectors.health import KIND, SESSION
from detectors.model import Resource, Scalar, Span, digest

DAY_NS = 86_400_000_000_000
MAX_TOLD = 50  # faults of one reload; the rest are in the log
MAX_TEXT = 500


def rules_refused(
    errors: Sequence[RuleError], *, rules_hash: str, now_ns: int, mask: Callable[[str], str]
) -> list[Span]:
    """A Span per fault. Its id is that of the fault and the day: several processes that meet it tell it once.

    `mask` takes secrets out of a reason, which may quote the file.
    """
    spans = []
    for error in errors[:MAX_TOLD]:
        told: dict[str, Scalar] = {
            "health.what": "rules-refused",
            "health.file": mask(error.file)[:MAX_TEXT],
            "health.place": mask(error.path)[:MAX_TEXT],
            "health.reason": mask(error.reason)[:MAX_TEXT],
            "health.rules": rules_hash,
        }
        if error.line:
            told["health.line"] = error.line
        spans.append(
            Span(
                id=digest("health", error.file, error.line, error.path, error.reason, now_ns // DAY_NS),
                signal="log",
                session_id=SESSION,
                resource=Resource(service="spanwatch", service_version=version("spanwatch"), emitter="spanwatch"),
                dialect="spanwatch",
                name="rules refused",
                kind=KIND,
                status="error",
                start_ns=now_ns,
                end_ns=now_ns,
                received_ns=now_ns,
                fields=told,
            )
        )
    return spans
