"""The risk of commits and change requests: what was found in the sessions that made them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from detectors import changes
from detectors.model import Severity
from replay.report import Found, Past, Table
from replay.report_agents import iso

MAX_RULES = 8


class Work(NamedTuple):
    """A commit or request, and the session it came from."""

    what: str
    repo: str
    session: str
    agent: str
    user: str
    time_ns: int


def risk(past: Past) -> Iterator[Table]:
    """Every commit and request a session made, riskiest first."""
    made: dict[tuple[str, str], Work] = {}
    for span in past.spans():
        if span.kind == changes.FEED:
            continue
        text = span.text
        names = [f"#{text('change.id')}"] if text("change.id") else []
        names += [changes.commit(text("commit.sha"))] if text("commit.sha") else []
        for name in names:
            repo = text("change.repo") or text("commit.repo") or text("ci.repo")
            work = Work(name, repo, span.session_id, span.agent_id, text("user"), span.start_ns)
            made.setdefault((name, span.session_id), work)
    wanted = {work.session for work in made.values()}
    found: dict[str, list[Found]] = {}
    for one in past.findings():
        if one.session_id in wanted:
            found.setdefault(one.session_id, []).append(one)
    rows = []
    for work in made.values():
        theirs = found.get(work.session, [])
        worst = max((one.severity for one in theirs), default=-1)
        rules = sorted(
            {one.rule_id: one.severity for one in theirs if one.severity > 0}.items(), key=lambda r: (-r[1], r[0])
        )
        rows.append(
            (
                work.what,
                work.repo or "unknown",
                work.session,
                work.agent,
                work.user,
                Severity(worst).label if worst >= 0 else "nothing found",
                len(
                    {
                        one.evidence.get("fingerprint", one.span_id)
                        for one in theirs
                        if one.rule_id.startswith("secret.")
                    }
                ),
                ", ".join(rule for rule, _ in rules[:MAX_RULES]),
                iso(work.time_ns),
                worst,
            )
        )
    rows.sort(key=lambda row: (-int(row[-1]), str(row[0])))
    columns = ("change", "repository", "session", "agent", "user", "worst", "secrets", "rules", "time")
    yield Table(title="Risk of changes", columns=columns, rows=[row[:-1] for row in rows])
