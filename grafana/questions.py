"""The questions the boards share, as SQL: one place for filters, names of columns and links between boards.

Tables and columns are those of `pipeline/schema`. Boards filter by event time; alert rules by when a row was stored,
so that late telemetry still pages. `Run = 'live'` keeps replays out.
"""

from __future__ import annotations

from grafana.panels import SEVERITIES, Column, Json, choice, fixed, link, steps, typed

OVERVIEW = "spanwatch-overview"
SESSION = "spanwatch-session"
TRACE = "spanwatch-trace"
BOARDS = ((OVERVIEW, "Overview"), (SESSION, "Session"), (TRACE, "Trace"))

HOUR_MS = 3_600_000

TENANT = "$__conditionalAll(Tenant IN (${tenant:singlequote}), $tenant)"
AGENT_TYPE = "$__conditionalAll(AgentType IN (${agent_type:singlequote}), $agent_type)"
SEVERITY = "$__conditionalAll(toString(Severity) IN (${severity:singlequote}), $severity)"
THIS_SESSION = "SessionId = ${session:singlequote}"
THIS_TRACE = "TraceId = ${trace:singlequote}"

# The order in which to revoke: what opens most comes first.
ROTATION = ("cloud", "database", "service_account", "third_party")

TENANTS = choice(
    "tenant", "Tenant", "SELECT DISTINCT Tenant FROM alerts WHERE $__timeFilter_ms(Timestamp) ORDER BY Tenant"
)
AGENT_TYPES = choice(
    "agent_type",
    "Agent type",
    "SELECT DISTINCT AgentType FROM alerts WHERE $__timeFilter_ms(Timestamp) AND AgentType != '' ORDER BY AgentType",
)
LEVELS = fixed("severity", "Severity", list(SEVERITIES))
ONE_SESSION = typed("session", "Session", "Id of one session; links from the overview fill it in.")
ONE_TRACE = typed("trace", "Trace", "Id of one trace; links from alerts fill it in.")


def when(*conditions: str, column: str = "Timestamp", run: bool = True) -> str:
    """A WHERE clause over the board's time range, results of the live run only."""
    parts = [f"$__timeFilter_ms({column})"]
    if run:
        parts.insert(0, "Run = 'live'")
    return "WHERE " + "\n  AND ".join([*parts, *conditions])


def others(here: str) -> list[tuple[str, str]]:
    """The boards to link to from `here`."""
    return [board for board in BOARDS if board[0] != here]


def _window(first: str, last: str) -> str:
    """Columns that let a link open another board at the right time, an hour to either side."""
    return (
        f"toUnixTimestamp64Milli({first}) - {HOUR_MS} AS from_ms,\n"
        f"  toUnixTimestamp64Milli({last}) + {HOUR_MS} AS to_ms"
    )


def to_session() -> Json:
    return link(
        "What this session did",
        f"/d/{SESSION}?var-session=${{__data.fields.session:percentencode}}"
        "&from=${__data.fields.from_ms}&to=${__data.fields.to_ms}",
    )


def to_trace() -> Json:
    return link(
        "The trace",
        f"/d/{TRACE}?var-trace=${{__data.fields.trace:percentencode}}"
        "&from=${__data.fields.from_ms}&to=${__data.fields.to_ms}",
    )


HIDDEN = (Column(name="from_ms", hidden=True), Column(name="to_ms", hidden=True))
SEVERITY_COLUMN = Column(name="severity", width=90, colors=SEVERITIES)

# Where a text column may hold a stranger's words, it is cut: the full text is in the span.
_EVIDENCE = (
    "substring(arrayStringConcat(arrayMap((k, v) -> concat(k, '=', v),\n"
    "    arrayFilter(k -> k NOT IN ('advice', 'rule'), mapKeys(Evidence)),\n"
    "    arrayFilter((v, k) -> k NOT IN ('advice', 'rule'), mapValues(Evidence), mapKeys(Evidence))), ', '), 1, 400)"
)


def alert_stream(*conditions: str) -> str:
    """Alerts, newest first, with what a reader needs to decide whether to look closer."""
    return f"""SELECT
  LastAt AS time,
  toString(Severity) AS severity,
  Title AS title,
  replaceAll(toString(Category), '_', ' ') AS category,
  AgentType AS agent,
  SessionId AS session,
  {_EVIDENCE} AS evidence,
  FindingCount AS findings,
  toString(Confidence) AS confidence,
  RuleId AS rule,
  Tenant AS tenant,
  TraceId AS trace,
  {_window("FirstAt", "LastAt")}
FROM alerts FINAL
{when(*conditions)}
ORDER BY LastAt DESC
LIMIT 500"""


ALERT_COLUMNS = (
    Column(name="time", width=170),
    SEVERITY_COLUMN,
    Column(name="title", width=260, links=(to_session(),)),
    Column(name="category", width=150),
    Column(name="agent", width=130),
    Column(name="session", width=170, links=(to_session(),)),
    Column(name="evidence", wrap=True),
    Column(name="findings", unit="short", width=80),
    Column(name="confidence", width=100),
    Column(name="rule", width=220),
    Column(name="tenant", width=100),
    Column(name="trace", width=120, links=(to_trace(),)),
    *HIDDEN,
)


def secrets(*conditions: str) -> str:
    """Masked secrets, in the order to revoke them: kind of access, severity, how long ago it was last seen."""
    order = ", ".join(f"'{kind}'" for kind in ROTATION)
    return f"""SELECT
  replaceAll(anyLast(Evidence['rotation']), '_', ' ') AS access,
  anyLast(Evidence['issuer']) AS issuer,
  anyLast(Title) AS kind,
  Evidence['fingerprint'] AS fingerprint,
  toString(max(Severity)) AS severity,
  if(countIf(Confidence = 'confirmed') > 0, 'confirmed', 'suspected') AS confidence,
  min(Timestamp) AS first_seen,
  max(Timestamp) AS last_seen,
  uniqExact(Tenant, SessionId) AS sessions,
  uniqExact(Tenant, AgentId) AS agents,
  arrayStringConcat(arraySort(groupUniqArray(Evidence['surface'])), ', ') AS seen_in,
  argMax(SessionId, Timestamp) AS session,
  argMax(Evidence['advice'], Timestamp) AS advice,
  {_window("min(Timestamp)", "max(Timestamp)")}
FROM findings FINAL
{when("Evidence['fingerprint'] != ''", *conditions)}
GROUP BY fingerprint
ORDER BY indexOf([{order}], anyLast(Evidence['rotation'])) = 0, indexOf([{order}], anyLast(Evidence['rotation'])),
  max(Severity) DESC, last_seen DESC
LIMIT 200"""


SECRET_COLUMNS = (
    Column(name="access", width=120),
    Column(name="issuer", width=160),
    Column(name="kind", width=230),
    Column(name="fingerprint", width=160),
    SEVERITY_COLUMN,
    Column(name="confidence", width=100),
    Column(name="first_seen", width=170),
    Column(name="last_seen", width=170),
    Column(name="sessions", unit="short", width=80, thresholds=steps("text", (2, "orange"))),
    Column(name="agents", unit="short", width=70, thresholds=steps("text", (2, "orange"))),
    Column(name="seen_in", width=160),
    Column(name="session", width=170, links=(to_session(),)),
    Column(name="advice", wrap=True),
    *HIDDEN,
)


def timeline(*conditions: str) -> str:
    """Spans and log events in order, with what each did in the words that were left after masking."""
    what = ("command.line", "db.statement", "url", "path", "arguments", "prompt", "completion", "error")
    said = ",\n    ".join(f"nullIf(Fields['{name}'], '')" for name in what)
    return f"""SELECT
  Timestamp AS time,
  Kind AS kind,
  if(ToolName != '', ToolName, SpanName) AS tool,
  substring(coalesce(
    {said}, ''), 1, 600) AS what,
  arrayStringConcat(EgressHosts, ', ') AS host,
  trim(concat(Fields['approval.decision'], ' ', Fields['approval.source'])) AS approval,
  arrayStringConcat(arrayDistinct(SecretRules), ', ') AS secrets,
  StatusCode AS status,
  Duration / 1000000 AS duration,
  AgentId AS agent,
  SessionId AS session,
  TraceId AS trace,
  {_window("Timestamp", "Timestamp")}
FROM spans FINAL
{when(*conditions, run=False)}
ORDER BY Timestamp, Partition, RecordOffset, RecordIndex
LIMIT 2000"""


TIMELINE_COLUMNS = (
    Column(name="time", width=190),
    Column(name="kind", width=110),
    Column(name="tool", width=180),
    Column(name="what", wrap=True),
    Column(name="host", width=180),
    Column(name="approval", width=110, colors={"deny human": "red", "deny policy": "red", "deny hook": "red"}),
    Column(name="secrets", width=200),
    Column(name="status", width=80, colors={"Error": "red", "error": "red"}),
    Column(name="duration", unit="ms", width=90),
    Column(name="agent", width=140),
    Column(name="session", width=150, links=(to_session(),)),
    Column(name="trace", width=120, links=(to_trace(),)),
    *HIDDEN,
)
