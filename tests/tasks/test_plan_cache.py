"""A cached plan is what planning anew would give, whatever was edited since."""

import shutil
import sys
from pathlib import Path

import pytest

from pipeline.host import tracked
from pipeline.project.project import Project
from pipeline.tasks import plan_cache
from pipeline.tasks.plan_cache import CachedPlan, Step
from pipeline.tasks.spec_tasks import SpecTasks
from tests.project import ROOT

watched: list[list[str]] = []


def _audit(event: str, arguments: tuple) -> None:
    if watched and event in ("open", "os.listdir", "os.scandir"):
        watched[-1].append(str(arguments[0]))


sys.addaudithook(_audit)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The default node and its recipes, with files that it takes from the host."""
    for name in ("specs", "images"):
        shutil.copytree(ROOT / name, tmp_path / name)
    spec = tmp_path / "specs" / "node.yml"
    text = spec.read_text().replace("\nbuild:\n", "\nbuild:\n  append: [extra]\n")
    spec.write_text(text + "files:\n  - {path: etc/here, source: here}\n  - {path: etc/large, source: large}\n")
    (tmp_path / "specs" / "extra").write_text("files: [{path: etc/motd, contents: hello}]\n")
    (tmp_path / "specs" / "here").write_text("a small file")
    (tmp_path / "specs" / "large").write_bytes(bytes(5 << 20))
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def recalled(project, extra=()):
    """The cached plan, and whether it had to be made."""
    made = []

    def make():
        made.append(1)
        return SpecTasks(project, "node", extra).cached_plan()

    return plan_cache.recall(project.root / "build/.plans/node.json", extra, make), bool(made)


def append(path, text):
    return lambda root: (root / path).open("a").write(text)


def nearer(root):
    """A recipe in a place that is looked at before the one that was used."""
    shutil.copytree(root / "images/sshd", root / "specs/images/sshd")
    shutil.move(root / "images/sshd", root / "gone")


EDITS = {
    "spec": append("specs/node.yml", "volumes: [{name: data}]\n"),
    "appended": append("specs/extra", "# a comment\n"),
    "another file of the spec": lambda root: (
        (root / "specs/node.d").mkdir(), append("specs/node.d/a.yml", "files: [{path: etc/a, contents: a}]\n")(root)
    ),
    "lock": lambda root: (root / "specs/node.lock").write_text(
        (root / "specs/node.lock").read_text().replace("sha256:", "sha256:", 1) + "\n"
    ),
    "no lock": lambda root: (root / "specs/node.lock").unlink(),
    "recipe": append("images/sshd/build.yml", "workdir: /tmp\n"),
    "a recipe's own file": append("images/init/rc.init", "# more\n"),
    "a recipe elsewhere": nearer,
    "small file": append("specs/here", "more"),
    "large file": lambda root: (root / "specs/large").write_bytes(b"x" + bytes((5 << 20) - 1)),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_noticed(project, edit):
    before, made = recalled(project)
    assert made and recalled(project) == (before, False)
    EDITS[edit](project.root)
    after, made = recalled(project)
    assert made and after == SpecTasks(project, "node", ()).cached_plan()
    assert recalled(project) == (after, False)


@pytest.mark.parametrize(("name", "value"), [("NODEKILN_COMPAT", "linuxkit"), ("SOURCE_DATE_EPOCH", "1")])
def test_the_environment_is_noticed(project, monkeypatch, name, value):
    before, _ = recalled(project)
    monkeypatch.setenv(name, value)
    after, made = recalled(project)
    assert made and {step.key for step in after.steps} != {step.key for step in before.steps}
    monkeypatch.delenv(name)
    assert recalled(project) == (before, True)


def test_other_formats_are_another_plan(project):
    recalled(project)
    found, made = recalled(project, ("tar",))
    assert made and "build:node:tar" in {step.task for step in found.steps}


def test_other_code_is_another_plan(project, monkeypatch):
    recalled(project)
    monkeypatch.setattr(plan_cache, "_code", lambda: "newer")
    assert recalled(project)[1]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"code": 1}', "null"])
def test_a_memory_that_is_damaged_is_none(project, text):
    before, _ = recalled(project)
    (project.root / "build/.plans/node.json").write_text(text)
    assert recalled(project) == (before, True)


def test_all_that_a_plan_opens_is_noted(project):
    watched.append([])
    with tracked.record_inputs() as notes:
        SpecTasks(project, "node", ()).cached_plan()
    opened = {str(Path(name).absolute()) for name in watched.pop()}
    noted = {str(Path(each).absolute()) for _, given, _ in notes for each in given}
    mine = {name for name in opened if Path(name).is_relative_to(project.root)}
    own_memory = {name for name in mine if "/build/.sums" in name}
    assert mine - own_memory <= noted
    assert {str(project.root / "specs/large"), str(project.root / "images/init/rc.init")} <= mine


def planned(spec, *keys):
    """A plan of stages with these keys, each after the one before, and of the files of a format after them."""
    names = [f"build:{spec}:stage{number}" for number in range(len(keys))]
    needs = [[], *([name] for name in names)]
    steps = [Step(name, "amd64", "", "", key, needs.pop(0), "", []) for name, key in zip(names, keys, strict=True)]
    steps.append(Step(f"build:{spec}:tar", "amd64", "", "tar", keys[-1], needs.pop(), "", [f"{spec}.tar"]))
    return CachedPlan(spec, [step.task for step in steps], steps)


def test_specs_with_the_same_actions_share_their_tasks():
    owners = {}
    first, second, third = planned("a", "1", "2", "2"), planned("b", "1", "2", "3"), planned("c", "1", "4", "3")
    assert first.shared(owners) == first, "the tasks of one spec are left alone"
    second, third = second.shared(owners), third.shared(owners)
    assert [(step.task, step.needs) for step in second.steps] == [
        ("build:b:stage2", ["build:a:stage1"]),
        ("build:b:tar", ["build:b:stage2"]),
    ]
    assert second.asked == ["build:a:stage0", "build:a:stage1", "build:b:stage2", "build:b:tar"]
    assert [(step.task, step.needs) for step in third.steps] == [
        ("build:c:stage1", ["build:a:stage0"]),
        ("build:c:tar", ["build:b:stage2"]),
    ]
