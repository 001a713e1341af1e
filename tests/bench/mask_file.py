"""Masks a folder of files line by line, as a process of its own: what the peers' command lines are compared with."""

from __future__ import annotations

import sys
from pathlib import Path

import detectors
from detectors.secret_rules import read_secrets
from detectors.secrets import Scanner


def scanner() -> Scanner:
    """All secret rules we ship."""
    folder = Path(detectors.__file__).parent / "rules" / "secrets"
    return Scanner(read_secrets(sorted(folder.glob("*.yml"))), b"bench")


def main(source: str) -> None:
    mask = scanner().mask
    for file in sorted(Path(source).iterdir()):
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                masked, found = mask(line, "line")
                if found:
                    sys.stdout.write(f"{file.name}:{number}\t{masked}")


if __name__ == "__main__":
    main(sys.argv[1])
