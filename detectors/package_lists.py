"""Lockfiles and plain lists in the folder `inventory`: the packages an organisation uses, as its tools write them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from detectors.errors import RuleError
from detectors.inventory import Inventory

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][\w.-]*)", re.M)
_GEM = re.compile(r"^ {4}([\w.-]+) \(", re.M)


def _npm(text: str) -> list[str]:
    lock = json.loads(text)
    paths = [path.rpartition("node_modules/")[2] for path in lock.get("packages", {})]
    return [name for name in (*paths, *lock.get("dependencies", {})) if name]


def _toml(text: str) -> list[str]:
    return [str(one["name"]) for one in tomllib.loads(text).get("package", [])]


def _lines(text: str) -> list[str]:
    return [name for line in text.splitlines() if (name := line.partition("#")[0].strip())]


LOCKS: Mapping[str, tuple[str, Callable[[str], list[str]]]] = MappingProxyType(
    {
        "package-lock.json": ("npm", _npm),
        "poetry.lock": ("pypi", _toml),
        "uv.lock": ("pypi", _toml),
        "Cargo.lock": ("crates", _toml),
        "go.sum": ("go", lambda text: [line.split()[0] for line in _lines(text)]),
        "Gemfile.lock": ("gems", _GEM.findall),
        "requirements.txt": ("pypi", lambda text: _REQUIREMENT.findall("\n".join(_lines(text)))),
        **{f"{kind}.txt": (kind, _lines) for kind in ("pypi", "npm", "crates", "go", "gems")},
    }
)


def is_list(file: Path) -> bool:
    """Whether the file is one of these, by its name; further words may stand before it: `shop-package-lock.json`."""
    return _lock(file) is not None and "inventory" in file.parts


def _lock(file: Path) -> tuple[str, Callable[[str], list[str]]] | None:
    return next((LOCKS[name] for name in LOCKS if file.name == name or file.name.endswith(f"-{name}")), None)


def read(file: Path) -> Inventory:
    """The packages of the file; RuleError when it is not what its name says."""
    found = _lock(file)
    assert found is not None, "only files that are lists are read"
    kind, names = found
    try:
        return Inventory(packages={kind: tuple(dict.fromkeys(names(file.read_text("utf-8"))))})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuleError(str(file), "$", f"not readable as a list of {kind} packages: {type(error).__name__}") from None
