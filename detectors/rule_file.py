"""Rule files as YAML: their documents, strict decoding that tells every fault, and the line each fault stands on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import yaml
from sigma.rule.base import SigmaYAMLLoader

from detectors.errors import RuleError

MAX_FAULTS = 100  # of one document
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<key>[^`]*)`")
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_Composer = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(file: Path) -> list[tuple[str, Any]]:
    """(key path, content) of the file's YAML documents; duplicate keys are refused. Raises RuleError."""
    try:
        loaded = list(yaml.load_all(file.read_text("utf-8"), Loader=SigmaYAMLLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise unreadable(file, error) from error
    return [(f"documents[{i}]", raw) for i, raw in enumerate(loaded) if raw is not None]


def unreadable(file: Path, error: Exception) -> RuleError:
    """What to say of a file that is no YAML, with the line the parser stopped at."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "strerror", None) or str(error).splitlines()[0]
    return RuleError(str(file), "$", f"not readable as YAML: {reason}", line=mark.line + 1 if mark else 0)


def convert(raw: Any, kind: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The content as `kind`, or None and every (key path, reason) that keeps it from being one.

    The decoder stops at its first fault, so what it complained about is taken out of a copy and the rest tried again.
    """
    fault = _fault(raw, kind)
    if fault is None:
        return msgspec.convert(raw, kind), []
    left = deepcopy(raw)
    gone: set[str] = set()
    faults: list[tuple[str, str]] = []
    while fault is not None and len(faults) < MAX_FAULTS:
        path, reason = _spelled(left, kind, *fault), fault[1]
        if _named(path, reason) not in gone:
            extra = _UNKNOWN.search(reason)
            faults.append((f"{path}.{extra['key']}" if extra else path, reason))
        if not _without(left, path, reason, gone):
            break
        fault = _fault(left, kind)
    return None, faults


def _spelled(left: Any, kind: Any, told: str, reason: str) -> str:
    """The path with the keys of mappings, which the decoder leaves out, put in: each alone still has the fault."""
    path, emptied = told, []
    while (place := path.find("[...]")) >= 0:
        at: Any = left
        for key in _keys(path[:place], left):
            at = at[key]
        if not isinstance(at, dict):
            break
        emptied.append((at, dict(at)))
        path = f"{path[:place]}.{_alone(at, left, kind, (told, reason))}{path[place + 5 :]}"
    for at, every in emptied:
        at.clear()
        at.update(every)
    return path


def _alone(at: dict[Any, Any], left: Any, kind: Any, fault: tuple[str, str]) -> Any:
    """The key of `at` that has the fault when it is the only one, as it then is."""
    every = dict(at)
    for key, value in every.items():
        at.clear()
        at[key] = value
        if _fault(left, kind) == fault:
            return key
    at.clear()
    at.update(every)
    return next(iter(every))  # a key of the wrong type: none is wrong alone


def _fault(raw: Any, kind: Any) -> tuple[str, str] | None:
    """Path and reason of the first fault, as the decoder says them."""
    try:
        msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        reason, _, at = str(error).partition(" - at `")
        return at.rstrip("`").removeprefix("$"), reason
    return None


def _named(path: str, reason: str) -> str:
    """The path of a missing field, so that one taken out before is not missed; else nothing that is a path."""
    found = _MISSING.search(reason)
    return f"{path}.{found['key']}" if found else "-"


def _without(left: Any, path: str, reason: str, gone: set[str]) -> bool:
    """Take what is wrong out of `left`; False when there is nothing to take."""
    if found := _UNKNOWN.search(reason):
        path = f"{path}.{found['key']}"
    keys = list(_keys(path, left))
    if not keys or "..." in keys:
        return False
    at = left
    for key in keys[:-1]:
        at = at[key]
    try:
        del at[keys[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    gone.add(path)
    return True


def _keys(path: str, root: Any) -> Iterator[Any]:
    """Keys and indices of a decoder's path; a key that holds dots is found by looking at what there is."""
    at, rest = root, path
    while rest:
        if isinstance(at, dict) and rest.startswith("."):
            fitting = [k for k in map(str, at) if _begins(rest[1:], k)]
            key: Any = max(fitting, key=len, default=None)
            if key is None:
                return
            rest = rest[1 + len(key) :]
        else:
            step = _STEP.match(rest)
            if step is None or step["index"] is None:
                return
            key, rest = step["index"] if step["index"] == "..." else int(step["index"]), rest[step.end() :]
        yield key
        try:
            at = at[key]
        except (KeyError, IndexError, TypeError):
            return


def _begins(path: str, key: str) -> bool:
    """Whether the path starts with this key as a whole."""
    return path.startswith(key) and path[len(key) : len(key) + 1] in ("", ".", "[")


def located(errors: Iterable[RuleError]) -> list[RuleError]:
    """The errors, each with the line its key path stands on, by file and line."""
    trees: dict[str, list[Any]] = {}
    found = []
    for error in errors:
        if not error.line and error.file not in trees:
            trees[error.file] = _tree(Path(error.file))
        line = error.line or _line(trees[error.file], error.path)
        found.append(type(error)(error.file, error.path, error.reason, line=line) if line else error)
    order = {name: place for place, name in enumerate(dict.fromkeys(error.file for error in found))}
    return sorted(found, key=lambda error: (order[error.file], error.line))


def _tree(file: Path) -> list[Any]:
    try:
        return list(yaml.compose_all(file.read_text("utf-8"), Loader=_Composer))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []


def _line(tree: list[Any], path: str) -> int:
    """Line of the deepest key on the path that is there; 0 when the file is not."""
    if not tree:
        return 0
    place = re.match(r"documents\[(\d+)\]", path)
    number = int(place[1]) if place else 0
    if number >= len(tree):
        return 0
    rest = path[place.end() :] if place else path.removeprefix("$")
    rest = rest if not rest or rest[0] in ".[" else "." + rest
    node, line = tree[number], tree[number].start_mark.line
    while rest and node is not None:
        node, line, rest = _inside(node, line, rest)
    return int(line) + 1


def _inside(node: Any, line: int, rest: str) -> tuple[Any, int, str]:
    """One step down the path: the node below, its line, and what is left of the path; None when there is none."""
    if isinstance(node, yaml.MappingNode) and rest.startswith("."):
        fitting = [(key, value) for key, value in node.value if _begins(rest[1:], str(key.value))]
        if fitting:
            key, value = max(fitting, key=lambda pair: len(str(pair[0].value)))
            return value, key.start_mark.line, rest[1 + len(str(key.value)) :]
    step = _STEP.match(rest) if isinstance(node, yaml.SequenceNode) else None
    if step and (step["index"] or "").isdigit() and int(step["index"]) < len(node.value):
        value = node.value[int(step["index"])]
        return value, value.start_mark.line, rest[step.end() :]
    return None, line, ""
