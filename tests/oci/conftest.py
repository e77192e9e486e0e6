"""Every test here stands alone: no credentials, mirrors or proxies of whoever runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.oci import registry

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*PROXIES, *map(str.upper, PROXIES), "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MIRROR", "OFFLINE", "CERTS", "INSECURE", "TRUSTED_HOSTS"):
        monkeypatch.delenv(f"NODEKILN_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    registry.forget_tokens()
