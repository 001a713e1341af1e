"""Feeds and inventory: their shapes, dialect, page and examples say the same."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from detectors import rule
from detectors.errors import RuleError
from detectors.inventory import Grant, Inventory
from pipeline import dialect, feeds
from pipeline.errors import DecodeError
from tests import scenario
from tests.scenario import bodies

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs/examples/feeds").glob("*.jsonl"))
PAGE = (ROOT / "docs/feeds.md").read_text()
WHEN = "2026-11-20T15:00:00Z"


def test_the_dialect_knows_every_kind_and_field() -> None:
    found = next(one for one in dialect.load().all if one.name == "feed")
    named = {name: f"feed.{name}" for name in feeds.FIELDS if name != "time"}
    assert {f"feed.{name}": (key,) for name, key in named.items()}.items() <= found.fields.items()
    assert found.kinds.events == dict.fromkeys(feeds.KINDS, "feed")


def test_every_field_of_every_kind_says_what_it_means() -> None:
    used = {name for kind in feeds.KINDS.values() for name in kind.__struct_fields__}
    assert used == set(feeds.FIELDS)


@pytest.mark.parametrize("kind", feeds.KINDS)
def test_the_page_has_the_table_of_each_kind(kind: str) -> None:
    section = PAGE.split(f"### {kind}\n")[1].split("\n#")[0]
    fields = msgspec.structs.fields(feeds.KINDS[kind])
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == [one.encode_name for one in fields]
    required = {one.encode_name for one in fields if one.required}
    assert set(re.findall(r"^\| `(\w+)` \| [^|]*\(required\)", section, re.M)) == required
    assert re.search(r"^Rows: .+\.$", section, re.M)


def test_the_page_has_every_key_of_the_inventory() -> None:
    table = PAGE.split("## Inventory")[1].split("## Reports")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == set(Inventory.__struct_fields__)


def test_the_examples_hold_every_kind_and_read() -> None:
    read = [one for file in EXAMPLES for one in feeds.read(file.read_bytes().splitlines(), file.name)]
    assert {one.name.removeprefix(feeds.EVENT) for one in read} == set(feeds.KINDS)


def test_the_inventory_examples_read_and_show_every_key(tmp_path: Path) -> None:
    (tmp_path / "inventory").mkdir()
    keys = set()
    for file in (ROOT / "docs/examples/inventory").glob("*.yml"):
        (tmp_path / "inventory" / file.name).write_text(file.read_text())
        keys |= yaml.safe_load(file.read_text()).keys()
    found = rule.read([tmp_path], builtin=False).inventory
    assert keys == set(Inventory.__struct_fields__)
    assert found.owner("claude-code/dev-9@example.org") == "web"
    assert found.agent("nobody") is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[]", "expected an object"),
        ("{", "no JSON"),
        ('{"feed": "unheard", "time": "2026-11-20T15:00:00Z"}', "`feed` must be one of offboarding"),
        ('{"feed": "scan", "time": "2026-11-20T15:00:00Z", "scanner": "x"}', "missing required field `repo`"),
        ('{"feed": "offboarding", "time": "yesterday", "owner": "x"}', r"datetime - at `\$.time`"),
        ('{"feed": "offboarding", "time": "2026-11-20T15:00:00", "owner": "x"}', "timezone"),
        ('{"feed": "offboarding", "time": "2026-11-20T15:00:00Z", "owner": "x", "when": 1}', "unknown field `when`"),
        ('{"feed": "flow", "time": "2026-11-20T15:00:00Z", "host": "a", "destination": 7}', r"got `int` - at `\$.dest"),
    ],
)
def test_a_wrong_line_is_named_with_its_reason(line: str, reason: str) -> None:
    whole = b'{"feed": "offboarding", "time": "2026-11-20T15:00:00Z", "owner": "x"}'
    with pytest.raises(DecodeError, match=rf"leavers\.jsonl:3: .*{reason}"):
        list(feeds.read([whole, b"", line.encode()], "leavers.jsonl"))


def test_an_event_becomes_a_span_of_its_kind_with_every_field() -> None:
    """What is sent is what detectors read: lists and times too, and the session it names."""
    ingest = scenario.Ingest(scenario.scanner(), scenario.Gateway(), b"k")
    values: dict[str, Any] = {
        "credential": "t1",
        "expires": WHEN,
        "session": "s9",
        "scopes": ["a", "b"],
        "agent": "bot",
    }
    sent = [{"feed": "credential_issued", "attributes": values}, {"feed": "review", "attributes": REVIEW}]
    first, second = (ingest.logs(body, "json", received_ns=at).spans[0] for _, at, body in bodies(sent, "feeds", {}))
    assert (first.kind, first.name, first.session_id, first.agent_id) == ("feed", "credential_issued", "s9", "bot")
    assert first.fields["feed.scopes"] == '["a","b"]'
    assert datetime.fromisoformat(first.text("feed.expires")) == datetime.fromisoformat(WHEN)
    assert (second.session_id, second.fields["feed.seconds"]) == ("feed/web/shop/12", "4.5")


REVIEW = {"repo": "web/shop", "change": "12", "reviewer": "dev-2", "seconds": 4.5}


def test_the_same_event_sent_twice_is_one() -> None:
    ingest = scenario.Ingest(scenario.scanner(), scenario.Gateway(), b"k")
    sent = [{"feed": "review", "at": 5, "attributes": REVIEW}] * 2
    ids = [ingest.logs(body, "json", received_ns=at).spans[0].id for _, at, body in bodies(sent, "feeds", {})]
    assert ids[0] == ids[1]


def test_files_of_the_inventory_are_laid_over_each_other() -> None:
    files = [
        Inventory(
            agents={"bot": Grant(tools=("a",), owner="x")}, packages={"npm": ("react",)}, task_minutes={"deploy": 5}
        ),
        Inventory(agents={"bot": Grant(tools=("b",), task="deploy")}, packages={"npm": ("react", "vue")}),
    ]
    joined = Inventory.joined(files)
    assert joined.agents["bot"] == Grant(tools=("a", "b"), owner="x", task="deploy")
    assert joined.packages == {"npm": ("react", "vue")}
    assert (joined.minutes("deploy"), joined.minutes("pr_review"), joined.minutes("other")) == (5, 15, None)


LISTS = {
    "shop-package-lock.json": (
        '{"packages": {"": {}, "node_modules/react": {}, "node_modules/a/node_modules/@b/c": {}}}',
        "npm",
        {"react", "@b/c"},
    ),
    "uv.lock": ('[[package]]\nname = "httpx"\nversion = "1"\n', "pypi", {"httpx"}),
    "go.sum": ("example.org/a/b v1.0.0 h1:x=\nexample.org/a/b v1.0.0/go.mod h1:x=\n", "go", {"example.org/a/b"}),
    "requirements.txt": ("# ours\nflask>=3  # web\nacme_core==1\n", "pypi", {"flask", "acme_core"}),
    "Gemfile.lock": ("GEM\n  specs:\n    rails (7.1.0)\n      actionpack (= 7.1.0)\n", "gems", {"rails"}),
    "npm.txt": ("left-pad\n\n# no\n@a/b\n", "npm", {"left-pad", "@a/b"}),
}


@pytest.mark.parametrize("name", LISTS)
def test_lockfiles_and_plain_lists_are_inventory(tmp_path: Path, name: str) -> None:
    text, kind, names = LISTS[name]
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / name).write_text(text)
    found = rule.read([tmp_path], builtin=False).inventory
    assert {key: set(value) for key, value in found.packages.items()} == {kind: names}


def test_a_broken_lockfile_and_an_unknown_key_stop_the_start(tmp_path: Path) -> None:
    """All of it is told at once."""
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/package-lock.json").write_text("no json")
    (tmp_path / "inventory/agents.yml").write_text("agents:\n  bot: {tool: [x]}\n")
    with pytest.raises(RuleError) as raised:
        rule.read([tmp_path], builtin=False)
    assert "package-lock.json" in str(raised.value)
    assert "unknown field `tool`" in str(raised.value)
