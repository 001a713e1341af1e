"""The pages on connecting and deploying do what they say: their blocks run, their names and files exist."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
import yaml

from pipeline import auth
from pipeline.cli import app
from pipeline.settings import CONFIG_FILE, PREFIX, Settings
from tests import otlp, running

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs/connect.md", ROOT / "docs/deploy.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[Path, str]:
    """A tokens file as `spanwatch token new` writes it, and the token."""
    made = auth.new_token("acme", "laptop-17")
    file = tmp_path / "tokens.toml"
    file.write_text(made.entry)
    return file, made.token


def test_the_sdk_example_delivers_what_the_page_says(tokens: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs as printed, but for the port; its span arrives under the token's name with its command."""
    file, token = tokens
    (code,) = blocks(PAGES[0], "python")
    monkeypatch.setenv("OTLP_TOKEN", token)
    with running.gateway(tokens_file=file) as gateway:
        exec(compile(code.replace("http://127.0.0.1:4318", gateway.url), "connect.md", "exec"), {})
        (span,) = gateway.intake.spans
    assert (span.tenant, span.resource.emitter) == ("acme", "laptop-17")
    assert (span.session_id, span.session_from) == ("conversation-17", "attribute")
    assert span.agent_id == "billing-agent-1"
    assert span.fields["tool.name"] == "run_shell"
    assert span.fields["command.line"] == "git push --force"


def test_the_environment_the_page_sets_reaches_the_exporter(
    tokens: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endpoint and headers as the shell blocks write them are what the SDK's exporter understands."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    file, token = tokens
    written = [
        line for block in blocks(PAGES[0], "sh") for line in re.findall(r"^export (OTEL_EXPORTER_\w+=.*)$", block, re.M)
    ]
    assert len(set(written)) == 4, "every section says it the same way: endpoint, headers, two protocols"
    with running.gateway(tokens_file=file) as gateway:
        for line in written:
            name, _, value = line.partition("=")
            monkeypatch.setenv(
                name, value.strip('"').replace("$OTLP_TOKEN", token).replace("http://127.0.0.1:4318", gateway.url)
            )
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
        provider.get_tracer("t").start_span("hello").end()
        provider.shutdown()
        assert [span.name for span in gateway.intake.spans] == ["hello"]


def test_the_check_of_the_way_in_answers_as_the_page_says(tokens: tuple[Path, str]) -> None:
    file, token = tokens
    way_in, arrived = [
        line for block in blocks(PAGES[0], "sh") for line in block.splitlines() if line.startswith("curl ")
    ]
    shown = re.search(r"grep -E '(.*)'", arrived)
    headers = dict(h.split(": ", 1) for h in re.findall(r'-H "([^"]+)"', way_in))
    body = re.search(r"-d '(.*?)'", way_in)
    path = re.search(r"http://127\.0\.0\.1:4318(\S+)", way_in)
    assert shown is not None
    assert body is not None
    assert path is not None
    headers["Authorization"] = headers["Authorization"].replace("$OTLP_TOKEN", token)
    with running.gateway(tokens_file=file) as gateway:
        answer = httpx.post(gateway.url + path[1], content=body[1], headers=headers)
        refused = httpx.post(gateway.url + path[1], content=body[1], headers=headers | {"Authorization": "Bearer no"})
        sent = httpx.post(gateway.url + path[1], content=otlp.traces_json(), headers=headers)
        metrics = httpx.get(gateway.url + "/metrics").text
    assert (answer.status_code, answer.text) == (200, "{}")
    assert refused.status_code == 401
    assert sent.status_code == 200
    assert 'spanwatch_records_accepted_total{signal="traces"} 1.0' in [
        line for line in metrics.splitlines() if re.search(shown[1], line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_settings_commands_and_files_exist(page: Path) -> None:
    text = page.read_text()
    settings = Settings()
    for name in set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]\b", text)) - {CONFIG_FILE}:
        value: Any = settings
        for part in name.removeprefix(PREFIX).lower().split("__"):
            assert hasattr(value, part), name
            value = getattr(value, part)
    command: Any = typer.main.get_command(app)
    for words in re.findall(r"(?:`|^)spanwatch ((?:[a-z]+ ?)+)", text, re.M):
        at = command
        for word in words.split():
            if not hasattr(at, "commands"):
                break
            assert word in at.commands, words
            at = at.commands[word]
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target


def test_configuration_blocks_are_well_formed() -> None:
    for page in PAGES:
        for block in blocks(page, "toml"):
            codex = tomllib.loads(block)["otel"]
            for exporter, path in (("exporter", "logs"), ("trace_exporter", "traces")):
                assert (
                    codex[exporter]["otlp-http"]["endpoint"] == f"http://127.0.0.1:{Settings().gateway.port}/v1/{path}"
                )
        for block in blocks(page, "yaml"):
            assert yaml.safe_load(block)
    whole = yaml.safe_load((ROOT / "deploy/collector/gateway.yaml").read_text())
    (shown,) = [b for b in map(yaml.safe_load, blocks(PAGES[0], "yaml")) if "exporters" in b]
    assert shown["extensions"].items() <= whole["extensions"].items()
    for name, exporter in shown["exporters"].items():
        assert exporter.items() <= whole["exporters"][name].items()


def test_defaults_told_are_the_defaults() -> None:
    text = PAGES[1].read_text()
    store = Settings().clickhouse
    assert f"`SPANWATCH_CLICKHOUSE__RETENTION_DAYS` ({store.retention_days})" in text
    assert f"`SPANWATCH_CLICKHOUSE__ALERT_RETENTION_DAYS` ({store.alert_retention_days})" in text
    assert f"(group `{Settings().kafka.group}`)" in text
    assert f"are {Settings().kafka.partitions}." in text
    for name in os.listdir(ROOT / "deploy/collector"):
        assert f"deploy/collector/{name}" in PAGES[0].read_text()
