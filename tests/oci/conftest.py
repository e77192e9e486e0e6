"""Every test of this folder stands alone; servers and resolvers for several of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oci import craft, servers
from tests.oci.servers import Server


@pytest.fixture(autouse=True)
def _alone(alone: None) -> None:
    """Every test of this folder stands alone."""


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    craft.image(tmp_path / "layout", [craft.archive(craft.entry("x"))], name="1")
    return tmp_path / "layout"


@pytest.fixture
def far(layout: Path) -> Iterator[Server]:
    with servers.server(layout) as found:
        yield found


@pytest.fixture
def other(layout: Path) -> Iterator[Server]:
    with servers.server(layout) as found:
        yield found


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what a name's look-ups give, one after another; the last for ever."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(name: Any, *words: Any, **more: Any) -> Any:
        if name not in names:
            return real(name, *words, **more)
        if more.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME)
        answers = names[name]
        return real(answers.pop(0) if len(answers) > 1 else answers[0], *words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def answers(name: str, *addresses: str) -> None:
        names[name] = list(addresses)

    return answers
