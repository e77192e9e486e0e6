"""What a booted node has: files that are hidden by a mount, and binds whose source nothing makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import sections
from pipeline.container import booted_root
from pipeline.engine.action import Action
from pipeline.model.path_resolution import resolve
from pipeline.model.tree import Directory, Tree, complete
from pipeline.planning import check
from pipeline.planning.load import load
from pipeline.spec.components import Context, Image
from pipeline.store import Store
from tests.conformance import trees as conformance
from tests.stages.images import image, tree_of

RC_INIT = (Path(__file__).parents[2] / "images/init/rc.init").read_text()
KINDS = {
    "contents: x": "a file", "directory: true": "a directory", "symlink: y": "a symlink",
    "source: a.yml": "a copy", "source: no-such-file, optional: true": "an optional copy",
}  # fmt: skip


def warned(folder: Path, text: str) -> list[str]:
    (folder / "a.yml").write_text(text)
    return [str(item).replace(f"{folder}/a.yml:", "") for item in load(folder / "a.yml").warnings]


@pytest.mark.parametrize("what", KINDS, ids=KINDS.get)
@pytest.mark.parametrize("path", ["var/lib/x", "/run/x", "tmp/x", "dev/x", "proc/x", "sys/x/y", "boot/x", "./var//x"])
def test_an_entry_that_a_mount_hides_is_warned_of(what: str, path: str, tmp_path: Path) -> None:
    (result,) = warned(tmp_path, f"files: [{{path: {path}, {what}}}]\n")
    assert result.startswith(f"1:16: {path!r} is not there once the node has booted (")


@pytest.mark.parametrize("path", ["var", "/run", "var/log", "run/config", "var/lib", "etc/x", "opt/var/x", "vary/x"])
def test_what_init_makes_itself_and_all_else_is_there(path: str, tmp_path: Path) -> None:
    assert warned(tmp_path, f"files: [{{path: {path}, directory: true}}]\n") == []


def test_the_advice_for_a_directory_makes_it(tmp_path: Path) -> None:
    (result,) = warned(tmp_path, "files: [{path: var/lib/host, directory: true}]\n")
    assert "`runtime: {mkdir: [/var/lib/host]}` makes it" in result


def test_the_list_is_what_init_does() -> None:
    mounted = re.findall(r"^mount -t \S+ .*? /([a-z]+)$", RC_INIT, re.MULTILINE)
    assert set(mounted) | {"dev", "boot"} == set(booted_root.HIDDEN)
    folders = re.search(r"^mkdir -p (/run.*?[^\\])\n", RC_INIT, re.MULTILINE | re.DOTALL)
    assert folders is not None
    created = {path.strip("/") for path in folders[1].replace("\\\n", " ").split()}
    created |= {path.strip("/") for path in re.findall(r"ln -s \S+ (/\S+?)(?:;|\n)", RC_INIT)}
    created |= {path.strip("/") for path in re.findall(r"mkdir -p (/dev\S+) (/dev\S+) (/dev\S+)", RC_INIT)[0]}
    assert created <= booted_root._INIT_PATHS
    others = {"run/resolvconf/resolv.conf", "run/containerd", "var/lib/containerd"}
    assert set(booted_root.INIT_PATHS) - created == others


def test_the_file_systems_are_those_that_init_mounts() -> None:
    mounted = {place: kind for kind, place in re.findall(r"\bmount -t (\w+) .*? /([a-z/0-9]+)$", RC_INIT, re.MULTILINE)}
    extra = re.search(r"^for extra in (.*?); do", RC_INIT, re.MULTILINE | re.DOTALL)
    assert extra is not None
    pairs = (each.split(":") for each in extra[1].replace("\\\n", " ").split())
    assert mounted | {f"sys/{place}": kind for kind, place in pairs} == booted_root.MOUNTS


def examined(store: Store, folder: Path, text: str, label: dict[str, Any] | None = None) -> list[str]:
    """The warnings of a spec whose images have a program, and /etc/motd."""
    (folder / "a.yml").write_text(text)
    created = image(store, tree_of(store, "bin/x", "etc/motd", "etc/link -> /etc/motd"), label or {}, Cmd=["/bin/x"])
    manifest, tree = (Action("given", conformance.given, {"digest": digest}) for digest in created)
    loaded = load(folder / "a.yml")
    parts = sections.components(Context(loaded, lambda text: Image(text, manifest, tree)))
    result = check.examine(store, parts)
    assert result.errors == []
    return [str(item).replace(f"{folder}/a.yml:", "") for item in result.warnings]


def test_a_bind_whose_source_nothing_makes_is_warned_of(store: Store, tmp_path: Path) -> None:
    text = "services:\n  - name: a\n    image: x\n    binds:\n      - /etc/hosts:/h\n      - {}:/data\ninit: [x]\n"
    (result,) = examined(store, tmp_path, text.format("/var/lib/host"))
    assert result.startswith("6:9: no component has '/var/lib/host' (it is not there once the node has booted; ")
    assert "`runtime: {mkdir: [/var/lib/host]}` makes a directory" in result
    (result,) = examined(store, tmp_path, text.format("/etc/mtod"))
    assert result.startswith("6:9: no component has '/etc/mtod' (") and "init images and files:" in result


MAKES = [
    "files: [{path: etc/x/y, contents: z}]",
    "onboot: [{name: m, image: x, binds: ['/:/all']}]",
    "onboot: [{name: m, image: x, binds: ['/etc:/etc']}]",
    "onboot: [{name: m, image: x, mounts: [{type: bind, source: /etc, destination: /x}]}]",
    "onboot: [{name: m, image: x, runtime: {mkdir: [/etc/x/y]}}]",
    "onboot: [{name: m, image: x, runtime: {mounts: [{type: tmpfs, source: tmpfs, destination: /etc/x}]}}]",
]


@pytest.mark.parametrize("how", MAKES)
def test_what_something_else_makes_is_there(how: str, store: Store, tmp_path: Path) -> None:
    text = f"services: [{{name: a, image: x, binds: ['/etc/x/y:/y']}}]\ninit: [x]\n{how}\n"
    assert examined(store, tmp_path, text) == []


@pytest.mark.parametrize(
    "source",
    ["/", "/etc/motd", "/etc/link", "/etc/resolv.conf", "/run", "/var/run/config", "/dev/ttyS0", "/sys/fs/cgroup",
     "/proc/sys", "/run/containerd/containerd.sock", "/var/log", "/var/log/x.log", "/etc/../etc/motd", "/lib/modules"],
)  # fmt: skip
def test_what_the_root_the_kernel_and_init_have_is_there(source: str, store: Store, tmp_path: Path) -> None:
    folder = "files: [{path: lib/modules, directory: true}]"
    text = f"services: [{{name: a, image: x, binds: ['{source}:/y']}}]\ninit: [x]\n{folder}\n"
    assert examined(store, tmp_path, text) == []


def test_an_identity_is_there_where_the_node_has_a_link_to_it(store: Store, tmp_path: Path) -> None:
    text = "services: [{{name: a, image: x, binds: ['/etc/machine-id:/etc/machine-id:ro']}}]\ninit: [x]\n{}"
    assert len(examined(store, tmp_path, text.format(""))) == 1
    link = "files: [{path: etc/machine-id, symlink: /run/machine-id}]\n"
    assert examined(store, tmp_path, text.format(link)) == []


def test_what_a_label_binds_is_warned_of_at_the_image(store: Store, tmp_path: Path) -> None:
    (result,) = examined(store, tmp_path, "services:\n  - {name: a, image: x}\n", {"binds": ["/root/.ssh:/root/.ssh"]})
    assert result.startswith("2:22: no component has '/root/.ssh', which the image's label binds (")


def test_a_container_cannot_make_the_source_of_its_own_bind(store: Store, tmp_path: Path) -> None:
    text = "services: [{name: a, image: x, binds: ['/var:/var', '/var/x:/x']}]\n"
    assert len(examined(store, tmp_path, text)) == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["etc", "var", "x", "..", ".", ""]), max_size=6))
def test_a_path_without_links_reaches_what_its_words_say(steps: list[str]) -> None:
    tree = complete(Tree({"etc/x/x": Directory(0o755, 0, 0, 0)}))
    expected: list[str] = []
    for step in steps:
        expected = expected[:-1] if step == ".." else [*expected, step] if step not in ("", ".") else expected
    assert resolve(tree, "/" + "/".join(steps), may_be_missing=True) == "/".join(expected)
