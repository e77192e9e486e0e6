"""Settings of every test run."""

from __future__ import annotations

import pytest

from tests import patience


def pytest_configure(config: pytest.Config) -> None:
    """Measures the machine before the processes of a parallel run start, so that all have the same factor."""
    patience.factor()


def pytest_report_header(config: pytest.Config) -> str:
    return f"time-outs: {patience.factor()} times those of a quiet machine"
