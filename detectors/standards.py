"""The editions of the public standards a rule may cite; an id that is not here is refused at load."""

from __future__ import annotations

import re
from collections.abc import Iterable

OWASP_LLM = {
    "LLM01:2026": "Prompt Injection",
    "LLM02:2026": "Sensitive Information Disclosure",
    "LLM03:2026": "Excessive Agency",
    "LLM04:2026": "Supply Chain",
    "LLM05:2026": "Data and Model Poisoning",
    "LLM06:2026": "Unbounded Consumption",
    "LLM07:2026": "Misinformation",
    "LLM08:2026": "Hidden Context Exposure",
    "LLM09:2026": "Vector and Embedding Weaknesses",
    "LLM10:2026": "Improper Output Handling",
}
OWASP_AGENTIC = {  # Top 10 for Agentic Applications for 2026, v1.0
    "ASI01": "Agent Goal Hijack",
    "ASI02": "Tool Misuse and Exploitation",
    "ASI03": "Identity and Privilege Abuse",
    "ASI04": "Agentic Supply Chain Vulnerabilities",
    "ASI05": "Unexpected Code Execution (RCE)",
    "ASI06": "Memory & Context Poisoning",
    "ASI07": "Insecure Inter-Agent Communication",
    "ASI08": "Cascading Failures",
    "ASI09": "Human-Agent Trust Exploitation",
    "ASI10": "Rogue Agents",
}
OWASP_MCP = {  # 2025, beta
    "MCP01:2025": "Token Mismanagement & Secret Exposure",
    "MCP02:2025": "Privilege Escalation via Scope Creep",
    "MCP03:2025": "Tool Poisoning",
    "MCP04:2025": "Software Supply Chain Attacks & Dependency Tampering",
    "MCP05:2025": "Command Injection & Execution",
    "MCP06:2025": "Intent Flow Subversion",
    "MCP07:2025": "Insufficient Authentication & Authorization",
    "MCP08:2025": "Lack of Audit and Telemetry",
    "MCP09:2025": "Shadow MCP Servers",
    "MCP10:2025": "Context Injection & Over-Sharing",
}
ATLAS_RELEASE = "2026.09"
ATTACK_RELEASE = "v19"


def _expand(prefix: str, spec: str) -> frozenset[str]:
    """Ids of a compact list: ``T1552.001.004`` is T1552, T1552.001 and T1552.004."""
    ids = set()
    for word in spec.split():
        base, *subs = word.split(".")
        ids.add(prefix + base)
        ids.update(f"{prefix}{base}.{sub}" for sub in subs)
    return frozenset(ids)


ATLAS = _expand(
    "AML.",
    "T0051.000.001.002 T0054 T0061 T0068 T0093 T0094 T0100 T0131 T0134 T0053 T0099 T0110.000.001.002 T0101 T0086 "
    "T0011.001.002.003 T0010.001.005 T0055 T0082 T0083 T0098 T0090 T0091.000.001 T0106 T0012 T0125 T0080.000.001 "
    "T0081 T0070 T0056 T0130 T0084.000.001.002.003 T0133 T0069 T0075 T0089 T0085.000.001 T0036 T0037 T0126 T0127 "
    "T0024 T0025 T0057 T0077 T0050 T0102 T0105 T0097 T0107 T0123 T0112.000 T0109 T0115.002 T0060 T0096 T0103 T0108 "
    "T0072 T0116 T0117 T0118.000.001 T0124 T0029 T0034.000.001.002 T0048 T0067 T0132 M0024 M0029 M0038 M0039",
)
ATTACK = _expand(
    "",
    "T1552.001.004.005 T1555.006 T1528 T1078.004 T1098.001 T1136.003 T1550.001 T1548.003 T1059.004.006.009 T1204.005 "
    "T1651 T1611 T1195.001.002 T1105 T1546.004 T1053.003 T1543 T1176 T1027.010 T1070.003 T1685.002.006 T1083 T1082 "
    "T1087.004 T1580 T1619 T1005 T1213.003.006 T1530 T1119 T1074 T1071.001.004 T1102 T1090 T1572 T1132 T1041 T1048 "
    "T1020 T1030 T1567.001.002.003.004 T1485 T1490 T1489 T1565.001 T1496.004 T1686.001 T1689 T1684.001",
)
IDS = frozenset((*OWASP_LLM, *OWASP_AGENTIC, *OWASP_MCP, *ATLAS, *ATTACK))

_TAG = re.compile(r"(?:attack|atlas)\.(?P<id>(?:aml\.)?[tm]\d{4}(?:\.\d{3})?)", re.IGNORECASE)


def from_tag(tag: str) -> str | None:
    """Standards id of a Sigma tag (``attack.t1485``, ``atlas.aml.t0101``); None for tags that carry none.

    A technique newer than the release above gives an id that `unknown` reports.
    """
    found = _TAG.fullmatch(tag)
    return found["id"].upper() if found else None


def unknown(ids: Iterable[str]) -> list[str]:
    """Those of the ids that no pinned edition knows."""
    return [one for one in ids if one not in IDS]


ROWS = frozenset(  # of the requirement catalogue
    f"{letter}{number}"
    for letter, last in {"I": 15, "F": 11, "K": 16, "D": 11, "E": 9, "O": 8, "R": 16}.items()
    for number in range(1, last + 1)
)


def no_rows(ids: Iterable[str]) -> list[str]:
    """Those of the ids that are no row of the requirement catalogue."""
    return [one for one in ids if one not in ROWS]
