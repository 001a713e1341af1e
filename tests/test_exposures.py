"""What calls write, what code shows, which calls speak to others, and which files of secrets a call opens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from detectors import mcp_configs
from detectors.channels import channel
from detectors.exposures import of, secret_files
from detectors.model import SecretMatch
from detectors.secret_prints import shown
from detectors.written import written
from tests.make import span


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"file_path": "a", "content": "new"}, "new"),
        ({"file_path": "a", "old_string": "old", "new_string": "new"}, "new"),
        ({"path": "a", "edits": [{"old_string": "x", "new_string": "one"}, {"new_string": "two"}]}, "one\ntwo"),
        ("*** Begin Patch\n*** Update File: a\n@@ x\n-old\n+new\n", "new"),
        ({"file_path": "a"}, ""),
    ],
)
def test_only_new_text_is_written(arguments: Any, expected: str) -> None:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    assert written(span(kind="file_write", fields={"arguments": text})) == expected


def test_a_command_writes_when_it_does() -> None:
    assert written(span(kind="command", fields={"command.line": "echo $X > a.txt"}))
    assert not written(span(kind="command", fields={"command.line": "grep -c '>' a.txt"}))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('echo "$API_TOKEN"', [("API_TOKEN", "printed")]),
        ("run: echo ${{ secrets.NPM_TOKEN }}", [("NPM_TOKEN", "printed")]),
        ('print(os.environ["API_KEY"])', [("API_KEY", "printed")]),
        ("console.log('k', process.env.STRIPE_SECRET_KEY)", [("STRIPE_SECRET_KEY", "printed")]),
        ('fmt.Println(os.Getenv("DB_PASSWORD"))', [("DB_PASSWORD", "printed")]),
        ('print(f"key={api_key}")', [("api_key", "printed")]),
        ('set -x\ncurl -H "X: $API_TOKEN" u', [("API_TOKEN", "traced by set -x")]),
        ("echo $API_KEY >> ~/.cache/k", [("API_KEY", "cached in a file")]),
        ('f.write(os.getenv("DB_PASSWORD"))', [("DB_PASSWORD", "cached in a file")]),
        ("echo $DOCKER_PASSWORD | docker login --password-stdin", []),
        ('echo "::add-mask::$TOKEN"', []),
        ('print("password: ")', []),
        ("print(password_hash)", []),
        ('key = os.environ["API_KEY"]', []),
        ("print(token)", []),
        ('echo "$HOME"', []),
    ],
)
def test_code_that_shows_a_secret_variable(code: str, expected: list[tuple[str, str]]) -> None:
    assert [tuple(one) for one in shown(code)] == expected


@pytest.mark.parametrize(
    ("fields", "speaks"),
    [
        ({"tool.name": "send_email", "arguments": "{}"}, True),
        ({"tool.name": "post_message", "mcp.server": "slack", "arguments": "{}"}, True),
        ({"tool.name": "create_issue", "mcp.server": "github", "arguments": "{}"}, True),
        ({"tool.name": "jira_add_comment", "arguments": "{}"}, True),
        ({"tool.name": "dispatch", "arguments": '{"channel_id": "C1", "text": "hi"}'}, True),
        ({"tool.name": "list_messages", "mcp.server": "slack", "arguments": '{"channel_id": "C1"}'}, False),
        ({"tool.name": "get_email", "arguments": '{"to": "x", "body": "y"}'}, False),
        ({"tool.name": "calculate", "arguments": '{"text": "1+1"}'}, False),
        ({"tool.name": "create_file", "arguments": '{"content": "x"}'}, False),
    ],
)
def test_calls_that_speak_to_others(fields: dict[str, str], speaks: bool) -> None:
    assert bool(channel(span(kind="tool_call", fields=dict(fields)))) is speaks


@pytest.mark.parametrize(
    ("kind", "fields", "files"),
    [
        ("file_read", {"path": "/srv/app/.env"}, ["/srv/app/.env"]),
        ("command", {"command.line": "cat ~/.aws/credentials | head -3"}, ["~/.aws/credentials"]),
        ("command", {"command.line": "grep KEY .env", "workdir": "/srv/app"}, ["/srv/app/.env"]),
        ("command", {"command.line": "ls -la .env"}, []),
        ("command", {"command.line": "cp .env .env.bak"}, []),
        ("file_read", {"path": "/srv/app/.env.example"}, []),
        ("file_read", {"path": "/home/dev/.ssh/id_ed25519.pub"}, []),
        ("file_write", {"path": "/srv/app/.env"}, []),
    ],
)
def test_files_of_secrets_a_call_shows(kind: str, fields: dict[str, str], files: list[str]) -> None:
    assert secret_files(span(kind=kind, fields=dict(fields))) == files


def test_servers_and_their_credentials() -> None:
    """JSON, TOML and the command that adds a server."""
    key = "MASKED~secret.openrouter.api_key~32~00112233aabbccdd~"
    as_json = json.dumps({"mcpServers": {"router": {"env": {"K": key}}, "plain": {"command": "x"}}})
    as_toml = f'[mcp_servers.router.env]\nK = "{key}"\n'
    wanted = [("router", "00112233aabbccdd")]
    assert mcp_configs.pairs(as_json) == wanted
    assert mcp_configs.pairs(as_toml) == wanted
    assert mcp_configs.pairs(f"claude mcp add -e K={key} router -- npx server") == wanted
    assert mcp_configs.pairs('{"mcpServers": {') == []


def test_a_secret_is_an_entity_of_its_file_and_a_denied_call_shows_nothing() -> None:
    match = SecretMatch(
        rule_id="secret.openrouter.api_key", where="r", length=32, fingerprint="00112233aabbccdd", surface="result"
    )
    fields = {"path": "/srv/app/.env", "result": "K"}
    kinds = {(one.kind, one.id) for one in of(span(kind="file_read", fields=dict(fields), secrets=(match,)))}
    assert ("secret-file", "/srv/app/.env") in kinds
    denied = span(kind="file_read", fields={**fields, "approval.decision": "deny"}, secrets=(match,))
    assert not list(of(denied))
