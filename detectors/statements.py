"""SQL as what each statement does: its kind, what it changes, whether anything bounds it.

sqlglot reads it in the dialect of the database; what it cannot read is cut at semicolons and known by its first
words. Bounds: 16,384 characters are parsed, 64 statements are kept.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

MAX_SQL, MAX_STATEMENTS, MAX_NAMES = 16_384, 64, 32

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # what it does not know is said by `parsed`


class Statement(NamedTuple):
    """One statement. `bounded` is None where nothing can bound it: an INSERT, a GRANT."""

    kind: str
    target: str = ""
    tables: tuple[str, ...] = ()
    bounded: bool | None = None
    calls: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # path, action
    parsed: bool = True

    @property
    def effects(self) -> tuple[str, ...]:
        """What the statement does to the world."""
        found = _EFFECTS.get(self.kind, "query").split()
        if self.kind in ("drop", "truncate") and self.target in ("database", "schema", "table", ""):
            found.append("destroy")
        if self.kind == "create" and self.target in ("user", "role", "login"):
            found += ["account", "grant"]
        found += [action for _, action in self.files if action not in found]
        if any(name in _EXECUTES for name in self.calls):
            found.append("execute")
        return tuple(dict.fromkeys(found))


_EFFECTS = {
    "select": "query read",
    "with": "query read",
    "show": "list",
    "describe": "list",
    "explain": "list",
    "values": "query",
    "insert": "write",
    "update": "write",
    "merge": "write",
    "replace": "write",
    "upsert": "write",
    "delete": "delete",
    "drop": "delete",
    "truncate": "delete",
    "alter": "configure write",
    "create": "write",
    "rename": "configure",
    "grant": "grant",
    "revoke": "grant",
    "copy": "copy",
    "load": "write",
    "unload": "copy",
    "export": "copy",
    "call": "execute",
    "exec": "execute",
    "execute": "execute",
    "do": "execute",
    "set": "configure",
    "use": "query",
    "attach": "query",
    "detach": "query",
    "kill": "stop",
    "shutdown": "stop",
    "vacuum": "configure",
    "backup": "copy",
    "restore": "write",
    "pragma": "configure",
    "lock": "stop",
    "comment": "configure",
    "begin": "query",
    "commit": "query",
    "rollback": "query",
    "flush": "delete",
    "optimize": "configure",
    "undrop": "write",
    "system": "configure",
}
_EXECUTES = frozenset(
    {"xp_cmdshell", "sys_exec", "sys_eval", "lo_export", "dbms_scheduler", "pg_execute_server_program"}
)
_DIALECTS = {
    "psql": "postgres",
    "postgresql": "postgres",
    "postgres": "postgres",
    "pgcli": "postgres",
    "cockroach": "postgres",
    "redshift": "redshift",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mycli": "mysql",
    "sqlite3": "sqlite",
    "sqlite": "sqlite",
    "litecli": "sqlite",
    "duckdb": "duckdb",
    "bq": "bigquery",
    "bigquery": "bigquery",
    "gcp.bigquery": "bigquery",
    "snowsql": "snowflake",
    "snowflake": "snowflake",
    "sqlcmd": "tsql",
    "tsql": "tsql",
    "isql": "tsql",
    "mssql": "tsql",
    "microsoft.sql_server": "tsql",
    "sqlplus": "oracle",
    "oracle": "oracle",
    "oracle.db": "oracle",
    "clickhouse": "clickhouse",
    "clickhouse-client": "clickhouse",
    "trino": "trino",
    "presto": "presto",
    "presto-cli": "presto",
    "beeline": "hive",
    "hive": "hive",
    "spark": "spark",
    "databricks": "databricks",
    "aws.redshift": "redshift",
}


@lru_cache(maxsize=512)
def statements(text: str, system: str = "") -> tuple[Statement, ...]:
    """The statements of a text. `system` is the database or its client, as far as it is known."""
    head = text[:MAX_SQL]
    try:
        trees = sqlglot.parse(head, read=_DIALECTS.get(system.lower()))
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, KeyError, IndexError):
        return tuple(_raw(text[: 4 * MAX_SQL]))
    found: list[Statement] = []
    for tree in trees[:MAX_STATEMENTS]:
        if tree is not None:
            found += _read(tree, head)
    return tuple(found[:MAX_STATEMENTS]) + (tuple(_raw(text[MAX_SQL : 4 * MAX_SQL])) if len(text) > MAX_SQL else ())


_KINDS: dict[str, str] = {
    "Select": "select",
    "Union": "select",
    "Except": "select",
    "Intersect": "select",
    "Subquery": "select",
    "Insert": "insert",
    "Update": "update",
    "Delete": "delete",
    "Drop": "drop",
    "TruncateTable": "truncate",
    "Alter": "alter",
    "Create": "create",
    "Grant": "grant",
    "Revoke": "revoke",
    "Copy": "copy",
    "LoadData": "load",
    "Merge": "merge",
    "Set": "set",
    "Use": "use",
    "Describe": "describe",
    "Show": "show",
    "Pragma": "pragma",
    "Kill": "kill",
    "Transaction": "begin",
    "Commit": "commit",
    "Rollback": "rollback",
    "Attach": "attach",
    "Detach": "detach",
    "Comment": "comment",
    "Values": "values",
    "Table": "select",
    "AlterTable": "alter",
    "Execute": "execute",
}
_CHANGES = (exp.Insert, exp.Update, exp.Delete, exp.Merge)


def _read(tree: exp.Expr, source: str) -> list[Statement]:
    kind = _KINDS.get(type(tree).__name__, "")
    if not kind:  # exp.Command: what sqlglot passes through, and bare expressions
        said = tree.sql() if isinstance(tree, exp.Command) else source
        return list(_raw(said))
    found = [_statement(tree, kind)]
    within = (inner for inner in tree.find_all(*_CHANGES) if inner is not tree)  # a change inside WITH
    return found + [_statement(inner, _KINDS[type(inner).__name__]) for inner in within]


def _statement(tree: exp.Expr, kind: str) -> Statement:
    tables = tuple(dict.fromkeys(_name(table) for table in tree.find_all(exp.Table)))[:MAX_NAMES]
    bounded: bool | None = None
    if kind in ("select", "update", "delete"):
        where = tree.args.get("where")
        bounded = (where is not None and not _always(where.this)) or tree.args.get("limit") is not None
    calls = tuple(dict.fromkeys(_called(call) for call in tree.find_all(exp.Func)))[:MAX_NAMES]
    if kind == "execute" and not calls:
        calls = tables
    target = str(tree.args.get("kind") or "").lower() if kind in ("drop", "create", "alter", "comment") else ""
    if kind in ("insert", "update", "delete", "truncate", "merge", "copy", "load"):
        target = "table"
    files: list[tuple[str, str]] = []
    if isinstance(tree, exp.Copy):
        action = "read" if tree.args.get("kind") else "write"
        files += [(one.name, action) for one in tree.args.get("files") or () if one.name]
    if isinstance(tree, exp.LoadData):
        files.append((inpath.name if (inpath := tree.args.get("inpath")) is not None else "", "read"))
    into = tree.args.get("into")
    if into is not None and "OUTFILE" in into.sql().upper():
        files.append((into.name, "write"))
    said = [
        one.name
        for one in tree.find_all(exp.Anonymous, exp.ReadCSV)
        for one in one.expressions
        if isinstance(one, exp.Literal) and one.is_string
    ]
    files += [(name, "read") for name in said if _READS.search(",".join(calls)) and ("/" in name or "." in name)]
    return Statement(kind, target, tables, bounded, calls, tuple(f for f in files if f[0]))


_READS = re.compile(
    r"load_file|pg_read_file|pg_read_binary_file|pg_ls_dir|lo_import|readfile|openrowset|read_csv|read_text|read_blob|read_json|read_parquet"
)


def _name(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts).lower()


def _called(call: exp.Func) -> str:
    return (call.name if isinstance(call, exp.Anonymous) else call.sql_name()).lower()


def _always(test: exp.Expr) -> bool:
    """Whether a WHERE holds for every row: 1 = 1, TRUE, 'a' = 'a', x OR TRUE."""
    test = test.unnest()
    if isinstance(test, exp.Or):
        return _always(test.left) or _always(test.right)
    if isinstance(test, exp.And):
        return _always(test.left) and _always(test.right)
    if isinstance(test, exp.Boolean):
        return bool(test.this)
    if isinstance(test, exp.Literal):
        return not test.is_string and test.name not in ("0", "0.0")
    if isinstance(test, exp.EQ | exp.GTE | exp.LTE | exp.NullSafeEQ):
        return bool(test.left == test.right)
    if isinstance(test, exp.NEQ | exp.GT | exp.LT):
        left, right = test.left, test.right
        return isinstance(left, exp.Literal) and isinstance(right, exp.Literal) and left != right
    if isinstance(test, exp.Like):
        return isinstance(test.expression, exp.Literal) and test.expression.name.strip("%") == ""
    return False


_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|#[^\n]*", re.S)
_FIRST = re.compile(r"[\s(]*([A-Za-z]+)(?:\s+(?:OR\s+REPLACE\s+)?([A-Za-z]+))?")
_TABLES = re.compile(
    r"\b(?:from|into|update|join|table|database|schema)\s+(?:if\s+(?:not\s+)?exists\s+)?([\w.\"`\[\]-]+)", re.I
)
_BOUND = re.compile(r"\b(?:where|limit|top|fetch\s+first)\b", re.I)
_ALWAYS = re.compile(r"\bwhere\s+\(*\s*(?:(\w+)\s*=\s*\1|true)\s*\)*\s*(?:$|;|or\b)", re.I)


def _raw(text: str) -> list[Statement]:
    """Statements that do not parse, by their first words."""
    found = []
    bare = _QUOTED.sub(lambda one: " " if one[0][:1] in "-/#" else "''" if one[0][0] == "'" else one[0], text)
    for piece in bare.split(";")[:MAX_STATEMENTS]:
        first = _FIRST.match(piece)
        if first is None:
            continue
        kind = first[1].lower()
        second = (first[2] or "").lower()
        if kind not in _EFFECTS:
            continue
        bounded = None
        if kind in ("select", "update", "delete"):
            bounded = bool(_BOUND.search(piece)) and not _ALWAYS.search(piece)
        target = second if kind in ("drop", "create", "alter", "comment") else ("table" if kind == "truncate" else "")
        tables = tuple(dict.fromkeys(name.strip('"`[]').lower() for name in _TABLES.findall(piece)))[:MAX_NAMES]
        found.append(Statement(kind, target, tables, bounded, parsed=False))
    return found or [Statement("", parsed=False)]
