"""Acts out of texts: what commands, statements and scripts do, put into the fields that rules read.

A command that reads some files and writes others is one act per action and per file that may matter, so that what a
rule says of a file's class, place and action holds for the same file. Texts inside texts are followed 5 deep; a
span has at most 256 acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

from detectors import always, hidden, paths, python_code, scripts, statements, urls, windows_shell
from detectors.commands import Command
from detectors.effects import destinations, effects
from detectors.flows import Flows
from detectors.interpreted import inner
from detectors.model import Scalar
from detectors.nested import opened, understood
from detectors.python_values import Flow
from detectors.simple import Origin, Simple
from detectors.touches import Action, Touched, touched

Fact: TypeAlias = Scalar | tuple[str, ...]
Act: TypeAlias = Mapping[str, Fact]

MAX_ACTS, MAX_DEPTH = 256, 5
MAX_VALUES = 64  # of one field
MAX_TEXT = 2_000  # characters of a text that is told
MAX_SCRIPT = 16_000  # characters of a script
_ORDINARY = frozenset({"source", "test", "document"})
_OWN = ("inside", "temp", "unknown")  # files of the session, told together where they are of no kind


class Acts:
    """Collects the acts of one span. Files are seen from `cwd`, and against `tree`, the session's working tree."""

    def __init__(self, cwd: str = "", tree: str = "") -> None:
        self._cwd, self._tree = cwd, tree
        self._depth = 0
        self._flows = Flows()
        self.found: list[Act] = []
        self.parsed = True

    # texts

    def line(self, text: str, origin: Origin = "line", wrappers: tuple[str, ...] = (), cwd: str = "") -> None:
        """A shell text."""
        if self._depth < MAX_DEPTH:
            if checks := always.shell(text):
                self._add({"code.language": "shell", "code.always": checks, "origin": origin}, [])
            self._commands(understood(text, origin, wrappers, cwd))

    def windows(self, text: str, language: str, origin: Origin = "line", wrappers: tuple[str, ...] = ()) -> None:
        """A PowerShell or cmd text."""
        if self._depth < MAX_DEPTH:
            self._commands(opened(windows_shell.commands(text, language, origin), wrappers))

    def code(self, text: str, language: str, origin: Origin = "script") -> None:
        """A script in any language that is not a shell's."""
        if self._depth >= MAX_DEPTH:
            return
        self._depth += 1
        try:
            if language == "python":
                self._python(text, origin)
            elif language in ("powershell", "cmd"):
                self.windows(text, language, origin)
            elif language == "shell":
                self.line(text, origin)
            else:
                self._other(text, language, origin, parsed=True)
        finally:
            self._depth -= 1

    def sql(self, text: str, system: str = "", origin: Origin = "line", base: Mapping[str, Fact] | None = None) -> None:
        """SQL statements; `base` are facts of what runs them."""
        for one in statements.statements(text, system):
            act: dict[str, Fact] = {
                **(base or {}),
                "sql.kind": one.kind,
                "sql.target": one.target,
                "sql.tables": one.tables,
                "sql.calls": one.calls,
                "effect": one.effects,
                "origin": origin,
                "parsed": one.parsed,
            }
            if one.bounded is not None:
                act["sql.bounded"] = one.bounded
            self._add(act, [Touched(path, "write" if action == "write" else "read") for path, action in one.files])

    def file(self, path: str, action: str, effect: str = "") -> None:
        """A file that a call names by itself."""
        touch = Touched(path, "write" if action == "write" else "delete" if action == "delete" else "read")
        if action == "list":
            touch = Touched(path, "list")
        self._add({"effect": (effect or action,), "origin": "line"}, [touch])

    def url(self, url: str, effect: Iterable[str]) -> None:
        """A destination that a call names by itself."""
        act = {"effect": tuple(effect), "origin": "line", **_egress([url])}
        if "egress.host" in act:
            self._add(act, [])

    def hidden(self, text: str, origin: Origin = "decoded") -> None:
        """What a text hides under encodings, if it does."""
        if self._depth < MAX_DEPTH:
            for plain in hidden.plain(text):
                self._depth += 1
                self._add({"decoded": plain[:MAX_TEXT], "origin": origin, **_egress(urls.urls(plain))}, [])
                if hidden.is_command(plain):
                    self.line(plain, origin)
                self._depth -= 1

    # commands

    def _commands(self, commands: Sequence[Command]) -> None:
        self._depth += 1
        for command in commands:
            self._command(command)
        self._depth -= 1

    def _command(self, command: Command) -> None:
        files, places = touched(command), destinations(command)
        did = effects(command, files, places)
        simple = command.simple
        hosts = _egress(places) if places else {}
        carried = self._flows.command(command, files, _values(hosts.get("egress.host")) if "fetch" in did else ())
        base: dict[str, Fact] = {
            "command.name": command.name,
            "command.words": " ".join(command.words),
            "command.verb": command.verb,
            "command.flags": command.flags,
            "command.args": command.args,
            "command.reads": _named(files, "read"),
            "command.writes": _named(files, "write", "delete"),
            "command.assigns": tuple(name for name, _ in simple.assigns),
            "command.wrappers": command.wrappers,
            "command.from": _programs(simple.before),
            "command.into": _programs(simple.after),
            "command.origin": command.origin,
            "command.effect": did,
            "command.text": (_told(simple))[:MAX_TEXT],
            "effect": did,
            "origin": command.origin,
            "parsed": simple.parsed,
            **hosts,
            **self._carried(carried),
        }
        self._add(base, files)
        for one in inner(command):
            if one.language == "sql":
                self.sql(one.text, one.system, one.origin, _run_by(base))
            else:
                self.code(one.text, one.language, one.origin)
        for word in command.args:
            if len(word) >= hidden.LEAST and command.origin != "decoded":
                self.hidden(word)

    # scripts

    def _python(self, text: str, origin: Origin) -> None:
        text = self._magics(text, origin)
        script = python_code.read(text)
        if script is None:
            self._other(text, "python", origin, parsed=False)
            return
        did = dict.fromkeys(effect for one in script.did for effect in one.effects)
        self._add(
            {
                "code.language": "python",
                "code.calls": script.calls[:MAX_VALUES],
                "code.imports": script.imports[:MAX_VALUES],
                "code.strings": script.strings[:MAX_VALUES],
                "code.text": text[:MAX_SCRIPT],
                "code.always": script.always,
                "effect": tuple(did),
                "origin": origin,
                "parsed": True,
            },
            [],
        )
        for one in script.did:
            self._did(one, origin)

    def _magics(self, text: str, origin: Origin) -> str:
        """Cells of a notebook hold shell lines behind `!`, and magics behind `%`."""
        if "!" not in text and "%" not in text:
            return text
        if text.lstrip().startswith(("%%bash", "%%sh")):
            self.line(text.lstrip().partition("\n")[2], "code")
            return ""
        kept: list[str] = []
        for line in text.split("\n"):
            bare = line.lstrip()
            if bare[:1] == "!" or bare.startswith(("%sh ", "%system ")):
                self.line(bare[1:] if bare[0] == "!" else bare.partition(" ")[2], "code")
                line = line[: len(line) - len(bare)] + "pass"
            elif (
                bare[:1] == "%"
                and bare[1:2].isalpha()
                and (not kept or not kept[-1].rstrip().endswith(("(", ",", "\\")))
            ):
                if bare.startswith(("%pip ", "%conda ")):
                    self.line(bare[1:], "code")
                line = line[: len(line) - len(bare)] + "pass"
            kept.append(line)
        return "\n".join(kept)

    def _did(self, one: python_code.Did, origin: Origin) -> None:
        """One call of a Python script."""
        rewrites = any(action == "write" and ("file", path) in one.flow for path, action in one.files)
        act: dict[str, Fact] = {
            "code.language": "python",
            "code.calls": (one.call,),
            "effect": (*one.effects, "rewrite") if rewrites else one.effects,
            "command.text": one.text[:MAX_TEXT],
            "origin": origin,
            "parsed": True,
            **_egress(one.hosts),
            **self._carried(one.flow),
        }
        self._add(act, [Touched(path, cast(Action, action)) for path, action in one.files])
        decoded = any(kind == "decoded" for kind, _ in one.flow)
        if one.run:
            self.line(one.run, "decoded" if decoded else "code", (one.call,))
        if one.code:
            self.code(one.code, "python", "decoded" if decoded else "code")
        if one.sql:
            self.sql(
                one.sql, one.call.partition(".")[0], "code", {"code.language": "python", "code.calls": (one.call,)}
            )

    def _other(self, text: str, language: str, origin: Origin, *, parsed: bool) -> None:
        script = scripts.read(text, language)
        base: dict[str, Fact] = {"code.language": language, "origin": origin, "parsed": parsed}
        effect = tuple(dict.fromkeys(effect for one in script.said for effect in one.effects))
        self._add(
            {**base, "code.calls": script.calls[:MAX_VALUES], "code.imports": script.imports[:MAX_VALUES],
             "code.strings": script.strings[:MAX_VALUES], "code.text": text[:MAX_SCRIPT], "effect": effect}, []
        )  # fmt: skip
        for one in script.said:
            act: dict[str, Fact] = {**base, "code.calls": (one.call,), "effect": one.effects}
            files: list[Touched] = []
            if one.role in ("read", "write", "delete", "list") and one.argument:
                files = [Touched(one.argument, cast(Action, one.role))]
            elif one.role == "url":
                act |= _egress([one.argument])
            self._add(act, files)
            if one.role == "run" and one.argument:
                self.line(one.argument, "code", (one.call,))

    # fields

    def _add(self, act: Mapping[str, Fact], files: Sequence[Touched]) -> None:
        """Takes the act, once for each thing it does to files, so that a harmless file hides none that matters."""
        kept = {name: value for name, value in act.items() if value != () and value != ""}
        if kept.get("parsed") is False:
            self.parsed = False
        groups: dict[tuple[object, ...], list[tuple[Touched, paths.Place]]] = {}
        for one in files[:MAX_VALUES]:
            place = self._place(one)
            alone = place.full if place.scope not in _OWN or not _ORDINARY.issuperset(place.classes) else ""
            groups.setdefault((one.action, alone), []).append((one, place))
        for group in groups.values() or ([],):
            if len(self.found) >= MAX_ACTS:
                return
            self.found.append({**kept, **self._files(group)} if group else kept)

    @staticmethod
    def _files(group: Sequence[tuple[Touched, paths.Place]]) -> dict[str, Fact]:
        places = [place for _, place in group]
        found: dict[str, Fact] = {
            "path.full": tuple(dict.fromkeys(place.full for place in places)),
            "path.scope": tuple(dict.fromkeys(place.scope for place in places)),
            "path.action": group[0][0].action,
        }
        if classes := tuple(dict.fromkeys(name for place in places for name in place.classes)):
            found["path.class"] = classes
        return found

    def _place(self, one: Touched) -> paths.Place:
        base = paths.resolve(one.base, self._cwd, self._tree) if one.base else self._cwd
        return paths.place(one.path, base, self._tree)

    def _carried(self, flow: Flow) -> dict[str, Fact]:
        """Whose content an act carries: files, hosts."""
        if not flow:
            return {}
        files = sorted(name for kind, name in flow if kind == "file")[:MAX_VALUES]
        places = [paths.place(name, self._cwd, self._tree) for name in files]
        hosts = sorted({to.host for kind, name in flow if kind == "host" and (to := urls.destination(name))})
        found: dict[str, Fact] = {
            "flow.path": tuple(place.full for place in places),
            "flow.scope": tuple(dict.fromkeys(place.scope for place in places)),
            "flow.class": tuple(dict.fromkeys(name for place in places for name in place.classes)),
            "flow.host": tuple(hosts),
            "flow.env": tuple(sorted(name for kind, name in flow if kind == "env")),
        }
        for kind in ("decoded", "given"):
            if any(one == kind for one, _ in flow):
                found[f"flow.{kind}"] = True
        return found


def _values(fact: Fact | None) -> tuple[str, ...]:
    return fact if isinstance(fact, tuple) else ()


def _run_by(base: Mapping[str, Fact]) -> dict[str, Fact]:
    """What a statement's act tells of the command that runs it."""
    wanted = ("command.name", "command.wrappers", "egress.host", "egress.registered_domain", "egress.scope")
    return {name: base[name] for name in wanted if name in base}


def _egress(names: Iterable[str]) -> dict[str, Fact]:
    """Facts of destinations; this very machine is none that anything leaves by, and has no registered domain."""
    found = [to for name in names if (to := urls.destination(name))]
    if not found:
        return {}
    act: dict[str, Fact] = {
        "egress.host": tuple(dict.fromkeys(to.host for to in found)),
        "egress.scope": tuple(dict.fromkeys(to.scope for to in found)),
    }
    for name, values in (
        ("egress.registered_domain", [to.domain for to in found]),
        ("egress.scheme", [to.scheme for to in found]),
        ("egress.port", [str(to.port or "") for to in found]),
    ):
        if told := tuple(dict.fromkeys(value for value in values if value)):
            act[name] = told
    return act


def _named(files: Sequence[Touched], *actions: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.path for one in files if one.action in actions))[:MAX_VALUES]


def _programs(simples: Sequence[Simple]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.name for one in simples if one.name))


def _told(simple: Simple) -> str:
    """Literal text that a command prints or is fed."""
    if simple.stdin is not None:
        return simple.stdin
    if simple.name in ("echo", "printf"):
        return " ".join(simple.words[1:])
    return ""
