"""What a simple command really runs: wrappers peeled off, shells opened, flags told from words.

A shell given a text (`bash -c`, a heredoc, `ssh host 'cmd'`, `base64 -d | sh`) is a command of its own, and the text
is read as the commands it holds. Nesting is followed 6 deep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from detectors import shell
from detectors.programs import Program, program
from detectors.simple import Origin, Simple

MAX_NESTED = 6
SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh", "ash", "fish", "rbash", "csh", "tcsh"})


class Command(NamedTuple):
    """A simple command understood."""

    name: str
    words: tuple[str, ...]  # the name first
    verb: str
    verbs: str  # two words where the program knows them together: remote add
    flags: tuple[str, ...]
    args: tuple[str, ...]
    given: tuple[tuple[str, str], ...]  # flags with the value that belongs to them
    wrappers: tuple[str, ...]
    origin: Origin
    simple: Simple
    known: Program


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
        around.append(base(words[0]))
        words, more = peeled
        texts.extend(more)
    simple.wrappers = tuple(around)
    simple.name = base(words[0]) if words else ""
    command = _read(words, simple) if words or simple.reads or simple.writes or simple.assigns else None
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


def base(word: str) -> str:
    """Name of a program without its folder and `.exe`."""
    name = re.split(r"[/\\]", word.strip())[-1] if word.strip() else word
    return name[:-4] if name.lower().endswith(".exe") else name


# What runs its arguments as a command: flags that take a value, words before the command.
_PEELED: dict[str, tuple[str, int]] = {
    "sudo": ("-u -g -h -p -C -D -R -r -t -T -U --user --group --host --prompt --chdir", 0),
    "doas": ("-u -C", 0),
    "pkexec": ("--user", 0),
    "env": ("-u -C -S --unset --chdir", 0),
    "nice": ("-n --adjustment", 0),
    "ionice": ("-c -n -p --class --classdata", 0),
    "nohup": ("", 0),
    "setsid": ("", 0),
    "time": ("-o -f --output --format", 0),
    "timeout": ("-k -s --kill-after --signal", 1),
    "stdbuf": ("-i -o -e", 0),
    "unbuffer": ("", 0),
    "xargs": ("-I -n -P -L -d -a -E -s -i0 --max-args --max-procs --delimiter --arg-file --replace --max-lines", 0),
    "parallel": ("-j -I -a --jobs --colsep", 0),
    "exec": ("-a", 0),
    "command": ("", 0),
    "builtin": ("", 0),
    "busybox": ("", 0),
    "toybox": ("", 0),
    "chroot": ("--userspec --groups", 1),
    "unshare": ("", 0),
    "nsenter": ("-t --target", 0),
    "firejail": ("", 0),
    "flock": ("-w -E --timeout", 1),
    "caffeinate": ("-t -w", 0),
    "strace": ("-p -o -e -s -E -u", 0),
    "ltrace": ("-p -o -e -s", 0),
    "coproc": ("", 0),
    "sshpass": ("-p -f -d -e0", 0),
    "proxychains": ("-f", 0),
    "proxychains4": ("-f", 0),
    "torsocks": ("", 0),
    "torify": ("", 0),
    "dbus-run-session": ("", 0),
    "systemd-run": ("-u -p -t --unit --property --on-calendar --on-active", 0),
    "taskset": ("", 1),
    "chrt": ("", 1),
    "rlwrap": ("", 0),
    "xvfb-run": ("-s -n --server-args", 0),
    "tsocks": ("", 0),
    "direnv": ("", 2),
    "aws-vault": ("", 2),
    "dotenv": ("-f", 1),
}
_PEEL_FLAGS = {name: frozenset(flags.split()) for name, (flags, _) in _PEELED.items()}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_Text = tuple[str, tuple[str, ...], Origin | None]


def peel(words: list[str]) -> tuple[list[str], list[_Text]] | None:
    """The command a wrapper runs; None for what is no wrapper or runs nothing that is named."""
    name = base(words[0])
    if name in ("watch",):
        rest = _after(words, frozenset({"-n", "-d0", "--interval"}), 0)
        return ([], [(" ".join(rest), (), None)]) if rest else None
    if name not in _PEELED or (name == "command" and words[1:2] and words[1] in ("-v", "-V")):
        return None
    if name == "busybox" or name == "toybox":
        return (words[1:], []) if len(words) > 1 and not words[1].startswith("-") else None
    if name == "env" and "-S" in words[1:-1]:
        return [], [(" ".join(words[words.index("-S") + 1 :]), (), None)]
    if name in ("sudo", "doas") and any(word in ("-e", "-l", "-v", "-k", "-K") for word in words[1:2]):
        return None
    rest = _after(words, _PEEL_FLAGS[name], _PEELED[name][1])
    if name == "parallel" and ":::" in rest:
        rest = rest[: rest.index(":::")] + rest[rest.index(":::") + 1 :]
    return (rest, []) if rest else None


def _after(words: list[str], valued: frozenset[str], skip: int) -> list[str]:
    at = 1
    while at < len(words):
        word = words[at]
        if word == "--":
            at += 1
            break
        if word.startswith("-") and len(word) > 1:
            at += 2 if word in valued else 1
        elif _ASSIGNMENT.match(word):
            at += 1
        else:
            break
    rest = words[at:]
    return rest[skip:] if skip else rest


def _read(words: list[str], simple: Simple) -> Command:
    name = base(words[0]) if words else ""
    known = program(name.lower() if "-" in name and name[:1].isupper() else name)
    valued = _valued(known)
    flags: list[str] = []
    args: list[str] = []
    plain: list[str] = []  # words that are no flags and no flags' values
    given: list[tuple[str, str]] = []
    waiting, ended = "", False
    for word in words[1:]:
        if waiting:
            given.append((waiting, word))
            waiting = ""
            if word[:1] != "-" or word == "-":
                args.append(word)
            continue
        if ended or word[:1] != "-" or len(word) == 1:
            args.append(word)
            plain.append(word)
        elif word == "--":
            ended = True
        elif word[:2] == "--" or known.plain:
            flag, equals, value = word.partition("=")
            flags.append(flag)
            if equals:
                given.append((flag, value))
            elif flag in valued:
                waiting = flag
        else:
            waiting = _cluster(word, valued, flags, given)
    if name in ("tar", "bsdtar", "ps") and plain and plain[0].isalpha() and len(plain[0]) < 8 and name != "ps":
        if not flags:
            flags += [f"-{letter}" for letter in plain[0]]
            if "f" in plain[0] and len(plain) > 1:
                given.append(("-f", plain[1]))
                plain = plain[2:]
    verb = plain[0] if plain else ""
    pair = " ".join(plain[:2])
    return Command(
        name, (name, *words[1:]) if words else (), verb, pair if pair in known.verbs else verb, tuple(dict.fromkeys(flags)),
        tuple(args), tuple(given), simple.wrappers, simple.origin, simple, known,
    )  # fmt: skip


_VALUED: dict[int, frozenset[str]] = {}


def _valued(known: Program) -> frozenset[str]:
    key = id(known)  # programs live as long as their table
    found = _VALUED.get(key)
    if found is None:
        found = _VALUED[key] = frozenset(f"{known.valued} {known.reads} {known.writes}".split())
    return found


def _cluster(word: str, valued: frozenset[str], flags: list[str], given: list[tuple[str, str]]) -> str:
    """Takes `-rf` or `-ofile` apart; returns the flag whose value is the next word."""
    flags.append(word)
    for at, letter in enumerate(word[1:], 1):
        flag = "-" + letter
        if not letter.isalnum():
            break
        if flag != word:
            flags.append(flag)
        if flag in valued:
            if at + 1 < len(word):
                given.append((flag, word[at + 1 :]))
                return ""
            return flag
        if at >= 8:
            break
    return ""


_ENCODED = re.compile(r"-(?:e|ec|en|enc|enco|encod|encode|encodedcommand)", re.I)


def nested(command: Command) -> Iterator[_Text]:
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
        rest = _after(list(words), _valued(command.known), 1)
        if rest:
            yield " ".join(rest), ("ssh",), None
        elif simple.stdin is not None:
            yield simple.stdin, ("ssh",), "heredoc"
    elif name == "find":
        yield from _find(words)
    elif name in ("docker", "podman", "nerdctl", "docker-compose", "kubectl", "oc", "k"):
        yield from _container(command)


def _shell_text(words: Sequence[str]) -> str | None:
    for at, word in enumerate(words[1:], 1):
        if word[:1] != "-" and word[:1] != "+":
            return None
        if word[:2] != "--" and "c" in word and at + 1 < len(words):
            rest = [w for w in words[at + 1 :]]
            while rest and rest[0].startswith("-") and len(rest) > 1:
                rest = rest[1:]
            return _positional(rest)
        if word in ("-o", "+o", "--rcfile", "--init-file"):
            return _shell_text(("", *words[at + 2 :]))
    return None


def _positional(rest: Sequence[str]) -> str:
    """The text of `sh -c text name one two`, what `$1` stands for filled in."""
    text = rest[0]
    for number, value in enumerate(rest[1:11]):
        text = text.replace(f"${number}", value)
    return text[: shell.MAX_PARSED * 2]


def _find(words: Sequence[str]) -> Iterator[_Text]:
    for at, word in enumerate(words):
        if word in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(at + 1, len(words)) if words[i] in (";", "+")), len(words))
            root = words[1] if len(words) > 1 and not words[1].startswith("-") else "."
            inner = [one.replace("{}", root) for one in words[at + 1 : end]]
            if inner:
                yield " ".join(map(_quoted, inner)), (f"find {word}",), None


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w./:=@%+,~*?-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _container(command: Command) -> Iterator[_Text]:
    words, verb = list(command.words), command.verb
    if verb not in ("exec", "run", "compose", "debug") or "exec" not in words and "run" not in words:
        return
    at = words.index("exec") if "exec" in words else words.index("run")
    by = f"{command.name} {words[at]}"
    if "--" in words[at:]:
        rest = words[words.index("--", at) + 1 :]
    elif command.name in ("kubectl", "oc", "k"):
        rest = _after(["", *words[at + 1 :]], _valued(command.known), 1)
    else:
        rest = _after(["", *words[at + 1 :]], _valued(command.known), 1)
    if rest:
        yield " ".join(map(_quoted, rest)), (by,), None
    elif command.simple.stdin is not None:
        yield command.simple.stdin, (by,), "heredoc"
