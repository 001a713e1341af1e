"""The errors detectors raise, named by what the driver does about them.

Error
├── RuleError     refuse to start; file, key path, reason
└── StateError    start with blank state, say so loudly
"""


class Error(Exception):
    """Root of every error spanwatch raises on purpose."""


class RuleError(Error):
    """A rule file cannot be used: refuse to start, or on reload keep the rules that run.

    `file` names the rule file, `path` the key inside it (``rules[3].pattern``), `reason` what is wrong.
    """

    def __init__(self, file: str, path: str, reason: str) -> None:
        super().__init__(f"{file}: {path}: {reason}")
        self.file, self.path, self.reason = file, path, reason


class StateError(Error):
    """Stored state cannot be restored: start with blank state and say so loudly."""
