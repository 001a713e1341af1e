"""Shell text as its simple commands: words unquoted, variables filled in where their value stands in the same text.

tree-sitter-bash reads the text; what it cannot read is cut into raw words, so that no command is passed over. Nothing
is run: a value that only running would tell stays as it is written (`$X`, `$(date)`).
Bounds: 32,768 characters are parsed and as many again cut into raw words, 256 commands are kept, nesting is followed
24 deep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeAlias

import tree_sitter
import tree_sitter_bash

from detectors.shell_values import braces, join, literal_output
from detectors.simple import Origin, Simple

Node: TypeAlias = tree_sitter.Node

MAX_PARSED = 32_768  # characters
MAX_COMMANDS = 256
MAX_STEPS = 4_096  # statements, those of loops and functions counted each time
MAX_DEPTH = 24  # of statements and words, one inside the other
MAX_WORDS = 512  # of one command
MAX_WORD = 16_384  # characters of one word
MAX_ROUNDS = 16  # of a loop

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))
_PLAIN = bytes(byte if byte < 0x80 else ord(".") for byte in range(256))


def commands(
    text: str, *, origin: Origin = "line", cwd: str = "", variables: dict[str, str] | None = None
) -> list[Simple]:
    """Simple commands of a shell text in the order they stand, those of a substitution before the one it stands in."""
    walk = _Walk(text[:MAX_PARSED], origin, cwd, dict(variables or {}))
    walk.run()
    if len(text) > MAX_PARSED:
        walk.found.extend(_raw(text[MAX_PARSED : 2 * MAX_PARSED], origin, cwd))
    return walk.found[:MAX_COMMANDS]


_SEPARATORS = re.compile(r"\$\(|&>>?|>&|[;&|\n(){}`]+")
_RAW_WORD = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([^\s\"']+)|[\"']")
_REDIRECT = re.compile(r"\d*(>>?|<)(.*)", re.S)


def _raw(text: str, origin: Origin, cwd: str) -> Iterator[Simple]:
    """Commands of a text that does not parse, cut at every sign that may part two commands."""
    for piece in _SEPARATORS.split(text):
        words = [found[1] or found[2] or found[3] or "" for found in _RAW_WORD.finditer(piece[:MAX_WORD])]
        simple = Simple([], cwd, origin, parsed=False)
        into: list[str] | None = None
        for word in words[:MAX_WORDS]:
            if into is not None:
                into.append(word)
                into = None
            elif found := _REDIRECT.match(word):
                into = simple.reads if found[1] == "<" else simple.writes
                if found[2]:
                    into.append(found[2])
                    into = None
            elif word and (simple.words or word not in _KEYWORDS):
                simple.words.append(word)
        if simple.words:
            yield simple


_KEYWORDS = frozenset({"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "in", "case", "esac"})
_DOUBLE = re.compile(r"\\([\\\"$`\n])")
_BARE = re.compile(r"\\(\n|.)", re.S)
_ANSI = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|c.|.)", re.S)
_ANSI_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}
_QUOTED_START = ("'", '"', "\\")


def _unescape(found: re.Match[str]) -> str:
    return "" if found[1] == "\n" else found[1]


def _ansi(found: re.Match[str]) -> str:
    code = found[1]
    if code[0] in "xuU":
        number = int(code[1:], 16) if len(code) > 1 else 0
    elif code[0] in "01234567":
        number = int(code, 8)
    else:
        return _ANSI_SIGNS.get(code, code if code in "\\'\"?" else found[0])
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else found[0]


class _Walk:
    """One pass over the tree of one text. Variables and the directory are followed as far as they are literal."""

    def __init__(self, text: str, origin: Origin, cwd: str, variables: dict[str, str]) -> None:
        self._source = text.encode("utf-8", "replace")
        self._origin, self._cwd, self._variables = origin, cwd, variables
        self._aliases: dict[str, list[str]] = {}
        self._carried: dict[str, list[Simple]] = {}  # commands whose output is in a variable
        self._used: list[Simple] = []  # those of the variables read since
        self._functions: dict[str, Node] = {}
        self._open: list[str] = []  # functions being walked
        self._called: set[str] = set()
        self._depth = self._steps = 0
        self._parsed = True
        self.found: list[Simple] = []

    def run(self) -> None:
        # The grammar's C code asks isalpha() of any character, which reads far outside its table from U+0100 on and
        # may end the process: it is shown a sign that, like those, stands in words and in no name. Places stay.
        for node in _PARSER.parse(self._source.translate(_PLAIN)).root_node.children:
            if not node.has_error:
                self._statement(node)
                continue
            self.found.extend(_raw(self._text(node), self._origin, self._cwd))
            known = len(self.found)
            self._parsed = False
            self._statement(node)
            self._parsed = True
            seen = {tuple(simple.words) for simple in self.found[:known]}
            self.found[known:] = [s for s in self.found[known:] if s.stdin or tuple(s.words) not in seen]
        for name in [name for name in self._functions if name not in self._called]:
            self._body(name, [])  # nobody calls it: what it would do

    def _text(self, node: Node) -> str:
        return self._source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    # statements

    def _statement(self, node: Node) -> list[Simple]:
        """The simple commands of a statement; those of substitutions go to `found` only."""
        self._steps += 1
        if len(self.found) >= MAX_COMMANDS or self._steps > MAX_STEPS:
            return []
        if self._depth >= MAX_DEPTH:
            self.found.extend(_raw(self._text(node)[:MAX_WORD], self._origin, self._cwd))
            return []
        self._depth += 1
        try:
            return _STATEMENTS.get(node.type, _Walk._inner)(self, node)
        finally:
            self._depth -= 1

    def _inner(self, node: Node) -> list[Simple]:
        """Every statement and every word inside: loops, conditions, functions, groups."""
        if node.type in _WORDS:
            self._word(node)
            return []
        return self._children(node)

    def _children(self, node: Node) -> list[Simple]:
        return [simple for child in node.children if child.is_named for simple in self._statement(child)]

    def _scoped(self, node: Node) -> list[Simple]:
        kept = self._cwd, dict(self._variables)
        found = self._children(node)
        self._cwd, self._variables = kept
        return found

    def _pipeline(self, node: Node) -> list[Simple]:
        stages = [self._statement(child) for child in node.children if child.is_named]
        return self._joined([stage for stage in stages if stage])

    @staticmethod
    def _joined(stages: list[list[Simple]]) -> list[Simple]:
        for one, other in pairwise(stages):
            one[-1].after = other
            for simple in other:
                simple.before = one
            if other[0].stdin is None and len(one) == 1 and (said := literal_output(one[0])) is not None:
                other[0].stdin, other[0].decoded = said
        return [simple for stage in stages for simple in stage]

    def _redirected(self, node: Node) -> list[Simple]:
        body = node.child_by_field_name("body")
        inside = self._statement(body) if body is not None else []
        if not inside:
            inside = [Simple([], self._cwd, self._origin, parsed=self._parsed)]
            self.found.extend(inside)
        more: list[Simple] = []
        compound = body is not None and body.type in _COMPOUND
        for child in node.children:
            if child.type.endswith("_redirect"):
                more += self._redirect(child, inside[0] if compound else inside[-1], inside[-1])
        return inside + more

    def _redirect(self, node: Node, reader: Simple, writer: Simple) -> list[Simple]:
        """Takes one redirection to the command; what stands behind a heredoc's start is a statement of its own."""
        if node.type == "heredoc_redirect":
            return self._heredoc(node, reader, writer)
        if node.type == "herestring_redirect":
            for child in node.children:
                if child.is_named:
                    reader.stdin = " ".join(self._word(child)) + "\n"
            return []
        words = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
        if not words:
            return []
        sign = next((self._text(child) for child in node.children if not child.is_named), ">")
        targets = self._word(words[0])
        extra = [word for child in words[1:] for word in self._word(child)]
        if not (sign in (">&", "<&") and targets and targets[0].rstrip("-").isdigit()):
            (reader.reads if sign.startswith("<") and sign != "<>" else writer.writes).extend(targets)
            if sign == "<>":
                reader.reads.extend(targets)
        if writer.words and not (sign == ">&" and extra == ["0"]):  # the grammar takes `> f word` for two targets
            writer.words.extend(extra)
        return []

    def _heredoc(self, node: Node, reader: Simple, writer: Simple) -> list[Simple]:
        start = node.child_by_field_name("start") or next((c for c in node.children if c.type == "heredoc_start"), None)
        quoted = start is not None and self._text(start).startswith(_QUOTED_START)
        dash = bool(node.children) and self._text(node.children[0]) == "<<-"
        more: list[Simple] = []
        piped: list[Simple] = []
        apart = False
        for child in node.children:
            if child.type == "heredoc_body":
                text = self._text(child) if quoted else self._filled(child, child.start_byte, child.end_byte)
                reader.stdin = re.sub(r"(?m)^\t+", "", text) if dash else text
            elif child.type.endswith("_redirect"):
                more += self._redirect(child, reader, writer)
            elif child.type in ("&&", "||", ";"):
                apart = True
            elif child.type in ("heredoc_start", "heredoc_end") or not child.is_named:
                continue
            elif child.type in _WORDS:
                writer.words.extend(self._word(child))
            else:
                right = self._statement(child)
                if right and not apart:
                    piped = [one for one in right if not one.before]
                more += right
        if piped:
            self._joined([[writer], piped])
        return more

    def _command(self, node: Node) -> list[Simple]:
        words: list[str] = []
        simple = Simple(words, self._cwd, self._origin, parsed=self._parsed)
        redirects = []
        self._used = []
        known = len(self.found)
        for child in node.children:
            kind = child.type
            if kind == "word":
                words.extend(self._word(child))
            elif kind == "command_name":
                words.extend(self._name(child))
            elif kind == "variable_assignment":
                name, value = self._assigned(child)
                simple.assigns.append((name, value))
            elif kind.endswith("_redirect"):
                redirects.append(child)
            elif child.is_named:
                words.extend(self._word(child))
            if len(words) > MAX_WORDS:
                break
        for child in redirects:
            self._redirect(child, simple, simple)
        simple.fed = self.found[known:] + self._used
        simple.name = words[0] if words else ""
        self.found.append(simple)
        self._follow(simple)
        simple.local = bool(words) and words[0] in self._functions
        if simple.local and words[0] not in self._open:
            return [simple, *self._body(words[0], words[1:])]
        return [simple]

    def _body(self, name: str, args: list[str]) -> list[Simple]:
        """The commands of a function called with these words."""
        self._called.add(name)
        kept = self._variables
        self._variables = {**kept, **{str(i): word for i, word in enumerate(args[:9], 1)}}
        if args:
            self._variables["@"] = self._variables["*"] = " ".join(args)[:MAX_WORD]
        self._open.append(name)
        try:
            return self._inner(self._functions[name])
        finally:
            self._open.pop()
            self._variables = {
                **kept,
                **{k: v for k, v in self._variables.items() if not k.isdigit() and k not in "@*"},
            }

    def _function(self, node: Node) -> list[Simple]:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is None or body is None or len(self._functions) >= MAX_COMMANDS:
            return self._inner(node)
        self._functions[self._text(name)] = body
        return []

    def _name(self, node: Node) -> list[str]:
        words = [word for child in node.children for word in self._word(child)]
        if words and words[0] in self._aliases and not self._text(node).startswith("\\"):
            words[:1] = self._aliases[words[0]]
        return words

    def _follow(self, simple: Simple) -> None:
        """What the command changes for those behind it: the directory, variables, aliases."""
        words = simple.words
        if not words:
            return
        if words[0] in ("cd", "pushd") and len(words) > 1:
            target = next((word for word in words[1:] if not word.startswith("-")), "")
            if target:
                self._cwd = join(self._cwd, target)
        elif words[0] == "alias":
            for word in words[1:]:
                name, equals, value = word.partition("=")
                if equals:
                    self._aliases[name] = value.split()[:MAX_WORDS] or [""]
        elif words[0] == "set" and len(words) > 1 and words[1] == "--":
            self._variables.update({str(i): word for i, word in enumerate(words[2:11], 1)})
            self._variables["@"] = self._variables["*"] = " ".join(words[2:])[:MAX_WORD]

    def _declaration(self, node: Node) -> list[Simple]:
        simple = Simple([], self._cwd, self._origin, parsed=self._parsed)
        known = len(self.found)
        for child in node.children:
            if child.type == "variable_assignment":
                name, value = self._assigned(child)
                self._variables[name] = value
                simple.assigns.append((name, value))
                simple.words.append(f"{name}={value}")
            elif child.is_named and child.type != "variable_name":
                simple.words.extend(self._word(child))
            else:
                simple.words.append(self._text(child))
        simple.name = simple.words[0] if simple.words else ""
        simple.fed = self.found[known:]
        self.found.append(simple)
        return [simple]

    def _assignment(self, node: Node) -> list[Simple]:
        simple = Simple([], self._cwd, self._origin, parsed=self._parsed)
        simple.assigns.append(self._assigned(node))
        self._variables.update(simple.assigns)
        self.found.append(simple)
        return []

    def _assigned(self, node: Node) -> tuple[str, str]:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        known, self._used = len(self.found), []
        said = " ".join(self._word(value, split=False)) if value is not None else ""
        called = self._text(name) if name is not None else ""
        if any(child.type == "+=" for child in node.children):
            said = self._variables.get(called, "") + said
        self._carried[called] = (self.found[known:] + self._used)[:MAX_COMMANDS]
        return called, said[:MAX_WORD]

    def _loop(self, node: Node) -> list[Simple]:
        """A `for`: its body is read for each of the literal words it goes over, as far as 16."""
        name = node.child_by_field_name("variable")
        values = [word for child in node.children_by_field_name("value") for word in self._word(child)]
        body = node.child_by_field_name("body")
        if body is None:
            return []
        called = self._text(name) if name is not None else ""
        found: list[Simple] = []
        for value in values[:MAX_ROUNDS] or [""]:
            if called and value:
                self._variables[called] = value
            elif called:
                self._variables.pop(called, None)
            found += self._statement(body)
        return found

    # words

    def _word(self, node: Node, *, split: bool = True) -> list[str]:
        """What a word becomes: one word, or several by splitting and braces, or none."""
        if node.type == "word":
            text = self._text(node)
            return [_BARE.sub(_unescape, text)[:MAX_WORD] if "\\" in text else text[:MAX_WORD]]
        if self._depth >= MAX_DEPTH:
            return [self._text(node)[:MAX_WORD]]
        self._depth += 1
        try:
            text, loose = self._value(node)
        finally:
            self._depth -= 1
        text = text[:MAX_WORD]
        if split and loose and "$(" not in text and "`" not in text:
            return text.split()[:MAX_WORDS]
        if split and node.type == "concatenation" and "{" in text and "," in text:
            return braces(text) if all(c.type in ("word", "number", "raw_string") for c in node.children) else [text]
        return [text]

    def _value(self, node: Node) -> tuple[str, bool]:
        """Text of a word, and whether it is to be split at blanks."""
        kind = node.type
        if kind in ("word", "number", "variable_name", "string_content", "extglob_pattern", "special_variable_name"):
            return _BARE.sub(_unescape, self._text(node)), False
        if kind == "raw_string":
            return self._text(node)[1:-1], False
        if kind == "string":
            return self._filled(node, node.start_byte + 1, node.end_byte - 1), False
        if kind == "translated_string":
            return self._value(node.children[-1]) if node.children else ("", False)
        if kind == "ansi_c_string":
            return _ANSI.sub(_ansi, self._text(node)[2:-1]), False
        if kind in ("simple_expansion", "expansion"):
            return self._expanded(node)
        if kind == "command_substitution":
            return self._substituted(node)
        if kind == "process_substitution":
            self._scoped(node)
            return self._text(node), False
        if kind in ("concatenation", "command_name"):
            parts, loose, at = [], False, node.start_byte
            for child in node.children:
                parts.append(self._source[at : child.start_byte].decode("utf-8", "replace"))
                text, split = self._value(child)
                parts.append(text)
                loose, at = loose or split, child.end_byte
            return "".join(parts), loose
        if any(child.is_named for child in node.children):
            self._children(node)
        return self._text(node), False

    def _filled(self, node: Node, start: int, end: int) -> str:
        """Text of a double-quoted string or heredoc, what is to be expanded filled in."""
        parts, at = [], start
        for child in node.children:
            if child.type in _EXPANDED:
                parts.append(_DOUBLE.sub(_unescape, self._source[at : child.start_byte].decode("utf-8", "replace")))
                parts.append(self._value(child)[0])
                at = child.end_byte
        parts.append(_DOUBLE.sub(_unescape, self._source[at:end].decode("utf-8", "replace")))
        return "".join(parts)[:MAX_PARSED]

    def _expanded(self, node: Node) -> tuple[str, bool]:
        named = [child for child in node.children if child.is_named]
        name = self._text(named[0]) if named else ""
        if name == "IFS":
            return " ", True
        signs = {child.type for child in node.children if not child.is_named}
        self._used = self._used + self._carried.get(name, [])[:MAX_STEPS]
        if name in self._variables and not signs & _ALTERING:
            return self._variables[name], True
        if name not in self._variables and signs & {":-", "-", ":=", "="} and len(named) > 1:
            return self._value(named[1])[0], True
        for child in named[1:]:
            if child.type in _EXPANDED:
                self._value(child)
        return self._text(node), False

    def _substituted(self, node: Node) -> tuple[str, bool]:
        """Output of a substitution where it is literal, else its text."""
        kept, origin = len(self.found), self._origin
        self._origin = "substitution" if origin == "line" else origin
        inside = self._scoped(node)
        self._origin = origin
        said = literal_output(inside[-1]) if inside and len(self.found) > kept else None
        return (self._text(node), False) if said is None else (said[0].rstrip("\n"), True)


_EXPANDED = frozenset({"simple_expansion", "expansion", "command_substitution", "process_substitution"})
_WORDS = frozenset(
    {
        "word", "string", "raw_string", "ansi_c_string", "concatenation", "simple_expansion", "expansion", "number",
        "command_substitution", "process_substitution", "translated_string", "brace_expression",
        "arithmetic_expansion",
    }
)  # fmt: skip
_ALTERING = frozenset({"#", "##", "%", "%%", "/", "//", "^", "^^", ",", ",,", ":+", "+", "!", ":", "@", "["})
_COMPOUND = frozenset(
    {"subshell", "compound_statement", "while_statement", "for_statement", "if_statement", "case_statement"}
)
_STATEMENTS: dict[str, Callable[[_Walk, Node], list[Simple]]] = {
    "command": _Walk._command,
    "pipeline": _Walk._pipeline,
    "redirected_statement": _Walk._redirected,
    "subshell": _Walk._scoped,
    "declaration_command": _Walk._declaration,
    "unset_command": _Walk._declaration,
    "variable_assignment": _Walk._assignment,
    "for_statement": _Walk._loop,
    "function_definition": _Walk._function,
}
