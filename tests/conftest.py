"""Fixtures every test file may ask for."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.clickhouse_server", "tests.kafka_broker", "tests.stores"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")
