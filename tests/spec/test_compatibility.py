"""Every VERSION is listed with its release, and a spec may insist on a generation of them."""

import re
import sys

import pytest

import pipeline
from pipeline.language.problem import Problems
from pipeline.planning.load import load as load_spec
from pipeline.spec import compatibility
from tests import versions


def test_a_raised_version_is_listed_with_the_release_that_raises_it(monkeypatch):
    text = versions.updated(versions.TABLE.read_text())
    monkeypatch.setattr("pipeline.formats.tar.VERSION", "raised")
    monkeypatch.setattr(pipeline, "__version__", "7.0.0")
    assert versions.updated(text) != text
    before, after = versions.listed(text), versions.listed(versions.updated(text))
    assert {name for name in after if after[name] != before[name]} == {"formats.tar"}
    assert after["formats.tar"] == ("raised", "7.0.0")
    assert versions.updated(versions.updated(text)) == versions.updated(text)


def test_a_release_that_raises_a_version_begins_a_generation():
    """New modules may come with any release; what is raised in one needs a generation that begins there."""
    sinces = {since for _, since in versions.listed(versions.TABLE.read_text()).values()}
    raised = {since for since in sinces if not since.startswith(versions.NEW)}
    assert raised <= set(compatibility.FIRST.values()), (
        "pipeline.spec.compatibility.FIRST lacks a release that raises a VERSION"
    )
    assert numbers(compatibility.FIRST[compatibility.PRESENT]) <= numbers(pipeline.__version__)


def numbers(release):
    return [int(number) for number in release.split(".")]


def test_every_stage_and_format_has_a_version():
    from pipeline import formats

    listed = versions.present()
    for name in formats.names():
        assert sys.modules[formats.find(name).build.__module__].VERSION
    assert {"stages.pull", "stages.initrd", "recipe.assemble", "formats.tar", "writers.cpio"} <= listed.keys()


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def load(compat):
        (tmp_path / "node.yml").write_text(f"build:\n  compat: {compat}\n")
        return load_spec(tmp_path / "node.yml")

    return load


def test_a_spec_may_insist_on_the_present_generation(load):
    assert load(compatibility.PRESENT).build.compat == compatibility.PRESENT
    assert load("linuxkit").build.compat == "linuxkit"


def test_a_newer_generation_is_refused(load):
    with pytest.raises(Problems, match=r"node\.yml:2:11: build\.compat: nodekiln .* generation 900 takes a newer one"):
        load(900)


def test_an_older_generation_is_refused_with_the_releases_that_make_it(load, monkeypatch):
    monkeypatch.setattr(compatibility, "FIRST", {1: "0.1.0", 2: "0.3.0"})
    monkeypatch.setattr(compatibility, "PRESENT", 2)
    said = "generation 1 takes nodekiln 0.1.0 or a later one before 0.3.0"
    with pytest.raises(Problems, match=re.escape(said)):
        load(1)


@pytest.mark.parametrize("compat", ["0", "linux", "[1]", "1.5"])
def test_what_is_no_generation(load, compat):
    with pytest.raises(Problems, match="expected linuxkit or an integer from 1 to 999, not"):
        load(compat)
