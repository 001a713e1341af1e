"""Builds detectors/secret_trigrams.py: how letters follow one another in the words of the Python standard library.

`python -m tests.bench.trigrams` writes the module anew; the same Python version writes the same bytes.
"""

from __future__ import annotations

import math
import re
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

TARGET = Path(__file__).parents[2] / "detectors" / "secret_trigrams.py"
LETTERS = "`abcdefghijklmnopqrstuvwxyz"  # the first stands for the beginning of a word
STEP = 1.5  # bits a level stands for
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words() -> Counter[str]:
    """Words of the library's sources and how often they stand there, tests left out."""
    root = Path(sysconfig.get_path("stdlib"))
    found: Counter[str] = Counter()
    for file in sorted(root.rglob("*.py")):
        if not {"test", "tests", "site-packages", "dist-packages", "idle_test"} & set(file.relative_to(root).parts):
            found.update(word.lower() for word in _WORD.findall(file.read_text("utf-8", "replace")) if len(word) > 1)
    return found


def levels(counted: Counter[str]) -> Iterator[str]:
    """One row a pair of letters: for each letter how unlikely it follows them, as a digit of STEP bits."""
    pairs: defaultdict[str, float] = defaultdict(float)
    triples: defaultdict[str, float] = defaultdict(float)
    for word, count in counted.items():
        text, weight = "``" + word, math.log2(1 + count)  # a word used a thousand times is not a thousand words
        for at in range(len(word)):
            triples[text[at : at + 3]] += weight
            pairs[text[at : at + 2]] += weight
    for first in LETTERS:
        for second in LETTERS:
            total = pairs[first + second] + 27 * 0.2
            bits = (-math.log2((triples[first + second + third] + 0.2) / total) for third in LETTERS)
            yield "".join(str(min(9, round(one / STEP))) for one in bits)


def main() -> None:
    rows = list(levels(words()))
    lines = [
        '"""How unlikely one letter follows two others in words; written by `python -m tests.bench.trigrams`."""',
        "",
    ]
    lines += ["from __future__ import annotations", "", f"STEP = {STEP}  # bits a level stands for", "LEVELS = ("]
    lines += [f'    "{"".join(rows[at : at + 4])}"' for at in range(0, len(rows), 4)]
    TARGET.write_text("\n".join([*lines, ")"]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
