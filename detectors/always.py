"""Checks that check nothing: functions of a script that a condition in it asks and that say yes to everybody."""

from __future__ import annotations

import ast
import re

MAX_NAMES = 16
_BODY = re.compile(
    r"^[ \t]*(?:function[ \t]+)?([A-Za-z_]\w{2,60})[ \t]*(?:\([ \t]*\))?[ \t]*\n?[ \t]*\{([^{}]{0,400})\}", re.M
)
_TELLS = re.compile(r"(?:echo|printf|local|logger)\b.*|:|#.*")
_YES = frozenset({"return 0", "true", "return"})
_ASKED = re.compile(
    r"(?:\b(?:if|elif|while|until)[ \t]+(?:![ \t]*)?|&&[ \t]*|^[ \t]*)([A-Za-z_]\w{2,60})\b([^\n]*)", re.M
)
_CONDITIONS = ("if", "elif", "while", "until", "&&")


def python(tree: ast.Module) -> tuple[str, ...]:
    """Functions and methods that return a true constant on every way out, and that some condition calls."""
    yes = {
        one.name
        for one in ast.walk(tree)
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and _always_true(one)
    }
    if not yes:
        return ()
    asked = {
        name
        for one in ast.walk(tree)
        if isinstance(one, ast.If | ast.IfExp | ast.While | ast.Assert) and (name := _called(one.test)) in yes
    }
    return tuple(sorted(asked)[:MAX_NAMES])


def _always_true(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = [one for one in ast.walk(function) if isinstance(one, ast.Return | ast.Raise | ast.Yield | ast.Assert)]
    return (
        bool(given)
        and all(isinstance(one, ast.Return) and _true(one.value) for one in given)
        and isinstance(function.body[-1], ast.Return)
    )


def _true(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Compare) and len(value.comparators) == 1 and isinstance(value.ops[0], ast.Eq):
        return ast.dump(value.left) == ast.dump(value.comparators[0])
    return isinstance(value, ast.Constant) and (value.value is True or value.value == 1)


def _called(test: ast.expr) -> str:
    """Name of the function a condition asks."""
    if isinstance(test, ast.UnaryOp):
        return _called(test.operand)
    if isinstance(test, ast.BoolOp):
        return next((name for one in test.values if (name := _called(one))), "")
    if isinstance(test, ast.Compare):
        return _called(test.left)
    function = test.func if isinstance(test, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def shell(text: str) -> tuple[str, ...]:
    """The same of a shell script: functions that do nothing but tell something and succeed."""
    if "return" not in text and "true" not in text:
        return ()
    yes = {found[1] for found in _BODY.finditer(text[:65_536]) if _succeeds(found[2])}
    if not yes:
        return ()
    asked = set()
    for found in _ASKED.finditer(text[:65_536]):
        if found[1] in yes and (found[0].lstrip().startswith(_CONDITIONS) or "&&" in found[2]):
            asked.add(found[1])
    return tuple(sorted(asked)[:MAX_NAMES])


def _succeeds(body: str) -> bool:
    lines = [part.strip() for line in body.split("\n") for part in line.split(";") if part.strip()]
    return bool(lines) and lines[-1] in _YES and all(_TELLS.fullmatch(one) or one in _YES for one in lines)
