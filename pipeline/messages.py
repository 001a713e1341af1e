"""What was said in message arrays: the last words of the user, the words and wishes of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipeline.decode import compact
from pipeline.targets import open_json


def _parts(message: Mapping[str, Any]) -> list[str]:
    """Texts of one message: `parts`, or `content` as text, as a list of parts, and tool calls either way."""
    said: list[str] = []
    body = message.get("parts") or message.get("content")
    if isinstance(body, str):
        said.append(body)
    elif isinstance(body, list):
        said += [text for part in body if (text := _part(part))]
    for call in message.get("tool_calls") or ():
        if isinstance(call, Mapping):
            function = call.get("function")
            said.append(_call(function if isinstance(function, Mapping) else call))
    return said


def _part(part: Any) -> str:
    if type(part) is not dict:
        return part if isinstance(part, str) else ""
    if part.get("type") in ("tool_call", "tool_use"):
        return _call(part)
    for name in ("content", "text", "response", "result"):
        value = part.get(name)
        if isinstance(value, str):
            return value
        if value is not None:
            return compact(value)
    return ""


def _call(call: Mapping[str, Any]) -> str:
    """A call the model asked for, maybe never run: its name and its arguments."""
    arguments = call.get("arguments", call.get("input", ""))
    return f"{call.get('name', '')} {arguments if isinstance(arguments, str) else compact(arguments)}".strip()


MAX_INSTRUCTIONS = 8_000  # characters of a system prompt
_NEAR = 60  # characters in which a first message says whose it is, as a rule
_SYSTEM = ('"system"', '"developer"')
_first = json.JSONDecoder().raw_decode

_ABSENT = msgspec.Raw(b"")


class _Message(msgspec.Struct, gc=False):
    """A message of which only what is asked for gets decoded: histories are long and repeat themselves."""

    role: str | None = None
    parts: msgspec.Raw = _ABSENT
    content: msgspec.Raw = _ABSENT
    tool_calls: msgspec.Raw = _ABSENT

    def opened(self) -> dict[str, Any]:
        """The message as plain values."""
        named = (("parts", self.parts), ("content", self.content), ("tool_calls", self.tool_calls))
        return {name: _decode(raw) for name, raw in named if raw is not _ABSENT}


_array = msgspec.json.Decoder(list[_Message]).decode
_decode = msgspec.json.Decoder().decode
_FAILED = (msgspec.MsgspecError, RecursionError, UnicodeError)


def last_user(text: str) -> str:
    """The last words of the user in a JSON array of messages; empty where there are none.

    Results of tools that an API hands over in the user's name are not the user's words.
    """
    try:
        for message in reversed(_array(text)):
            if message.role == "user" and (said := _parts(_own(message.opened()))):
                return "\n".join(said)
    except _FAILED:
        for loose in reversed(_messages(text)):
            if loose.get("role") == "user" and (said := _parts(_own(loose))):
                return "\n".join(said)
    return ""


def results(text: str) -> str:
    """What tools answered since the model last spoke: the newest messages of a JSON array, back to the model's."""
    role = text[(place := text.rfind('"role"')) : place + 24] if '"role"' in text else ""
    if not ("tool" in role or "function" in role or ("user" in role and '"tool_result"' in text)):
        return ""
    found: list[str] = []
    try:
        for message in reversed(_array(text)):
            if message.role in ("assistant", "model", "system", "developer"):
                break
            opened = message.opened()
            if message.role in ("tool", "function"):
                found += _parts(opened)
            elif isinstance(body := opened.get("parts") or opened.get("content"), list):
                found += [said for part in body if _answer(part) and (said := _part(part))]
    except _FAILED:
        return ""
    return "\n\n".join(reversed(found))


def _own(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message without the results of tools in it."""
    for name in ("parts", "content"):
        body = message.get(name)
        if isinstance(body, list) and any(map(_answer, body)):
            return {**message, name: [part for part in body if not _answer(part)]}
    return message


def _answer(part: Any) -> bool:
    return type(part) is dict and part.get("type") in ("tool_result", "tool_call_response", "function_call_output")


def instructions(text: str) -> str:
    """What the system told the model in the first of a JSON array of messages, cut to what is worth keeping.

    Only that message is decoded: it stands before a history of any length.
    """
    if text[:1] != "[" or not any(role in text[:_NEAR] for role in _SYSTEM):
        return ""
    try:
        message, _ = _first(text, 1)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(message, dict) or message.get("role") not in ("system", "developer"):
        return ""
    return "\n".join(_parts(message))[:MAX_INSTRUCTIONS]


def spoken(text: str) -> str:
    """All that the messages of an output array say, calls the model asked for included."""
    return "\n".join([said for message in _messages(text) for said in _parts(message)])


def _messages(text: str) -> list[Mapping[str, Any]]:
    opened = open_json(text)
    if isinstance(opened, Mapping):
        opened = opened.get("messages") or [opened.get("message") or opened]
    return [m for m in opened if isinstance(m, Mapping)] if isinstance(opened, list) else []


def flat(attributes: Mapping[str, Any], prefix: str, role: str, contents: Sequence[str], of: str) -> str:
    """Content of the last message of a role among numbered keys (`prefix.<n>.role`); of any role for an empty `of`."""
    start = len(prefix) + 1
    numbers = {key[start:].partition(".")[0] for key in attributes if key.startswith(prefix + ".")}
    for number in sorted((int(n) for n in numbers if n.isdecimal() and len(n) < 7), reverse=True):
        if of and attributes.get(f"{prefix}.{number}.{role}") != of:
            continue
        said = [str(attributes[k]) for c in contents if (k := f"{prefix}.{number}.{c}") in attributes]
        if said:
            return "\n".join(said)
    return ""
