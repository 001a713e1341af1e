-- What is reported. Ids are functions of what was found, so a row written again replaces itself; read with FINAL.
CREATE TABLE IF NOT EXISTS {database}.{local:findings} {on_cluster}
(
    Timestamp       DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Id              String CODEC(ZSTD(1)),
    Run             LowCardinality(String) DEFAULT 'live',
    DetectorId      LowCardinality(String),
    DetectorVersion LowCardinality(String),
    RuleId          LowCardinality(String),
    Title           LowCardinality(String),
    Severity        Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4),
    Category        Enum8('data_exfiltration' = 1, 'hallucination' = 2, 'overreach' = 3, 'credential_exposure' = 4, 'shadow_ai' = 5),
    Confidence      Enum8('suspected' = 1, 'confirmed' = 2),
    Score           Nullable(Float64),
    Tenant          LowCardinality(String),
    AgentId         LowCardinality(String),
    AgentType       LowCardinality(String),
    SessionId       String CODEC(ZSTD(1)),
    TraceId         String CODEC(ZSTD(1)),
    SpanId          String CODEC(ZSTD(1)),
    GroupKey        String CODEC(ZSTD(1)),
    Evidence        Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    SpanIds         Array(String) CODEC(ZSTD(1)),
    Standards       Array(LowCardinality(String)) CODEC(ZSTD(1)),
    StoredAt        DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    INDEX by_time   Timestamp TYPE minmax GRANULARITY 1,
    INDEX by_trace  TraceId TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session SessionId TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMM(StoredAt)
ORDER BY (Run, Tenant, RuleId, SessionId, Id)
TTL StoredAt + toIntervalDay({alert_retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:findings:cityHash64(SessionId)};

CREATE TABLE IF NOT EXISTS {database}.{local:alerts} {on_cluster}
(
    Timestamp    DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    FirstAt      DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    LastAt       DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Id           String CODEC(ZSTD(1)),
    Version      UInt64,
    Run          LowCardinality(String) DEFAULT 'live',
    RuleId       LowCardinality(String),
    DetectorId   LowCardinality(String),
    Title        LowCardinality(String),
    Severity     Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4),
    Category     Enum8('data_exfiltration' = 1, 'hallucination' = 2, 'overreach' = 3, 'credential_exposure' = 4, 'shadow_ai' = 5),
    Confidence   Enum8('suspected' = 1, 'confirmed' = 2),
    Score        Nullable(Float64),
    Tenant       LowCardinality(String),
    AgentId      LowCardinality(String),
    AgentType    LowCardinality(String),
    SessionId    String CODEC(ZSTD(1)),
    TraceId      String CODEC(ZSTD(1)),
    SpanId       String CODEC(ZSTD(1)),
    FindingCount UInt64,
    FindingIds   Array(String) CODEC(ZSTD(1)),
    IncidentId   String CODEC(ZSTD(1)),
    Evidence     Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Standards    Array(LowCardinality(String)) CODEC(ZSTD(1)),
    StoredAt     DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    INDEX by_time   Timestamp TYPE minmax GRANULARITY 1,
    INDEX by_session SessionId TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {engine:ReplacingMergeTree(Version)}
PARTITION BY toYYYYMM(StoredAt)
ORDER BY (Run, Tenant, RuleId, SessionId, Id)
TTL StoredAt + toIntervalDay({alert_retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:alerts:cityHash64(SessionId)};

-- Rows of one incident merge: union of sessions and alerts, worst severity, widest time; any order, any number of times.
CREATE TABLE IF NOT EXISTS {database}.{local:incidents} {on_cluster}
(
    Id         String CODEC(ZSTD(1)),
    Run        LowCardinality(String) DEFAULT 'live',
    Tenant     LowCardinality(String),
    AgentId    SimpleAggregateFunction(max, String),
    AgentType  SimpleAggregateFunction(max, String),
    SessionIds SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    AlertIds   SimpleAggregateFunction(groupUniqArrayArray, Array(String)) CODEC(ZSTD(1)),
    Categories SimpleAggregateFunction(groupUniqArrayArray, Array(Enum8('data_exfiltration' = 1, 'hallucination' = 2, 'overreach' = 3, 'credential_exposure' = 4, 'shadow_ai' = 5))),
    Severity   SimpleAggregateFunction(max, Enum8('info' = 0, 'low' = 1, 'medium' = 2, 'high' = 3, 'critical' = 4)),
    OpenedAt   SimpleAggregateFunction(min, DateTime64(9)),
    UpdatedAt  SimpleAggregateFunction(max, DateTime64(9)),
    Status     SimpleAggregateFunction(max, String),
    Title      SimpleAggregateFunction(max, String),
    StoredOn   Date32
)
ENGINE = {engine:AggregatingMergeTree}
PARTITION BY toYYYYMM(StoredOn)
ORDER BY (Run, Tenant, Id)
TTL StoredOn + toIntervalDay({alert_retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:incidents:cityHash64(Id)};
