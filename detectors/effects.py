"""What a command does to the world, and the destinations it names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from detectors import urls
from detectors.commands import Command
from detectors.touches import NET_FILE, Touched

_TALKS_NOT = frozenset(  # a URL among their words is but text
    [
        "alias",
        "awk",
        "cat",
        "cd",
        "cp",
        "declare",
        "diff",
        "echo",
        "egrep",
        "export",
        "false",
        "fgrep",
        "find",
        "gcc",
        "grep",
        "head",
        "jq",
        "local",
        "ls",
        "make",
        "mv",
        "printf",
        "pytest",
        "read",
        "readonly",
        "rg",
        "rm",
        "sed",
        "set",
        "sort",
        "tail",
        "tee",
        "test",
        "true",
        "uniq",
        "unset",
        "wc",
        "[",
    ]
)
_PIPED_OUT = frozenset({"nc", "ncat", "netcat", "ssh", "telnet", "socat", "openssl", "ftp", "sftp", "mail", "mailx"})
_HOST = re.compile(
    r"(?:[\w.+-]+@)?(?:[\w-]+\.)+[\w-]+(?::\d+)?(?:/.*)?$|\[?[0-9a-f:]+\]?$|\d+(?:\.\d+){3}(?::\d+)?$|[a-z][\w-]*$",
    re.I,
)
_SOCAT = re.compile(r"(?:TCP|UDP|OPENSSL|SSL)(?:4|6)?(?:-CONNECT|-SENDTO)?:([^:,]+:\d+)", re.I)
_LISTENS = re.compile(r"(?:TCP|UDP|OPENSSL|SSL)(?:4|6)?-(?:LISTEN|RECV)|\bEXEC:|\bSYSTEM:", re.I)

# A cloud's own tool names what it does in its words: `ec2 terminate-instances`, `compute instances delete`.
_CLOUDS = frozenset(
    [
        "aws",
        "aws2",
        "gcloud",
        "az",
        "doctl",
        "ibmcloud",
        "oci",
        "aliyun",
        "linode-cli",
        "hcloud",
        "scw",
        "exo",
        "gsutil",
        "s3cmd",
        "vultr-cli",
        "flyctl",
        "fly",
        "railway",
        "heroku",
        "firebase",
        "supabase",
        "vercel",
        "netlify",
        "eb",
    ]
)
_CLOUD_WORDS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (
        re.compile(
            r"^(?:delete|terminate|destroy|remove|rm|rb|purge|deregister|drop|wipe|nuke)(?:-|$)|:destroy$|-delete$"
        ),
        ("delete",),
    ),
    (
        re.compile(
            r"^(?:attach-(?:user|role|group)-policy|put-(?:user|role|group|bucket)-policy|add-iam-policy-binding|"
            r"set-iam-policy|create-access-key|create-login-profile|add-user-to-group|add-permission|authorize-security-group-\w+|"
            r"modify-\w+-attribute|create-service-principal|create-for-rbac|role|iam|make-public|acl|put-bucket-acl)$"
        ),
        ("grant",),
    ),
    (re.compile(r"^(?:stop|shutdown|deallocate|suspend|disable|reboot|restart)(?:-|$)"), ("stop",)),
    (
        re.compile(
            r"^(?:create|run|put|update|modify|set|add|start|launch|provision|register|apply|scale|resize|reset|mb)(?:-|$)"
        ),
        ("write",),
    ),
    (re.compile(r"^deploy(?:-|$)"), ("deploy",)),
    (re.compile(r"^(?:list|describe|ls|get|show|info)(?:-|$)"), ("list",)),
    (
        re.compile(
            r"^(?:get-secret-value|get-parameters?|get-session-token|assume-role|print-access-token|"
            r"get-access-token|versions-access|access|export-credentials|get-login-password)$"
        ),
        ("read",),
    ),
    (re.compile(r"^(?:invoke|execute|send-command|ssh|start-session|exec)$"), ("execute",)),
)


def effects(command: Command, files: Sequence[Touched], hosts: Sequence[str]) -> tuple[str, ...]:
    """Effects of the program, its verb, its flags and its redirections."""
    known, name = command.known, command.name
    own = known.verbs.get(command.verbs)
    if own is None and command.verb:
        own = known.verbs.get(command.verb)
    found = dict.fromkeys(known.effect if own is None else own)
    for flag in command.flags:
        for one in known.flags.get(flag, ()):
            found[one] = None
    actions = {one.action for one in files}
    if "write" in found and "write" not in actions and known.effect[:1] != ("write",) and own is None and files:
        del found["write"]  # `-o /dev/null` writes nothing
    for action in ("write", "execute"):
        if action in actions:
            found[action] = None
    if name in _CLOUDS:
        found.update(dict.fromkeys(_cloud(command)))
    if name in _BOTH_WAYS:
        found.update(dict.fromkeys(_direction(command)))
    if name == "curl":
        found = _curl(command, found)
    if name in _PIPED_OUT and (command.simple.before or command.simple.reads or command.simple.stdin is not None):
        found["send"] = None
    if name == "socat" and any(_LISTENS.search(word) for word in command.words):
        found["listen"] = None
    if hosts and any(NET_FILE.search(one) for one in (*command.simple.writes, *command.simple.reads, *command.words)):
        found["connect"] = None
        if command.simple.writes and name not in ("bash", "sh", "exec"):
            found["send"] = None
    return tuple(found)


_BOTH_WAYS = frozenset(
    {"scp", "rsync", "aws", "gsutil", "gcloud", "az", "s3cmd", "kubectl", "docker", "podman", "sftp"}
)


def _direction(command: Command) -> tuple[str, ...]:
    """send or fetch, for what copies between here and elsewhere."""
    ends = list(command.plain)
    if command.name not in ("scp", "rsync", "sftp"):
        at = next((i for i, word in enumerate(ends) if word in ("cp", "sync", "mv", "rsync", "copy")), None)
        ends = ends[at + 1 : at + 3] if at is not None else []
    if len(ends) < 2:
        return ()
    there = [urls.REMOTE.match(one) is not None or "://" in one for one in (ends[0], ends[-1])]
    return ("send",) if there[1] and not there[0] else ("fetch",) if there[0] and not there[1] else ()


def _curl(command: Command, found: dict[str, None]) -> dict[str, None]:
    """curl sends when it has data or a method that changes something."""
    method = next((value.upper() for flag, value in command.given if flag in ("-X", "--request")), "")
    get = not {"-G", "--get"}.isdisjoint(command.flags)
    if method in ("POST", "PUT", "PATCH"):
        found["send"] = None
    elif method == "DELETE":
        found["delete"] = found["send"] = None
    if "send" in found and not get:
        found.pop("fetch", None)
    return found


def _cloud(command: Command) -> list[str]:
    found: list[str] = []
    for word in command.plain[:5]:
        for pattern, does in _CLOUD_WORDS:
            if pattern.search(word):
                found += does
                break
    return found


def destinations(command: Command) -> list[str]:
    """Hosts and URLs a command names as where it goes."""
    simple, name = command.simple, command.name
    found = [
        m[1] + ":" + m[2] for one in (*simple.reads, *simple.writes, *command.words) for m in NET_FILE.finditer(one)
    ]
    if simple.local or name in _TALKS_NOT:
        return found
    for word in command.words[1:]:
        if "://" in word and "$(" not in word:
            found += urls.urls(word)
    kind, plain = command.known.hosts, command.plain
    if kind == "urls":
        found += [
            one
            for one in plain
            if "://" not in one and ("." in one or one.startswith("localhost")) and _HOST.match(one)
        ]
    elif kind == "first" and plain:
        found += (
            [one for one in plain[:1] if _HOST.match(one) and "://" not in one]
            if plain[0] not in command.known.verbs
            else plain[1:2]
        )
    elif kind == "all":
        found += [one for one in plain if "." in one and _HOST.match(one)]
    elif kind == "remote" or name in ("git", "sftp"):
        found += [m[1] for one in plain if (m := urls.REMOTE.match(one))]
    if name == "socat":
        found += [m[1] for word in plain for m in _SOCAT.finditer(word)]
    if (
        (kind == "first" or name == "socat")
        and len(plain) > 1
        and plain[1].isdigit()
        and found
        and ":" not in found[-1]
    ):
        found[-1] = f"{found[-1]}:{plain[1]}"
    return found + [
        value
        for flag, value in command.given
        if flag in ("-h", "--host", "--hostname") and _asks(command) and _HOST.match(value)
    ]


def _asks(command: Command) -> bool:
    return "query" in command.known.effect and "connect" in command.known.effect
