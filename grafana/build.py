"""Write every file Grafana is provisioned with, or with `--check` say which of them differ from what this would write.

The files are committed, so that a reader and Grafana need no Python; `make grafana` writes them again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
if __package__ in (None, ""):  # run as a file: its own package is then not yet importable
    sys.path.insert(0, str(HERE.parent))

from grafana import alerting, overview, session  # noqa: E402  # after the path is set
from grafana.panels import Json  # noqa: E402

HEADER = "# Written by grafana/build.py; change it there.\n"


def _panel(board: Json, title: str) -> tuple[str, int]:
    """Board and number of the one panel of that title."""
    (number,) = (panel["id"] for panel in board["panels"] if panel["title"] == title)
    return board["uid"], number


def files() -> dict[str, str]:
    """Every file below grafana/ that is generated, with its text."""
    boards = [overview.board(), session.board(), session.trace_board()]
    stream = _panel(boards[0], overview.ALERT_STREAM)
    health = _panel(boards[0], "Dead letters by reason")
    provisioned = {
        "alerting/contact-points": alerting.contact_points(),
        "alerting/policies": alerting.policies(),
        "alerting/rules": alerting.rules(stream, health),
        "dashboards/spanwatch": alerting.board_provider(),
        "datasources/spanwatch": alerting.data_source(),
    }
    made = {f"dashboards/{b['uid']}.json": json.dumps(b, indent=2, sort_keys=True) + "\n" for b in boards}
    for name, content in provisioned.items():
        text = yaml.dump(content, Dumper=_Dumper, sort_keys=True, width=110, allow_unicode=True)
        made[f"provisioning/{name}.yaml"] = HEADER + text
    return made


class _Dumper(yaml.SafeDumper):
    """Queries stay readable: text of several lines is written as a block."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def stray(made: dict[str, str]) -> list[str]:
    """Files in the generated folders that nothing would write."""
    found = [p for folder in ("dashboards", "provisioning") for p in (HERE / folder).rglob("*") if p.is_file()]
    return sorted(str(p.relative_to(HERE)) for p in found if str(p.relative_to(HERE)) not in made)


def differing(made: dict[str, str]) -> list[str]:
    """Generated files that are missing or not what would be written."""
    return [n for n, text in made.items() if not (HERE / n).is_file() or (HERE / n).read_text("utf-8") != text]


def main(arguments: list[str]) -> int:
    made = files()
    if arguments == ["--check"]:
        wrong = differing(made) + stray(made)
        for name in wrong:
            print(f"grafana/{name}: not what grafana/build.py writes", file=sys.stderr)
        return 1 if wrong else 0
    if arguments:
        print("usage: build.py [--check]", file=sys.stderr)
        return 2
    for name, text in made.items():
        path = HERE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
