"""Dashboard JSON from typed pieces: because hand-written Grafana JSON drifts, overlaps and forgets units.

Only what the boards use is modelled. Everything here is plain data in, plain JSON-shaped dicts out; `build.py`
writes the files. Classic dashboard JSON (schema version 42), which is what file provisioning accepts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Json: TypeAlias = dict[str, Any]
Query: TypeAlias = Literal["timeseries", "table", "traces"]

SCHEMA_VERSION = 42
PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
SOURCE_UID = "spanwatch-clickhouse"
SOURCE: Json = {"type": PLUGIN, "uid": SOURCE_UID}
WIDTH = 24
_FORMAT: dict[Query, int] = {"timeseries": 0, "table": 1, "traces": 3}

# One colour per severity and category, the same on every board.
SEVERITIES = {"critical": "dark-red", "high": "red", "medium": "orange", "low": "yellow", "info": "blue"}
CATEGORIES = {
    1: ("Data exfiltration", "purple"),
    2: ("Hallucination", "blue"),
    3: ("Overreach", "orange"),
    4: ("Credential exposure", "red"),
    5: ("Shadow AI", "yellow"),
}


def target(sql: str, kind: Query, ref: str = "A") -> Json:
    """One query of a panel, as the ClickHouse plugin stores it."""
    return {
        "datasource": SOURCE,
        "editorType": "sql",
        "format": _FORMAT[kind],
        "meta": {},
        "pluginVersion": PLUGIN_VERSION,
        "queryType": kind,
        "rawSql": sql,
        "refId": ref,
    }


def link(title: str, url: str, *, new_tab: bool = False) -> Json:
    """A data link of one field."""
    return {"targetBlank": new_tab, "title": title, "url": url}


def steps(base: str, *above: tuple[float, str]) -> Json:
    """Thresholds: `base` colour below the first value, then the colour of each value reached."""
    first: list[Json] = [{"color": base, "value": None}]
    return {"mode": "absolute", "steps": first + [{"color": color, "value": value} for value, color in above]}


def words(colors: dict[str, str]) -> list[Json]:
    """Value mappings that colour a cell by its word."""
    options = {word: {"color": color, "index": i, "text": word} for i, (word, color) in enumerate(colors.items())}
    return [{"options": options, "type": "value"}]


@dataclass(frozen=True, kw_only=True)
class Column:
    """How one named field looks: its unit, width, colours, links; or that it only feeds links."""

    name: str
    unit: str = ""
    width: int = 0
    colors: dict[str, str] = field(default_factory=dict)
    thresholds: Json | None = None
    color: str = ""
    links: tuple[Json, ...] = ()
    hidden: bool = False
    wrap: bool = False

    def override(self) -> Json:
        properties: list[tuple[str, Any]] = []
        if self.unit:
            properties.append(("unit", self.unit))
        if self.width:
            properties.append(("custom.width", self.width))
        if self.colors:
            properties.append(("mappings", words(self.colors)))
            properties.append(("custom.cellOptions", {"mode": "basic", "type": "color-background"}))
        if self.thresholds:
            properties.append(("thresholds", self.thresholds))
            properties.append(("color", {"mode": "thresholds"}))
        if self.color:
            properties.append(("color", {"fixedColor": self.color, "mode": "fixed"}))
        if self.links:
            properties.append(("links", list(self.links)))
        if self.wrap:
            properties.append(("custom.cellOptions", {"type": "auto", "wrapText": True}))
        if self.hidden:
            properties.append(("custom.hideFrom", {"legend": True, "tooltip": True, "viz": True}))
        return {
            "matcher": {"id": "byName", "options": self.name},
            "properties": [{"id": name, "value": value} for name, value in properties],
        }


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: what it asks, how it shows the answer, how much room it takes."""

    type: str
    title: str
    about: str
    sql: str
    query: Query
    width: int
    height: int
    unit: str = "short"
    defaults: Json = field(default_factory=dict)
    options: Json = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    no_value: str = ""

    def json(self, number: int, x: int, y: int) -> Json:
        defaults: Json = {"unit": self.unit, **self.defaults}
        if self.no_value:
            defaults["noValue"] = self.no_value
        return {
            "datasource": SOURCE,
            "description": self.about,
            "fieldConfig": {"defaults": defaults, "overrides": [c.override() for c in self.columns]},
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "id": number,
            "options": self.options,
            "targets": [target(self.sql, self.query)],
            "title": self.title,
            "type": self.type,
        }


def stat(
    title: str,
    about: str,
    sql: str,
    *,
    width: int,
    height: int = 4,
    unit: str = "short",
    thresholds: Json,
    columns: Sequence[Column] = (),
    links: Sequence[Json] = (),
) -> Panel:
    """One big number per column of a one-row answer, coloured by thresholds."""
    return Panel(
        type="stat",
        title=title,
        about=about,
        sql=sql,
        query="table",
        width=width,
        height=height,
        unit=unit,
        defaults={"color": {"mode": "thresholds"}, "links": list(links), "mappings": [], "thresholds": thresholds},
        options={
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "vertical",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
            "wideLayout": True,
        },
        columns=tuple(columns),
        no_value="0",
    )


def series(
    title: str,
    about: str,
    sql: str,
    *,
    width: int,
    height: int = 8,
    unit: str = "short",
    bars: bool = False,
    thresholds: Json | None = None,
    columns: Sequence[Column] = (),
    no_value: str = "",
) -> Panel:
    """Lines, or stacked bars, over time; the answer's first column is the time."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 70 if bars else 10,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if bars else "none"},
        "thresholdsStyle": {"mode": "line" if thresholds else "off"},
    }
    return Panel(
        type="timeseries",
        title=title,
        about=about,
        sql=sql,
        query="timeseries",
        width=width,
        height=height,
        unit=unit,
        defaults={
            "color": {"mode": "palette-classic"},
            "custom": custom,
            "min": 0,
            "thresholds": thresholds or steps("green"),
        },
        options={
            "legend": {"calcs": ["sum" if bars else "mean"], "displayMode": "table", "placement": "right"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        columns=tuple(columns),
        no_value=no_value,
    )


def table(
    title: str,
    about: str,
    sql: str,
    *,
    width: int,
    height: int,
    columns: Sequence[Column],
    no_value: str,
) -> Panel:
    """Rows for reading and clicking; `no_value` says what an empty table means."""
    return Panel(
        type="table",
        title=title,
        about=about,
        sql=sql,
        query="table",
        width=width,
        height=height,
        unit="none",
        defaults={"custom": {"filterable": True, "inspect": True}, "thresholds": steps("text")},
        options={"cellHeight": "sm", "enablePagination": True, "showHeader": True},
        columns=tuple(columns),
        no_value=no_value,
    )


def waterfall(title: str, about: str, sql: str, *, width: int, height: int) -> Panel:
    """The trace view."""
    return Panel(
        type="traces", title=title, about=about, sql=sql, query="traces", width=width, height=height, unit="ms"
    )


def choice(name: str, label: str, sql: str) -> Json:
    """A variable filled by a query, several values, "All" by default."""
    return {
        "allowCustomValue": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "datasource": SOURCE,
        "definition": sql,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": sql,
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "type": "query",
    }


def fixed(name: str, label: str, values: Sequence[str]) -> Json:
    """A variable with a fixed list of values, "All" by default."""
    return {
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": ",".join(values),
        "type": "custom",
    }


def typed(name: str, label: str, about: str) -> Json:
    """A variable the reader types or a link fills in; empty at first."""
    return {
        "current": {"text": "", "value": ""},
        "description": about,
        "hide": 0,
        "label": label,
        "name": name,
        "options": [{"selected": True, "text": "", "value": ""}],
        "query": "",
        "type": "textbox",
    }


def grid(rows: Sequence[tuple[str, Sequence[Panel]]]) -> list[Json]:
    """Panels left to right, row under row; a row with a title gets a heading. Refuses a row that does not fit."""
    placed: list[Json] = []
    y = 0
    for heading, panels in rows:
        if heading:
            placed.append(
                {
                    "collapsed": False,
                    "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
                    "id": len(placed) + 1,
                    "panels": [],
                    "title": heading,
                    "type": "row",
                }
            )
            y += 1
        x = 0
        for panel in panels:
            if x + panel.width > WIDTH:
                raise ValueError(f"row {heading!r}: {panel.title!r} does not fit")
            placed.append(panel.json(len(placed) + 1, x, y))
            x += panel.width
        if x != WIDTH or len({panel.height for panel in panels}) != 1:
            raise ValueError(f"row {heading!r}: panels must fill {WIDTH} columns at one height")
        y += panels[0].height
    return placed


def dashboard(
    *,
    uid: str,
    title: str,
    about: str,
    variables: Sequence[Json],
    rows: Sequence[tuple[str, Sequence[Panel]]],
    others: Sequence[tuple[str, str]],
    span: str,
) -> Json:
    """A whole board; `others` are (uid, title) of the boards linked at the top, `span` how far back it looks."""
    return {
        "annotations": {"list": []},
        "description": about,
        "editable": False,
        "graphTooltip": 1,
        "id": None,
        "links": [
            {
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "title": name,
                "type": "link",
                "url": f"/d/{other}",
            }
            for other, name in others
        ],
        "panels": grid(rows),
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["spanwatch"],
        "templating": {"list": list(variables)},
        "time": {"from": f"now-{span}", "to": "now"},
        "timepicker": {},
        "timezone": "utc",
        "title": title,
        "uid": uid,
        "version": 1,
    }
