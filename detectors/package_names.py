"""Which packages a command installs, a manifest asks for, and a registry says it does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

ECOSYSTEMS = {
    **dict.fromkeys(("pip", "pip3", "uv", "uvx", "poetry", "pdm", "pipx", "rye", "hatch"), "pypi"),
    **dict.fromkeys(("npm", "yarn", "pnpm", "bun", "npx", "bunx", "pnpx"), "npm"),
    "cargo": "crates",
    "go": "go",
    **dict.fromkeys(("gem", "bundle"), "gems"),
}
VERBS = frozenset({"install", "add", "i", "get", "require", "dlx", "run", "exec", "inject"})
RUNS = frozenset({"npx", "uvx", "bunx", "pnpx"})  # install and run what they are given
ONLY_INSTALL = frozenset({"pip", "tool", "global", "mod"})  # words before the verb
VALUED = frozenset(  # flags that take the next word
    {
        "-r", "--requirement", "-c", "--constraint", "-i", "--index-url", "--extra-index-url", "-f", "--find-links",
        "-t", "--target", "--prefix", "--root", "-v", "--version", "--features", "-F", "--registry", "--group",
        "--python", "-p", "--cache-dir", "--proxy", "--timeout", "--index", "--source", "--path", "--git", "--branch",
        "--tag", "--rev", "--platform", "-w", "--workspace", "-C", "--cwd", "--directory", "--project", "-G",
    }
)  # fmt: skip
NOT_FOUND = {
    "pypi": re.compile(
        r"No matching distribution found for ([\w.-]+)|[Bb]ecause ([\w.-]+) was not found in the package registry"
    ),
    "npm": re.compile(
        r"404[^\n]{0,40}'(@?[\w./-]+?)(?:@[^']*)?' is not in this registry|Couldn't find package \"([^\"]+)\" on"
    ),
    "crates": re.compile(
        r"the crate `([\w-]+)` could not be found in registry|no matching package named `([\w-]+)` found"
    ),
    "go": re.compile(r"unrecognized import path \"([^\"]+)\"|module ([\w./-]+): [^\n]{0,200}404 Not Found"),
    "gems": re.compile(r"Could not find a valid gem '([^']+)'"),
}
UNREACHABLE = re.compile(
    r"Retrying \(|NewConnectionError|name resolution|Connection (?:refused|reset)|ProxyError|SSLError|EAI_AGAIN|"
    r"ENOTFOUND|ETIMEDOUT|ECONNREFUSED|network is unreachable|no such host|timed out|E401|E403|401 |403 ",
    re.IGNORECASE,
)
MANIFESTS = (
    ("pypi", re.compile(r"requirements[\w.-]*\.txt$"), re.compile(r"^\s*([A-Za-z][\w.-]*)\s*(?:[<>=!~\[;@]|$)", re.M)),
    (
        "pypi",
        re.compile(r"pyproject\.toml$"),
        re.compile(r"^\s*\"([A-Za-z][\w.-]*)(?:\[[\w,-]+\])?\s*[<>=~!][^\"]*\"", re.M),
    ),
    ("npm", re.compile(r"package\.json$"), re.compile(r"\"(@?[a-z0-9][\w./-]*)\"\s*:\s*\"(?:[~^]|>=?)?\d+[\w.*+-]*\"")),
    ("crates", re.compile(r"Cargo\.toml$"), re.compile(r"^([\w-]+)\s*=\s*(?:\"[~^=]?\d|\{\s*version)", re.M)),
    ("go", re.compile(r"go\.mod$"), re.compile(r"^\s*(?:require\s+)?([\w-]+(?:\.[\w-]+)+/[\w./-]+)\s+v\d", re.M)),
    ("gems", re.compile(r"Gemfile$"), re.compile(r"^\s*gem ['\"]([\w-]+)['\"]", re.M)),
)
NO_PACKAGES = frozenset({"version", "name", "node", "npm", "edition", "rust-version", "resolver"})
MAX_NAMES = 64


def plain(ecosystem: str, name: str) -> str:
    """The name as a registry compares it."""
    return re.sub(r"[-_.]+", "-", name).lower() if ecosystem == "pypi" else name


def installed(program: str, words: list[str]) -> tuple[str, list[str]]:
    """Ecosystem and package names of an install command; no names for one that installs what a lockfile says."""
    ecosystem = ECOSYSTEMS.get(program, "")
    rest = words[1:]
    if program not in RUNS:
        while rest and rest[0] in ONLY_INSTALL:
            rest = rest[1:]
        if not rest or rest[0] not in VERBS or (rest[0] in ("run", "exec") and program not in ("pipx",)):
            return ecosystem, []
        rest = rest[1:]
    found: list[str] = []
    skip = False
    for word in rest:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in VALUED
        elif name := _name(ecosystem, word):
            found.append(name)
            if program in RUNS:
                break
    return ecosystem, found[:MAX_NAMES]


def _name(ecosystem: str, word: str) -> str:
    """The package a word names; empty for paths, URLs and files."""
    if "://" in word or word.startswith((".", "/", "~", "file:", "git+", "git@", "$")) or word[:1] == "=":
        return ""
    if word.endswith((".txt", ".whl", ".tar.gz", ".tgz", ".zip", ".gem")):
        return ""
    if ecosystem == "npm":
        name = word[: word.rindex("@")] if "@" in word[1:] else word
        return "" if name.count("/") > (1 if name.startswith("@") else 0) else name
    if ecosystem == "go":
        return word.partition("@")[0].removesuffix("/...") if "." in word.partition("/")[0] else ""
    found = re.match(r"[A-Za-z0-9][\w.-]*", word)
    return plain(ecosystem, found[0].rstrip(".-")) if found else ""


def missing(ecosystem: str, said: str) -> list[str]:
    """Packages that a registry answered it does not have; none when it was not reached."""
    pattern = NOT_FOUND.get(ecosystem)
    if pattern is None or not said or UNREACHABLE.search(said):
        return []
    if ecosystem == "pypi" and "from versions:" in said and "from versions: none" not in said:
        return []  # the package is there, this version is not
    names = [next(filter(None, found.groups())) for found in pattern.finditer(said)]
    return [plain(ecosystem, name) for name in dict.fromkeys(names)][:MAX_NAMES]


def asked(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Ecosystem and name of every package a manifest's text asks for."""
    for ecosystem, file, line in MANIFESTS:
        if file.search(path):
            for name in dict.fromkeys(line.findall(text)[:MAX_NAMES]):
                if name not in NO_PACKAGES:
                    yield ecosystem, plain(ecosystem, name)
