"""Settings of every test run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.incremental import open_store
from pipeline.oci import http, registry
from pipeline.store import Store
from tests import patience

# NODEKILN_FUZZ=20000 pytest tests/oci -k "any or what_tarfile" is the long run.
settings.register_profile("untimed", deadline=None, max_examples=int(os.environ.get("NODEKILN_FUZZ") or 100))
settings.load_profile("untimed")

TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


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


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Ends the connections to shared caches that a test has opened."""
    yield
    client = sys.modules.get("pipeline.shared.client")
    for shared in [*client.opened] if client else ():
        shared.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return open_store(tmp_path / "cache")


@pytest.fixture(scope="session")
def session_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all tests of a run, for results that take long to make."""
    return open_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials, mirrors and proxies of the person who runs the test are out of reach."""
    for name in (*PROXIES, *map(str.upper, PROXIES), *TRUST, "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CACHE", "CERTS", "INSECURE", "LOCKED", "MIRROR", "OFFLINE", "RESOLVED", "SILENT", "TRUSTED_HOSTS"):
        monkeypatch.delenv(f"NODEKILN_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    registry.forget_tokens()
    http.silent.clear()
