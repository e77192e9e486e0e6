"""Mirrors of registries, from the environment and the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.oci import mirror
from pipeline.oci.error import ImageError


def test_mirrors(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.nodekiln]\nmirror = ["docker.io=oci:second", "*=https://all"]\n')
    mirrors = mirror.configured({"NODEKILN_MIRROR": " docker.io=http://first/  ghcr.io=oci:g "}, tmp_path)
    assert mirror.places("docker.io", mirrors) == ("http://first", "oci:second")
    assert mirror.places("ghcr.io", mirrors) == ("oci:g",)
    assert mirror.places("quay.io", mirrors) == ("https://all",)
    assert mirror.places("quay.io", mirror.configured({}, tmp_path / "none")) == ()
    for wrong in ("docker.io", "=http://x", "docker.io=ftp://x"):
        with pytest.raises(ImageError, match=r"registry=http"):
            mirror.parse([wrong])
