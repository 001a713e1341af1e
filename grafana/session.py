"""Two boards to follow one lead: everything one session did, and the spans of one trace."""

from __future__ import annotations

from grafana import questions as q
from grafana.panels import SEVERITIES, Column, Json, Panel, dashboard, stat, steps, table, waterfall

SCOPE = (q.TENANT, q.AGENT_TYPE)
NOT_CHOSEN = "Nothing here. Type a session, choose one at the bottom, or widen the time range."


def summary() -> list[Panel]:
    """What kind of session it was."""
    counted = q.when(q.THIS_SESSION, *SCOPE, run=False)
    return [
        stat(
            "Worst alert",
            "Highest severity of this session's alerts: 0 info, 1 low, 2 medium, 3 high, 4 critical.",
            f"SELECT max(toInt8(Severity)) AS worst\nFROM alerts FINAL\n{q.when(q.THIS_SESSION, *SCOPE, q.SEVERITY)}",
            width=4,
            thresholds=steps("green", (1, "yellow"), (2, "orange"), (3, "red"), (4, "dark-red")),
        ),
        stat(
            "Activity",
            "Spans, commands, and calls refused by a person or policy.",
            f"SELECT\n  count() AS spans,\n  countIf(Kind = 'command') AS commands,\n"
            f"  countIf(Fields['approval.decision'] = 'deny') AS denied\nFROM spans FINAL\n{counted}",
            width=9,
            thresholds=steps("blue"),
        ),
        stat(
            "Exposure",
            "Different secrets seen, and different hosts reached.",
            f"SELECT\n  uniqExactArray(SecretFingerprints) AS secrets,\n  uniqExactArray(EgressHosts) AS hosts\n"
            f"FROM spans FINAL\n{counted}",
            width=7,
            thresholds=steps("green", (1, "orange")),
        ),
        stat(
            "Duration",
            "From the first to the last span in this time range.",
            f"SELECT dateDiff('second', min(Timestamp), max(Timestamp)) AS duration\nFROM spans FINAL\n{counted}",
            width=4,
            unit="s",
            thresholds=steps("blue"),
        ),
    ]


def alerts(*conditions: str) -> Panel:
    return table(
        "Alerts",
        "What was found here, newest first.",
        q.alert_stream(*conditions, *SCOPE, q.SEVERITY),
        width=24,
        height=7,
        columns=q.ALERT_COLUMNS,
        no_value="No alert.",
    )


def timeline(*conditions: str) -> Panel:
    return table(
        "What happened, in order",
        "Every span and log event, oldest first. Text is masked: MASKED~rule~length~fingerprint~ stands for a secret.",
        q.timeline(*conditions, *SCOPE),
        width=24,
        height=16,
        columns=q.TIMELINE_COLUMNS,
        no_value=NOT_CHOSEN,
    )


def secrets() -> Panel:
    return table(
        "Secrets of this session",
        "In the order to revoke them.",
        q.secrets(q.THIS_SESSION, *SCOPE, q.SEVERITY),
        width=14,
        height=8,
        columns=q.SECRET_COLUMNS,
        no_value="No secret was masked in this session.",
    )


def egress() -> Panel:
    return table(
        "Hosts this session reached",
        "Where data could have gone, and after how many secrets had been seen.",
        f"""SELECT
  arrayJoin(EgressHosts) AS host,
  count() AS spans,
  sum(toUInt64OrZero(Fields['bytes.out'])) AS bytes_out,
  arrayStringConcat(arraySort(groupUniqArray(if(ToolName != '', ToolName, SpanName))), ', ') AS tools,
  min(Timestamp) AS first_reached,
  max(Timestamp) AS last_reached
FROM spans FINAL
{q.when(q.THIS_SESSION, *SCOPE, run=False)}
GROUP BY host
ORDER BY first_reached
LIMIT 200""",
        width=10,
        height=8,
        columns=[
            Column(name="spans", unit="short", width=70),
            Column(name="bytes_out", unit="bytes", width=90),
            Column(name="first_reached", width=170),
            Column(name="last_reached", width=170),
        ],
        no_value="No host is known to have been reached in this session.",
    )


def sessions() -> Panel:
    """Where to go from here, and what to do on an empty board."""
    return table(
        "Sessions with alerts: choose one",
        "Sessions with alerts in this time range, worst first.",
        f"""SELECT
  toString(max(Severity)) AS severity,
  SessionId AS session,
  AgentId AS agent,
  AgentType AS type,
  Tenant AS tenant,
  count() AS alerts,
  arrayStringConcat(arraySort(groupUniqArray(Title)), ', ') AS titles,
  max(LastAt) AS last_alert,
  toUnixTimestamp64Milli(min(FirstAt)) - {q.HOUR_MS} AS from_ms,
  toUnixTimestamp64Milli(max(LastAt)) + {q.HOUR_MS} AS to_ms
FROM alerts FINAL
{q.when(*SCOPE, q.SEVERITY)}
GROUP BY session, agent, type, tenant
ORDER BY max(Severity) DESC, last_alert DESC
LIMIT 200""",
        width=24,
        height=8,
        columns=[
            Column(name="severity", width=90, colors=SEVERITIES),
            Column(name="session", width=260, links=(q.to_session(),)),
            Column(name="agent", width=160),
            Column(name="type", width=140),
            Column(name="tenant", width=110),
            Column(name="alerts", unit="short", width=70),
            Column(name="titles", wrap=True),
            Column(name="last_alert", width=170),
            *q.HIDDEN,
        ],
        no_value="No session has an alert in this time range.",
    )


def board() -> Json:
    return dashboard(
        uid=q.SESSION,
        title="spanwatch: session",
        about="Everything one session did, what was found in it, which secrets it saw and which hosts it reached.",
        variables=[q.ONE_SESSION, q.TENANTS, q.AGENT_TYPES, q.LEVELS],
        rows=[
            ("", summary()),
            ("", [alerts(q.THIS_SESSION)]),
            ("", [timeline(q.THIS_SESSION)]),
            ("", [secrets(), egress()]),
            ("Other sessions", [sessions()]),
        ],
        others=q.others(q.SESSION),
        span="24h",
    )


def trace_board() -> Json:
    spans = f"""SELECT
  TraceId AS traceID,
  SpanId AS spanID,
  ParentSpanId AS parentSpanID,
  ServiceName AS serviceName,
  SpanName AS operationName,
  toUnixTimestamp64Nano(Timestamp) / 1000000 AS startTime,
  Duration / 1000000 AS duration,
  if(lower(StatusCode) = 'error', 2, 0) AS statusCode,
  arrayMap((k, v) -> map('key', k, 'value', substring(v, 1, 1000)), mapKeys(Fields), mapValues(Fields)) AS tags,
  arrayMap((k, v) -> map('key', k, 'value', v), mapKeys(ResourceAttributes), mapValues(ResourceAttributes))
    AS serviceTags
FROM spans FINAL
{q.when("Signal = 'span'", q.THIS_TRACE, *SCOPE, run=False)}
ORDER BY Timestamp
LIMIT 2000"""
    return dashboard(
        uid=q.TRACE,
        title="spanwatch: trace",
        about="The spans of one trace as a waterfall and in order, and what was found in them.",
        variables=[q.ONE_TRACE, q.TENANTS, q.AGENT_TYPES, q.LEVELS],
        rows=[
            (
                "",
                [waterfall("Trace", "Spans by time and parent; click one for its fields.", spans, width=24, height=14)],
            ),
            ("", [alerts(q.THIS_TRACE)]),
            ("", [timeline(q.THIS_TRACE)]),
        ],
        others=q.others(q.TRACE),
        span="24h",
    )
