"""What a detector written in code may say, told beforehand: lists and lint read it, findings are held to it."""

from __future__ import annotations

import msgspec

from detectors.model import Category, Severity


class About(msgspec.Struct, frozen=True, kw_only=True):
    """One rule id of a detector in code: what a rule file says about a rule, for rules that are no file.

    `severity` is the usual one; a finding may say another. `rows` are rows of the requirement catalogue. Whatever a
    detector leaves out of a finding (title, severity, category, standards, runbook) is taken from here.
    """

    title: str
    severity: Severity
    category: Category
    standards: tuple[str, ...]
    runbook: str
    rows: tuple[str, ...] = ()
