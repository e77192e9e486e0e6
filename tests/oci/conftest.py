"""Every test here stands alone: no credentials, mirrors or proxies of whoever runs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from pipeline.oci import http, registry

settings.register_profile("oci", deadline=None, max_examples=int(os.environ.get("NODEKILN_FUZZ") or 100))
settings.load_profile("oci")
# NODEKILN_FUZZ=20000 pytest tests/oci -k "any or what_tarfile" is the long run.

TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*PROXIES, *map(str.upper, PROXIES), *TRUST, "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CACHE", "CERTS", "INSECURE", "LOCKED", "MIRROR", "OFFLINE", "RESOLVED", "SILENT", "TRUSTED_HOSTS"):
        monkeypatch.delenv(f"NODEKILN_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    registry.forget_tokens()
    http.silent.clear()
