"""constraints.txt against pyproject.toml: each requirement has one version there, and one that its range allows."""

from __future__ import annotations

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.project import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, BUILD = SETTINGS["project"], SETTINGS["build-system"]["requires"]
REQUIREMENTS = [*BUILD, *PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
PINNED = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("text", REQUIREMENTS)
def test_a_requirement_has_one_version_within_its_range(text: str) -> None:
    wanted = Requirement(text)
    (found,) = [pinned for pinned in PINNED if pinned.name.lower() == wanted.name.lower()]
    (version,) = found.specifier
    assert version.operator == "==" and wanted.specifier.contains(version.version, prereleases=True)


def test_every_constraint_is_one_version() -> None:
    assert all([each.operator for each in pinned.specifier] == ["=="] for pinned in PINNED)
    assert len({pinned.name.lower() for pinned in PINNED}) == len(PINNED)
