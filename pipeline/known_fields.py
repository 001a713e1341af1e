"""Every field a rule can read, and who fills it: what dialects say, what the normaliser works out, what is parsed."""

from __future__ import annotations

from functools import lru_cache

from detectors import facts
from detectors.behaviour import COMPUTED_FROM, MATCHED, VIRTUAL
from pipeline import dialect
from pipeline.feeds import FIELDS, PREFIX

WORKED_OUT = frozenset(  # fields the normaliser fills itself, from arguments, addresses, messages and commits
    {"approval.decision", "approval.source", "permission.mode", "bytes.in", "bytes.out", "command.line", "cwd", "code"}
    | {
        "db.statement",
        "egress.host",
        "egress.hosts",
        "egress.port",
        "mcp.server",
        "path",
        "url",
        "workdir",
        "change.id",
    }
    | {"change.repo", "commit.branch", "commit.repo", "commit.reverts", "commit.sha", "duration_ms", "completion"}
    | {"config.digest", "instructions", "llm.host", "prompt", "provider", "success", "tokens.in", "arguments", "result"}
    | {"task", "db.host", "tool.results"}
)


@lru_cache(maxsize=1)
def every() -> frozenset[str]:
    """All of them."""
    known = dialect.load()
    told = {field for one in known.all for field in one.fields} | set(known.common.fields) | set(dialect.TARGETS)
    computed = {*VIRTUAL, *COMPUTED_FROM, *facts.FIELDS, MATCHED}
    return frozenset((told - dialect.ASIDES) | WORKED_OUT | {PREFIX + name for name in FIELDS} | computed)


@lru_cache(maxsize=1)
def dialects() -> frozenset[str]:
    """Names a rule's `logsource.service` may have."""
    return frozenset(one.name for one in dialect.load().all)
