-- What stage one tells stage two: activity of a session per minute, and entities seen.
-- Partitioned by the day a row was stored: event time is asserted, and absurd times must not make partitions.
CREATE TABLE IF NOT EXISTS {database}.{local:windows} {on_cluster}
(
    Timestamp   DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    EndedAt     DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Id          String CODEC(ZSTD(1)),
    Run         LowCardinality(String) DEFAULT 'live',
    Tenant      LowCardinality(String),
    AgentId     LowCardinality(String),
    AgentType   LowCardinality(String),
    SessionId   String CODEC(ZSTD(1)),
    LastTraceId String CODEC(ZSTD(1)),
    LastSpanId  String CODEC(ZSTD(1)),
    Counts      Map(LowCardinality(String), Int64) CODEC(ZSTD(1)),
    Tools       Array(LowCardinality(String)) CODEC(ZSTD(1)),
    Hosts       Array(LowCardinality(String)) CODEC(ZSTD(1)),
    StoredAt    DateTime64(9) CODEC(Delta(8), ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toDate(StoredAt)
ORDER BY (Run, Tenant, AgentId, Timestamp, Id)
TTL StoredAt + toIntervalDay({retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:windows:cityHash64(SessionId)};

CREATE TABLE IF NOT EXISTS {database}.{local:sightings} {on_cluster}
(
    Timestamp  DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Id         String CODEC(ZSTD(1)),
    Run        LowCardinality(String) DEFAULT 'live',
    Tenant     LowCardinality(String),
    EntityKind LowCardinality(String),
    EntityId   String CODEC(ZSTD(1)),
    AgentId    LowCardinality(String),
    AgentType  LowCardinality(String),
    SessionId  String CODEC(ZSTD(1)),
    TraceId    String CODEC(ZSTD(1)),
    SpanId     String CODEC(ZSTD(1)),
    Detail     Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StoredAt   DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    INDEX by_session SessionId TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toDate(StoredAt)
ORDER BY (Run, Tenant, EntityKind, EntityId, Id)
TTL StoredAt + toIntervalDay({retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:sightings:cityHash64(SessionId)};
