"""What the sections plan: parts in their order, parameters that hold all that matters and nothing else."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline import formats, sections
from pipeline.container import linuxkit_compat
from pipeline.engine.action import Action
from pipeline.language.schema import plain
from pipeline.model.digest import canonical_json
from pipeline.planning import products
from pipeline.planning.load import load
from pipeline.spec import metadata
from pipeline.spec.components import Component, Context, Image
from pipeline.stages import volume
from tests.conformance import trees as conformance

NODE = """
kernel: {image: k, cmdline: console=ttyS0}
init: [i/runc, i/init, other/runc]
volumes:
  - {name: data, image: v}
  - {name: blank, readonly: true}
onboot:
  - {name: a, image: x}
  - {name: a, image: y, uid: a, gid: svc, additionalGids: [a, 7, wheel]}
onshutdown:
  - {name: bye, image: x, readonly: true}
services:
  - name: svc
    image: x
    binds: [/etc:/etc, "data:/data:rw"]
    binds.add: ["blank:/b:ro,noexec"]
    mounts: [{type: bind, source: data, destination: /m}, {type: tmpfs, destination: /t}]
files:
  - {path: /etc/x, contents: y, uid: svc}
  - {path: containers/services/svc/lower/z, contents: y}
  - {path: etc/spec.json, metadata: json}
trust: {org: [o]}
"""


def image(text: str) -> Image:
    given = Action(f"given/{text}", conformance.given, {"digest": text})
    return Image(f"docker.io/library/{text}", given, given)


def planned(folder: Path, text: str) -> list[Component]:
    (folder / "node.yml").write_text(text)
    return sections.components(Context(load(folder / "node.yml"), lambda text, *arch: image(text)))


def params(parts: list[Component], name: str) -> Any:
    return next(part.tree.params for part in parts if part.name == name)


def test_sections_come_in_the_order_of_the_root_file_system() -> None:
    assert list(sections.sections()) == [
        "kernel", "init", "volumes", "onboot", "onshutdown", "services", "files", "trust", "build",
    ]  # fmt: skip


def test_parts_have_names_and_places(tmp_path: Path) -> None:
    assert [(part.name, part.prefix) for part in planned(tmp_path, NODE)] == [
        ("kernel", ""),
        ("init/runc", ""), ("init/init", ""), ("init/runc-2", ""), ("init/apk", ""),
        ("volumes/data", "containers/volumes/data"), ("volumes/blank", "containers/volumes/blank"),
        ("onboot/000-a", "containers/onboot/000-a"), ("onboot/001-a", "containers/onboot/001-a"),
        ("onshutdown/000-bye", "containers/onshutdown/000-bye"),
        ("services/svc", "containers/services/svc"),
        ("files", ""),
    ]  # fmt: skip


def test_an_image_is_shared_with_the_first_container_that_has_it(tmp_path: Path) -> None:
    parts = planned(tmp_path, NODE)
    first = {"prefix": "containers/onboot/000-a", "readonly": None}
    assert params(parts, "onboot/000-a")["shared"] is None and params(parts, "onboot/001-a")["shared"] is None
    assert params(parts, "onshutdown/000-bye")["shared"] == params(parts, "services/svc")["shared"] == first


def test_containers_names_are_ids_and_others_are_left_to_the_stage(tmp_path: Path) -> None:
    parts = planned(tmp_path, NODE)
    entry = params(parts, "onboot/001-a")["entry"]
    assert entry == {"uid": 101, "gid": 103, "additionalGids": [101, 7, "wheel"]}
    assert params(parts, "files")["ids"] == {"svc": 103}
    assert params(parts, "services/svc")["ids"] == {"svc": 103}


def test_volumes_are_resolved(tmp_path: Path) -> None:
    entry = params(planned(tmp_path, NODE), "services/svc")["entry"]
    assert entry["binds"] == ["/etc:/etc", "/containers/volumes/data/merged:/data:rw"]
    assert entry["binds.add"] == ["/containers/volumes/blank/merged:/b:ro,noexec"]
    assert entry["mounts"][0]["source"] == "/containers/volumes/data/merged"
    assert "source" not in entry["mounts"][1]


def test_files_look_at_the_trees_that_they_may_meet(tmp_path: Path) -> None:
    assert _met(tmp_path, NODE) == ["modules", "init/runc", "init/init", "init/runc-2", "init/apk", "services/svc"]
    assert params(planned(tmp_path, NODE), "files")["known"] == ["containers", "containers/services"]
    in_boot = NODE.replace("trust:", "  - {path: boot/extra/notes, contents: x}\ntrust:")
    assert _met(tmp_path, in_boot)[0] == "kernel"


def _met(folder: Path, text: str) -> list[str]:
    """The names of the stages whose trees the files of the spec look at."""
    return [action.name for part in planned(folder, text) if part.name == "files" for action in part.tree.inputs]


def test_parameters_are_json_and_say_no_lines(tmp_path: Path) -> None:
    moved = "# a comment\n\n" + NODE.replace("services:", "# another\nservices:")
    one, other = planned(tmp_path, NODE), planned(tmp_path, moved)
    for before, after in zip(one, other, strict=True):
        assert json.loads(canonical_json(before.tree.params)) == before.tree.params
        assert before.tree.key == after.tree.key
    where = next(part.tree.where for part in other if part.name == "services/svc")
    assert where is not None and where(("binds", 1)).endswith("node.yml:18:24")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (("contents: y, uid", "contents: z, uid"), {"files"}),
        (("console=ttyS0", "quiet"), {"kernel", "files"}),
        (('rw"]', 'ro"]'), {"services/svc", "files"}),
        (("name: bye", "name: ciao"), {"onshutdown/000-ciao", "files"}),
        (("trust: {org: [o]}", ""), set()),
        (("format", "format"), set()),
    ],
)  # fmt: skip
def test_a_change_is_a_change_of_what_says_it(tmp_path: Path, change: tuple[str, str], changed: set[str]) -> None:
    """`files` has the spec in it (metadata) and looks at trees below, so it changes with them."""
    before = {part.tree.key for part in planned(tmp_path, NODE)}
    after = planned(tmp_path, NODE.replace(*change))
    assert {part.name for part in after if part.tree.key not in before} == changed


def test_an_optional_source_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    text = "files: [{path: a, source: none, optional: true}, {path: b, contents: x}]\n"
    assert [entry["path"] for entry in params(planned(tmp_path, text), "files")["entries"]] == ["b"]
    assert planned(tmp_path, "files: [{path: a, source: none, optional: true}]\n") == []


def test_a_source_is_planned_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("1")
    text = "files: [{path: a, source: f}]\n"
    one = planned(tmp_path, text)[0].tree.key
    (tmp_path / "f").write_text("2")
    assert planned(tmp_path, text)[0].tree.key != one


def test_compat_repeats_what_linuxkit_does(tmp_path: Path) -> None:
    parts = planned(tmp_path, NODE + "build: {compat: linuxkit}\n")
    assert params(parts, "services/svc")["entry"]["mounts"][0]["source"] == "data"
    assert params(parts, "services/svc")["linuxkit"] and params(parts, "files")["linuxkit"]
    assert params(parts, "init/apk")["epoch"] == 0


def test_compat_forgets_what_linuxkit_forgets() -> None:
    mapping = {"containerID": 1, "hostID": 2, "size": 3}
    resources = {"memory": {"limit": 1, "kernelTCP": 2}, "hugepageLimits": [{}], "pids": {"limit": 1}}
    said = {"uidMappings": [mapping], "resources": resources, "net": "new"}
    assert linuxkit_compat.as_parsed(said) == {
        "uidMappings": [{"containerID": 0, "hostID": 0, "size": 3}],
        "resources": {"memory": {"limit": 1}, "pids": {"limit": 1}},
        "net": "new",
    }
    assert said["resources"] is resources and "kernelTCP" in resources["memory"], "the original is left alone"


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_metadata_is_a_spec_again(tmp_path: Path, form: str) -> None:
    (tmp_path / "node.yml").write_text(NODE)
    loaded = load(tmp_path / "node.yml")
    text = metadata.dump(Context(loaded, lambda name: Image(name, image(name).manifest, image(name).tree)), form)
    (tmp_path / "again.yml").write_text(text)
    again = load(tmp_path / "again.yml")
    for section in ("kernel", "init", "onboot", "onshutdown", "services", "files", "volumes"):
        assert plain(again[section]) == plain(loaded[section])
    assert again["trust"] != loaded["trust"], "LinuxKit's metadata has no word for trust"


def test_metadata_names_images_with_their_registries(tmp_path: Path) -> None:
    (tmp_path / "node.yml").write_text(NODE)
    document = json.loads(metadata.dump(Context(load(tmp_path / "node.yml"), image), "json"))
    assert document["kernel"]["image"] == "docker.io/library/k"
    assert document["init"][0] == "docker.io/library/i/runc"
    assert document["services"][0]["image"] == "docker.io/library/x"


def test_a_volume_may_hold_an_image_itself(tmp_path: Path) -> None:
    text = "volumes: [{name: v, image: x, format: oci, platforms: [linux/amd64]}]\n"
    part = planned(tmp_path, text)[0]
    assert part.tree.stage is volume.layout
    assert part.tree.params["reference"] == "docker.io/library/x" and part.tree.params["platforms"] == ["linux/amd64"]


def test_a_volume_may_hold_an_image_for_several_platforms(tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def noted(*words: str) -> Image:
        asked.append(words)
        return image(words[0])

    text = "volumes: [{name: v, image: x, format: oci, platforms: [linux/amd64, linux/arm64]}]\n"
    (tmp_path / "node.yml").write_text(text)
    (part,) = sections.components(Context(load(tmp_path / "node.yml"), noted))
    assert asked == [("x",), ("x", "amd64"), ("x", "arm64")]
    assert len(part.tree.inputs) == 2


def test_images_of_recipes_are_passed_on_as_they_are_written(tmp_path: Path) -> None:
    asked: list[str] = []

    def noted(text: str) -> Image:
        asked.append(text)
        return image(text)

    (tmp_path / "node.yml").write_text(
        'kernel: {image: "@pkg:images/kernel"}\nfiles: [{path: a, contents: "@reboot x"}]\n'
    )
    parts = sections.components(Context(load(tmp_path / "node.yml"), noted))
    assert asked == ["@pkg:images/kernel"]
    assert params(parts, "files")["entries"][0]["contents"] == "@reboot x", "other texts with an @ stay what they are"


def test_every_product_that_a_format_may_need_is_planned() -> None:
    assert all(isinstance(getattr(products.Products, name), cached_property) for name in get_args(formats.Product))
