"""What each byte is for; budgets that fail a build; the map."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import size as command
from pipeline.inspect import measure, treemap
from pipeline.model.errors import BadInput
from pipeline.planning.plan import plan
from pipeline.project import budget
from pipeline.project.project import Project

SPEC = """\
files:
  - {path: etc/hostname, contents: "%s"}
  - {path: etc/motd, contents: welcome}
build:
  formats: [kernel+initrd]
  budget: {%s}
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Plan and make a spec of two files with this budget; gives its store, plan and action."""
    (tmp_path / "specs").mkdir()
    monkeypatch.chdir(tmp_path)

    def make(limits: str, hostname: str = "node"):
        (tmp_path / "specs/node.yml").write_text(SPEC % (hostname, limits))
        project = Project(tmp_path)
        made = plan(project.load("node"), project.lock("node"), "amd64")
        action = made.format("kernel+initrd")
        action.perform(project.store)
        return project.store, made, action

    return make


def test_files_parts_and_fragments(build):
    store, made, _ = build("")
    measured = measure.measure(store, made)
    assert [(file.part, file.path, file.size) for file in measured.files] == [
        ("files", "etc/hostname", 4), ("files", "etc/motd", 7),
    ]  # fmt: skip
    assert measured.by(lambda file: file.part) == {"files": 11}
    assert set(measured.compressed) == {"files"} and measured.compressed["files"] > 50
    assert measured.duplicates == ()


def test_what_boots_is_told_apart(build, tmp_path):
    store, made, _ = build("")
    spec = tmp_path / "specs/node.yml"
    spec.write_text(spec.read_text().replace("etc/motd", "boot/motd"))
    made = plan(Project(tmp_path).load("node"), Project(tmp_path).lock("node"), "amd64")
    assert measure.measure(store, made).by(lambda file: file.part) == {"boot": 7, "files": 4}


@pytest.mark.parametrize("limits", ["", "files: '11'", "total: 1K", "kernel+initrd: 1M, files: 1G", "qcow2-bios: '1'"])
def test_within_the_budget(build, limits):
    store, made, action = build(limits)
    budget.check(store, made, "kernel+initrd", action)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("files: '10'", "specs/node.yml:6:19: files has 11 B, 10 B are allowed"),
        ("total: '100'", "total has [0-9]+ B, 100 B are allowed"),
        ("kernel+initrd: 0K", r"kernel\+initrd has [0-9]+ B, 0 B are allowed"),
    ],
)
def test_over_the_budget(build, limits, said):
    store, made, action = build(limits)
    with pytest.raises(budget.OverBudget, match=said) as caught:
        budget.check(store, made, "kernel+initrd", action)
    assert caught.match("B (etc/motd|-initrd.img)")


def test_a_budget_for_nothing(build):
    store, made, action = build("file: 1K")
    with pytest.raises(BadInput, match=r"specs/node.yml:6:18: there is no 'file' to have a budget \(.*files"):
        budget.check(store, made, "kernel+initrd", action)


def test_what_grew_is_named(build):
    store, made, action = build("files: '20'")
    before = {"stages": {each.name: {"result": each.perform(store)[0]} for each in made.products.rootfs.inputs}}
    budget.check(store, made, "kernel+initrd", action)
    store, made, action = build("files: '20'", "a-much-longer-name")
    with pytest.raises(budget.OverBudget) as caught:
        budget.check(store, made, "kernel+initrd", action, before)
    assert str(caught.value).splitlines()[1:] == ["  since the last build: +14 B", "  +14 B etc/hostname"]


def test_equal_files_in_several_parts(tmp_path):
    from pipeline.store import Store

    store = Store(tmp_path)
    one, two, x = store.content(b"libc"), (*store.content(b"li"), *store.content(b"bc")), store.content(b"xxxx")
    contents = [("a", "a/libc", one), ("b", "b/libc", two), ("b", "b/again", one), ("c", "c/x", x)]
    assert list(measure.duplicates(store, contents)) == [
        measure.Duplicate((("a", "a/libc"), ("b", "b/libc"), ("b", "b/again")), 4)
    ]
    assert list(measure.duplicates(store, contents[1:3])) == []


def test_the_command(build, tmp_path, capsys):
    build("")
    command.run.run(Project(tmp_path), ["node"], json="sizes.json")
    said = capsys.readouterr().out
    assert re.search(r"files +2 +11 ", said) and "etc/motd" in said
    document = json.loads((tmp_path / "sizes.json").read_text())
    assert sum(file["size"] for file in document["files"]) == 11
    page = (tmp_path / "build/node/size.html").read_text()
    assert "etc/motd: 7 bytes" in page and "http" not in page


groups = st.dictionaries(
    st.text(min_size=1, max_size=3),
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 10**4), min_size=1, max_size=8).map(
        lambda found: sorted(found.items(), key=lambda item: -item[1])
    ),
    min_size=1, max_size=6,
).map(lambda found: list(found.items()))  # fmt: skip


@given(groups)
def test_areas_are_bytes(groups):
    total = sum(size for _, members in groups for _, size in members)
    drawn = list(treemap.boxes(groups))
    for group, members in drawn:
        assert group.width * group.height == pytest.approx(group.size / total, rel=1e-6, abs=1e-8)
        for box in members:
            assert box.width * box.height == pytest.approx(box.size / total, rel=1e-6, abs=1e-8)
            assert group.x - 1e-8 <= box.x and box.x + box.width <= group.x + group.width + 1e-8
            assert group.y - 1e-8 <= box.y and box.y + box.height <= group.y + group.height + 1e-8
    assert sum(box.size for _, members in drawn for box in members) == total


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12))
def test_rectangles_do_not_overlap(numbers):
    items = [(str(number), size) for number, size in enumerate(sorted(numbers, reverse=True))]
    boxes = list(treemap.squarify(items, 0, 0, 1.6, 1))
    for number, a in enumerate(boxes):
        for b in boxes[:number]:
            wide = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
            high = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
            assert wide < 1e-9 or high < 1e-9
