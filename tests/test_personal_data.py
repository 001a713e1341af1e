"""Records about people are counted by kind; what only looks like them, and one person's data, is not."""

from __future__ import annotations

import pytest
from stdnum import luhn
from stdnum.es import dni

from detectors.labels import label
from detectors.personal_data import MAX_TEXT, Reader

READER = Reader()


def ibans(count: int) -> list[str]:
    made = []
    for number in range(count):
        body = f"{37040044:08d}{532013000 + number:010d}"
        made.append(f"DE{98 - int(body + '131400') % 97:02d}{body}")
    return made


def cards(count: int) -> list[str]:
    bodies = [f"4{number:03d}98765432109"[:15] for number in range(count)]
    return [body + luhn.calc_check_digit(body) for body in bodies]


KINDS = {
    "e-mail address": [f"kunde.{n}@post{n}.example" for n in range(12)],
    "phone number": [f"+49 30 5550{n:03d}" for n in range(12)],
    "payment card": cards(12),
    "bank account": ibans(12),
    "national id": [f"{n:08d}{dni.calc_check_digit(f'{n:08d}')}" for n in range(10_000_001, 10_000_013)],
    "medical record": [f"patient_id: {n}" for n in range(700_001, 700_013)],
    "date of birth": [f'"date_of_birth": "19{n}-03-04"' for n in range(60, 72)],
    "postal address": [f"{n} Mill Hill Road" for n in range(12)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_a_kind_are_counted_once_each(kind: str) -> None:
    text = "\n".join(f"row {value} ." for value in [*KINDS[kind], *KINDS[kind]])
    assert READER.held(text).kinds == {kind: 12}


@pytest.mark.parametrize("kind", ["payment card", "bank account", "national id"])
def test_a_wrong_check_digit_is_no_value(kind: str) -> None:
    def wrong(value: str) -> str:
        place = 3 if kind == "bank account" else 7
        return value[:place] + str((int(value[place]) + 1) % 10) + value[place + 1 :]

    assert kind not in READER.held("\n".join(map(wrong, KINDS[kind]))).kinds


def test_records_are_told_from_a_mention() -> None:
    """One customer's data, a mail to a few, and numbers of code are no records; a table of customers is."""
    two = [f"{mail} {phone}" for mail, phone in zip(KINDS["e-mail address"], KINDS["phone number"], strict=True)]
    assert READER.held("\n".join(two)).records
    assert not READER.held("\n".join(two[:3])).records
    assert not READER.held("\n".join(KINDS["e-mail address"])).records
    assert READER.held("\n".join(KINDS["bank account"][:5])).records
    assert not READER.held("\n".join(KINDS["bank account"][:4])).records
    assert READER.held("\n".join(KINDS["bank account"])).many
    assert not READER.held("\n".join(two)).many


def test_what_is_public_by_nature_is_not_counted() -> None:
    """Authors of commits, reserved domains, services' own addresses."""
    log = "\n".join(f"Author: Dev {n} <dev{n}@post{n}.example>" for n in range(60))
    reserved = "\n".join(f"user{n}@example.com noreply@post{n}.example" for n in range(60))
    assert READER.held(log).kinds == {}
    assert READER.held(reserved).kinds == {}


def test_a_text_is_read_up_to_its_limit() -> None:
    text = "x" * MAX_TEXT + "\n".join(KINDS["bank account"])
    assert READER.held(text).kinds == {}
    assert READER.held("").people == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# CONFIDENTIAL\nrates", "CONFIDENTIAL"),
        ("a\n  // INTERNAL USE ONLY", "INTERNAL USE ONLY"),
        (r'{"content": "a\n * STRICTLY CONFIDENTIAL"}', "STRICTLY CONFIDENTIAL"),
        ("This file is proprietary and confidential.", "proprietary and confidential"),
        ("classification=1\nData-Classification: restricted", "Data-Classification: restricted"),
        ("keep this confidential, please", ""),
        ("SET CONFIDENTIAL=1", ""),
        ("# for internal use only by the parser", ""),
        ("Copyright 2026. All rights reserved.", ""),
    ],
)
def test_labels(text: str, expected: str) -> None:
    assert label(text) == expected
