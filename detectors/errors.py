"""The errors detectors raise, named by what the driver does about them.

Error
├── RuleError     refuse to start; file, line, key path, reason
│   └── RuleErrors    several of them, all that were found
└── StateError    start with blank state, say so loudly
"""

from __future__ import annotations

from collections.abc import Sequence


class Error(Exception):
    """Root of every error spanwatch raises on purpose."""


class RuleError(Error):
    """A rule file cannot be used: refuse to start, or on reload keep the rules that run.

    `file` names the rule file, `line` where in it (0: not known), `path` the key there (``rules[3].pattern``),
    `reason` what is wrong.
    """

    def __init__(self, file: str, path: str, reason: str, *, line: int = 0) -> None:
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {reason}" if path == "$" else f"{place}: {path}: {reason}")
        self.file, self.path, self.reason, self.line = file, path, reason, line


class RuleErrors(RuleError):
    """Everything that is wrong with a set of rules; reads as its first error, and lists all in `errors`."""

    def __init__(self, errors: Sequence[RuleError]) -> None:
        first = errors[0]
        super().__init__(first.file, first.path, first.reason, line=first.line)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class StateError(Error):
    """Stored state cannot be restored: start with blank state and say so loudly."""
