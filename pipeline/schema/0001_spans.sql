-- Spans: the history everything is derived from. One row per delivery until a merge, or FINAL, keeps the first.
-- Raw is the whole Span; the columns before it are what people search by, the aliases after it are read from it.
-- Columns shared with the OpenTelemetry Collector's otel_traces have its names, types and units.
CREATE TABLE IF NOT EXISTS {database}.{local:spans} {on_cluster}
(
    Timestamp          DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    TraceId            String CODEC(ZSTD(1)),
    SpanId             String CODEC(ZSTD(1)),
    ParentSpanId       String CODEC(ZSTD(1)),
    SpanName           LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName        LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName          LowCardinality(String) CODEC(ZSTD(1)),
    ScopeVersion       LowCardinality(String) CODEC(ZSTD(1)),
    Duration           UInt64 CODEC(T64, ZSTD(1)),
    StatusCode         LowCardinality(String) CODEC(ZSTD(1)),
    Id                 String CODEC(ZSTD(1)),
    Signal             LowCardinality(String) CODEC(ZSTD(1)),
    Tenant             LowCardinality(String) CODEC(ZSTD(1)),
    Emitter            LowCardinality(String) CODEC(ZSTD(1)),
    SessionId          String CODEC(ZSTD(1)),
    SessionFrom        LowCardinality(String) CODEC(ZSTD(1)),
    AgentId            LowCardinality(String) CODEC(ZSTD(1)),
    AgentType          LowCardinality(String) CODEC(ZSTD(1)),
    Dialect            LowCardinality(String) CODEC(ZSTD(1)),
    Kind               LowCardinality(String) CODEC(ZSTD(1)),
    CallId             String CODEC(ZSTD(1)),
    ToolName           LowCardinality(String) CODEC(ZSTD(1)),
    EgressHosts        Array(LowCardinality(String)) CODEC(ZSTD(1)),
    SecretRules        Array(LowCardinality(String)) CODEC(ZSTD(1)),
    SecretSurfaces     Array(LowCardinality(String)) CODEC(ZSTD(1)),
    SecretFingerprints Array(String) CODEC(ZSTD(1)),
    ReceivedAt         DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Topic              LowCardinality(String) CODEC(ZSTD(1)),
    Partition          UInt32 CODEC(ZSTD(1)),
    RecordOffset       Int64 CODEC(Delta(8), ZSTD(1)),
    RecordIndex        UInt32 CODEC(ZSTD(1)),
    Raw                String CODEC(ZSTD(1)),
    -- The earliest delivery of a span wins, so history keeps the order the engine saw.
    Precedence         UInt64 MATERIALIZED toUInt64(9223372036854775807 - toUnixTimestamp64Nano(ReceivedAt)) CODEC(Delta(8), ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) ALIAS JSONExtract(Raw, 10, 5, 'Map(LowCardinality(String), String)'),
    Fields             Map(LowCardinality(String), String) ALIAS JSONExtract(Raw, 21, 'Map(LowCardinality(String), String)'),
    SpanAttributes     Map(LowCardinality(String), String) ALIAS JSONExtract(Raw, 22, 'Map(LowCardinality(String), String)'),
    StatusMessage      String ALIAS JSONExtractString(Raw, 22, 'status.message'),
    INDEX by_trace     TraceId TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_session   SessionId TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_call      CallId TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset    RecordOffset TYPE minmax GRANULARITY 1
)
ENGINE = {engine:ReplacingMergeTree(Precedence)}
PARTITION BY toDate(ReceivedAt)
PRIMARY KEY (Tenant, toStartOfHour(Timestamp), SessionId)
ORDER BY (Tenant, toStartOfHour(Timestamp), SessionId, Timestamp, Id)
TTL ReceivedAt + toIntervalDay({retention_days})
SETTINGS {deduplication}, ttl_only_drop_parts = 1, min_bytes_for_wide_part = 268435456, auto_statistics_types = '';

{distributed:spans:cityHash64(SessionId)};
