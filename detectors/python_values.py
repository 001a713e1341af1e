"""Values of a Python script as far as they can be told without running it: texts, lists, modules, objects.

A value carries where it came from: the files and hosts whose content is in it, and whether it was decoded.
"""

from __future__ import annotations

import ast
import base64
import binascii
import codecs
import posixpath
import zlib
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote, unquote

MAX_TEXT = 16_384  # characters of one value
MAX_ITEMS = 64

Flow: TypeAlias = frozenset[tuple[str, str]]  # ("file", path), ("host", name), ("decoded", ""), ("env", name), ...
NO_FLOW: Flow = frozenset()
GIVEN: Flow = frozenset({("given", "")})  # said by whoever calls the script
GIVES = frozenset(
    {
        "input",
        "raw_input",
        "sys.argv",
        "sys.stdin",
        "flask.request",
        "bottle.request",
        "django.http.HttpRequest",
        "click.prompt",
    }
)


class Value:
    """What is known of a value: its text, its items, the function or module it is, the object that made it."""

    __slots__ = ("attrs", "call", "flow", "items", "keys", "node", "owner", "text")

    def __init__(
        self,
        text: str | None = None,
        *,
        call: str = "",
        items: list[Value] | None = None,
        flow: Flow = NO_FLOW,
        node: ast.AST | None = None,
    ) -> None:
        self.text = text if text is None or len(text) <= MAX_TEXT else text[:MAX_TEXT]
        self.call, self.items, self.flow, self.node = call, items, flow, node
        self.owner: Value | None = None  # the object a method is bound to
        self.attrs: dict[str, Value] | None = None
        self.keys: dict[str, Value] | None = None

    def carrying(self, flow: Flow) -> Value:
        """The same value, with content of more sources in it."""
        if not flow - self.flow:
            return self
        copy = Value(self.text, call=self.call, items=self.items, flow=self.flow | flow, node=self.node)
        copy.owner, copy.attrs, copy.keys = self.owner, self.attrs, self.keys
        return copy


UNKNOWN = Value()


def flow_of(value: Value) -> Flow:
    """Sources of a value and of its items."""
    flow = value.flow
    for item in (value.items or ())[:MAX_ITEMS]:
        flow |= item.flow
    for item in list((value.keys or {}).values())[:MAX_ITEMS]:
        flow |= item.flow
    return flow


def joined(left: Value, right: Value) -> Value:
    """Two values one behind the other, holes where one is not known."""
    flow = flow_of(left) | flow_of(right)
    if left.items is not None and right.items is not None:
        return Value(items=[*left.items, *right.items][:MAX_ITEMS])
    if left.text is None and right.text is None:
        return Value(flow=flow)
    one, other = ("{}" if side.text is None else side.text for side in (left, right))
    return Value(one + other, flow=flow)


def texts_of(value: Value) -> list[str]:
    """The texts of a list, holes where one is not known."""
    return ["{}" if item.text is None else item.text for item in value.items or ()]


def method(value: Value, name: str, args: list[Value]) -> Value | None:
    """What a method of a text gives; None for one that is not known here."""
    text = value.text
    if text is None:
        return None
    known = [arg.text or "" for arg in args]
    flow = value.flow.union(*(flow_of(arg) for arg in args))
    if name == "format":
        parts = text.split("{}")
        filled = parts[0] + "".join(
            (known[i] if i < len(args) and args[i].text is not None else "{}") + part
            for i, part in enumerate(parts[1:])
        )
        return Value(filled, flow=flow)
    if name == "join" and args:
        return Value(text.join(texts_of(args[0])), flow=flow) if args[0].items is not None else Value(flow=flow)
    if name == "split":
        pieces = text.split(known[0] or None) if known else text.split()
        return Value(items=[Value(piece, flow=value.flow) for piece in pieces[:MAX_ITEMS]], flow=flow)
    if name == "replace" and len(known) > 1:
        return Value(text.replace(known[0], known[1])[:MAX_TEXT], flow=flow)
    done = _METHODS.get(name)
    return Value(done(text), flow=flow) if done else None


def _same(text: str) -> str:
    return text


_METHODS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "lstrip": str.lstrip,
    "rstrip": str.rstrip,
    "lower": str.lower,
    "upper": str.upper,
    "encode": _same,
    "decode": _same,
    "title": str.title,
    "expanduser": _same,
    "as_posix": _same,
    "resolve": _same,
    "absolute": _same,
    "__str__": _same,
    "casefold": str.casefold,
    "hex": lambda text: text.encode("latin-1", "replace").hex(),
}


def _base64(text: str) -> str:
    return base64.b64decode(text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4)).decode(
        "utf-8", "replace"
    )


def _inflate(text: str) -> str:
    unpack = zlib.decompressobj(wbits=47)
    return unpack.decompress(text.encode("latin-1", "replace"), MAX_TEXT).decode("utf-8", "replace")


_DECODERS: dict[str, Callable[[str], str]] = {
    "base64.b64decode": _base64,
    "base64.urlsafe_b64decode": _base64,
    "base64.standard_b64decode": _base64,
    "base64.decodebytes": _base64,
    "binascii.a2b_base64": _base64,
    "base64.b32decode": lambda text: base64.b32decode(text).decode("utf-8", "replace"),
    "base64.b16decode": lambda text: bytes.fromhex(text).decode("utf-8", "replace"),
    "base64.b85decode": lambda text: base64.b85decode(text).decode("utf-8", "replace"),
    "binascii.unhexlify": lambda text: bytes.fromhex(text).decode("utf-8", "replace"),
    "bytes.fromhex": lambda text: bytes.fromhex(text).decode("utf-8", "replace"),
    "bytearray.fromhex": lambda text: bytes.fromhex(text).decode("utf-8", "replace"),
    "urllib.parse.unquote": unquote,
    "urllib.parse.unquote_plus": unquote,
    "zlib.decompress": _inflate,
    "gzip.decompress": _inflate,
}
_SAME = frozenset(
    {
        "str",
        "bytes",
        "bytearray",
        "os.path.abspath",
        "os.path.realpath",
        "os.path.normpath",
        "os.path.expandvars",
        "repr",
        "os.fspath",
        "shlex.quote",
        "sqlalchemy.text",
        "textwrap.dedent",
        "os.fsencode",
        "os.fsdecode",
        "json.dumps",
        "pathlib.PurePath",
        "io.StringIO",
        "io.BytesIO",
        "typing.cast",
        "memoryview",
        "os.path.expanduser",
    }
)
_PATHS = frozenset({"pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"})


def builtin(name: str, args: list[Value]) -> Value | None:
    """What a pure function of the standard library gives on known values; None where it is not known."""
    first = args[0] if args else UNKNOWN
    flow = frozenset(one for arg in args for one in flow_of(arg))
    if name in _PATHS or name == "os.path.join":
        parts = [arg.text if arg.text is not None else "{}" for arg in args]
        return Value(posixpath.join(*parts) if parts else ".", call="pathlib.Path" if name in _PATHS else "", flow=flow)
    if name in ("pathlib.Path.home", "pathlib.Path.cwd", "os.getcwd"):
        return Value("~" if name.endswith("home") else ".", call="pathlib.Path" if "Path" in name else "")
    if name in ("os.getenv", "os.environ.get", "os.environ.pop") and first.text:
        known = {"HOME": "~", "USERPROFILE": "~", "PWD": ".", "TMPDIR": "/tmp"}.get(first.text)
        return Value(known or (args[1].text if len(args) > 1 else None), flow=frozenset({("env", first.text)}))
    if name in _SAME and first.text is not None:
        return Value(first.text, flow=flow)
    if name == "os.path.dirname" and first.text is not None:
        return Value(posixpath.dirname(first.text) or ".", flow=flow)
    if name == "os.path.basename" and first.text is not None:
        return Value(posixpath.basename(first.text), flow=flow)
    if name == "chr" and first.text and first.text.isdigit() and int(first.text) < 0x110000:
        return Value(chr(int(first.text)))
    if name in ("list", "tuple", "set", "sorted", "reversed", "map", "iter", "filter") and args:
        return Value(items=args[-1].items, text=args[-1].text if name == "reversed" else None, flow=flow)
    if name == "shlex.split" and first.text is not None:
        return Value(items=[Value(word) for word in first.text.split()[:MAX_ITEMS]], flow=flow)
    if name == "codecs.decode" and first.text is not None and len(args) > 1:
        return _codec(first.text, args[1].text or "", flow)
    if name in _DECODERS:
        return _decoded(name, first, flow)
    return None


def _rot13(text: str) -> str:
    return str(codecs.encode(text, "rot13"))


def _codec(text: str, name: str, flow: Flow) -> Value:
    coder = {"hex": _DECODERS["bytes.fromhex"], "base64": _base64, "rot13": _rot13}
    found = coder.get(name.replace("_codec", "").replace("rot_13", "rot13"))
    try:
        return Value(found(text) if found else text, flow=flow | {("decoded", name)})
    except (ValueError, binascii.Error):
        return Value(flow=flow | {("decoded", name)})


def _decoded(name: str, first: Value, flow: Flow) -> Value:
    flow |= {("decoded", name)}
    if first.text is None:
        return Value(flow=flow)
    try:
        return Value(_DECODERS[name](first.text)[:MAX_TEXT], flow=flow)
    except (ValueError, binascii.Error, zlib.error):
        return Value(flow=flow)


def quoted(words: list[str]) -> str:
    """A list of words as one shell line."""
    return " ".join(
        word if quote(word, safe="/.:=@%+,-_~*?{}&") == word and "&" not in word else _single(word) for word in words
    )


def _single(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
