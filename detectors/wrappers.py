"""Programs that only run another one: sudo, env, xargs, timeout and their kin, taken off the command they run."""

from __future__ import annotations

import re

from detectors.simple import Origin


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
    "xargs": ("-I -n -P -L -d -a -E -s --max-args --max-procs --delimiter --arg-file --replace --max-lines", 0),
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
Text = tuple[str, tuple[str, ...], Origin | None]


def peel(words: list[str]) -> tuple[list[str], list[Text]] | None:
    """The command a wrapper runs; None for what is no wrapper or runs nothing that is named."""
    name = base(words[0])
    if name in ("watch",):
        rest = after(words, frozenset({"-n", "-d0", "--interval"}), 0)
        return ([], [(" ".join(rest), (), None)]) if rest else None
    if name not in _PEELED or (name == "command" and words[1:2] and words[1] in ("-v", "-V")):
        return None
    if name == "busybox" or name == "toybox":
        return (words[1:], []) if len(words) > 1 and not words[1].startswith("-") else None
    if name == "env" and "-S" in words[1:-1]:
        return [], [(" ".join(words[words.index("-S") + 1 :]), (), None)]
    if name in ("sudo", "doas") and any(word in ("-e", "-l", "-v", "-k", "-K") for word in words[1:2]):
        return None
    rest = after(words, _PEEL_FLAGS[name], _PEELED[name][1])
    if name == "parallel" and ":::" in rest:
        rest = rest[: rest.index(":::")] + rest[rest.index(":::") + 1 :]
    return (rest, []) if rest else None


def after(words: list[str], valued: frozenset[str], skip: int) -> list[str]:
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
