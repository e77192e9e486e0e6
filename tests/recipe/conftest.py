"""The repositories of tests/packages serve here, too."""

from __future__ import annotations

from tests.packages.conftest import alone, distribution, mirror, project

__all__ = ["alone", "distribution", "mirror", "project"]
