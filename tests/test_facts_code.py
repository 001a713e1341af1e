"""What the facts say of scripts: checks that always pass, what a caller gives, files written back over themselves."""

from __future__ import annotations

from typing import Any

import pytest

from detectors import facts
from tests.make import span


def acts(code: str) -> tuple[Any, ...]:
    return facts.of(span(kind="command", fields={"code": code, "tool.name": "python"})).acts


def always(found: tuple[Any, ...]) -> set[str]:
    return {name for act in found for name in act.get("code.always", ())}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return True", True),
        ("print(who)\n    return 1", True),
        ("return 1 == 1", True),
        ("if who:\n        return True\n    return True", True),
        ("return who == 'root'", False),
        ("if who:\n        return False\n    return True", False),
        ("if not who:\n        raise ValueError\n    return True", False),
        ("return False", False),
        ("pass", False),
    ],
)
def test_a_check_that_says_yes_to_everybody_is_told(body: str, told: bool) -> None:
    code = f"def may(who):\n    {body}\nif may('x'):\n    print('in')"
    assert (always(acts(code)) == {"may"}) is told


@pytest.mark.parametrize("asked", ["if not may(1):\n    pass", "x = 1 if may(1) and y else 2", "assert gate.may(1)"])
def test_every_kind_of_condition_asks(asked: str) -> None:
    assert always(acts(f"def may(who):\n    return True\n{asked}")) == {"may"}


def test_a_function_that_no_condition_asks_is_no_check() -> None:
    assert always(acts("def may(who):\n    return True\nprint(may(1))")) == set()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("may() { echo hi; return 0; }\nif may x; then echo in; fi", True),
        ("function may {\n  true\n}\nmay x && echo in", True),
        ("may() {\n  grep -q x f\n  return 0\n}\nif may; then echo in; fi", False),
        ("may() { return 0; }\nmay", False),
        ("may() { return 1; }\nif may; then echo in; fi", False),
    ],
)
def test_the_same_of_shell_functions(line: str, told: bool) -> None:
    found = facts.of(span(kind="command", fields={"command.line": line, "tool.name": "bash"})).acts
    assert (always(found) == {"may"}) is told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("eval(input())", True),
        ("import sys\ndef run(text):\n    exec(text)\nrun(sys.argv[1])", True),
        ("import os\nfrom flask import request\nos.system('ping ' + request.args['host'])", True),
        ("import subprocess, sys\nsubprocess.run(['ping', sys.argv[1]])", False),
        ("import os\nos.system('ls')", False),
    ],
)
def test_what_a_caller_gives_is_followed_to_where_it_runs(code: str, told: bool) -> None:
    assert any(act.get("flow.given") and "execute" in act["effect"] for act in acts(code)) is told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import pandas as pd\nd = pd.read_csv('a.csv')\nd[d.x > 1].to_csv('a.csv')", True),
        ("rows = open('a.csv').read()\nopen('a.csv', 'w').write(rows[1:])", True),
        ("import csv\nr = list(csv.reader(open('a.csv')))\ncsv.writer(open('a.csv', 'w')).writerows(r)", True),
        ("rows = open('a.csv').read()\nopen('b.csv', 'w').write(rows)", False),
        ("open('a.csv', 'w').write('x')", False),
    ],
)
def test_a_file_written_back_over_what_was_read_from_it_is_told(code: str, told: bool) -> None:
    assert any("rewrite" in act["effect"] for act in acts(code)) is told


def test_what_is_sent_over_a_connection_goes_where_it_leads() -> None:
    code = "import socket\ns = socket.socket()\ns.connect(('db.example.net', 9))\ns.sendall(b'x')"
    sent = [act for act in acts(code) if "send" in act["effect"] and act["code.calls"] == ("socket.socket.sendall",)]
    assert [act["egress.host"] for act in sent] == [("db.example.net",)]


def test_what_stands_below_a_directory_that_is_walked_is_a_path() -> None:
    code = "from pathlib import Path\nfor one in Path('/home').iterdir():\n    print((one / '.netrc').read_text())"
    assert ("/home/{}/.netrc",) in [act.get("path.full") for act in acts(code)]


def test_a_harmless_file_beside_hides_none_that_matters() -> None:
    line = "cat .env ~/.ssh/id_rsa ~/.ssh/id_rsa.pub a.txt b.txt"
    found = facts.of(span(kind="command", fields={"command.line": line, "tool.name": "bash"})).acts
    assert sorted(act["path.full"] for act in found) == [
        (".env",),
        ("a.txt", "b.txt"),
        ("~/.ssh/id_rsa",),
        ("~/.ssh/id_rsa.pub",),
    ]
