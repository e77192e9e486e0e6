"""A label changes with everything that decides bytes, and with nothing else."""

import shutil

import pytest

import pipeline
from pipeline.workers import label as labels
from pipeline.workers.label import FOLDER, label, sources, state
from tests.project import ROOT


@pytest.fixture
def package(tmp_path):
    """A copy of a part of the package."""
    for name in ("stages", "packages"):
        shutil.copytree(FOLDER / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def edited(file):
    file.write_bytes(file.read_bytes() + b"\n")


def renamed(file):
    file.rename(file.with_name("other.py"))


def split(file):
    data = file.read_bytes()
    file.write_bytes(data[:100])
    file.with_name(f"{file.name}x").write_bytes(data[100:])


@pytest.mark.parametrize("change", [edited, renamed, split, lambda file: file.unlink()])
@pytest.mark.parametrize("name", ["stages/pull.py", "packages/releases.yml"])
def test_each_change_of_a_file_of_the_package_is_another_label(package, change, name):
    before, was = sources(package), state(package)
    change(package / name)
    assert sources(package) != before and state(package) != was


def test_what_python_and_a_wheel_add_is_not_code(package):
    before, was = sources(package), state(package)
    for name in ("stages/__pycache__", "share"):
        (package / name).mkdir()
        (package / name / "file").write_bytes(b"more")
    assert (sources(package), state(package)) == (before, was)


@pytest.mark.parametrize("what", ["version", "compressor"])
def test_versions_are_in_the_label(monkeypatch, what):
    before = label()
    monkeypatch.setattr(labels, "sources", lambda folder: "")
    label.cache_clear()
    without = label()
    if what == "version":
        monkeypatch.setattr(pipeline, "__version__", "9")
    else:
        monkeypatch.setattr(labels, "COMPRESSORS", ("zstandard", "deflate", "not-installed"))
    label.cache_clear()
    assert len({before, without, label()}) == 3
    label.cache_clear()


def test_the_package_of_this_process_is_meant():
    assert FOLDER == ROOT / "pipeline"
