"""PowerShell and cmd lines as simple commands: cut at `;`, `|`, `&`, line ends and braces, words unquoted.

Neither language is parsed: a variable keeps its name, a script block is read as the commands in it.
"""

from __future__ import annotations

import re

from detectors.simple import Origin, Simple

MAX_TEXT, MAX_COMMANDS, MAX_WORDS = 32_768, 128, 256
_POWERSHELL = re.compile(
    r"#[^\n]*|\"((?:[^\"`]|`.|\"\")*)\"|'((?:[^']|'')*)'|(\|\||&&|[;|{}()\n&])|((?:[^\s;|{}()\"'&`]|`.)+)|\s+|.", re.S
)
_CMD = re.compile(r"\"([^\"]*)\"|(\0)|(&&|\|\||[&|()\n])|((?:[^\s&|()\"^]|\^.)+)|\s+|.", re.S)
_ALIASES = {
    "iex": "invoke-expression",
    "iwr": "invoke-webrequest",
    "irm": "invoke-restmethod",
    "curl": "invoke-webrequest",
    "wget": "invoke-webrequest",
    "gc": "get-content",
    "type": "get-content",
    "cat": "get-content",
    "gci": "get-childitem",
    "ri": "remove-item",
    "rm": "remove-item",
    "del": "remove-item",
    "erase": "remove-item",
    "rd": "remove-item",
    "rmdir": "remove-item",
    "cp": "copy-item",
    "copy": "copy-item",
    "cpi": "copy-item",
    "mv": "move-item",
    "move": "move-item",
    "mi": "move-item",
    "sc": "set-content",
    "ac": "add-content",
    "ni": "new-item",
    "saps": "start-process",
    "spps": "stop-process",
    "kill": "stop-process",
    "gps": "get-process",
    "sal": "set-alias",
    "icm": "invoke-command",
}


def commands(text: str, language: str, origin: Origin, cwd: str = "") -> list[Simple]:
    """Simple commands of a PowerShell or cmd text."""
    powershell = language == "powershell"
    found: list[Simple] = []
    words: list[str] = []
    piped = False
    writes: list[str] = []

    def close(sign: str) -> None:
        nonlocal words, piped, writes
        while words and (words[0] in ("=", "+=", ".", "&", "@") or (words[0].startswith("$") and words[1:2] == ["="])):
            words = words[2:] if words[0].startswith("$") else words[1:]
        if words:
            if powershell:
                words[0] = _ALIASES.get(words[0].lower(), words[0])
            simple = Simple(words[:MAX_WORDS], cwd, origin)
            simple.writes = writes
            if piped and found:
                simple.before = [found[-1]]
                found[-1].after = [simple]
            found.append(simple)
        if words or sign != "\n":
            piped = sign == "|"
        words, writes = [], []

    into = False
    for part in (_POWERSHELL if powershell else _CMD).finditer(text[:MAX_TEXT]):
        sign = part[3]
        if sign:
            close(sign)
            into = False
            if len(found) >= MAX_COMMANDS:
                return found
            continue
        word = part[1] if part[1] is not None else part[2] if part[2] is not None else part[4]
        if word is None:
            continue
        if part[4] is not None:
            word = re.sub(r"[`^](.)", r"\1", word, flags=re.S)
            redirect = re.fullmatch(r"\d?(>>?)(?!&)(.*)", word)
            if redirect:
                into = not redirect[2]
                if redirect[2]:
                    writes.append(redirect[2])
                continue
        if into:
            writes.append(word)
            into = False
        else:
            words.append(word)
    close(";")
    return found
