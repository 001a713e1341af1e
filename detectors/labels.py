"""What a text says of itself: labels by which an organisation marks what must not leave it."""

from __future__ import annotations

import re2

MAX_TEXT = 65_536
_LABEL = re2.compile(
    # a mark stands at the head of a line or a comment and in capitals, or says in words what may not be done
    r"(?m)(?:^|\\n|\")[ \t#/*;<!\-\"'|>=\[({]{0,12}(?P<mark>(?:STRICTLY |HIGHLY |COMPANY |COMMERCIAL-IN-)?CONFIDENTIAL"
    r"|(?:FOR )?INTERNAL(?: USE)? ONLY|TRADE SECRET|RESTRICTED DISTRIBUTION|TLP:(?:RED|AMBER(?:\+STRICT)?)"
    r"|NOT FOR (?:EXTERNAL )?DISTRIBUTION)\b"
    r"|(?i:(?P<words>proprietary and confidential|confidential and proprietary|company internal use only"
    r"|unauthori[sz]ed (?:copying|distribution|use) of this (?:file|document|software|code)[^.\n]{0,60} (?:is )?"
    r"strictly prohibited"
    r"|(?:contains|constitutes) (?:the )?(?:confidential|proprietary) (?:and proprietary )?(?:information|source code"
    r"|trade secrets?) of"
    r"|spdx-license-identifier:\s*licenseref-(?:proprietary|[\w-]*internal[\w-]*|[\w-]*confidential[\w-]*)"
    r"|(?:data|document|information)[ _-]?classification\"?\s*[:=]\s*\"?(?:confidential|restricted|internal|secret)))"
).search


def label(text: str) -> str:
    """The first label the text bears; empty where it bears none."""
    found = _LABEL(text[:MAX_TEXT])
    return " ".join((found["mark"] or found["words"] or "").split()) if found else ""
