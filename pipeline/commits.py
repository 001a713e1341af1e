"""Which commit, branch and request a call made, told by the output of git and of the code host's own tools."""

from __future__ import annotations

import re

from detectors.model import Scalar

MAX_READ = 20_000  # characters of a result that are looked at
_COMMITTED = re.compile(r"\[([\w][\w./-]{0,200})(?: \(root-commit\))? ([0-9a-f]{7,40})\] ")
_PUSHED = re.compile(r"\b[0-9a-f]{7,40}\.{2,3}([0-9a-f]{7,40}) +(\S{1,200}) -> (\S{1,200})")
_NEW = re.compile(r"\* \[new branch\] +(\S{1,200}) -> (\S{1,200})")
_TO = re.compile(r"\bTo (?:\w+://[^\s/]+/|[\w.-]+@[\w.-]+:)([\w./-]{1,200}?)(?:\.git)?(?=[\s\\\"]|$)")
_REQUEST = re.compile(r"https?://[\w.:-]+/([\w./-]{1,200}?)(?:/-)?/(?:pull|pulls|merge_requests)/(\d{1,9})\b")
_REVERTS = re.compile(r"\bgit\b[^;|&\n]*?\brevert\b[^;|&\n]*?\b([0-9a-f]{7,40})\b")
_OPENS = re.compile(r"\b(?:pr|mr) create\b|create_(?:pull|merge)_request", re.IGNORECASE)


def tell(fields: dict[str, Scalar]) -> None:
    """Fill `commit.*` and `change.*` of a call from its command, its tool's name and its result."""
    line, tool = str(fields.get("command.line", "")), str(fields.get("tool.name", ""))
    opens = _OPENS.search(line) or _OPENS.search(tool)
    git = "git" in line
    if not (git or opens):
        return
    result = str(fields.get("result", ""))[:MAX_READ]
    if opens and (found := _REQUEST.search(result)):
        fields["change.repo"], fields["change.id"] = found[1], found[2]
    if not git:
        return
    if "revert" in line and (found := _REVERTS.search(line)):
        fields["commit.reverts"] = found[1]
    if ("commit" in line or "merge" in line or "revert" in line or "cherry-pick" in line) and (
        found := _COMMITTED.search(result)
    ):
        fields.setdefault("commit.sha", found[2])
        fields.setdefault("commit.branch", found[1])
    if "push" in line:
        if found := _PUSHED.search(result):
            fields.setdefault("commit.sha", found[1])
            fields["commit.branch"] = found[3]
        elif found := _NEW.search(result):
            fields["commit.branch"] = found[2]
        if found := _TO.search(result):
            fields["commit.repo"] = found[1]
