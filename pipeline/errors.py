"""Every error of the pipeline, named by what the driver does about it.

detectors.errors.Error
├── SettingsError     refuse to start
├── RuleError         refuse to start; file, key path, reason          (detectors.errors)
├── StateError        start with blank state, say so loudly            (detectors.errors)
├── DecodeError       dead-letter this record, go on
├── SinkUnavailable   wait, retry, acknowledge nothing
├── SinkRejected      stop: our bug or a schema drift
└── LogFull           answer 429 with Retry-After
"""

from detectors.errors import Error, RuleError, StateError


class SettingsError(Error):
    """A setting is missing, unknown or wrong: refuse to start."""


class DecodeError(Error):
    """These bytes can never become spans: dead-letter them with `reason`, go on.

    `reason` is a short stable label for metrics ("protobuf", "json", "gzip", "too_large", "too_deep"),
    `detail` one line for people; neither ever quotes the input.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class SinkUnavailable(Error):
    """The store cannot be reached or is overloaded: wait, retry, acknowledge nothing."""


class SinkRejected(Error):
    """The store refused the rows for good: stop, it is a bug or the schema drifted."""


class LogFull(Error):
    """The durable log holds more than its bound: answer 429 with Retry-After."""


__all__ = [
    "DecodeError",
    "Error",
    "LogFull",
    "RuleError",
    "SettingsError",
    "SinkRejected",
    "SinkUnavailable",
    "StateError",
]
