"""Fixtures every test file may ask for."""

pytest_plugins = ["tests.clickhouse_server", "tests.kafka_broker"]
