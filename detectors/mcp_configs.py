"""What a configuration of MCP servers gives them: which server gets which credential, for which project."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec

from detectors import path_classes
from detectors.model import Span

MAX_SERVERS = 64
_MARK = re.compile(r"MASKED~[^~\s]{1,120}~\d+~([0-9a-f]{16})~")
_SERVERS = ("mcpServers", "mcp_servers", "mcp", "servers", "context_servers", "extensions")
_ADDED = re.compile(
    r"\b(?:claude|codex|gemini|cursor|copilot|code)\s+mcp\s+add(?:-json)?\s+(?:-{1,2}[\w-]+(?:[= ]\S+)?\s+)*([\w.-]+)"
)


def configures(span: Span, text: str) -> bool:
    """Whether a text that is written configures MCP servers."""
    path = span.text("path")
    if path and "mcp-config" in path_classes.classes(path):
        return True
    return '"mcpServers"' in text or "[mcp_servers." in text or bool(_ADDED.search(span.text("command.line")))


def pairs(text: str) -> list[tuple[str, str]]:
    """(server, fingerprint) of every masked credential in a configuration."""
    found: list[tuple[str, str]] = []
    for name, server in _servers(text):
        for mark in _MARK.findall(server):
            if (name, mark) not in found:
                found.append((name, mark))
    if added := _ADDED.search(text):
        found += [(added[1], mark) for mark in _MARK.findall(text)]
    return found


def _servers(text: str) -> Iterator[tuple[str, str]]:
    """Each server's name and its part of the configuration as text."""
    opened: Any = None
    start = text.find("{")
    if start >= 0:
        try:
            opened = msgspec.json.decode(text[start : text.rfind("}") + 1])
        except (msgspec.MsgspecError, UnicodeError):
            opened = None
    if opened is None and "[mcp_servers." in text:
        try:
            opened = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            opened = None
    if not isinstance(opened, dict):
        return
    for key in _SERVERS:
        servers = opened.get(key)
        if isinstance(servers, dict) and isinstance(servers.get("servers"), dict):
            servers = servers["servers"]
        if isinstance(servers, dict):
            for name, server in list(servers.items())[:MAX_SERVERS]:
                yield str(name), str(server)


def project(span: Span) -> str:
    """The project a configuration belongs to: the repository, the working tree, or the folder it stands in."""
    told = span.text("ci.repo") or span.text("workdir")
    if told:
        return told.rstrip("/").removesuffix(".git")[-200:]
    return span.text("path").rpartition("/")[0][-200:]
