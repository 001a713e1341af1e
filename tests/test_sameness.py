"""When two records are of one command, and when two commands aim at the same."""

from __future__ import annotations

import pytest

from detectors import sameness


@pytest.mark.parametrize(
    ("line", "carried", "target"),
    [
        ("psql -h db.internal -c 'DELETE FROM t WHERE id = 7'", "DELETE FROM t WHERE id = 7", "db.internal"),
        ("psql postgres://app@db:5432/shop --command='DROP TABLE t'", "DROP TABLE t", "db"),
        ("ssh -i key ops@db1.internal sudo systemctl stop web", "sudo systemctl stop web", "db1.internal"),
        ("tsh ssh root@node-1 reboot now", "reboot now", "node-1"),
        ("redis-cli -h cache flushall", "flushall", "cache"),
        ("kubectl exec web-1 -- psql -c 'select 1 from t'", "select 1 from t", ""),
        ("git push origin main", "git push origin main", ""),
        ("psql -c 'unclosed", "psql -c 'unclosed", ""),
    ],
)
def test_what_a_command_carries(line: str, carried: str, target: str) -> None:
    assert sameness.carried(line)[-1] == carried
    assert sameness.target(line) == target


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("DELETE FROM orders WHERE id = 7;", "delete from orders\n  where id=?", True),
        ("SELECT a FROM t WHERE b = 'x''y' AND c = $1", "select a from t where b=%s and c=42", True),
        ("DELETE FROM orders WHERE id = 7", "DELETE FROM items WHERE id = 7", False),
        ("systemctl  stop postgresql", "systemctl stop postgresql;", True),
        ("systemctl stop web-1", "systemctl stop web-2", False),
    ],
)
def test_marks(one: str, other: str, same: bool) -> None:
    """Literals of SQL mean nothing, words of a command do."""
    assert (sameness.mark(one) == sameness.mark(other)) is same


def test_short_commands_have_no_mark() -> None:
    """Everybody says them all the time."""
    assert sameness.mark("select 1") == sameness.mark("ls -la") == ""
