"""Test vectors of others, which lie beside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests import judges
from tests.project import ROOT

VECTORS = ROOT.parent / "shared" / "vectors"
NOTATION, SIGSTORE = VECTORS / "notation", VECTORS / "sigstore"
PYPI_SIGSTORE = "sigstore==4.5.1"
"""Package that carries the root of sigstore's public instance."""
PUBLIC_ROOT = "sigstore/_store/https%3A%2F%2Ftuf-repo-cdn.sigstore.dev/trusted_root.json"


def needs_vectors(test):
    """Mark of a test that takes them: skipped where they are missing, but in CI."""
    missing = not VECTORS.is_dir() and not os.environ.get("CI")
    return pytest.mark.skipif(missing, reason=f"{VECTORS} is missing")(test)


def public_root() -> bytes:
    """Returns the root of the public instance, out of the wheel in the cache; it is fetched once."""
    folder = judges.cache_folder() / "wheels"
    pattern = f"{PYPI_SIGSTORE.replace('==', '-')}-*.whl"
    if not list(folder.glob(pattern)):
        with judges.alone("pip"):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, PYPI_SIGSTORE]
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = f"{PYPI_SIGSTORE} cannot be had: {done.stderr[-200:]}"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    (wheel,) = folder.glob(pattern)
    with zipfile.ZipFile(wheel) as file:
        return file.read(PUBLIC_ROOT)


def cases() -> list[Path]:
    """Returns the folders of sigstore's cases; none where they are missing."""
    return sorted(path.parent for path in SIGSTORE.glob("*/bundle.sigstore.json"))
