-- What went wrong: input that could not become spans, and detectors that raised. Neither holds any input.
CREATE TABLE IF NOT EXISTS {database}.{local:dead_letters} {on_cluster}
(
    ReceivedAt  DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Id          String CODEC(ZSTD(1)),
    Reason      LowCardinality(String),
    Detail      String CODEC(ZSTD(1)),
    Origin      String CODEC(ZSTD(1)),
    Tenant      LowCardinality(String),
    Emitter     LowCardinality(String),
    Size        UInt64,
    Fingerprint String CODEC(ZSTD(1)),
    StoredAt    DateTime64(9) CODEC(Delta(8), ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMM(StoredAt)
ORDER BY (Tenant, Reason, Id)
TTL StoredAt + toIntervalDay({alert_retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:dead_letters:cityHash64(Id)};

CREATE TABLE IF NOT EXISTS {database}.{local:failures} {on_cluster}
(
    Timestamp  DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Id         String CODEC(ZSTD(1)),
    Run        LowCardinality(String) DEFAULT 'live',
    DetectorId LowCardinality(String),
    Tenant     LowCardinality(String),
    SessionId  String CODEC(ZSTD(1)),
    SpanId     String CODEC(ZSTD(1)),
    Reason     String CODEC(ZSTD(1)),
    StoredAt   DateTime64(9) CODEC(Delta(8), ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMM(StoredAt)
ORDER BY (Run, DetectorId, Tenant, SessionId, Id)
TTL StoredAt + toIntervalDay({alert_retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, auto_statistics_types = '';

{distributed:failures:cityHash64(SessionId)};
