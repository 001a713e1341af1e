#!/usr/bin/env bash
# Makes the topics once, with partitions and retention said out loud; running it again changes nothing.
# The two otlp_ topics are written by an OpenTelemetry Collector and hold raw text: an hour and no more.
# Everything else holds masked records only.
set -euo pipefail

BROKER="${KAFKA_BROKERS:?host:port of the broker}"
PARTITIONS="${PARTITIONS:-12}"
REPLICATION="${REPLICATION:-1}"

make_topic() {
    local name="$1" partitions="$2"
    shift 2
    /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BROKER" --create --if-not-exists --topic "$name" \
        --partitions "$partitions" --replication-factor "$REPLICATION" "$@"
}

make_topic otlp_spans "$PARTITIONS" --config retention.ms=3600000 --config max.message.bytes=8388608
make_topic otlp_logs "$PARTITIONS" --config retention.ms=3600000 --config max.message.bytes=8388608
make_topic spans "$PARTITIONS" --config retention.ms=259200000 --config max.message.bytes=8388608
make_topic activity "$PARTITIONS" --config retention.ms=259200000 --config max.message.bytes=8388608
make_topic dead_letters 1 --config retention.ms=2592000000
make_topic alerts 1 --config retention.ms=2592000000
