"""Where a file stands and what kind of file it is, seen from the working tree of the session.

No file system is asked: a link is what its name says, and `~` stays `~`, since whose home it is nobody tells.
"""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

from detectors.path_classes import classes

Scope: TypeAlias = Literal["inside", "outside", "home", "system", "temp", "unknown"]

MAX_PATH = 4_096  # characters
_DRIVE = re.compile(r"^[A-Za-z]:(?=[\\/]|$)")
_HOMES = re.compile(
    r"^(?:\$\{?(?:HOME|USERPROFILE)\}?|\$env:(?:HOME|USERPROFILE)|%USERPROFILE%|(?:%HOMEDRIVE%)?%HOMEPATH%)(?=[\\/]|$)",
    re.I,
)
_APPDATA = re.compile(r"^(?:%(LOCAL)?APPDATA%|\$env:(LOCAL)?APPDATA)(?=[\\/]|$)", re.I)
_TEMPS = re.compile(r"^(?:%TE?MP%|\$env:TE?MP|\$\{?TMPDIR\}?|\$\{?TE?MP\}?)(?=[\\/]|$)", re.I)
_SYSTEMS = re.compile(r"^(?:%(?:SYSTEMROOT|WINDIR)%|\$env:(?:SYSTEMROOT|WINDIR))(?=[\\/]|$)", re.I)
_OWN_TREE = re.compile(r"^(?:\$\{?(?:PWD|CLAUDE_PROJECT_DIR|GITHUB_WORKSPACE|WORKSPACE)\}?|\$\(pwd\)|`pwd`)(?=[\\/]|$)")
_TEMP = re.compile(
    r"^(?:/private)?/(?:var/)?tmp(?:/|$)|^/dev/shm(?:/|$)|^/(?:private/)?var/folders/"
    r"|^[a-z]:/(?:temp|tmp)(?:/|$)|/appdata/local/temp(?:/|$)|^[a-z]:/windows/temp(?:/|$)",
    re.I,
)
_HOME = re.compile(
    r"^~|^/root(?:/|$)|^/(?:home|users)(?:/|$)|^[a-z]:/(?:users|documents and settings)(?:/|$)",
    re.I,
)
_SYSTEM = re.compile(
    r"^/(?:bin|boot|dev|etc|lib|lib32|lib64|libx32|lost\+found|opt|proc|run|sbin|srv|snap|sys|usr|var)(?:/|$)"
    r"|^/(?:private/etc|private/var|system|library|applications|volumes|cores)(?:/|$)|^/(?:\*.*)?$|^[a-z]:/?$"
    r"|^[a-z]:/(?:windows|program files|program files \(x86\)|programdata|boot|recovery|efi)(?:/|$)",
    re.I,
)


class Place(NamedTuple):
    """A file: its path, where that is seen from the working tree, what kinds of file it is."""

    full: str
    scope: Scope
    classes: tuple[str, ...]


@lru_cache(maxsize=8_192)
def place(path: str, cwd: str = "", tree: str = "") -> Place:
    """Where the file is. `cwd` is the directory the path is seen from, `tree` the session's working tree."""
    full = resolve(path, cwd or tree, tree) if path.strip() else ""
    return Place(full, scope(full, resolve(tree, "", "") if tree else ""), classes(full))


def resolve(path: str, cwd: str, tree: str) -> str:
    """The path with blanks, quotes, `..`, variables of known meaning and drive letters in one spelling.

    Slashes are `/`; a path seen from nowhere known stays relative; `..` above it stays.
    """
    path = path[:MAX_PATH].strip().strip("\"'`").replace("\x00", "")
    if path[:5].lower() == "file:":
        path = _from_uri(path)
    if "\\" in path and ("/" not in path or _DRIVE.match(path) or path.startswith(("\\\\", "~", ".", "%", "$env:"))):
        path = path.replace("\\", "/")
    path = _HOMES.sub("~", path)
    path = _APPDATA.sub(lambda found: "~/AppData/Local" if found[1] or found[2] else "~/AppData/Roaming", path)
    path = _SYSTEMS.sub("C:/Windows", _TEMPS.sub("/tmp", path))
    path = _OWN_TREE.sub(tree.replace("\\", "/") or ".", path)
    if path[:4] in ("//?/", "//./"):
        path = path[4:]
    if _DRIVE.match(path):
        path = path[0].upper() + path[1:]
        path = re.sub(r"(?<=[^./ ])[. ]+(?=/|$)", "", path)  # Windows drops them
        return _normal(path)
    if path.startswith(("/", "~")):
        return _normal(path)
    if path.startswith("$"):
        return posixpath.normpath(path)
    if not cwd or cwd == path:
        return posixpath.normpath(path) if path else ""
    base = resolve(cwd, tree if cwd != tree else "", "") if cwd else ""
    return _normal(f"{base.rstrip('/')}/{path}") if base else posixpath.normpath(path)


def _normal(path: str) -> str:
    if path.startswith("//") and not path.startswith("///") and path[2:3].isalnum() and path.count("/") > 3:
        return "//" + posixpath.normpath(path[2:])  # a share of another machine
    if path.startswith("~"):
        head, _, rest = path.partition("/")
        rest = posixpath.normpath("/" + rest).lstrip("/") if rest else ""
        return f"{head}/{rest}" if rest else head
    path = posixpath.normpath(path)
    return path[1:] if path.startswith("//") else path


def _from_uri(uri: str) -> str:
    path = unquote(uri[5:])
    if path.startswith("//"):
        host, _, path = path[2:].partition("/")
        path = f"//{host}/{path}" if host and host != "localhost" else "/" + path
    return path[1:] if re.match(r"^/[A-Za-z]:", path) else path


def scope(full: str, tree: str = "") -> Scope:
    """Where a resolved path stands. Without a known tree a relative path is taken for one inside it."""
    if not full:
        return "unknown"
    rooted = full.startswith(("/", "~")) or _DRIVE.match(full) is not None
    if not rooted:
        if full.startswith(("$", "%", "`")):
            return "unknown"
        return "outside" if full == ".." or full.startswith("../") else "inside"
    if tree and tree not in ("/", "~") and _under(full, tree):
        return "inside"
    if _TEMP.search(full):
        return "temp"
    if _HOME.search(full):
        return "home"
    if _SYSTEM.search(full):
        return "system"
    return "outside" if tree else "unknown"


def _under(full: str, tree: str) -> bool:
    if _DRIVE.match(full):
        full, tree = full.lower(), tree.lower()
    return full == tree or full.startswith(tree.rstrip("/") + "/")
