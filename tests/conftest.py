"""Fixtures every test file may ask for."""

pytest_plugins = ["tests.kafka_broker"]
