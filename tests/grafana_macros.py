"""What Grafana does to a query before ClickHouse sees it, in Python: so that tests run the very SQL of every panel.

Two steps, as in the product: the browser replaces `$__conditionalAll` and the variables, then the data source's
back end replaces the macros. Alert rules never pass the browser: expand them with `back_end` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

ALL = "$__all"
Value: TypeAlias = str | list[str]

_CONDITIONAL = "$__conditionalAll("
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_MACRO = re.compile(r"\$__(\w+)")
FRONT_END_ONLY = ("conditionalAll", "adHocFilters")


@dataclass(frozen=True, kw_only=True)
class Range:
    """The time picker, in milliseconds, and the width of one point."""

    from_ms: int
    to_ms: int
    interval_ms: int = 60_000


def arguments(sql: str, opened: int) -> tuple[list[str], int]:
    """Arguments of the call whose bracket opens at `opened`, and the index behind its closing bracket."""
    depth, start, found, quote = 0, opened + 1, [], ""
    for index in range(opened, len(sql)):
        char = sql[index]
        if quote:
            quote = "" if char == quote and sql[index - 1] != "\\" else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                found.append(sql[start:index])
                return found, index + 1
        elif char == "," and depth == 1:
            found.append(sql[start:index])
            start = index + 1
    raise ValueError(f"bracket never closed: {sql[opened : opened + 60]!r}")


def formatted(value: Value, style: str | None) -> str:
    """A variable's value in one of the formats the boards use."""
    values = value if isinstance(value, list) else [value]
    match style:
        case "singlequote":
            return ",".join("'" + v.replace("'", "\\'") + "'" for v in values)
        case "csv":
            return ",".join(values)
        case "raw" | None:
            return ",".join(values)
        case _:
            raise ValueError(f"format {style!r} is not used here")


def _is_all(value: Value) -> bool:
    return value in ("", ALL, [ALL], [])


def front_end(sql: str, variables: Mapping[str, Value], options: Mapping[str, list[str]]) -> str:
    """`$__conditionalAll` and variables replaced; `options` are all values of a variable, for "All" outside it."""
    at = sql.rfind(_CONDITIONAL)
    while at >= 0:
        parts, end = arguments(sql, at + len(_CONDITIONAL) - 1)
        if len(parts) != 2:
            raise ValueError(f"$__conditionalAll takes a condition and a variable, got {parts}")
        named = re.fullmatch(r"\$\{?(\w+)\}?", parts[1].strip())
        if named is None or named[1] not in variables:
            raise ValueError(f"$__conditionalAll: {parts[1].strip()!r} is no variable of this board")
        sql = sql[:at] + ("1=1" if _is_all(variables[named[1]]) else parts[0]) + sql[end:]
        at = sql.rfind(_CONDITIONAL)

    def replace(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        if name.startswith("__"):
            return match[0]
        if name not in variables:
            raise ValueError(f"${name} is no variable of this board")
        value = variables[name]
        return formatted(options[name] if value in (ALL, [ALL]) else value, match[2])

    return _VARIABLE.sub(replace, sql)


def _seconds(ms: int) -> str:
    return f"toDateTime({ms // 1000})"


def _millis(ms: int) -> str:
    return f"fromUnixTimestamp64Milli({ms})"


def back_end(sql: str, span: Range) -> str:
    """The data source's own macros replaced; an unknown one is an error, as it is there."""
    bucket_s, bucket_ms = max(span.interval_ms // 1000, 1), max(span.interval_ms, 1)

    def between(point: Callable[[int], str]) -> Callable[[list[str]], str]:
        return lambda a: f"{a[0]} >= {point(span.from_ms)} AND {a[0]} <= {point(span.to_ms)}"

    macros: dict[str, tuple[int, Callable[[list[str]], str]]] = {
        "fromTime": (0, lambda a: _seconds(span.from_ms)),
        "toTime": (0, lambda a: _seconds(span.to_ms)),
        "fromTime_ms": (0, lambda a: _millis(span.from_ms)),
        "toTime_ms": (0, lambda a: _millis(span.to_ms)),
        "timeFilter": (1, between(_seconds)),
        "timeFilter_ms": (1, between(_millis)),
        "timeInterval": (1, lambda a: f"toStartOfInterval(toDateTime({a[0]}), INTERVAL {bucket_s} second)"),
        "timeInterval_ms": (
            1,
            lambda a: f"toStartOfInterval(toDateTime64({a[0]}, 3), INTERVAL {bucket_ms} millisecond)",
        ),
        "interval_s": (0, lambda a: str(bucket_s)),
    }
    while match := _MACRO.search(sql):
        if match[1] not in macros:
            raise ValueError(f"unknown macro $__{match[1]}")
        count, write = macros[match[1]]
        args, end = arguments(sql, match.end()) if sql[match.end() : match.end() + 1] == "(" else ([], match.end())
        args = [a.strip() for a in args if a.strip()]
        if len(args) != count:
            raise ValueError(f"$__{match[1]} takes {count} argument(s), got {args}")
        sql = sql[: match.start()] + write(args) + sql[end:]
    return sql


def expand(
    sql: str, variables: Mapping[str, Value], span: Range, options: Mapping[str, list[str]] | None = None
) -> str:
    """A panel's query as ClickHouse gets it."""
    return back_end(front_end(sql, variables, options or {}), span)
