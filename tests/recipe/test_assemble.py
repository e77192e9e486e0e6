"""Packages and a recipe become an image: one layer, in the shape that image-spec gives it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.action import Action
from pipeline.language.problem import StageProblem
from pipeline.model.tree import EPOCH, Directory, File, Symlink, Tree, only
from pipeline.oci.image import image_config, image_manifest
from pipeline.oci.layer import layer_tree, tar_tree
from pipeline.oci.manifest import MANIFESTS
from pipeline.recipe import assemble, deb
from pipeline.recipe.assemble import image
from pipeline.recipe.tag import describe, tag
from pipeline.store import Store
from tests import judges
from tests.kernel import elf
from tests.packages import repository
from tests.programs.craft import library, program

PLAIN: dict[str, Any] = {
    "reference": "nodekiln/tool:1",
    "arch": "amd64",
    "keep": [],
    "drop": [],
    "provided": [],
    "concatenate": {},
    "kernel": False,
    "files": [],
    "symlinks": {},
    "config": {},
}
ONE: repository.Files = {
    "usr/bin/one": "1",
    "usr/share/doc/one/copyright": "c",
    "etc/one": "a=1\n",
    "var/empty": ("directory", "0700"),
}
TWO: repository.Files = {
    "usr/bin/two": "22",
    "usr/share/doc/two/copyright": "c",
    "lib64": ("link", "usr/lib"),
    "etc/shared": "s",
}


def own(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "mode": "0644", "uid": 0, "gid": 0, **more}


def build(store: Store, packages: dict[str, repository.Files], **params: Any) -> Tree:
    """The tree of the image's only layer."""
    return layer_tree(store, image_manifest(store, made(store, packages, **params)).layers[0].digest)


def made(store: Store, packages: dict[str, repository.Files], **params: Any) -> Any:
    debs = Tree()
    for name, files in sorted(packages.items()):
        debs.update(only(f"{name}.deb", store.content(repository.deb(files))))
    return image(store, deb.unpack(store, store.put_tree(debs)), **{**PLAIN, **params})


def text(store: Store, tree: Tree, path: str) -> str:
    entry = tree.file(path)
    return store.bytes(entry.content).decode()


def test_the_files_of_all_packages_are_there(store: Store) -> None:
    tree = build(store, {"one": ONE, "two": TWO})
    assert {path for path, entry in tree.items() if type(entry) is not Directory} == {
        path for path in {**ONE, **TWO} if path != "var/empty"
    }
    assert text(store, tree, "usr/bin/two") == "22"
    assert tree["usr/bin/one"].mtime == repository.MTIME
    assert tree["var/empty"] == Directory(0o700, 0, 0, repository.MTIME)
    assert tree["lib64"] == Symlink(0o777, 0, 0, repository.MTIME, (), "usr/lib")


def test_keep_and_drop_choose_among_them(store: Store) -> None:
    tree = build(store, {"one": ONE, "two": TWO}, keep=["usr/**"], drop=["**/copyright"])
    assert list(tree) == ["usr", "usr/bin", "usr/bin/one", "usr/bin/two"]


def test_a_keep_pattern_that_nothing_matches_is_an_error_at_its_place(store: Store) -> None:
    with pytest.raises(StageProblem, match=r"'lib/libnew.so' matches nothing in the packages") as error:
        build(store, {"one": ONE}, keep=["usr/**", "lib/libnew.so"])
    assert error.value.path == ("keep", 1)


def test_own_files_win(store: Store) -> None:
    files = [
        own("usr/bin/one", contents="mine \udcff", mode="4755", uid=7, gid=8),
        own("lib64", mode="0755"),
        own("lib64/x", contents=""),
        own("new/deep/link", symlink="/anywhere"),
        own("var/empty", mode="1777"),
    ]
    tree = build(store, {"one": ONE, "two": TWO}, files=files)
    assert tree["usr/bin/one"]._replace(content=()) == File(0o4755, 7, 8, EPOCH)  # type: ignore[call-arg]
    assert tree["usr/bin/one"].size == 6  # type: ignore[union-attr]
    assert tree["lib64"] == Directory(0o755, 0, 0, EPOCH)
    assert tree["new/deep"] == Directory(0o755, 0, 0, EPOCH)
    assert tree["new/deep/link"] == Symlink(0o777, 0, 0, EPOCH, (), "/anywhere")
    assert tree["var/empty"] == Directory(0o1777, 0, 0, EPOCH)
    assert tree["etc/shared"].mtime == repository.MTIME


def test_an_image_needs_no_packages(store: Store) -> None:
    assert list(build(store, {}, files=[own("etc/x", contents="x")])) == ["etc", "etc/x"]


def test_symlinks_are_many_names_for_one_file(store: Store) -> None:
    tree = build(store, {"one": ONE}, symlinks={"usr/bin/one": ["usr/bin/uno", "sbin/eins", "un"]})
    targets = {path: entry.target for path, entry in tree.items() if isinstance(entry, Symlink)}
    assert targets == {"usr/bin/uno": "one", "sbin/eins": "../usr/bin/one", "un": "usr/bin/one"}
    with pytest.raises(StageProblem, match=r"there is no 'usr/bin/other' in the image") as error:
        build(store, {"one": ONE}, symlinks={"usr/bin/other": ["x"]})
    assert error.value.path == ("symlinks", "usr/bin/other")


def test_concatenate_strings_files_together_by_path_even_dropped_ones(store: Store) -> None:
    packages: dict[str, repository.Files] = {
        "a": {"certs/b.crt": "B\n"},
        "z": {"certs/a.crt": "A\n", "certs/c.txt": "C"},
    }
    tree = build(store, packages, drop=["certs"], concatenate={"etc/ssl/all.crt": ["certs/*.crt"]})
    assert list(tree) == ["etc", "etc/ssl", "etc/ssl/all.crt"]
    assert text(store, tree, "etc/ssl/all.crt") == "A\nB\n"
    with pytest.raises(StageProblem, match=r"nothing in the packages matches") as error:
        build(store, packages, concatenate={"x": ["certs/*.pem"]})
    assert error.value.path == ("concatenate", "x")


def test_two_packages_may_have_the_same_file_but_not_two_under_one_name(store: Store) -> None:
    tree = build(store, {"one": ONE, "same": {"etc/one": "a=1\n"}, "two": TWO})
    assert text(store, tree, "etc/one") == "a=1\n"
    for other in ({"etc/one": "a=2\n"}, {"etc/one": "longer\n"}, {"etc/one": ("link", "x")}, {"etc/one/below": "x"}):
        with pytest.raises(StageProblem, match=r"'etc/one' is not the same in the packages one and other"):
            build(store, {"one": ONE, "other": other})
    build(store, {"one": ONE, "other": {"etc/one": "a=2\n"}}, drop=["etc/one"])


def test_the_config_says_how_it_is_run_and_for_what_machine(store: Store) -> None:
    manifest = made(store, {"one": ONE}, arch="arm64", config={"Cmd": ["/x"], "Env": ["A=b"], "Labels": {"l": "{}"}})
    config = image_config(store, manifest)
    assert (config["architecture"], config["variant"], config["os"]) == ("arm64", "v8", "linux")
    assert (config["Cmd"], config["Env"], config["Labels"]) == (["/x"], ["A=b"], {"l": "{}"})
    [layer] = image_manifest(store, manifest).layers
    assert config["diff_ids"] == [layer.digest] and layer.size == store.size(layer.digest)


# what programs need

LIB = "usr/lib/x86_64-linux-gnu"
LIBC: repository.Files = {
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": library(soname="ld-linux-x86-64.so.2"),
    "lib/x86_64-linux-gnu/libc.so.6": library(soname="libc.so.6"),
    "lib64/ld-linux-x86-64.so.2": ("link", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
    "lib/x86_64-linux-gnu/libm.so.6": library(soname="libm.so.6"),
    "usr/share/doc/libc6/copyright": "LGPL",
}
TOOL: repository.Files = {
    "bin/tool": program(["liba.so.1", "libc.so.6"]),
    "bin/other": program(["libgone.so.1"]),
    "usr/share/doc/tool": ("link", "liba1"),
}
LIBA: repository.Files = {
    f"{LIB}/liba.so.1": ("link", "liba.so.1.0"),
    f"{LIB}/liba.so.1.0": library("libc.so.6", soname="liba.so.1"),
    "usr/bin/a-tool": "a",
    "usr/share/doc/liba1/copyright": "MIT",
}
WHOLE = {"tool": TOOL, "liba1": LIBA, "libc6": LIBC, "unused": ONE}


def merged_usr(files: repository.Files) -> repository.Files:
    """The files as packages of Debian 13 have them."""
    moved = {f"usr/{path}" if path.startswith(("bin/", "lib")) else path: item for path, item in files.items()}
    name = "usr/lib64/ld-linux-x86-64.so.2"
    return moved | ({name: ("link", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")} if name in moved else {})


@pytest.mark.parametrize("layout", [dict, merged_usr], ids=["12", "13"])
@pytest.mark.parametrize("keep", ["bin/tool", "usr/bin/tool"])
def test_programs_bring_libraries_and_licences_in_both_layouts(store: Store, layout: Any, keep: str) -> None:
    packages = {name: layout(files) for name, files in WHOLE.items()}
    tree = build(store, packages, keep=[keep], symlinks={"bin/tool": ["bin/t"]})
    assert [path for path, entry in tree.items() if type(entry) is not Directory] == [
        "bin/t",
        "lib64/ld-linux-x86-64.so.2",
        "usr/bin/tool",
        f"{LIB}/ld-linux-x86-64.so.2",
        f"{LIB}/liba.so.1",
        f"{LIB}/liba.so.1.0",
        f"{LIB}/libc.so.6",
        "usr/share/doc/liba1/copyright",
        "usr/share/doc/libc6/copyright",
        "usr/share/doc/tool",
    ]
    assert tree["bin/t"] == Symlink(0o777, 0, 0, EPOCH, (), "../usr/bin/tool")
    assert tree["lib64/ld-linux-x86-64.so.2"] == Symlink(0o777, 0, 0, EPOCH, (), f"../{LIB}/ld-linux-x86-64.so.2")


def test_a_library_that_is_nowhere_is_an_error_at_the_key_that_needs_it(store: Store) -> None:
    with pytest.raises(StageProblem) as error:
        build(store, WHOLE, keep=["etc/one", "bin/*"], files=[own("x", contents="#!/bin/lua\n", mode="0755")])
    hint = " (name its package, drop what needs it, or list it under provided)"
    assert {(problem.path, str(problem)) for problem in error.value.problems} == {
        (("keep", 1), f"'usr/bin/other' needs libgone.so.1, which none of the packages has{hint}"),
        (("files", 0, "path"), f"'x' needs /bin/lua, which none of the packages has{hint}"),
    }
    with pytest.raises(StageProblem, match=r"needs libc.so.6") as error:
        build(store, {"tool": TOOL, "liba1": LIBA}, drop=["bin/other"], provided=["**/ld-linux-*"])
    assert error.value.path == ("packages",)


def test_what_another_image_of_the_root_has_does_not_come_along(store: Store) -> None:
    tree = build(store, WHOLE, keep=["bin/tool"], provided=["**/ld-linux-*", "**/libc.so.*"])
    assert f"{LIB}/liba.so.1.0" in tree and f"{LIB}/libc.so.6" not in tree and "lib64" not in tree


def test_own_paths_follow_a_link_of_the_root(store: Store) -> None:
    files = [own("bin", symlink="usr/bin"), own("bin/mine", contents="")]
    tree = build(store, {"one": ONE}, files=files, symlinks={"bin/one": ["bin/uno"]})
    assert tree["bin"] == Symlink(0o777, 0, 0, EPOCH, (), "usr/bin")
    assert "usr/bin/mine" in tree and tree["usr/bin/uno"] == Symlink(0o777, 0, 0, EPOCH, (), "one")


# the kernel's contract

RELEASE = "6.1.0-1-cloud"
KERNEL: repository.Files = {
    f"boot/vmlinuz-{RELEASE}": "bzImage",
    f"boot/System.map-{RELEASE}": "symbols",
    f"lib/modules/{RELEASE}/kernel/a.ko": elf.module(["alias=x"], ["a"]),
    f"lib/modules/{RELEASE}/kernel/b.ko": elf.module((), (), ["a"]),
    f"lib/modules/{RELEASE}/modules.builtin": "",
    "usr/share/doc/linux/copyright": "GPL",
}


@pytest.mark.parametrize("usr", ["", "usr/"])
def test_a_kernel_gets_the_shape_that_linuxkit_wants(store: Store, usr: str) -> None:
    files = {usr + path if path.startswith("lib/") else path: data for path, data in KERNEL.items()}
    tree = build(store, {"linux": files}, kernel=True)
    assert text(store, tree, "kernel") == "bzImage"
    assert [path for path, entry in tree.items() if isinstance(entry, File)] == [
        "kernel",
        "kernel.tar",
        "usr/share/doc/linux/copyright",
    ]
    assert "boot" not in tree and "lib" not in tree and "usr/lib" not in tree
    modules = tar_tree(store, tree["kernel.tar"].content)  # type: ignore[union-attr]
    assert text(store, modules, f"lib/modules/{RELEASE}/modules.dep") == "kernel/a.ko:\nkernel/b.ko: kernel/a.ko\n"
    assert text(store, modules, f"lib/modules/{RELEASE}/modules.alias").endswith("\nalias x a\n")
    assert modules[f"lib/modules/{RELEASE}/kernel/a.ko"].mtime == repository.MTIME


def test_a_kernel_s_device_trees_are_in_its_tar(store: Store) -> None:
    trees = {f"usr/lib/linux-image-{RELEASE}/broadcom/bcm2837-rpi-3-b.dtb": "device tree"}
    tree = build(store, {"linux": KERNEL | trees}, kernel=True)
    modules = tar_tree(store, tree["kernel.tar"].content)  # type: ignore[union-attr]
    assert text(store, modules, "boot/dtb/broadcom/bcm2837-rpi-3-b.dtb") == "device tree"
    assert not [path for path in tree if "linux-image" in path or path.endswith(".dtb")]


def test_a_kernel_s_configuration_is_beside_it(store: Store) -> None:
    tree = build(store, {"linux": KERNEL | {f"boot/config-{RELEASE}": "CONFIG_RD_ZSTD=y"}}, kernel=True)
    assert text(store, tree, "kernel-config") == "CONFIG_RD_ZSTD=y" and "boot" not in tree


def test_a_kernel_without_modules_of_its_own_is_refused(store: Store) -> None:
    without = {path: data for path, data in KERNEL.items() if "vmlinuz" not in path}
    for packages, message in (
        ({"linux": without}, "exactly one boot/vmlinuz-* is needed, not none"),
        ({"linux": KERNEL, "more": {"boot/vmlinuz-7": ""}}, "needed, not boot/vmlinuz-6.1.0-1-cloud, boot/vmlinuz-7"),
        ({"linux": without, "more": {"boot/vmlinuz-7": ""}}, "the kernel is 7, its modules are for 6.1.0-1-cloud"),
    ):
        with pytest.raises(StageProblem) as error:
            build(store, packages, kernel=True)  # type: ignore[arg-type]
        assert message in str(error.value) and error.value.path == ("kernel",)


# what others see of it


def test_skopeo_finds_every_platform_under_one_name(store: Store, tmp_path: Path) -> None:
    skopeo = judges.need("skopeo")
    mine = {arch: made(store, {"one": ONE}, arch=arch, config={"Cmd": [arch]}) for arch in ("amd64", "arm64")}
    made(store, {"two": TWO}, reference="nodekiln/other:2")
    made(store, {"one": ONE}, arch="arm64", config={"Cmd": ["arm64"]})
    for arch, manifest in mine.items():
        options = ("--override-arch", arch, "--override-os", "linux")
        place = f"oci:{store.root}:nodekiln/tool:1"
        seen = json.loads(judges.run(skopeo, *options, "inspect", place).stdout)
        assert (seen["Architecture"], seen["Created"]) == (arch, "1980-01-01T00:00:00Z")
        policy = ("--insecure-policy", "--preserve-digests")
        judges.run(skopeo, *options, *policy[:1], "copy", place, f"dir:{tmp_path}/{arch}")
        assert Path(tmp_path, arch, "manifest.json").read_bytes() == store.get(manifest)
        config = json.loads(judges.run(skopeo, *options, "inspect", "--config", place).stdout)
        assert config["config"]["Cmd"] == [arch]
    names = [each["annotations"] for each in json.loads((store.root / "index.json").read_bytes())["manifests"]]
    assert sorted(each["org.opencontainers.image.ref.name"] for each in names) == [
        "nodekiln/other:2",
        "nodekiln/tool:1",
    ]


def test_names_that_are_given_at_once_are_all_there(store: Store) -> None:
    manifest = made(store, {"one": ONE})
    described = describe(store, MANIFESTS[0], manifest, platform={"architecture": "amd64", "os": "linux"})
    names = [f"nodekiln/n{number}:1" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: tag(store, name, described), names))
    found = json.loads((store.root / "index.json").read_bytes())["manifests"]
    assert {each["annotations"]["org.opencontainers.image.ref.name"] for each in found} == {*names, PLAIN["reference"]}


def test_tar_reads_the_layer(store: Store) -> None:
    manifest = made(store, {"one": ONE, "two": TWO}, files=[own("x", contents="y", mode="2750", uid=5, gid=6)])
    data = store.get(image_manifest(store, manifest).layers[0].digest)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = [member.name for member in tar]
        member = tar.getmember("x")
        assert (member.mode, member.uid, member.gid, member.mtime, member.size) == (0o2750, 5, 6, EPOCH, 1)
    assert names == sorted(names) and len(set(names)) == len(names)


# the same, always


def test_neither_umask_nor_zone_nor_place_nor_order_is_in_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(Store(tmp_path / "a"), {"one": ONE, "two": TWO}, symlinks={"usr/bin/one": ["uno"]})
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    mask = os.umask(0o077)
    try:
        longer = tmp_path / ("b" * 100)
        longer.mkdir()
        second = made(
            Store(longer), {"two": TWO, "one": dict(reversed(ONE.items()))}, symlinks={"usr/bin/one": ["uno"]}
        )
    finally:
        os.umask(mask)
    assert first == second


def test_golden_image_assemble_version_3_tar_1_modules_1(store: Store) -> None:
    assert assemble.VERSION == "3 tar-1 modules-1"
    manifest = made(
        store, {"one": ONE, "linux": KERNEL}, kernel=True, files=[own("x", contents="y")], config={"User": "1"}
    )
    assert manifest == "sha256:99a4f5f3c8be574dad34cec7547908c0cbadab40b6bac11c6b6df16757865593"


@pytest.mark.parametrize("everything", [False, True])
def test_what_was_collected_meanwhile_is_made_again(store: Store, everything: bool) -> None:
    unpack = Action("unpack", deb.unpack, {}, (Action("debs", debs),))

    def layer(**params: Any) -> Any:
        return image_manifest(store, Action("image", image, {**PLAIN, **params}, (unpack,)).perform(store)[0]).layers

    first = layer()
    unpacked = store.tree(unpack.perform(store)[0])
    archives = {piece.blob for entry in unpacked.values() if isinstance(entry, File) for piece in entry.content}
    for path in (store.root / "blobs/sha256").iterdir():
        if everything or f"sha256:{path.name}" in archives:
            path.unlink()
    assert layer(config={"User": "1"}) == first


VERSION = 1


def debs(store: Store) -> Any:
    """A stage of the tests' own."""
    return store.put_tree(only("one.deb", store.content(repository.deb(ONE))))
