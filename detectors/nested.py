"""Every command of a shell text, those of the texts it hands on among them: `bash -c`, heredocs, `ssh host 'cmd'`.

A text that a command is given to run is read as the commands it holds, 6 deep; wrappers such as sudo are peeled off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from detectors import shell
from detectors.commands import Command, read
from detectors.shell_values import literal_output
from detectors.simple import Origin, Simple
from detectors.wrappers import Text, after, base, peel

MAX_NESTED = 6
MAX_ITEMS = 8  # words that xargs is fed
SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "rbash", "csh", "tcsh"})


def understood(text: str, origin: Origin = "line", wrappers: tuple[str, ...] = (), cwd: str = "") -> list[Command]:
    """Every command of a shell text, those inside the texts it hands to other shells among them."""
    return opened(shell.commands(text, origin=origin, cwd=cwd), wrappers)


def opened(simples: Sequence[Simple], wrappers: tuple[str, ...] = ()) -> list[Command]:
    """The commands that these run, wrappers off."""
    return list(islice(_opened(simples, wrappers, 0), shell.MAX_COMMANDS))


def _opened(simples: Sequence[Simple], wrappers: tuple[str, ...], depth: int) -> Iterator[Command]:
    for simple in simples:
        simple.wrappers = wrappers
        yield from _one(simple, depth)


def _one(simple: Simple, depth: int) -> Iterator[Command]:
    words, around, texts = list(simple.words), list(simple.wrappers), []
    while words and len(around) < 2 * MAX_NESTED:
        peeled = peel(words)
        if peeled is None:
            break
        if base(words[0]) in ("xargs", "parallel"):
            peeled = _fed(words, peeled[0], simple), peeled[1]
        around.append(base(words[0]))
        words, more = peeled
        texts.extend(more)
    simple.wrappers = tuple(around)
    simple.path = words[0] if words else ""
    simple.name = base(simple.path) if words else ""
    command = read(words, simple) if words or simple.reads or simple.writes or simple.assigns else None
    if command is not None:
        yield command
        texts.extend(nested(command))
    if depth >= MAX_NESTED:
        return
    for text, by, origin in texts:
        inner = shell.commands(text, origin=origin or simple.origin, cwd=simple.cwd)
        for one in inner:
            one.parsed = one.parsed and simple.parsed
            one.fed = [*one.fed, simple]
        yield from _opened(inner, (*simple.wrappers, *by), depth + 1)


def nested(command: Command) -> Iterator[Text]:
    """Shell texts that a command is given to run: text, what runs it, where it stands."""
    name, words, simple = command.name, command.words, command.simple
    if name in SHELLS:
        text = _shell_text(words)
        if text is not None:
            yield text, (f"{name} -c",), None
        elif simple.stdin is not None and not command.args:
            yield simple.stdin, (name,), "decoded" if simple.decoded else "heredoc"
    elif name == "eval":
        yield " ".join(words[1:]), ("eval",), None
    elif name in ("su", "runuser", "script"):
        for flag, at in (("-c", 1), ("--command", 1)):
            if flag in words and words.index(flag) + at < len(words):
                yield words[words.index(flag) + at], (name,), None
    elif name in ("ssh", "autossh"):
        rest = after(list(words), command.known.valued, 1)
        if rest:
            yield " ".join(rest), ("ssh",), None
        elif simple.stdin is not None:
            yield simple.stdin, ("ssh",), "heredoc"
    elif name == "find":
        yield from _find(words)
    elif name.startswith(("python", "pypy")) and "-m" in words[1:-1]:
        yield " ".join(map(_quoted, words[words.index("-m") + 1 :])), (f"{name} -m",), None
    elif name in ("docker", "podman", "nerdctl", "docker-compose", "kubectl", "oc", "k"):
        yield from _container(command)


def _fed(words: Sequence[str], rest: list[str], simple: Simple) -> list[str]:
    """The command xargs runs with the words it is fed, where those are literal or found by `find`."""
    items: list[str] = []
    if len(simple.before) == 1:
        before = simple.before[0]
        if before.name == "find":
            items = reaches(before.words)
        elif (said := literal_output(before)) is not None:
            items = said[0].split()[:MAX_ITEMS]
    elif simple.stdin is not None:
        items = simple.stdin.split()[:MAX_ITEMS]
    mark = next((one[2:] or words[at + 1] for at, one in enumerate(words[:-1]) if one[:2] == "-I"), "")
    if mark:
        return [one.replace(mark, items[0]) for one in rest] if items else rest
    return rest + items


_FILTERS = frozenset({"-name", "-iname", "-path", "-ipath", "-wholename", "-regex", "-iregex"})
_NARROWS = re.compile(r"-(?:[acm]?(?:time|min|newer)|newer\w*|size|user|group|perm|empty|links|samefile|inum)$")


def roots(words: Sequence[str]) -> list[str]:
    """Directories a `find` begins in."""
    found = []
    for word in words[1:]:
        if word.startswith(("-", "(", "!")) and word not in ("-L", "-H", "-P"):
            break
        if not word.startswith("-"):
            found.append(word)
    return found or ["."]


def reaches(words: Sequence[str]) -> list[str]:
    """What a `find` finds, as patterns: `/*` of `find /`, `./**/*.log` of `find . -name '*.log'`."""
    names = [other for word, other in pairwise(words[1:]) if word in _FILTERS]
    narrowed = any(_NARROWS.match(word) for word in words)
    name = names[0].rpartition("/")[2] if names else "*"
    between = "**/" if names or narrowed else ""
    return [f"{root.rstrip('/')}/{between}{name}" for root in roots(words)]


def _shell_text(words: Sequence[str]) -> str | None:
    """The text behind `-c`, which may stand in a cluster and behind other flags: `bash -euo pipefail -c text`."""
    at, wanted = 1, False
    while at < len(words) and words[at][:1] in ("-", "+") and len(words[at]) > 1:
        word = words[at]
        wanted = wanted or (word[0] == "-" and word[1] != "-" and "c" in word)
        at += 2 if word in ("--rcfile", "--init-file") or (word[1] != "-" and word[-1] in "oO") else 1
    return _positional(words[at:]) if wanted and at < len(words) else None


def _positional(rest: Sequence[str]) -> str:
    """The text of `sh -c text name one two`, what `$1` stands for filled in."""
    text = rest[0]
    for number, value in enumerate(rest[1:11]):
        text = text.replace(f"${number}", value)
    return text[: shell.MAX_PARSED * 2]


def _find(words: Sequence[str]) -> Iterator[Text]:
    for at, word in enumerate(words):
        if word in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(at + 1, len(words)) if words[i] in (";", "+")), len(words))
            inner = [one.replace("{}", reaches(words)[0]) for one in words[at + 1 : end]]
            if inner:
                yield " ".join(map(_quoted, inner)), (f"find {word}",), None


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w./:=@%+,~*?-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _container(command: Command) -> Iterator[Text]:
    words, verb = list(command.words), command.verb
    if verb not in ("exec", "run", "compose", "debug") or not {"exec", "run"}.intersection(words):
        return
    at = words.index("exec") if "exec" in words else words.index("run")
    by = f"{command.name} {words[at]}"
    if "--" in words[at:]:
        rest = words[words.index("--", at) + 1 :]
    elif command.name in ("kubectl", "oc", "k"):
        rest = after(["", *words[at + 1 :]], command.known.valued, 1)
    else:
        rest = after(["", *words[at + 1 :]], command.known.valued, 1)
    if rest:
        yield " ".join(map(_quoted, rest)), (by,), None
    elif command.simple.stdin is not None:
        yield command.simple.stdin, (by,), "heredoc"
