"""The documentation fails when it lies: commands, settings, metrics, links and files named in it exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from detectors import rule
from pipeline.cli import app
from pipeline.settings import CONFIG_FILE, PREFIX, TEST_PREFIX

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


def reference() -> Any:
    """The script that writes docs/reference.md."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = reference()
COMMANDS = dict(REFERENCE.commands())
SETTINGS = {name for name, *_ in REFERENCE.settings()}


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def test_the_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs/reference.md").read_text() == REFERENCE.page(), "run python docs/reference.py"


def test_every_setting_of_the_environment_is_in_the_reference() -> None:
    """The list is taken from the settings themselves; a setting that load() would refuse cannot be in it."""
    assert {"SPANWATCH_DATA_DIR", "SPANWATCH_GATEWAY__PORT", "SPANWATCH_CLICKHOUSE__PASSWORD"} <= SETTINGS
    assert all(name.startswith(PREFIX) for name in SETTINGS)


@pytest.mark.parametrize("page", names(PAGES))
def test_named_settings_exist(page: str) -> None:
    said = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+\b", (ROOT / page).read_text()))
    assert {name for name in said if not name.startswith(TEST_PREFIX)} <= SETTINGS | {CONFIG_FILE}


@pytest.mark.parametrize("page", names(PAGES))
def test_named_metrics_exist(page: str) -> None:
    metrics = {name for name, *_ in REFERENCE.metrics()}
    said = set(re.findall(r"\bspanwatch_[a-z_]+(?:_total|_seconds|_bytes|_entries)\b", (ROOT / page).read_text()))
    assert said <= metrics


@pytest.mark.parametrize("page", names(PAGES))
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for text, target in re.findall(r"\[([^\]]+)\]\(([^)\s]+)\)", file.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        assert (file.parent / path).exists() or not path, f"{page}: [{text}]({target})"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (file.parent / path if path else file).read_text(), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, f"{page}: [{text}]({target})"


def words(line: str) -> list[str]:
    """A shell line without its comment, its prompt and what follows a pipe or a redirection."""
    return re.split(r"\s(?:#|\||>>?|&&)\s?", line.strip())[0].split("<<")[0].split()


@pytest.mark.parametrize("page", names(PAGES))
def test_commands_in_shell_blocks_exist_with_their_options(page: str) -> None:
    """Every `spanwatch …` and `make …` line of a shell block is understood by the real command line."""
    for block in blocks((ROOT / page).read_text(), "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            parts = [word for word in words(line) if "=" not in word or word.startswith("-")]
            if not parts:
                continue
            if parts[0] == "make":
                assert set(parts[1:]) <= TARGETS, line
            if Path(parts[0]).name == "spanwatch":
                known(parts[1:], line)


def known(arguments: list[str], line: str) -> None:
    command: Any = typer.main.get_command(app)
    while arguments and (inner := getattr(command, "commands", {}).get(arguments[0])):
        command, arguments = inner, arguments[1:]
    assert not getattr(command, "commands", None), f"not a command: {line}"
    options = {spelled for one in command.params for spelled in one.opts}
    assert {word.split("=")[0] for word in arguments if word.startswith("--")} <= options, line


@pytest.mark.parametrize("page", names(PAGES))
def test_commands_in_sentences_exist(page: str) -> None:
    for said in re.findall(r"`(spanwatch [^`]+|make [a-z]+)`", (ROOT / page).read_text()):
        parts = shlex.split(said.replace("…", ""))
        if parts[0] == "make":
            assert parts[1] in TARGETS, said
        else:
            known(parts[1:], said)


@pytest.mark.parametrize("page", names(PAGES))
def test_named_files_of_the_repository_exist(page: str) -> None:
    """`detectors/rules/…` and the like between backticks; `<name>` and `*` stand for something of that kind."""
    tops = "pipeline|detectors|replay|grafana|deploy|tests|docs"
    for said in re.findall(rf"`((?:{tops})/[^`\s]*)`", (ROOT / page).read_text()):
        pattern = re.sub(r"<[^>]+>", "*", said.rstrip("/"))
        if "deploy/.env" in said or "deploy/tokens.toml" in said:  # made by the reader
            continue
        assert any(ROOT.glob(pattern)), f"{page}: {said}"


def test_every_command_and_page_can_be_reached_from_the_readme() -> None:
    """What nobody links to is not documented."""
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        linked = [page.parent / target for target in re.findall(r"\]\(([^)#:\s]+\.md)", page.read_text())]
        todo += [target.resolve() for target in linked if target.exists()]
    pages = {page for page in PAGES if "decisions" not in page.parts and page.name != "CHANGELOG.md"}
    assert pages <= reached


@pytest.mark.parametrize("page", names(PAGES))
def test_nothing_is_left_open(page: str) -> None:
    assert not re.search(r"\b(?:TODO|TBD|FIXME|XXX|coming soon|lorem)\b", (ROOT / page).read_text(), re.I)


def test_the_connect_table_of_the_readme_agrees_with_the_page() -> None:
    """Every assignment the README's table gives an emitter stands in docs/connect.md too."""
    readme, connect = (ROOT / "README.md").read_text(), (ROOT / "docs/connect.md").read_text()
    table = readme[readme.index("## Send it yours") : readme.index("## How it works")]
    said = re.findall(r"`([A-Z_]+=[^`]+)`", table)
    assert len(said) > 8
    for assignment in said:
        assert assignment in connect, assignment


def test_the_example_of_overrides_is_accepted_and_shows_every_key(tmp_path: Path) -> None:
    text = (ROOT / "docs/reference.md").read_text()
    (example,) = blocks(text, "yaml")
    (tmp_path / "overrides.yml").write_text(example)
    changed = rule.read(overrides=tmp_path / "overrides.yml")
    ids = {one.id for one in (*changed.secrets, *changed.behaviour)}
    assert "secret.slack.bot_token" not in ids
    assert {"secret.github.pat", "destructive.force-push"} <= ids & changed.overrides.keys()
    keys = {field.encode_name for field in msgspec.structs.fields(rule.Override)}
    assert keys == set(re.findall(r"^\| `(\w+)` \|", text.split("## Overrides")[1].split("## Metrics")[0], re.M))


def test_the_checks_of_this_file_can_fail() -> None:
    with pytest.raises(AssertionError):
        known(["serve", "--no-such-option"], "")
    with pytest.raises(AssertionError):
        known(["replay"], "")
    with pytest.raises(AssertionError):
        known(["no-such-command"], "")
