"""How much of what went where: the line a data incident is judged by, with "unknown" where nothing tells."""

from __future__ import annotations

from collections.abc import Mapping

from detectors.model import Event, Sighting, Span

UNKNOWN = "unknown"  # never "none": what was not captured may have been anything


def scope(event: Event, told: Mapping[str, str]) -> dict[str, str]:
    """Data class, amount, provider, tool and user of a data finding, as far as its event tells them.

    `told` is what the detector says itself; its host is the provider where it names none.
    """
    line = dict.fromkeys(("data", "amount", "provider", "tool", "user"), UNKNOWN)
    if isinstance(event, Span):
        line.update(_of_span(event))
    elif isinstance(event, Sighting):
        detail = event.detail
        line.update({name: detail[name] for name in ("tool", "user", "data") if detail.get(name)})
        line["provider"] = detail.get("host", "") or UNKNOWN
    if host := told.get("host", ""):
        line["provider"] = host
    if line["data"] == UNKNOWN and "fingerprint" in told:
        line["data"] = "secret"
    return line


def _of_span(span: Span) -> dict[str, str]:
    text = span.text
    rules = sorted({match.rule_id for match in span.secrets})
    out = text("bytes.out")
    told = {
        "data": f"secret ({', '.join(rules)})" if rules else "",
        "amount": f"{out} bytes sent" if out else f"{len(rules)} kinds of secrets" if rules else "",
        "provider": text("egress.hosts") or text("egress.host") or text("provider") or text("mcp.server"),
        "tool": text("tool.name") or span.kind,
        "user": text("user"),
    }
    return {name: value for name, value in told.items() if value}
