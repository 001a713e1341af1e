#!/usr/bin/env bash
# Makes the topics before anything runs, with their retention said out loud; running it again changes nothing.
# The two otlp_ topics are written by an OpenTelemetry Collector and hold raw text: an hour and no more.
# Everything else holds masked records only. Partitions and record size are those the gateway and workers ask for.
set -euo pipefail

BROKER="${KAFKA_BROKERS:?host:port of the broker}"
PARTITIONS="${PARTITIONS:?partitions of each topic}"
REPLICATION="${REPLICATION:?copies of each partition}"

make_topic() {
    local name="$1" retention_ms="$2"
    /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BROKER" --create --if-not-exists --topic "$name" \
        --partitions "$PARTITIONS" --replication-factor "$REPLICATION" \
        --config "retention.ms=$retention_ms" --config max.message.bytes=8454144
}

make_topic otlp_spans 3600000
make_topic otlp_logs 3600000
make_topic spans 259200000
make_topic activity 259200000
make_topic dead_letters 2592000000
make_topic alerts 2592000000
