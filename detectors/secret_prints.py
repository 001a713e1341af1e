"""Code that shows a secret it was given: variables printed, traced or put into files, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from detectors.model import Span

MAX_FOUND = 8
_NAME = r"[A-Z0-9_]{0,40}(?:TOKEN|SECRET|PASSWO?R?D|(?:API|ACCESS|PRIVATE|AUTH)_?KEY|CREDENTIALS?)[A-Z0-9_]{0,40}"
_LOOKED_UP = (  # a secret variable read from the environment or the pipeline, in the languages agents write
    rf"(?:\$\{{?(?:env:)?(?P<shell>{_NAME})\b\}}?"
    rf"|\$\{{\{{\s*(?:secrets|env|vars)\.(?P<step>{_NAME})\s*\}}\}}"
    rf"|(?:os\.environ(?:\.get)?|os\.getenv|getenv|ENV(?:\.fetch)?|System\.getenv|os\.Getenv|env::var|Deno\.env\.get"
    rf"|process\.env|import\.meta\.env)\s*[\[(.]\s*[\"'`]?(?P<code>{_NAME})\b)"
)
_OF_CODE = (
    r"(?:api_?key|secret_?key|access_?token|client_?secret|private_?key"
    r"|auth_?token|refresh_?token|db_?password|password)"
)
_PRINT = (
    r"(?:\becho\b|\bprintf\b|\bprint(?:ln!?|f|_r)?\b|\bputs\b|console\.(?:log|info|debug|warn|error)|\blogg?(?:er|ing)?\.\w+"
    r"|fmt\.(?:Print|Fprint)\w*|System\.out\.print\w*|Write-(?:Host|Output|Verbose)|\bvar_dump\b|::(?:notice|warning|debug)"
    r"|core\.(?:info|notice|warning|debug|setOutput))"
)
_PUT = (
    r"(?:\bwrite(?:_text|_bytes|File|FileSync|lines)?\s*\(|\.dump\s*\(|setItem\s*\("
    r"|cache\.(?:set|put)\s*\(|appendFile(?:Sync)?\s*\()"
)
_PRINTED = re.compile(rf"(?P<sink>{_PRINT})(?P<between>[^\n;|]{{0,160}}?){_LOOKED_UP}(?P<rest>[^\n]{{0,200}})")
_CACHED = re.compile(rf"{_PUT}[^\n;]{{0,160}}?{_LOOKED_UP}")
_OWN = re.compile(
    rf"(?P<sink>{_PRINT})!?\s*\(\s*(?:[rbf]?[\"'`][^\"'`\n{{]{{0,80}}(?:[\"'`]\s*[,+%]\s*|\$?\{{))?"
    rf"(?:\w+\.)?(?P<name>{_OF_CODE})\b"
    r"(?!\s*[(=:.\[])",
    re.IGNORECASE,
)
_TRACED = re.compile(r"\bset\s+-[a-wyz]{0,6}x|\bset\s+-o\s+xtrace|\bbash\s+-[a-wyz]{0,4}x\b")
_VARIABLE = re.compile(rf"\$\{{?({_NAME})\b")
_PIPED = re.compile(r"^[\"'}\s)]*\|\s*(?!tee\b|cat\b|less\b|more\b|head\b|grep\b)")
_MASKED = re.compile(r"add-mask|MASKED~")
_HINT = re.compile(r"TOKEN|SECRET|PASSW|KEY|CREDENTIAL|token|secret|passw|key")
_INTO_FILE = re.compile(r"^[\"'}\s)]*>>?\s*(?!&|/dev/(?:null|stderr|stdout))\S")


_SHOWS = re.compile(
    r"echo|print|puts|console\.|log|Write-|dump|notice|core\.|write|setItem|cache|append|set +-|bash +-"
)


class Shown(NamedTuple):
    """A secret variable and what the code does with it: printed, traced, or cached in a file."""

    name: str
    how: str


def hinted(span: Span) -> bool:
    """Whether the span's call may write code that shows a secret variable: cheap, and true for far too many."""
    if span.kind == "file_write":
        text = span.text("arguments")
    else:
        text = span.text("command.line")
        if ">" not in text and "tee" not in text and "sed" not in text:
            return False
    return _HINT.search(text) is not None and _SHOWS.search(text) is not None


def shown(text: str) -> list[Shown]:
    """Secret variables that the code shows; a variable piped into a program that takes it is not shown."""
    if not _HINT.search(text):
        return []
    return list(dict.fromkeys(one for one in _shown(text)))[:MAX_FOUND]


def _shown(text: str) -> Iterator[Shown]:
    for found in _PRINTED.finditer(text):
        rest = found["rest"]
        if _MASKED.search(found["between"]) or (found["sink"] in ("echo", "printf") and _PIPED.match(rest)):
            continue
        yield Shown(_name(found), "cached in a file" if _INTO_FILE.match(rest) else "printed")
    for found in _CACHED.finditer(text):
        yield Shown(_name(found), "cached in a file")
    for found in _OWN.finditer(text):
        yield Shown(found["name"], "printed")
    traced = _TRACED.search(text)
    if traced:
        for found in _VARIABLE.finditer(text, traced.end()):
            yield Shown(found[1], "traced by set -x")


def _name(found: re.Match[str]) -> str:
    return found["shell"] or found["step"] or found["code"]
