"""The SOC overview: what is open, what arrived, who does it, what to rotate, and whether telemetry still flows."""

from __future__ import annotations

from grafana import questions as q
from grafana.panels import CATEGORIES, SEVERITIES, Column, Json, Panel, dashboard, series, stat, steps, table

SCOPE = (q.TENANT, q.AGENT_TYPE)
ALERT_STREAM = "Alerts, newest first"


def state() -> list[Panel]:
    """The first row: read in one glance."""
    levels = ",\n  ".join(f"countIf(Severity = '{level}') AS {level}" for level in SEVERITIES)
    still_open = q.when("Status = 'open'", *SCOPE, q.SEVERITY, column="UpdatedAt")
    exposed = q.when("Evidence['fingerprint'] != ''", "Severity >= 'medium'", *SCOPE)
    received = q.when(q.TENANT, column="ReceivedAt", run=False)
    return [
        stat(
            "Open incidents",
            "Incidents with alerts in this time range that nobody has closed.",
            f"SELECT count() AS incidents\nFROM incidents FINAL\n{still_open}",
            width=4,
            thresholds=steps("green", (1, "orange"), (5, "red")),
        ),
        stat(
            "Alerts by severity",
            "Alerts in this time range. Each alert counts once, however often its rule fired in the session.",
            f"SELECT\n  {levels}\nFROM alerts FINAL\n{q.when(*SCOPE, q.SEVERITY)}",
            width=12,
            thresholds=steps("green"),
            columns=[Column(name=level, thresholds=steps("green", (1, color))) for level, color in SEVERITIES.items()],
        ),
        stat(
            "Secrets to rotate",
            "Different secrets (by fingerprint) seen in this time range, bad checksums and low ones left out.",
            f"SELECT uniqExact(Evidence['fingerprint']) AS secrets\nFROM findings FINAL\n{exposed}",
            width=4,
            thresholds=steps("green", (1, "orange")),
        ),
        stat(
            "Last telemetry",
            "How long before the end of this time range the last span or log event was received.",
            f"SELECT dateDiff('second', max(ReceivedAt), $__toTime) AS age\nFROM spans\n{received}",
            width=4,
            unit="s",
            thresholds=steps("green", (300, "orange"), (900, "red")),
        ),
    ]


def incidents() -> Panel:
    return table(
        "Open incidents, worst first",
        "Alerts of one session that belong together. Start with the first row.",
        f"""SELECT
  toString(Severity) AS severity,
  Title AS title,
  arrayStringConcat(arrayMap(c -> replaceAll(toString(c), '_', ' '), arraySort(Categories)), ', ') AS categories,
  length(AlertIds) AS alerts,
  AgentType AS agent,
  SessionIds[1] AS session,
  OpenedAt AS opened,
  UpdatedAt AS updated,
  Tenant AS tenant,
  toUnixTimestamp64Milli(OpenedAt) - {q.HOUR_MS} AS from_ms,
  toUnixTimestamp64Milli(UpdatedAt) + {q.HOUR_MS} AS to_ms
FROM incidents FINAL
{q.when("Status = 'open'", *SCOPE, q.SEVERITY, column="UpdatedAt")}
ORDER BY Severity DESC, UpdatedAt DESC
LIMIT 100""",
        width=24,
        height=7,
        columns=[
            q.SEVERITY_COLUMN,
            Column(name="title", links=(q.to_session(),)),
            Column(name="categories", width=260),
            Column(name="alerts", unit="short", width=70),
            Column(name="agent", width=140),
            Column(name="session", width=200, links=(q.to_session(),)),
            Column(name="opened", width=170),
            Column(name="updated", width=170),
            Column(name="tenant", width=110),
            *q.HIDDEN,
        ],
        no_value="No open incident in this time range.",
    )


def alerts() -> Panel:
    return table(
        ALERT_STREAM,
        "Click a title or session to see what the session did; a trace to see its spans.",
        q.alert_stream(*SCOPE, q.SEVERITY),
        width=24,
        height=11,
        columns=q.ALERT_COLUMNS,
        no_value="No alert in this time range.",
    )


def trends() -> list[Panel]:
    names = ", ".join(f"'{name}'" for name, _ in CATEGORIES.values())
    return [
        series(
            "Alerts by category",
            "When the alerts happened (event time), by incident category.",
            f"""SELECT
  $__timeInterval(Timestamp) AS time,
  [{names}][toInt8(Category)] AS category,
  count() AS alerts
FROM alerts FINAL
{q.when(*SCOPE, q.SEVERITY)}
GROUP BY time, category
ORDER BY time""",
            width=12,
            height=9,
            bars=True,
            columns=[Column(name=name, color=color) for name, color in CATEGORIES.values()],
            no_value="No alert in this time range.",
        ),
        table(
            "Agents with most alerts",
            "Agents ordered by critical, then high, then all alerts.",
            f"""SELECT
  AgentId AS agent,
  AgentType AS type,
  Tenant AS tenant,
  countIf(Severity = 'critical') AS critical,
  countIf(Severity = 'high') AS high,
  count() AS alerts,
  uniqExact(SessionId) AS sessions,
  argMax(SessionId, LastAt) AS session,
  max(LastAt) AS last_alert,
  toUnixTimestamp64Milli(min(FirstAt)) - {q.HOUR_MS} AS from_ms,
  toUnixTimestamp64Milli(max(LastAt)) + {q.HOUR_MS} AS to_ms
FROM alerts FINAL
{q.when(*SCOPE, q.SEVERITY)}
GROUP BY agent, type, tenant
ORDER BY critical DESC, high DESC, alerts DESC
LIMIT 20""",
            width=12,
            height=9,
            columns=[
                Column(name="critical", unit="short", width=75, thresholds=steps("text", (1, SEVERITIES["critical"]))),
                Column(name="high", unit="short", width=65, thresholds=steps("text", (1, SEVERITIES["high"]))),
                Column(name="alerts", unit="short", width=70),
                Column(name="sessions", unit="short", width=80),
                Column(name="session", width=150, links=(q.to_session(),)),
                Column(name="last_alert", width=170),
                *q.HIDDEN,
            ],
            no_value="No alert in this time range.",
        ),
    ]


def secrets() -> Panel:
    return table(
        "Masked secrets: what to rotate first",
        "One row per secret, known by a keyed fingerprint; the secret itself is nowhere stored. Order: cloud provider, "
        "database, service account, third-party key.",
        q.secrets(*SCOPE, q.SEVERITY),
        width=24,
        height=9,
        columns=q.SECRET_COLUMNS,
        no_value="No secret was masked in this time range.",
    )


def hosts() -> Panel:
    return table(
        "Hosts an agent type reached for the first time",
        "Egress hosts whose very first sighting for that agent type lies in this time range.",
        f"""SELECT
  min(Timestamp) AS first_seen,
  any(Detail['host']) AS host,
  AgentType AS agent,
  Tenant AS tenant,
  argMin(Detail['tool'], Timestamp) AS tool,
  uniqExact(SessionId) AS sessions,
  argMin(SessionId, Timestamp) AS session,
  toUnixTimestamp64Milli(min(Timestamp)) - {q.HOUR_MS} AS from_ms,
  toUnixTimestamp64Milli(max(Timestamp)) + {q.HOUR_MS} AS to_ms
FROM sightings FINAL
WHERE Run = 'live'
  AND EntityKind = 'host'
  AND {q.TENANT}
  AND {q.AGENT_TYPE}
GROUP BY Tenant, AgentType, EntityId
HAVING $__timeFilter_ms(first_seen)
ORDER BY first_seen DESC
LIMIT 200""",
        width=24,
        height=8,
        columns=[
            Column(name="first_seen", width=170),
            Column(name="agent", width=160),
            Column(name="tenant", width=120),
            Column(name="tool", width=200),
            Column(name="sessions", unit="short", width=90),
            Column(name="session", width=240, links=(q.to_session(),)),
            *q.HIDDEN,
        ],
        no_value="No host was reached for the first time in this time range.",
    )


def flow() -> list[Panel]:
    """Is telemetry arriving, can we tell whose it is, how late is it."""
    received = q.when(q.TENANT, column="ReceivedAt", run=False)
    return [
        series(
            "Spans received per second, by dialect",
            "Spans and log events stored, by the dialect they were recognised as. A line that ends is an emitter gone "
            "silent.",
            f"SELECT\n  $__timeInterval(ReceivedAt) AS time,\n  Dialect AS dialect,\n"
            f"  count() / $__interval_s AS spans\nFROM spans\n{received}\nGROUP BY time, dialect\nORDER BY time",
            width=8,
            unit="cps",
            no_value="Nothing was received in this time range.",
        ),
        series(
            "Share of spans without agent or session",
            "Spans that name no agent or belong to no session. Rules that follow a session see less of them.",
            f"SELECT\n  $__timeInterval(ReceivedAt) AS time,\n"
            f"  countIf(SessionFrom = 'none' OR AgentId = '') / count() AS unresolved\n"
            f"FROM spans\n{received}\nGROUP BY time\nORDER BY time",
            width=8,
            unit="percentunit",
            thresholds=steps("green", (0.2, "orange"), (0.5, "red")),
            no_value="Nothing was received in this time range.",
        ),
        series(
            "Delay from event to receipt",
            "How long after its end a span reached the gateway: median and slowest 5 %.",
            f"""SELECT
  $__timeInterval(ReceivedAt) AS time,
  quantile(0.5)(late) AS median,
  quantile(0.95)(late) AS p95
FROM (
  SELECT
    ReceivedAt,
    toUnixTimestamp64Nano(ReceivedAt) - toUnixTimestamp64Nano(Timestamp) - toInt64(Duration) AS late_ns,
    greatest(0, late_ns / 1000000000) AS late
  FROM spans
  {received}
)
GROUP BY time
ORDER BY time""",
            width=8,
            unit="s",
            thresholds=steps("green", (60, "orange"), (600, "red")),
            no_value="Nothing was received in this time range.",
        ),
    ]


def trouble() -> list[Panel]:
    """What was refused and which detectors fail."""
    return [
        series(
            "Dead letters by reason",
            "Input that could not become spans. Growth means a broken or hostile emitter.",
            f"SELECT\n  $__timeInterval(ReceivedAt) AS time,\n  Reason AS reason,\n  count() AS letters\n"
            f"FROM dead_letters FINAL\n{q.when(q.TENANT, column='ReceivedAt', run=False)}\n"
            f"GROUP BY time, reason\nORDER BY time",
            width=12,
            bars=True,
            no_value="Nothing was refused in this time range.",
        ),
        table(
            "Detectors that failed",
            "A detector that raised on an event is skipped for that event: until it is mended it is partly blind.",
            f"""SELECT
  DetectorId AS detector,
  Reason AS reason,
  count() AS failures,
  uniqExact(Tenant, SessionId) AS sessions,
  max(Timestamp) AS last_failure
FROM failures FINAL
{q.when(q.TENANT)}
GROUP BY detector, reason
ORDER BY failures DESC
LIMIT 50""",
            width=12,
            height=8,
            columns=[
                Column(name="failures", unit="short", width=90, thresholds=steps("text", (1, "orange"), (100, "red"))),
                Column(name="sessions", unit="short", width=90),
                Column(name="last_failure", width=170),
            ],
            no_value="No detector failed in this time range.",
        ),
    ]


def board() -> Json:
    return dashboard(
        uid=q.OVERVIEW,
        title="spanwatch: overview",
        about="What the agents did that someone should look at, and whether the pipeline sees everything.",
        variables=[q.TENANTS, q.AGENT_TYPES, q.LEVELS],
        rows=[
            ("", state()),
            ("", [incidents()]),
            ("", [alerts()]),
            ("", trends()),
            ("Secrets and egress", [secrets()]),
            ("", [hosts()]),
            ("Pipeline health", flow()),
            ("", trouble()),
        ],
        others=q.others(q.OVERVIEW),
        span="24h",
    )
