"""What an SQL statement is read as: its kind, what it changes, whether anything bounds it."""

from __future__ import annotations

import pytest

from detectors.statements import MAX_STATEMENTS, statements

KNOWN: list[tuple[str, str, str, str, tuple[str, ...], bool | None]] = [
    ("SELECT * FROM users", "", "select", "", ("users",), False),
    ("SELECT * FROM users WHERE id = 3", "", "select", "", ("users",), True),
    ("SELECT * FROM users LIMIT 5", "", "select", "", ("users",), True),
    ("DELETE FROM users", "psql", "delete", "table", ("users",), False),
    ("delete from shop.users where id in (1, 2)", "psql", "delete", "table", ("shop.users",), True),
    ("DELETE FROM users WHERE 1=1", "", "delete", "table", ("users",), False),
    ("DELETE FROM users WHERE TRUE OR id = 3", "", "delete", "table", ("users",), False),
    ("DELETE FROM users WHERE 'a' = 'a'", "", "delete", "table", ("users",), False),
    ("DELETE FROM users WHERE name LIKE '%'", "", "delete", "table", ("users",), False),
    ("DELETE FROM users WHERE (id = id)", "", "delete", "table", ("users",), False),
    ("DELETE FROM users WHERE id > 0", "", "delete", "table", ("users",), True),
    ("DELETE FROM users LIMIT 10", "mysql", "delete", "table", ("users",), True),
    ("UPDATE users SET admin = 1", "mysql", "update", "table", ("users",), False),
    ("UPDATE users SET admin = 1 WHERE id = 3", "mysql", "update", "table", ("users",), True),
    ("TRUNCATE TABLE a, b", "psql", "truncate", "table", ("a", "b"), None),
    ("DROP TABLE IF EXISTS users CASCADE", "psql", "drop", "table", ("users",), None),
    ("DROP DATABASE shop", "mysql", "drop", "database", ("shop",), None),
    ("DROP SCHEMA public CASCADE", "postgresql", "drop", "schema", ("public",), None),
    ("ALTER TABLE users DROP COLUMN mail", "", "alter", "table", ("users",), None),
    ("CREATE TABLE t (a INT)", "", "create", "table", ("t",), None),
    ("GRANT ALL ON users TO dev", "psql", "grant", "", ("users",), None),
    ("INSERT INTO a SELECT * FROM b", "", "insert", "table", ("a", "b"), None),
    ("DROP/**/TABLE/**/users", "mysql", "drop", "table", ("users",), None),
    ("-- note\nDROP TABLE users", "", "drop", "table", ("users",), None),
    ("DELETE FROM `users`", "mysql", "delete", "table", ("users",), False),
    ("DELETE FROM [dbo].[users]", "sqlcmd", "delete", "table", ("dbo.users",), False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "system", "kind", "target", "tables", "bounded"), KNOWN)
def test_a_statement_is_known(
    text: str, system: str, kind: str, target: str, tables: tuple[str, ...], bounded: bool | None
) -> None:
    """Kind, target, tables and bound of one statement."""
    (found,) = statements(text, system)
    assert (found.kind, found.target, found.tables, found.bounded) == (kind, target, tables, bounded)
    assert found.parsed


def test_statements_of_one_text_are_apart() -> None:
    """Each counts for itself, also where a string holds a semicolon."""
    found = statements("INSERT INTO a VALUES ('; DROP TABLE x'); DROP TABLE b; SELECT 1", "psql")
    assert [one.kind for one in found] == ["insert", "drop", "select"]
    assert found[1].tables == ("b",)


def test_a_change_inside_with_is_a_change() -> None:
    """A SELECT that deletes is a delete too."""
    assert "delete" in [one.kind for one in statements("WITH d AS (DELETE FROM a RETURNING *) SELECT * FROM d", "psql")]


@pytest.mark.parametrize(
    ("text", "system", "effect"),
    [
        ("DROP TABLE t", "", "destroy"),
        ("CREATE USER dev WITH PASSWORD 'x'", "psql", "account"),
        ("GRANT ALL ON t TO dev", "psql", "grant"),
        ("COPY t TO '/tmp/x.csv'", "psql", "write"),
        ("SELECT load_file('/etc/passwd')", "mysql", "read"),
        ("EXEC xp_cmdshell 'dir'", "tsql", "execute"),
        ("SHUTDOWN", "", "stop"),
    ],
)
def test_a_statement_has_effects(text: str, system: str, effect: str) -> None:
    """What it does to the world."""
    assert effect in statements(text, system)[0].effects


def test_files_of_a_statement() -> None:
    """What reads or writes a file of the server names it."""
    assert statements("COPY t TO '/tmp/x.csv' CSV", "psql")[0].files == (("/tmp/x.csv", "write"),)
    assert statements("SELECT load_file('/etc/passwd')", "mysql")[0].files == (("/etc/passwd", "read"),)


@pytest.mark.parametrize(
    ("text", "kind", "bounded"),
    [
        ("DELETE FROM t WHERE ((", "delete", True),
        ("DELETE FROM t ((", "delete", False),
        ("DROP TABLE t ON ON ON (", "drop", None),
        ("UPDATE t SET ((", "update", False),
    ],
)
def test_what_does_not_parse_is_known_by_its_first_words(text: str, kind: str, bounded: bool | None) -> None:
    """No statement is passed over."""
    (found,) = statements(text)
    assert (found.kind, found.bounded, found.parsed) == (kind, bounded, False)


def test_no_sql_at_all_is_told_so() -> None:
    """An act that says nothing was understood is better than none."""
    (found,) = statements("(((( what")
    assert not found.parsed


def test_statements_are_bounded() -> None:
    """A text of a thousand statements gives as many as are kept."""
    assert len(statements("DROP TABLE t; " * 1000)) <= 2 * MAX_STATEMENTS
