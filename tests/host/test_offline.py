"""One variable decides whether sockets may be opened."""

import pytest

from pipeline.host import offline


@pytest.mark.parametrize("value, expected", [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_the_variable_decides(monkeypatch, value, expected):
    monkeypatch.delenv(offline.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(offline.VARIABLE, value)
    assert offline.is_offline() is expected


def test_going_offline_is_inherited(monkeypatch):
    monkeypatch.setenv(offline.VARIABLE, "0")
    offline.go_offline()
    assert offline.is_offline()
