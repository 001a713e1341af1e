"""What one call of a well-known Python function did, by the table of functions and the values it was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from detectors.python_calls import Deed
from detectors.python_values import GIVEN, NO_FLOW, Flow, Value, flow_of, quoted, texts_of

OPENS = frozenset(
    {"open", "io.open", "codecs.open", "pathlib.Path.open", "aiofiles.open", "os.fdopen", "file", "os.open"}
)
_ACTIONS = ("read", "write", "delete", "execute", "list")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Did(NamedTuple):
    """One call that matters: the function, its effects, and what its arguments were, as far as they are known."""

    call: str
    effects: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()  # path, action
    hosts: tuple[str, ...] = ()
    run: str = ""  # a command line
    code: str = ""
    sql: str = ""
    text: str = ""  # literal text that is written or sent
    flow: Flow = NO_FLOW


class Call(NamedTuple):
    """A call as it was made. `owner` is the object a method belongs to."""

    name: str
    what: Deed
    owner: Value | None
    args: list[Value]
    named: dict[str, Value]

    def place(self, place: str) -> Value | None:
        """The argument of that number or keyword."""
        if place == "self":
            return self.owner
        if place.lstrip("-").isdigit():
            at = int(place)
            return self.args[at] if -len(self.args) <= at < len(self.args) else None
        return self.named.get(place)

    def role(self, role: str) -> Value | None:
        """The argument that plays the role, the first of those it may be."""
        found = (self.place(place) for place in self.what.roles.get(role, ()))
        return next((value for value in found if value is not None), None)


def done(call: Call, flow: Flow, written: Mapping[str, Flow]) -> Did:
    """What the call did. `written` tells whose content is in the files the script wrote before."""
    roles, effects = call.what.roles, call.what.effects
    files: list[tuple[str, str]] = []
    for action in _ACTIONS:
        one = call.role(action)
        files += [(each.text, action) for each in (one.items or [one]) if each.text] if one is not None else []
    for role in ("open", "archive", "database"):
        if role in roles:
            effects = _opens(call, role, files)
    if (how := call.role("method")) is not None and how.text and how.text.upper() not in _SAFE_METHODS:
        effects = ("send", "connect")
    if call.role("send") is not None:
        effects = tuple(dict.fromkeys(("send", *(one for one in effects if one != "fetch"))))
    if (run := call.role("run")) is not None and run.items is not None:
        flow -= GIVEN  # a list of words is no line that a shell reads
    code, sql = call.role("code"), call.role("sql")
    for path, action in files:
        if action == "read":
            flow |= {("file", path)}
        if action in ("read", "execute"):
            flow |= written.get(path, NO_FLOW)
    return Did(
        call.name,
        effects,
        tuple(files),
        _hosts(call),
        _line(call),
        (code.text or "") if code is not None else "",
        (sql.text or "") if sql is not None else "",
        flow=flow,
    )


def _opens(call: Call, role: str, files: list[tuple[str, str]]) -> tuple[str, ...]:
    """What opening a file is for, by its mode."""
    path = call.role(role) or (call.owner if call.name == "pathlib.Path.open" else None)
    mode = call.named.get("mode") or call.place("0" if call.name == "pathlib.Path.open" else "1")
    said = (mode.text or "") if mode is not None else "r+" if role == "database" else ""
    if call.name == "os.open" and mode is not None:
        said = "w" if "O_W" in mode.call or "O_RDWR" in mode.call else "r"
    writes = any(letter in said for letter in "wax+")
    if path is not None and path.text:
        files += [(path.text, "read")] if role == "database" else []
        files.append((path.text, "write" if writes else "read"))
    if role == "database":
        return ("query",)
    return (("read", "write") if "+" in said else ("write",)) if writes else ("read",)


def _hosts(call: Call) -> tuple[str, ...]:
    """Hosts and URLs among the arguments; `host+port` is a pair of two arguments or of one tuple."""
    found: list[str] = []
    for role in ("host", "url"):
        for place in call.what.roles.get(role, ()):
            name, _, port = place.partition("+")
            value = call.place(name)
            if value is None:
                continue
            pair = value.items or [value, *([at] if port and (at := call.place(port)) is not None else [])]
            host, number = pair[0].text, pair[1].text if len(pair) > 1 and role == "host" else None
            if host:
                found.append(f"{host}:{number}" if number and number.isdigit() and ":" not in host else host)
                break
    if not found and call.owner is not None and "connect" in call.what.effects:
        found += sorted(name for kind, name in call.owner.flow if kind == "host")
    return tuple(found)


def _line(call: Call) -> str:
    """The command line that is run."""
    if "words" in call.what.roles:
        start = int(call.what.roles["words"][0])
        return quoted(["{}" if one.text is None else one.text for one in call.args[start:] if not one.items])
    value = call.role("run")
    if value is None:
        return ""
    return quoted(texts_of(value)) if value.items is not None else value.text or ""


def item_of(over: Value) -> Value:
    """One of what a loop goes over: a name of a directory, a line of a file."""
    if over.items:
        return over.items[0].carrying(flow_of(over))
    listed = next((path for kind, path in over.flow if kind == "file"), None)
    if over.call.rpartition(".")[2] in ("walk", "glob", "iglob", "rglob", "iterdir", "scandir") and listed:
        name = listed if "*" in listed else f"{listed.rstrip('/')}/{{}}"
        return Value(name, call="pathlib.Path" if over.call.startswith("pathlib.") else "", flow=over.flow)
    return Value(call="" if over.call in OPENS else over.call, flow=flow_of(over))
