"""Settings of every test run."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests import patience

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    """Measures the machine before the processes of a parallel run start, so that all have the same factor."""
    patience.factor()


def pytest_report_header(config: pytest.Config) -> str:
    return f"time-outs: {patience.factor()} times those of a quiet machine"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what is marked `slow` unless -m names that mark or the test was named by its id."""
    named = any("::" in word for word in config.args)
    if named or "slow" in config.getoption("-m"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    items[:] = [item for item in items if item not in slow]
    config.hook.pytest_deselected(items=slow)
