"""What a call writes into a file: the new text alone, for taking something out is not putting it in."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from detectors import facts
from detectors.model import Span

MAX_TEXT = 65_536
_NEW = frozenset(
    {
        *("content", "contents", "new_string", "new_str", "newString", "file_text", "new_source", "code_edit", "text"),
        *("replacement", "insert_text", "new_content", "newText", "diff", "patch", "input", "data"),
    }
)
_NESTED = frozenset(("edits", "changes", "replacements", "files", "arguments", "kwargs"))
_PATCH = re.compile(r"^\+(?!\+\+ )(.*)$", re.MULTILINE)


def written(span: Span) -> str:
    """Text that the span's call puts into files; empty where it writes none."""
    if span.kind == "file_write":
        return _new(span.text("arguments"))[:MAX_TEXT]
    line = span.text("command.line")
    if line and (">" in line or "tee" in line or "sed" in line) and _writes(span):
        return line[:MAX_TEXT]
    return ""


def _writes(span: Span) -> bool:
    return any(act.get("path.action") == "write" for act in facts.of(span).acts)


def _new(arguments: str) -> str:
    if not arguments:
        return ""
    try:
        opened = msgspec.json.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError):
        return _added(arguments)  # a patch, or JSON that was cut off
    if isinstance(opened, str):
        return _added(opened)
    texts: list[str] = []
    _gather(opened, texts, 0)
    return _added("\n".join(texts))


def _gather(value: Any, texts: list[str], depth: int) -> None:
    if isinstance(value, list):
        for one in value[:64]:
            _gather(one, texts, depth + 1)
    elif isinstance(value, dict) and depth < 4:
        for name, one in value.items():
            if name in _NEW and isinstance(one, str):
                texts.append(one)
            elif name in _NESTED:
                _gather(one, texts, depth + 1)


def _added(text: str) -> str:
    """The lines a patch adds; any other text as it is."""
    if "*** Begin Patch" in text or "\n@@ " in text or text.startswith(("--- ", "diff --git", "@@ ")):
        return "\n".join(_PATCH.findall(text))
    return text
