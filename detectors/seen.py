"""An entity that a span shows, in the form every source of entities gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

Detail: TypeAlias = dict[str, str]


class Seen(NamedTuple):
    """An entity a span shows. A session shows an entity once for each `mark`.

    Most spans show what their session has shown before, so a detail that takes work is given as a call that makes it.
    """

    kind: str
    id: str
    detail: Detail | Callable[[], Detail]
    mark: str = ""

    def told(self) -> Detail:
        """The detail, made now if it was left to be made."""
        return self.detail if isinstance(self.detail, dict) else self.detail()
