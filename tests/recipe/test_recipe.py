"""A build.yml: what it says, where it is wrong, and when it is the same as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.language.problem import Problems
from pipeline.model.digest import canonical_json
from pipeline.planning.describe import recipe_schema
from pipeline.recipe import actions
from pipeline.recipe.layout import relative
from pipeline.recipe.recipe import SOURCE_LIMIT, Recipe, load

OWN = Path(__file__).parents[2] / "images"

WHOLE = """\
# how it begins
image: tool
arches: [amd64, arm64]
packages: [tool, {amd64: image-amd64, arm64: image-arm64}]
dependencies: ["lib*"]
keep: ["usr/**"]
files:
  - {path: etc/tool.conf, source: conf/tool.conf, mode: "0600", uid: 3}
  - {path: etc/motd, contents: "hello"}
  - {path: tmp, directory: true, mode: "1777"}
  - {path: bin, symlink: usr/bin}
cmd: [/usr/bin/tool]
config: {binds: ["/dev:/dev"], pid: host}
"""


def recipe(folder: Path, text: str = WHOLE, conf: bytes = b"a = 1\n\xff") -> Recipe:
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf/tool.conf").write_bytes(conf)
    (folder / "build.yml").write_text(text)
    return load(folder)


def parameters(given: Recipe) -> dict[str, Any]:
    """The parameters of the action that assembles the image, after JSON."""
    value: dict[str, Any] = json.loads(canonical_json(actions.image(given, "amd64", []).params))
    return value


def test_what_a_recipe_says_becomes_an_action(tmp_path: Path) -> None:
    given = recipe(tmp_path)
    assert json.loads(given.request("arm64")) == {"packages": ["tool", "image-arm64"], "dependencies": ["lib*"]}
    params = parameters(given)
    assert params["files"] == [
        {"path": "etc/tool.conf", "mode": "0600", "uid": 3, "gid": 0, "contents": "a = 1\n\udcff"},
        {"path": "etc/motd", "mode": "0644", "uid": 0, "gid": 0, "contents": "hello"},
        {"path": "tmp", "mode": "1777", "uid": 0, "gid": 0},
        {"path": "bin", "mode": "0644", "uid": 0, "gid": 0, "symlink": "usr/bin"},
    ]
    assert params["config"] == {
        "Cmd": ["/usr/bin/tool"],
        "Labels": {"org.mobyproject.config": '{"binds":["/dev:/dev"],"pid":"host"}'},
    }
    assert params["reference"] == given.reference == f"nodekiln/tool:{given.hash[:40]}"


def test_the_hash_is_of_what_is_said_and_not_of_how(tmp_path: Path) -> None:
    first = recipe(tmp_path).hash
    assert recipe(tmp_path, WHOLE.replace("# how it begins\n", "\n# otherwise\n")).hash == first
    assert recipe(tmp_path, WHOLE.replace("[amd64, arm64]", "\n  - amd64\n  - arm64")).hash == first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert recipe(elsewhere).hash == first
    assert recipe(tmp_path, conf=b"a = 2").hash != first
    for old, new in (
        ("1777", "0777"),
        ("hello", "Hello"),
        ("pid: host", "pid: new"),
        ("[/usr", "[usr"),
        ('"lib*"', '"li*"'),
    ):
        assert recipe(tmp_path, WHOLE.replace(old, new)).hash != first


def test_the_key_knows_no_folder_and_every_own_byte(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "much-longer").mkdir()
    keys = [actions.image(recipe(tmp_path / name), "amd64", []).key for name in ("a", "much-longer")]
    assert keys[0] == keys[1]
    assert actions.image(recipe(tmp_path / "a", conf=b"2"), "amd64", []).key != keys[0]
    assert actions.image(recipe(tmp_path / "a"), "arm64", []).key != keys[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", ":1:1: expected a mapping, not a list"),
        ("image: A b", ":1:8: image: 'A b' is not a name (lower-case letters and digits, . _ - between)"),
        ("image: a\npackges: [b]", ":2:1: unknown key 'packges' (did you mean 'packages'?)"),
        (
            "image: a\npackages: [../b]",
            ":2:12: packages[0]: expected a Debian package (NAME, NAME=VERSION) or a mapping",
        ),
        (
            "image: a\npackages: [bb, {amd64: cc}]",
            ":2:16: packages[1]: no package for arm64 (name one, or shorten arches)",
        ),
        (
            "image: a\nkeep: [/usr]",
            ":2:8: keep[0]: '/usr' is not a pattern of paths in the image",
        ),
        ("image: a\nfiles: [{path: ../b, contents: x}]", ":2:16: files[0].path: '../b' is not a path in the image"),
        ("image: a\nfiles: [{path: b/../c, contents: x}]", ":2:16: files[0].path: 'b/../c' is not a path in the image"),
        ("image: a\nfiles: [{path: b/, contents: x}]", ":2:16: files[0].path: 'b/' is not a path in the image"),
        (
            "image: a\nfiles: [{path: b}]",
            ":2:9: files[0]: 'b' needs exactly one of source, contents, symlink and directory",
        ),
        (
            "image: a\nfiles: [{path: b, symlink: c, contents: d}]",
            ":2:9: files[0]: 'b' needs exactly one of source, contents, symlink and directory",
        ),
        (
            "image: a\nfiles: [{path: b, contents: c, mode: 0644}]",
            ':2:38: files[0].mode: expected a mode: three or four octal digits in quotes, as "0755"',
        ),
        (
            "image: a\nfiles: [{path: b, contents: c, uid: -1}]",
            ":2:37: files[0].uid: -1 is not between 0 and 4294967294",
        ),
        (
            "image: a\nfiles: [{path: b, contents: c}, {path: b, symlink: d}]",
            ":2:40: files[1].path: 'b' stands twice",
        ),
        ("image: a\nfiles: [{path: b, source: c}]", ":2:27: 'c' cannot be used: No such file or directory"),
        ("image: a\nfiles: [{path: b, source: conf}]", ":2:27: 'conf' cannot be used: Is a directory"),
        ("image: a\nfiles: [{path: b, source: large}]", ":2:27: 'large' cannot be used: more than 1 MiB"),
        ("image: a\nconfig: {bind: [x]}", ":2:10: config: unknown key 'bind' (did you mean 'binds'?)"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "large").write_bytes(bytes(SOURCE_LIMIT + 1))
    with pytest.raises(Problems) as error:
        recipe(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/build.yml{message}")
    assert len(error.value.problems) == 1


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Problems) as error:
        recipe(tmp_path, "image: a\nfiles:\n- {path: b, source: x}\n- {path: c, source: y}\n- {path: b, contents: z}\n")
    assert [problem.place.line for problem in error.value.problems] == [3, 4, 5]


def test_an_image_has_the_name_of_its_folder_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tool"
    folder.mkdir()
    unnamed = recipe(folder, "cmd: [/x]\n")
    assert unnamed.reference == recipe(folder, "image: tool\ncmd: [/x]\n").reference
    monkeypatch.chdir(folder)
    assert load(Path()).build.image == "tool"
    (tmp_path / "My_Tool").mkdir()
    with pytest.raises(Problems, match=r":1:1: the folder's name 'My_Tool' is not a name .* \(name the image: "):
        recipe(tmp_path / "My_Tool", "cmd: [/x]\n")


def test_a_folder_without_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"none/build.yml:1:1: no recipe here: No such file or directory"):
        load(tmp_path / "none")


def test_an_architecture_that_a_recipe_is_not_made_for(tmp_path: Path) -> None:
    given = recipe(tmp_path, "image: tool\narches: [amd64]\n")
    with pytest.raises(Problems, match=r"build.yml:2:9: tool is made for amd64, not for arm64$"):
        given.request("arm64")


def test_places_inside_the_recipe_are_known_to_its_actions(tmp_path: Path) -> None:
    where = actions.image(recipe(tmp_path), "amd64", []).where
    assert where is not None
    assert where(("keep", 0)) == f"{tmp_path}/build.yml:6:8"
    assert where(("keep", 0, "deeper")) == f"{tmp_path}/build.yml:6:8"
    assert where(("concatenate", "x")) == f"{tmp_path}/build.yml:2:1"


parts = st.lists(st.sampled_from(["a", "b", "usr", "bin"]), min_size=1, max_size=4).map("/".join)


@given(parts, parts)
def test_relative_symlinks_lead_where_they_should(target: str, path: str) -> None:
    place = Path("/root", path).parent / relative(target, path)
    walked: list[str] = []
    for part in place.parts:
        walked = walked[:-1] if part == ".." else [*walked, part]
    assert Path(*walked) == Path("/root", target)


@pytest.mark.parametrize("folder", sorted(path.parent for path in OWN.glob("*/build.yml")), ids=lambda path: path.name)
def test_the_recipes_of_the_default_node_can_be_read(folder: Path, tmp_path: Path) -> None:
    found = load(folder)
    assert found.build.image == folder.name
    copy = tmp_path / "images"
    shutil.copytree(OWN, copy)
    assert load(copy / folder.name).reference == found.reference
    document = yaml.safe_load((folder / "build.yml").read_text())
    assert jsonschema.Draft202012Validator(recipe_schema()).is_valid(document)
