-- How far the workers are. A plan row goes in before a block's data: after a restart the same range is cut again.
CREATE TABLE IF NOT EXISTS {database}.{local:plan} {on_cluster}
(
    Run         LowCardinality(String),
    Topic       LowCardinality(String),
    Partition   UInt32,
    FirstOffset Int64,
    LastOffset  Int64,
    StoredAt    DateTime64(9)
)
ENGINE = {engine:MergeTree}
PARTITION BY toYYYYMM(StoredAt)
ORDER BY (Run, Topic, Partition, FirstOffset)
TTL StoredAt + toIntervalDay(30)
SETTINGS {deduplication}, auto_statistics_types = '';

{distributed:plan:cityHash64(Topic, Partition)};

-- State of an engine with the offset it stands for; the newest row of a partition is the checkpoint.
CREATE TABLE IF NOT EXISTS {database}.{local:checkpoints} {on_cluster}
(
    Topic      LowCardinality(String),
    Partition  UInt32,
    NextOffset Int64,
    Version    UInt64,
    SavedAt    DateTime64(9),
    RulesHash  String,
    State      String CODEC(ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree(Version)}
ORDER BY (Topic, Partition)
SETTINGS {deduplication}, min_bytes_for_wide_part = 268435456, auto_statistics_types = '';

{distributed:checkpoints:cityHash64(Topic, Partition)};
