"""What pages someone: two rules, one contact point, one policy; and the provisioning of data source and boards."""

from __future__ import annotations

from typing import Any

from grafana.panels import PLUGIN, SOURCE_UID, Json

FOLDER = "spanwatch"
CONTACT = "spanwatch-on-call"
BOARDS_PATH = "/var/lib/spanwatch/dashboards"
LOOK_BACK_S = 900

# One row per alert and session: each becomes an alert of its own, labelled with the text columns.
ARRIVED = """SELECT
  toString(Severity) AS severity,
  replaceAll(toString(Category), '_', ' ') AS category,
  Title AS title,
  Tenant AS tenant,
  AgentType AS agent_type,
  SessionId AS session,
  toFloat64(count()) AS value
FROM alerts FINAL
WHERE Run = 'live'
  AND Severity >= 'high'
  AND $__timeFilter_ms(StoredAt)
GROUP BY severity, category, title, tenant, agent_type, session
ORDER BY severity, title
LIMIT 100"""

# One row per problem; more than nothing is a problem.
UNSEEN = """SELECT
  'telemetry silent' AS problem,
  toFloat64(countIf(ReceivedAt >= $__fromTime_ms) = 0 AND count() > 0) AS value
FROM spans
WHERE ReceivedAt >= $__fromTime_ms - INTERVAL 1 DAY AND ReceivedAt <= $__toTime_ms
UNION ALL
SELECT
  'dead letters growing' AS problem,
  toFloat64(countIf(ReceivedAt >= $__fromTime_ms) >= 20
    AND countIf(ReceivedAt >= $__fromTime_ms) > 3 * countIf(ReceivedAt < $__fromTime_ms) / 24) AS value
FROM dead_letters FINAL
WHERE ReceivedAt >= $__fromTime_ms - INTERVAL 6 HOUR AND ReceivedAt <= $__toTime_ms
UNION ALL
SELECT
  'detector failing' AS problem,
  toFloat64(count() >= 20) AS value
FROM failures FINAL
WHERE Run = 'live' AND $__timeFilter_ms(StoredAt)"""


def _expression(ref: str, kind: str, of: str, **more: Any) -> Json:
    source = {"type": "__expr__", "uid": "__expr__"}
    model = {"datasource": source, "expression": of, "refId": ref, "type": kind, **more}
    return {"datasourceUid": "__expr__", "model": model, "refId": ref, "relativeTimeRange": {"from": 0, "to": 0}}


def rule(
    uid: str, title: str, sql: str, *, labels: Json, annotations: Json, wait: str, no_data: str, panel: tuple[str, int]
) -> Json:
    """A rule that fires for each row whose number is above zero."""
    query = {
        "datasourceUid": SOURCE_UID,
        "model": {
            "datasource": {"type": PLUGIN, "uid": SOURCE_UID},
            "editorType": "sql",
            "format": 1,
            "intervalMs": 1000,
            "maxDataPoints": 43200,
            "queryType": "table",
            "rawSql": sql,
            "refId": "A",
        },
        "refId": "A",
        "relativeTimeRange": {"from": LOOK_BACK_S, "to": 0},
    }
    above = [{"evaluator": {"params": [0], "type": "gt"}}]
    return {
        "annotations": annotations,
        "condition": "C",
        "dashboardUid": panel[0],
        "data": [
            query,
            _expression("B", "reduce", "A", reducer="last", settings={"mode": "dropNN"}),
            _expression("C", "threshold", "B", conditions=above),
        ],
        "execErrState": "Error",
        "for": wait,
        "isPaused": False,
        "labels": labels,
        "missing_series_evals_to_resolve": 1,
        "noDataState": no_data,
        "panelId": panel[1],
        "title": title,
        "uid": uid,
    }


def rules(stream: tuple[str, int], health: tuple[str, int]) -> Json:
    """Rule groups; `stream` and `health` are (board, panel) the two rules are shown with."""
    arrived = rule(
        "spanwatch-alert-arrived",
        "Critical or high alert",
        ARRIVED,
        labels={"source": "spanwatch", "kind": "detection"},
        annotations={
            "summary": "{{ $labels.severity }}: {{ $labels.title }} ({{ $labels.category }})",
            "description": "Agent type {{ $labels.agent_type }} of tenant {{ $labels.tenant }}, session "
            "{{ $labels.session }}. Open the session board for what it did, in order.",
        },
        wait="0s",
        no_data="OK",
        panel=stream,
    )
    unseen = rule(
        "spanwatch-pipeline-health",
        "spanwatch sees less than it should",
        UNSEEN,
        labels={"source": "spanwatch", "kind": "health", "severity": "high"},
        annotations={
            "summary": "{{ $labels.problem }}",
            "description": "Telemetry silent: nothing was received for 15 minutes although there was telemetry in the "
            "day before. Dead letters growing: three times as many refusals as in the six hours before. Detector "
            "failing: a detector raised on 20 events or more.",
        },
        wait="2m",
        no_data="Alerting",
        panel=health,
    )
    groups = [
        {"folder": FOLDER, "interval": "1m", "name": name, "orgId": 1, "rules": [one]}
        for name, one in (("detections", arrived), ("health", unseen))
    ]
    return {"apiVersion": 1, "groups": groups}


def contact_points() -> Json:
    settings = {"httpMethod": "POST", "maxAlerts": "0", "url": "$ALERT_WEBHOOK_URL"}
    receiver = {
        "disableResolveMessage": False,
        "settings": settings,
        "type": "webhook",
        "uid": "spanwatch-webhook",
    }
    return {"apiVersion": 1, "contactPoints": [{"name": CONTACT, "orgId": 1, "receivers": [receiver]}]}


def policies() -> Json:
    """One tree: it replaces whatever was there. Detections are told at once, each session by itself."""
    return {
        "apiVersion": 1,
        "policies": [
            {
                "group_by": ["alertname"],
                "group_interval": "5m",
                "group_wait": "30s",
                "orgId": 1,
                "receiver": CONTACT,
                "repeat_interval": "4h",
                "routes": [
                    {
                        "continue": False,
                        "group_by": ["alertname", "tenant", "session"],
                        "group_interval": "1m",
                        "group_wait": "5s",
                        "object_matchers": [["kind", "=", "detection"]],
                        "receiver": CONTACT,
                        "repeat_interval": "12h",
                    }
                ],
            }
        ],
    }


def data_source() -> Json:
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "access": "proxy",
                "editable": False,
                "isDefault": True,
                "jsonData": {
                    "defaultDatabase": "spanwatch",
                    "dialTimeout": "10",
                    "host": "$CLICKHOUSE_HOST",
                    "port": 9000,
                    "protocol": "native",
                    "queryTimeout": "60",
                    "secure": False,
                    "username": "grafana",
                },
                "name": "spanwatch",
                "secureJsonData": {"password": "$CLICKHOUSE_GRAFANA_PASSWORD"},
                "type": PLUGIN,
                "uid": SOURCE_UID,
            }
        ],
    }


def board_provider() -> Json:
    return {
        "apiVersion": 1,
        "providers": [
            {
                "allowUiUpdates": False,
                "disableDeletion": False,
                "folder": FOLDER,
                "name": "spanwatch",
                "options": {"path": BOARDS_PATH},
                "type": "file",
                "updateIntervalSeconds": 60,
            }
        ],
    }
