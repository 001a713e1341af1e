"""Writes docs/reference.md from the code: `python docs/reference.py`; tests/test_docs.py fails when it was not run."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from pipeline import cli
from pipeline.settings import PREFIX, Settings
from pipeline.telemetry import Metrics

PAGE = Path(__file__).with_name("reference.md")
HEAD = """# Reference

Written by `python docs/reference.py` from the code; do not edit by hand.
"""

OVERRIDES = """\
## Overrides

What one deployment changes about rules, in a YAML file named by `SPANWATCH_RULES__OVERRIDES` or `--overrides`.
`spanwatch rules check --overrides FILE` says what is wrong with it; `spanwatch rules list` has the ids.

```yaml
secret.github.pat:
  severity: critical
secret.slack.bot_token:
  enabled: false
destructive.force-push:
  except:
    - command.line|contains: 'scratch.git'
secrets:
  except:
    - {path_class: vendored, reason: not ours}
    - {fingerprint: 00112233445566ff, until: 2027-01-31, reason: 'rotated, left in a fixture'}
```

| key | meaning |
|---|---|
| `enabled` | `false` leaves the rule or detector out |
| `severity` | info, low, medium, high or critical |
| `threshold` | how much it takes: entropy of a secret, events of a counting correlation, the bound of a detector |
| `except` | where a behaviour rule stays silent (Sigma selections, one suffices); the allow-list of a secret rule |
"""


def commands() -> Iterator[tuple[str, Any]]:
    """(full name, command) of every command that does something."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if inner := getattr(command, "commands", None):
            for word, one in inner.items():
                yield from walk(f"{name} {word}", one)
        else:
            yield name, command

    return walk("spanwatch", typer.main.get_command(cli.app))


def settings() -> Iterator[tuple[str, str, str, str]]:
    """(environment name, type, default, meaning) of every setting."""

    def walk(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, str, str, str]]:
        for name, field in model.model_fields.items():
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from walk(f"{prefix}{name.upper()}__", kind)
                continue
            default = "a folder of this user" if field.default is PydanticUndefined else field.default
            shown = default.get_secret_value() if hasattr(default, "get_secret_value") else default
            words = "" if shown in (None, "", ()) else f"`{shown}`" if default is field.default else str(shown)
            spelled = getattr(kind, "__name__", "") if isinstance(kind, type) else str(kind)
            for long, short in (("typing.Literal", "one of "), ("pathlib._local.", ""), ("pathlib.", "")):
                spelled = spelled.replace(long, short)
            spelled = spelled.replace("pydantic.types.", "").replace("|", "or")
            spelled = re.sub(r"typing\.Optional\[(.*)\]$", r"\1 or None", spelled)
            yield f"{prefix}{name.upper()}", spelled, words, field.description or ""

    return walk(PREFIX, Settings)


def metrics() -> Iterator[tuple[str, str, str]]:
    """(name, kind, meaning) of every metric."""
    every = Metrics()
    every.watch_allowed(dict)
    families = every.registry.collect()
    for family in sorted(families, key=lambda family: family.name):
        yield family.name + ("_total" if family.type == "counter" else ""), family.type, family.documentation


def page() -> str:
    lines = [HEAD, "## Commands", ""]
    for name, command in commands():
        lines += [f"### {name}", "", *(command.help or "").strip().splitlines(), ""]
        rows = []
        for one in command.params:
            if one.name == "help":
                continue
            spelled = ", ".join(one.opts) if one.param_type_name == "option" else (one.name or "").upper()
            rows.append(f"| `{spelled}` | {getattr(one, 'help', None) or ''}{' (required)' if one.required else ''} |")
        lines += ["| argument | meaning |", "|---|---|", *rows, ""] if rows else []
    lines += ["## Exit status", "", "| status | meaning |", "|---|---|", "| 0 | done |"]
    lines += [
        "| 1 | done in part: some input could not be read; the compared runs differ; or `serve` could not go on |"
    ]
    lines += ["| 2 | the command line was wrong |"]
    for kind, status in cli.EXIT.items():
        lines.append(f"| {status} | {kind.__name__}: {(kind.__doc__ or '').strip().splitlines()[0]} |")
    lines += [
        f"| {cli.OTHER_ERROR} | another error that was foreseen |",
        f"| {cli.INTERRUPTED} | ctrl-C; `serve` ends with 0 |",
    ]
    lines += ["", "## Settings", ""]
    lines += [
        "Environment over a TOML file (`--config`, or `SPANWATCH_CONFIG`) over defaults; unknown names are refused."
    ]
    lines += ["`SPANWATCH_GATEWAY__PORT=4319` is `[gateway]` with `port = 4319` in the file.", ""]
    lines += ["| environment name | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {default} | {meaning} |" for name, kind, default, meaning in settings()]
    lines += ["", *OVERRIDES.splitlines()]
    lines += ["", "## Metrics", "", "On `/metrics`, in Prometheus text format.", ""]
    lines += ["| metric | kind | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {meaning} |" for name, kind, meaning in metrics()]
    return "\n".join(lines) + "\n"


def main() -> None:
    PAGE.write_text(page())
    print(f"wrote {PAGE.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
