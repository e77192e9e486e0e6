"""Shards: disjoint and complete whatever the specs contain, balanced, and little dearer than one machine."""

from __future__ import annotations

import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks import shard
from pipeline.tasks.plan_cache import CachedPlan, Step
from tests.project import doit, fleet, new_project
from tests.shared import machines
from tests.shared.servers import nginx

IMAGES = st.frozensets(st.sampled_from("abcdefgh"), max_size=4)
FLEETS = st.dictionaries(st.text(min_size=1, max_size=4), IMAGES, max_size=40)
WRONG = (
    "",
    "3",
    "0/3",
    "4/3",
    "-1/3",
    "1/0",
    "a/b",
    "1/3/5",
    "1/3 ",
    "\u0663/\u0664",
    "1" * 40 + "/" + "2" * 40,
    "all",
)


@given(FLEETS, st.integers(1, 12))
def test_parts_are_disjoint_complete_and_balanced(images: dict[str, frozenset[str]], count: int) -> None:
    parts = shard.parts(images, count)
    assert len(parts) == count and sorted(name for part in parts for name in part) == sorted(images)
    share = Fraction(len(images), count)
    assert all(share / 2 - 1 < len(part) < share * 3 / 2 + 1 for part in parts)


@given(FLEETS, st.integers(1, 12))
def test_specs_with_the_same_images_stay_together(images: dict[str, frozenset[str]], count: int) -> None:
    places = {name: place for place, part in enumerate(shard.parts(images, count)) for name in part}
    for group, size in Counter(images.values()).items():
        within = {places[name] for name, own in images.items() if own == group}
        assert len(within) == 1 or size > Fraction(len(images), 2 * count)


@given(st.lists(st.tuples(st.text(min_size=1, max_size=4), IMAGES), max_size=40), st.randoms())
def test_the_order_in_which_specs_are_found_does_not_count(specs: list[tuple[str, frozenset[str]]], chance) -> None:
    images = dict(specs)
    shuffled = [*images.items()]
    chance.shuffle(shuffled)
    assert shard.parts({name: sorted(own) for name, own in shuffled}, 5) == shard.parts(images, 5)


def test_a_shard_needs_nothing_but_the_specs(tmp_path: Path) -> None:
    texts = {
        "a": 'kernel: {image: "k:1"}\ninit: [i, "j"]',
        "b": "services: [{name: x, image: s}]\nvolumes: {image: [no]}",
    }
    root = new_project(tmp_path / "project", **texts, broken="init: [", empty="", latin="init: [\u00e9]")
    (root / "specs/latin.yml").write_bytes(b"init: [\xe9]")
    assert shard._images(Project(root)) == {
        "a": {"k:1", "i", "j"}, "b": {"s"}, "broken": set(), "empty": set(), "latin": set(),
    }  # fmt: skip
    parts = [shard.Shard(number, 3).names(Project(root)) for number in (1, 2, 3)]
    assert sorted(name for part in parts for name in part) == ["a", "b", "broken", "empty", "latin"]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_shard_is_one_line(text: str) -> None:
    with pytest.raises(BadInput) as refusal:
        shard.parse(text, "shard=")
    assert str(refusal.value) == f"shard={text!r} is not a shard: use I/N with I from 1 to N (2/16), or common"
    assert shard.parse("2/16", "") == (2, 16) and shard.parse("common", "").is_common


@pytest.mark.parametrize("total", [shard.MAX_SHARDS + 1, 999_999_999])
def test_more_shards_than_a_machine_can_compute_are_one_line(total: int) -> None:
    with pytest.raises(BadInput) as refusal:
        shard.parse(f"1/{total}", "shard=")
    assert str(refusal.value) == f"shard='1/{total}' has too many shards: N is at most {shard.MAX_SHARDS}"
    assert shard.parse(f"1/{shard.MAX_SHARDS}", "").total == shard.MAX_SHARDS


def plan(*keys: str, own: str = "", unlocked: bool = False) -> CachedPlan:
    """Returns the plan of a spec `own`, with a stage for each key, and another that its formats do not need."""
    steps = [Step(f"build:{own}:{key}", "amd64", key, "", key, [], "", []) for key in (*keys, "extra")]
    if unlocked:
        steps.append(Step(f"build:{own}:lock", "amd64", "", "tar", "", [], "", []))
    return CachedPlan("", [step.task for step in steps if step.key != "extra"], steps)


def test_common_stages_are_those_of_half_the_specs() -> None:
    plans = {"a": plan("1", "2", own="a"), "b": plan("1", "3", own="b"), "c": plan("1", "2", own="c"), "d": plan("4")}
    assert shard.common(plans.items()) == (["build:a:1", "build:a:2"], ["a"])
    assert shard.common([("a", plans["a"])]) == ([], []), "nothing is common to a single spec"
    plans["e"] = plan("1", own="e", unlocked=True)
    assert shard.common(plans.items()) == (["build:e:lock"], ["e"]), "its keys are not known before it is locked"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of nine specs."""
    return fleet.make(tmp_path_factory.mktemp("fleet"), 9)


def copied(whole: Path, root: Path) -> Path:
    """Copies the project, without what was built there, into the folder `root`."""
    return Path(shutil.copytree(whole, root, ignore=shutil.ignore_patterns("build")))


def test_shards_make_what_one_machine_makes_for_at_most_twice_the_runs(whole: Path, tmp_path: Path) -> None:
    alone = copied(whole, tmp_path / "alone")
    least = fleet.stage_runs(alone, tmp_path / "store", "build")
    runs, common, together = 0, fleet.stage_runs(whole, tmp_path / "common", "build", "shard=common"), {}
    after = common
    for number in (1, 2, 3):
        own = copied(whole, tmp_path / f"shard{number}")
        runs += fleet.stage_runs(own, tmp_path / f"store{number}", "build", f"shard={number}/3")
        together |= fleet.sums(own)
        assert len(fleet.sums(own)) == 3
        shutil.rmtree(own / "build")
        shutil.copytree(tmp_path / "common", tmp_path / f"copy{number}")  # as a scheduler hands a cache on
        after += fleet.stage_runs(own, tmp_path / f"copy{number}", NODEKILN_SHARD=f"{number}/3")
        assert fleet.sums(own).items() <= together.items()
    assert together == fleet.sums(alone)
    assert least <= runs <= 2 * least and 0 < common < least
    assert least <= after <= 1.2 * least
    print(f"stage runs: one machine {least}, three shards {runs}, after {common} common ones {after}")


def test_shards_with_one_store_run_each_stage_once(whole: Path, tmp_path: Path) -> None:
    least = fleet.stage_runs(copied(whole, tmp_path / "alone"), tmp_path / "store", "build")
    own = copied(whole, tmp_path / "own")
    assert least == sum(
        fleet.stage_runs(own, tmp_path / "shared", "build", f"shard={number}/4") for number in (1, 2, 3, 4)
    )


@pytest.mark.slow
def test_shards_with_empty_stores_find_the_common_stages_in_a_shared_cache(whole: Path, tmp_path: Path) -> None:
    alone = copied(whole, tmp_path / "alone")
    least = fleet.stage_runs(alone, tmp_path / "store", "build")
    with nginx(tmp_path / "server") as server:
        reading = {"NODEKILN_SHARED": server.address(server.port), "NODEKILN_TRUST": machines.trust("ci")}
        sign = str(machines.key_file(tmp_path, "ci"))
        pushing = reading | {"NODEKILN_SHARED_PUSH": "1", "NODEKILN_SIGN": sign}
        first = copied(whole, tmp_path / "first")
        runs, together = fleet.stage_runs(first, tmp_path / "common", "build", "shard=common", **pushing), {}
        for number in (1, 2, 3):
            own = copied(whole, tmp_path / f"shard{number}")
            runs += fleet.stage_runs(own, tmp_path / f"store{number}", "build", f"shard={number}/3", **reading)
            together |= fleet.sums(own)
    assert together == fleet.sums(alone)
    print(f"stage runs: one machine {least}, three shards after the common stages {runs}")
    assert least <= runs <= 1.2 * least


def test_what_a_shard_of_a_build_is_and_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "files: [{{path: etc/hostname, contents: {0}}}]\nbuild: {{arch: amd64, formats: [tar]}}\n"
    names = ["a", "b", "c", "common"]
    monkeypatch.chdir(new_project(tmp_path / "project", **{name: text.format(name) for name in names}))
    listing = doit("list", "shard=1/2")
    assert "shard 1 of 2: 2 of 4 specs" in listing and "build:b" in listing and "build:common" not in listing
    assert doit("build", "shard=1/9") == "nothing to build: shard 1 of 9: 0 of 4 specs\n"
    assert doit("build", "shard=common") == "nothing to build: the stages that at least half of the specs need\n"
    assert doit("build:a", "shard=1/2", code=3) == "shard=1/2: build:a has no shards, build has: leave shard= out\n"
    assert doit("build", "shard=3/2", code=3).startswith("shard='3/2' is not a shard: ")
    assert doit(code=3, NODEKILN_SHARD="x").startswith("NODEKILN_SHARD='x' is not a shard: ")
    assert "build:common:tar: ran" in doit("build:common", NODEKILN_SHARD="1/2"), "a spec by its name, in any shard"
    Path("specs/common.yml").unlink()
    assert "(did you mean 'build shard=common'?)" in doit("build:common", code=3)
    Path("specs/a.yml").write_text("init: [")
    assert "specs/a.yml:2:1: invalid YAML" in doit("build", "shard=1/3", code=3)
    assert "build:c:tar: ran" in doit("build", "shard=3/3"), "a broken spec fails in its own shard alone"
