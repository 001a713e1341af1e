"""What a Python script does, read from its syntax tree with the values that stand in it; nothing is run.

Names are followed through imports, assignments, literal loops and calls of the script's own functions, so that
`def f(p): open(p)` and `f("/etc/shadow")` is one read of that file. Both branches of a condition are taken.
Bounds: 65,536 characters, 12,000 steps, calls 6 deep, 200 deeds; what is beyond them is left out.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from detectors import always
from detectors.python_calls import NOTHING, Deed, deed
from detectors.python_deeds import OPENS, Call, Did, done, item_of
from detectors.python_values import (
    GIVEN,
    GIVES,
    MAX_ITEMS,
    NO_FLOW,
    UNKNOWN,
    Flow,
    Value,
    builtin,
    flow_of,
    joined,
    method,
)

MAX_CODE, MAX_STEPS, MAX_CALLS, MAX_DEEDS, MAX_STRINGS = 65_536, 12_000, 6, 200, 200


class Script(NamedTuple):
    """A script: the functions it calls, the modules it imports, the texts in it, and what it does."""

    calls: tuple[str, ...]
    imports: tuple[str, ...]
    strings: tuple[str, ...]
    did: tuple[Did, ...]
    always: tuple[str, ...] = ()  # checks that say yes whatever they are asked


def read(text: str) -> Script | None:
    """What the script does; None when it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text[:MAX_CODE])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    run = _Run()
    with suppress(_Spent, RecursionError):
        run.script(tree)
    return Script(tuple(run.calls), tuple(run.imports), tuple(run.strings), tuple(run.did), always.python(tree))


class _Spent(Exception):
    """More steps than a script is given."""


class _Run:
    def __init__(self) -> None:
        self.calls: dict[str, None] = {}
        self.imports: dict[str, None] = {}
        self.strings: dict[str, None] = {}
        self.did: dict[Did, None] = {}
        self._steps = 0
        self._scopes: list[dict[str, Value]] = [{}]
        self._returned: list[list[Value]] = []
        self._called: set[int] = set()
        self._functions: list[Value] = []
        self._written: dict[str, Flow] = {}  # files the script wrote, and whose content is in them

    def script(self, tree: ast.Module) -> None:
        self._block(tree.body)
        for function in self._functions:  # those nobody calls, for what they would do
            if id(function.node) not in self._called:
                self._invoke(function, [], {})

    # statements

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        self._step()
        if isinstance(node, ast.Expr):
            self._eval(node.value)
        elif isinstance(node, ast.Assign):
            value = self._eval(node.value)
            for target in node.targets:
                self._bind(target, value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            value = self._eval(node.value) if node.value is not None else UNKNOWN
            if isinstance(node, ast.AugAssign):
                value = joined(self._eval(node.target), value)
            self._bind(node.target, value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            value = Value(node=node)
            self._functions.append(value)
            self._scopes[-1][node.name] = value
            for decorator in node.decorator_list:
                self._eval(decorator)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.Return):
            value = self._eval(node.value) if node.value is not None else UNKNOWN
            if self._returned:
                self._returned[-1].append(value)
        elif isinstance(node, ast.For | ast.AsyncFor):
            self._for(node)
        elif isinstance(node, ast.While | ast.If):
            self._eval(node.test)
            self._block(node.body)
            self._block(node.orelse)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                value = self._eval(item.context_expr)
                if item.optional_vars is not None:
                    self._bind(item.optional_vars, value)
            self._block(node.body)
        elif isinstance(node, ast.Try | ast.TryStar):
            for part in (node.body, *(handler.body for handler in node.handlers), node.orelse, node.finalbody):
                self._block(part)
        elif isinstance(node, ast.Match):
            self._eval(node.subject)
            for case in node.cases:
                self._block(case.body)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._eval(child)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _Spent

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        scope = self._scopes[-1]
        if isinstance(node, ast.Import):
            for alias in node.names:
                self.imports[alias.name] = None
                top = alias.name.partition(".")[0]
                scope[alias.asname or top] = Value(call=alias.name if alias.asname else top)
            return
        module = "." * node.level + (node.module or "")
        self.imports[module] = None
        for alias in node.names:
            name = f"{module}.{alias.name}"
            scope[alias.asname or alias.name] = Value(call=name, flow=GIVEN if name in GIVES else NO_FLOW)

    def _class(self, node: ast.ClassDef) -> None:
        made = Value(node=node)
        self._scopes[-1][node.name] = made
        bases = [self._eval(one) for one in node.bases]
        self._scopes.append({})
        self._block(node.body)
        made.attrs = self._scopes.pop()
        for base in bases:
            if base.attrs:
                made.attrs = {**base.attrs, **made.attrs}
            elif base.call:
                made.call = base.call

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        over = self._eval(node.iter)
        if over.items and len(over.items) <= 8:
            for item in over.items:
                self._bind(node.target, item)
                self._block(node.body)
        else:
            self._bind(node.target, item_of(over))
            self._block(node.body)
        self._block(node.orelse)

    def _bind(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self._scopes[-1][target.id] = value
        elif isinstance(target, ast.Attribute):
            base = self._eval(target.value)
            if base is not UNKNOWN and base.attrs is not None:
                base.attrs[target.attr] = value
        elif isinstance(target, ast.Subscript):
            base = self._eval(target.value)
            key = self._eval(target.slice).text
            if base.keys is not None and key is not None and len(base.keys) < MAX_ITEMS:
                base.keys[key] = value
        elif isinstance(target, ast.Tuple | ast.List):
            items = value.items if value.items is not None else []
            for i, one in enumerate(target.elts):
                found = items[i] if i < len(items) else Value(value.text if i == 0 else None, flow=value.flow)
                self._bind(one.value if isinstance(one, ast.Starred) else one, found)

    # expressions

    def _eval(self, node: ast.expr) -> Value:
        self._step()
        found = _EVALUATE.get(type(node))
        if found is not None:
            return found(self, node)
        flow = NO_FLOW
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                flow |= flow_of(self._eval(child))
        return Value(flow=flow) if flow else UNKNOWN

    def _constant(self, node: ast.Constant) -> Value:
        said = node.value
        if isinstance(said, bytes):
            said = said.decode("utf-8", "replace")
        if isinstance(said, str):
            if len(self.strings) < MAX_STRINGS and 1 < len(said) <= 2_000:
                self.strings[said] = None
            return Value(said)
        return Value(str(said)) if isinstance(said, int | float) and abs(said) < 1e18 else UNKNOWN

    def _name(self, node: ast.Name) -> Value:
        for scope in reversed(self._scopes):
            if node.id in scope:
                return scope[node.id]
        return Value(call=node.id)

    def _attribute(self, node: ast.Attribute) -> Value:
        base = self._eval(node.value)
        if base.attrs is not None and node.attr in base.attrs:
            found = base.attrs[node.attr]
            if isinstance(found.node, ast.FunctionDef | ast.AsyncFunctionDef):
                bound = Value(node=found.node, call=found.call)
                bound.owner = base
                return bound
            return found
        if base.text is not None and node.attr in ("parent", "name", "stem", "suffix", "anchor"):
            return builtin(f"os.path.{'dirname' if node.attr == 'parent' else 'basename'}", [base]) or UNKNOWN
        call = f"{base.call}.{node.attr}" if base.call else f"*.{node.attr}"
        found = Value(call=call, flow=base.flow | GIVEN if call in GIVES else base.flow)
        found.owner = base
        return found

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Value:
        items: list[Value] = []
        for one in node.elts[:MAX_ITEMS]:
            if isinstance(one, ast.Starred):
                items += self._eval(one.value).items or []
            else:
                items.append(self._eval(one))
        return Value(items=items)

    def _dict(self, node: ast.Dict) -> Value:
        made = Value()
        made.keys = {}
        for key, value in zip(node.keys[:MAX_ITEMS], node.values, strict=False):
            name = self._eval(key).text if key is not None else None
            made.keys[name if name is not None else f"#{len(made.keys)}"] = self._eval(value)
        return made

    def _joined_string(self, node: ast.JoinedStr) -> Value:
        parts, flow = [], NO_FLOW
        for one in node.values:
            value = self._eval(one.value if isinstance(one, ast.FormattedValue) else one)
            parts.append("{}" if value.text is None else value.text)
            flow |= flow_of(value)
        return Value("".join(parts), flow=flow)

    def _binary(self, node: ast.BinOp) -> Value:
        left, right = self._eval(node.left), self._eval(node.right)
        if isinstance(node.op, ast.Add):
            return joined(left, right)
        flow = flow_of(left) | flow_of(right)
        if isinstance(node.op, ast.Div) and left.call == "pathlib.Path":
            return builtin("pathlib.Path", [left, right]) or UNKNOWN
        if isinstance(node.op, ast.Mod) and left.text is not None and "%" in left.text:
            text = left.text
            for item in right.items if right.items is not None else [right]:
                for sign in ("%s", "%d", "%r"):
                    if sign in text:
                        text = text.replace(sign, "{}" if item.text is None else item.text, 1)
                        break
            return Value(text, flow=flow)
        return Value(flow=flow)

    def _subscript(self, node: ast.Subscript) -> Value:
        base, key = self._eval(node.value), node.slice
        if isinstance(key, ast.Slice):
            if base.text is not None and isinstance(key.step, ast.UnaryOp) and key.lower is None:
                return Value(base.text[::-1], flow=base.flow)
            items = base.items
            return Value(base.text, items=items, flow=base.flow) if items is None else Value(items=items)
        said = self._eval(key)
        if base.call == "os.environ" and said.text:
            return builtin("os.getenv", [said]) or UNKNOWN
        if base.keys is not None and said.text in base.keys:
            return base.keys[said.text]
        if base.items and said.text is not None and said.text.lstrip("-").isdigit():
            at = int(said.text)
            return base.items[at] if -len(base.items) <= at < len(base.items) else UNKNOWN
        return Value(call=base.call, flow=flow_of(base))

    def _either(self, node: ast.IfExp | ast.BoolOp) -> Value:
        if isinstance(node, ast.IfExp):
            self._eval(node.test)
            values = [self._eval(node.body), self._eval(node.orelse)]
        else:
            values = [self._eval(one) for one in node.values]
        known = next((value for value in values if value.text is not None or value.node or value.items), values[0])
        return known.carrying(NO_FLOW.union(*(flow_of(value) for value in values)))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Value:
        self._scopes.append({})
        overs = []
        for one in node.generators:
            over = self._eval(one.iter)
            overs.append(over)
            self._bind(one.target, item_of(over))
            for test in one.ifs:
                self._eval(test)
        items = []
        first = overs[0].items if len(overs) == 1 else None
        for item in (first or [])[:MAX_ITEMS]:
            self._bind(node.generators[0].target, item)
            items.append(self._eval(node.elt))
        last = items or [self._eval(node.elt)]
        self._scopes.pop()
        return Value(items=last)

    def _lambda(self, node: ast.Lambda) -> Value:
        value = Value(node=node)
        self._functions.append(value)
        return value

    def _await(self, node: ast.Await | ast.Starred | ast.NamedExpr | ast.Yield) -> Value:
        value = self._eval(node.value) if node.value is not None else UNKNOWN
        if isinstance(node, ast.NamedExpr):
            self._bind(node.target, value)
        return value

    # calls

    def _call(self, node: ast.Call) -> Value:
        function = self._eval(node.func)
        args: list[Value] = []
        for one in node.args[:MAX_ITEMS]:
            value = self._eval(one.value if isinstance(one, ast.Starred) else one)
            args += (value.items or [value]) if isinstance(one, ast.Starred) else [value]
        named = {word.arg or "": self._eval(word.value) for word in node.keywords}
        if function.node is not None:
            return self._invoke(function, args, named)
        name = function.call.removeprefix("builtins.").removeprefix("__builtins__.")
        if name == "getattr" and len(args) > 1 and args[1].text and args[0].call:
            return Value(call=f"{args[0].call}.{args[1].text}")
        if name in ("__import__", "importlib.import_module") and args and args[0].text:
            self.calls[name] = None
            self.imports[args[0].text] = None
            return Value(call=args[0].text)
        owner = function.owner
        if owner is not None and owner.text is not None and not owner.call.startswith(("open", "io.open")):
            found = method(owner, name.rpartition(".")[2], args)
            if found is not None:
                return (
                    found if owner.call != "pathlib.Path" else Value(found.text, call="pathlib.Path", flow=found.flow)
                )
        if name == "functools.partial" and args:
            return args[0]
        return self._known(name, owner, args, named)

    def _known(self, name: str, owner: Value | None, args: list[Value], named: dict[str, Value]) -> Value:
        """A function of a module, or one nobody knows: what it did is written down, what it gives is guessed."""
        if name and not name.startswith("*") and len(self.calls) < MAX_DEEDS:
            self.calls[name] = None
        flow = NO_FLOW.union(*(flow_of(one) for one in (*args, *named.values(), *([owner] if owner else []))))
        last = name.rpartition(".")[2]
        if owner is not None and owner.items is not None and last in ("append", "add", "extend", "insert") and args:
            if len(owner.items) < MAX_ITEMS:
                owner.items.extend(args[-1].items or [] if last == "extend" else args[-1:])
            return UNKNOWN
        if name in GIVES:
            flow |= GIVEN
        given = builtin(name, args)
        what = deed(name)
        if what is not NOTHING:
            did = self._deed(name, what, owner, args, named, flow)
            flow |= {("host", host) for host in did.hosts}
            if did.hosts and owner is not None and owner is not UNKNOWN:
                owner.flow |= flow  # what is read from a connection comes from where it leads
            flow |= {("file", path) for path, action in did.files if action in ("read", "list") and name not in OPENS}
            if name in OPENS:
                return self._opened(name, did, owner)
        elif name in ("csv.writer", "csv.DictWriter") and args:
            return args[0]  # rows go into the file
        elif last in ("write", "writelines", "writerow", "writerows", "dump") and (owner is not None or args):
            self._wrote(owner if last != "dump" or len(args) < 2 else args[1], args, flow)
        if given is not None:
            return given.carrying(flow)
        made = Value(call=name, flow=flow)
        if owner is not None and owner.text is not None and owner.call in OPENS:
            made.flow = flow | owner.flow
        return made

    def _wrote(self, target: Value | None, args: list[Value], flow: Flow) -> None:
        """Content goes into an open file."""
        if target is None or target.text is None or target.call not in OPENS:
            return
        self._written[target.text] = self._written.get(target.text, NO_FLOW) | flow
        text = args[0].text or "" if args else ""
        self._note(Did(f"{target.call}.write", ("write",), ((target.text, "write"),), text=text[:2_000], flow=flow))

    def _opened(self, name: str, did: Did, owner: Value | None) -> Value:
        path, action = did.files[0] if did.files else ("", "read")
        flow: Flow = NO_FLOW
        if path and action == "read":
            flow = frozenset({("file", path)}) | self._written.get(path, NO_FLOW)
        return Value(path, call=name, flow=flow)

    def _deed(
        self, name: str, what: Deed, owner: Value | None, args: list[Value], named: dict[str, Value], flow: Flow
    ) -> Did:
        did = done(Call(name, what, owner, args, named), flow, self._written)
        if what.effects or did.files or did.hosts:
            self._note(did)
        for path, action in did.files:
            if action == "write":
                self._written[path] = self._written.get(path, NO_FLOW) | did.flow
        return did

    def _note(self, did: Did) -> None:
        if len(self.did) < MAX_DEEDS:
            self.did[did] = None

    def _invoke(self, function: Value, args: list[Value], named: dict[str, Value]) -> Value:
        """A function or class of the script itself, called with these values."""
        node = function.node
        self._called.add(id(node))
        if isinstance(node, ast.ClassDef):
            made = Value(call=function.call)
            made.attrs = dict(function.attrs or {})
            start = made.attrs.get("__init__")
            if start is not None and start.node is not None:
                bound = Value(node=start.node)
                bound.owner = made
                self._invoke(bound, args, named)
            return made
        flow = NO_FLOW.union(*(flow_of(one) for one in (*args, *named.values())))
        if (
            not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            or len(self._returned) >= MAX_CALLS
        ):
            return Value(flow=flow)
        local = self._parameters(node.args, function.owner, args, named)
        self._scopes.append(local)
        self._returned.append([])
        try:
            if isinstance(node, ast.Lambda):
                self._returned[-1].append(self._eval(node.body))
            else:
                self._block(node.body)
        finally:
            self._scopes.pop()
            returned = self._returned.pop()
        known = next((one for one in returned if one.text is not None or one.items or one.call or one.attrs), None)
        carried = NO_FLOW.union(*(flow_of(one) for one in returned))
        return known.carrying(carried) if known is not None else Value(flow=carried)

    def _parameters(
        self, wanted: ast.arguments, owner: Value | None, args: list[Value], named: dict[str, Value]
    ) -> dict[str, Value]:
        names = [one.arg for one in (*wanted.posonlyargs, *wanted.args)]
        local: dict[str, Value] = {}
        if names and names[0] in ("self", "cls"):
            local[names[0]] = owner if owner is not None else Value()
            names = names[1:]
        defaults = wanted.defaults[-len(names) :] if names else []
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=False):
            local[name] = self._eval(default)
        for only, preset in zip(wanted.kwonlyargs, wanted.kw_defaults, strict=False):
            local[only.arg] = self._eval(preset) if preset is not None else UNKNOWN
        for name in names:
            local.setdefault(name, UNKNOWN)
        local.update(zip(names, args, strict=False))
        if wanted.vararg is not None:
            local[wanted.vararg.arg] = Value(items=args[len(names) :])
        local.update({name: value for name, value in named.items() if name})
        return local


_EVALUATE: dict[type[ast.expr], Callable[[_Run, Any], Value]] = {
    ast.Constant: _Run._constant, ast.Name: _Run._name, ast.Attribute: _Run._attribute, ast.List: _Run._list,
    ast.Tuple: _Run._list, ast.Set: _Run._list, ast.Dict: _Run._dict, ast.JoinedStr: _Run._joined_string,
    ast.BinOp: _Run._binary, ast.Subscript: _Run._subscript, ast.IfExp: _Run._either, ast.BoolOp: _Run._either,
    ast.ListComp: _Run._comprehension, ast.SetComp: _Run._comprehension, ast.GeneratorExp: _Run._comprehension,
    ast.Lambda: _Run._lambda, ast.Await: _Run._await, ast.Starred: _Run._await, ast.NamedExpr: _Run._await,
    ast.Yield: _Run._await, ast.Call: _Run._call,
}  # fmt: skip

__all__ = ["Did", "Script", "read"]
