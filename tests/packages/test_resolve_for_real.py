"""Resolution of real packages, with apt as the judge: random names of whole suites, and the recipes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from pipeline.packages import index, sources
from pipeline.packages.resolve import choose
from pipeline.packages.universe import Index, universe
from pipeline.recipe.recipe import load
from tests.packages.judge import Apt
from tests.project import ROOT

pytestmark = [pytest.mark.network, pytest.mark.slow]

SEED = 20261130
SETS = 200
"""Number of random requests for each suite."""
NAMES = 4
"""Maximum number of packages in a request."""

Judged = tuple[tuple[Index, ...], str, Apt]


def judge(folder: Path, release: str, architecture: str) -> Judged:
    indexes = tuple(index.open_all(sources.load()(release), [architecture])[architecture])
    return indexes, architecture, Apt(folder, indexes, architecture)


def differences(judged: Judged, requests: Iterable[Sequence[str]]) -> list[tuple[Sequence[str], set[tuple[str, str]]]]:
    """Returns each request that apt answers otherwise, with the packages that only one of both has."""
    indexes, architecture, apt = judged
    different = []
    for request in requests:
        ours = {(package.name, package.version) for package in choose(indexes, architecture, request)}
        if only := ours ^ (apt.install(*request) or set()):
            different.append((request, only))
    return different


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_apt_chooses_the_same_for_random_packages(tmp_path: Path, release: str) -> None:
    judged = judge(tmp_path, release, "amd64")
    names = sorted(set(universe(judged[0], "amd64").names()))
    draw = random.Random(SEED)
    assert differences(judged, [draw.sample(names, draw.randint(1, NAMES)) for _ in range(SETS)]) == []


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_apt_chooses_the_same_for_the_recipes(tmp_path: Path, release: str, architecture: str) -> None:
    recipes = [load(path.parent) for path in sorted((ROOT / "images").glob("*/build.yml"))]
    requests = [recipe.packages(architecture) for recipe in recipes if architecture in recipe.build.arches]
    judged = judge(tmp_path, release, architecture)
    known = set(universe(judged[0], architecture).names())
    requests = [[name for name in request if name in known] for request in requests]
    assert requests and differences(judged, filter(None, requests)) == []
