"""Resolution of real packages, with apt as the judge: random names of whole suites, and the recipes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from pipeline.packages import index, sources
from pipeline.packages.error import PackageError
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


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is deleted: indexes and apt's cache of them take 250 MB."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def judge(folder: Path, release: str, architecture: str) -> Judged:
    indexes = tuple(index.open_all(sources.load()(release), [architecture])[architecture])
    return indexes, architecture, Apt(folder, indexes, architecture)


def ours(indexes: Sequence[Index], architecture: str, request: Sequence[str]) -> set[tuple[str, str]] | None:
    try:
        return {(package.name, package.version) for package in choose(indexes, architecture, request)}
    except PackageError:
        return None


def differences(judged: Judged, requests: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """Returns each request that apt answers otherwise."""
    indexes, architecture, apt = judged
    return [request for request in requests if ours(indexes, architecture, request) != apt.install(*request)]


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_apt_chooses_the_same_for_random_packages(folder: Path, release: str) -> None:
    judged = judge(folder, release, "amd64")
    names = sorted(set(universe(judged[0], "amd64").names()))
    draw = random.Random(SEED)
    assert differences(judged, [draw.sample(names, draw.randint(1, NAMES)) for _ in range(SETS)]) == []


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_apt_chooses_the_same_for_the_recipes(folder: Path, release: str, architecture: str) -> None:
    recipes = [load(path.parent) for path in sorted((ROOT / "images").glob("*/build.yml"))]
    requests = [recipe.packages(architecture) for recipe in recipes if architecture in recipe.build.arches]
    judged = judge(folder, release, architecture)
    known = set(universe(judged[0], architecture).names())
    requests = [[name for name in request if name in known] for request in requests]
    assert requests and differences(judged, filter(None, requests)) == []
