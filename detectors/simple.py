"""One simple command as it stands in a shell text, before anything is known of its program."""

from __future__ import annotations

from typing import Literal, TypeAlias

Origin: TypeAlias = Literal["line", "substitution", "heredoc", "script", "code", "decoded"]


class Simple:
    """One simple command: what is run with which words, where its input comes from and its output goes."""

    __slots__ = (
        "after", "assigns", "before", "cwd", "decoded", "fed", "local", "name", "origin", "parsed", "path", "reads",
        "stdin", "words", "wrappers", "writes",
    )  # fmt: skip

    def __init__(self, words: list[str], cwd: str, origin: Origin, *, parsed: bool = True) -> None:
        self.words = words
        self.assigns: list[tuple[str, str]] = []
        self.reads: list[str] = []  # by redirection
        self.writes: list[str] = []
        self.stdin: str | None = None  # what is fed to it, where that stands in the text
        self.decoded = False  # whether that was hidden under an encoding
        self.name = words[0] if words else ""  # of the program, once its wrappers are off
        self.before: list[Simple] = []  # the pipe's stage before
        self.after: list[Simple] = []
        self.fed: list[Simple] = []  # commands whose output stands among its words
        self.wrappers: tuple[str, ...] = ()
        self.path = self.name  # of the program as it was written
        self.local = False  # whether it is a function of the text itself
        self.cwd, self.origin, self.parsed = cwd, origin, parsed
