"""Real packages from a mirror of Debian: any architecture, any user, always the same image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.kernel import modules
from pipeline.model.digest import Digest
from pipeline.model.tree import File, Tree
from pipeline.oci.image import image_manifest
from pipeline.oci.layer import layer_tree, tar_tree
from pipeline.packages import fetch, index, resolve, sources, suite
from pipeline.packages.mirrors import Mirrors
from pipeline.packages.package import Package
from pipeline.recipe import actions, deb
from pipeline.recipe.recipe import load
from pipeline.store import Store
from tests import judges
from tests.project import ROOT

pytestmark = pytest.mark.network

RECIPE = """\
image: tool
packages: [busybox-static, ca-certificates]
dependencies: ["!debconf", "!openssl"]
keep: [bin/busybox, "usr/share/doc/*/copyright"]
concatenate: {etc/ssl/certs/ca-certificates.crt: ["usr/share/ca-certificates/mozilla/*.crt"]}
symlinks: {bin/busybox: [bin/sh, sbin/init]}
files: [{path: root, directory: true, mode: "0700"}]
cmd: [/bin/sh]
"""
BUILD = """\
import json, sys
from pathlib import Path
from pipeline.packages import index, resolve, sources
from pipeline.recipe import actions
from pipeline.recipe.recipe import load
from pipeline.store import Store
recipe, cache, arch = load(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
indexes = index.open_all(sources.load()("bookworm"), [arch])[arch]
packages = [package.document() for package in resolve.choose(indexes, arch, **json.loads(recipe.request(arch)))]
digest, _ = actions.image(recipe, arch, packages).perform(Store(cache))
print(json.dumps([digest, packages]))
"""
NOBODY = 65534
LINKER = b"lib64/ld-linux-x86-64.so.2"


def choose(arch: str, packages: Sequence[str], dependencies: bool | Sequence[str]) -> list[dict[str, Any]]:
    """The JSON forms of what packages come to."""
    indexes = index.open_all(sources.load()("bookworm"), [arch])[arch]
    found: list[Package] = resolve.choose(indexes, arch, packages, dependencies)
    return [package.document() for package in found]


def build(folder: Path, arch: str, *before: str, **environment: str) -> tuple[Digest, list[dict[str, object]]]:
    """Build RECIPE in `folder`, in a process of its own that `before` starts."""
    (folder / "recipe").mkdir(parents=True, exist_ok=True)
    (folder / "recipe/build.yml").write_text(RECIPE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    words = [*before, sys.executable, "-c", BUILD, folder / "recipe", folder / "cache", arch]
    digest, packages = json.loads(judges.run(*words, env=environment, cwd=folder).stdout)
    return Digest.parse(digest), packages


@pytest.mark.parametrize("release", ["trixie", "bookworm", "noble"])
def test_the_keys_that_come_along_sign_the_built_in_releases(tmp_path: Path, release: str) -> None:
    """Of the archives that a mirror is known of: Ubuntu's ports may be elsewhere."""
    mirrors = Mirrors()
    for each in suite.suites(sources.load()(release), tmp_path):
        if each.source.name != "ubuntu-ports":
            opened = suite.open_suite(each, mirrors)
            assert each.name in opened.release.names and opened.release.files


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_every_architecture_builds_here_and_always_the_same(tmp_path: Path, arch: str) -> None:
    first, packages = build(tmp_path / "a", arch)
    strange = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    second, _ = build(tmp_path / ("b" * 60), arch, *strange, TZ="Asia/Tokyo", PYTHONHASHSEED="1", HOME="/nonexistent")
    assert first == second
    assert {package["architecture"] for package in packages} == {arch, "all"}
    store = Store(tmp_path / "a/cache")
    tree = layer_tree(store, image_manifest(store, first).layers[0].digest)
    assert {"usr/bin/busybox", "bin/sh", "sbin/init", "root", "etc/ssl/certs/ca-certificates.crt"} <= tree.keys()
    program = tree.file("usr/bin/busybox")
    machine = {"amd64": b"\x3e\x00", "arm64": b"\xb7\x00"}  # e_machine (elf(5)): EM_X86_64, EM_AARCH64
    assert store.bytes(program.content)[18:20] == machine[arch]
    skopeo = judges.need("skopeo")
    reference = load(tmp_path / "a/recipe").reference
    seen = judges.run(skopeo, "--override-arch", arch, "inspect", f"oci:{store.root}:{reference}").stdout
    assert json.loads(seen)["Architecture"] == arch


def test_nobody_in_particular_may_build(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    become = (judges.need("setpriv", "util-linux"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    if subprocess.run(
        [*become, sys.executable, "-c", "import pipeline.store"], cwd="/", capture_output=True
    ).returncode:
        pytest.skip("this Python or this checkout may be read by root alone")
    mine, _ = build(tmp_path / "root", "arm64")
    place = Path(tempfile.gettempdir()) / f"nodekiln-nobody-{os.getpid()}"
    place.mkdir()
    try:
        (place / "recipe").mkdir()
        for each in (place, place / "recipe"):
            os.chown(each, NOBODY, NOBODY)
        theirs, _ = build(place, "arm64", *become, HOME="/nonexistent")
        assert {each.stat().st_uid for each in (place / "cache").rglob("*")} == {NOBODY}
    finally:
        shutil.rmtree(place)
    assert mine == theirs


IMAGES = sorted(path.parent.name for path in (ROOT / "images").glob("*/build.yml"))
SHARED = dict.fromkeys(["runc", "containerd", "containerd-cri", "cni", "nettools"], "init")
"""Image -> the one that has the C library in the root that they share."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("recipes"))


def layer_of(store: Store, name: str, release: str, arch: str) -> Digest:
    """The layer of one of our recipes, made of today's packages."""
    recipe = load(ROOT / "images" / name)
    indexes = index.open_all(sources.load()(release), [arch])[arch]
    packages = resolve.choose(indexes, arch, **json.loads(recipe.request(arch)))
    manifest = actions.image(recipe, arch, [package.document() for package in packages]).perform(store)[0]
    return image_manifest(store, manifest).layers[0].digest


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in IMAGES if not name.startswith("kernel")])
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("release", ["trixie", "bookworm", "noble"])
def test_the_dynamic_linker_finds_what_recipes_derive(
    store: Store, tmp_path: Path, release: str, arch: str, name: str
) -> None:
    """The image's own linker lists the libraries of each program, in the image as root; no other machine's can."""
    if arch not in load(ROOT / "images" / name).build.arches:
        pytest.skip(f"not made for {arch}")
    if (release, arch) == ("noble", "arm64"):
        pytest.skip("Ubuntu has other architectures than amd64 in an archive of its own")
    for each in {SHARED.get(name, name), name}:
        judges.run("tar", "-xf", store.path(layer_of(store, each, release, arch)), "-C", tmp_path)
    programs = [path for folder in ("bin", "sbin", "lib/openssh") for path in (tmp_path / "usr" / folder).glob("*")]
    for path in programs if arch == "amd64" and name != "syslinux" else ():
        if path.is_symlink() or not (data := path.read_bytes()).startswith(b"\x7fELF"):
            continue
        if LINKER in data:
            words = ["unshare", "--map-root-user", "chroot", tmp_path, f"/{LINKER.decode()}", "--list"]
            assert "not found" not in judges.run(*words, f"/{path.relative_to(tmp_path)}").stdout


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Tree, str]:
    """Debian's cloud kernel: its package's files, and the release."""
    store = Store(tmp_path_factory.mktemp("kernel"))
    packages = choose("amd64", ["linux-image-cloud-amd64"], ["linux-image-*"])
    unpacked = deb.unpack(store, fetch.fetch(store, recipe="kernel", arch="amd64", packages=packages))
    tree = Tree(
        (path.partition("/")[2], entry) for path, entry in store.tree(unpacked).items() if "/" in path
    ).ordered()
    [release] = modules.releases(tree)
    return store, tree, release


def test_depmod_agrees_about_debians_cloud_kernel(kernel: tuple[Store, Tree, str], tmp_path: Path) -> None:
    store, tree, release = kernel
    ours = modules.depmod(store, tree, release)
    for path, entry in tree.items():
        if path.startswith("lib/modules/") and isinstance(entry, File):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(store.bytes(entry.content))
    judges.run(judges.need("depmod", "kmod"), "-b", tmp_path, release)
    for name, data in ours.items():
        theirs = (tmp_path / "lib/modules" / release / name).read_bytes()
        if name == "modules.symbols":
            assert sorted(data.splitlines()) == sorted(theirs.splitlines())
        else:
            assert data == theirs, name


def test_modprobe_finds_what_was_left_of_it(kernel: tuple[Store, Tree, str], tmp_path: Path) -> None:
    store, tree, release = kernel
    left = modules.cut(store, tree, ["virtio_net", "btrfs", "overlay", "ext4", "unix"])
    for path, entry in left.items():
        if path.startswith("lib/modules/") and isinstance(entry, File):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(store.bytes(entry.content))
    modprobe = judges.need("modprobe", "kmod")
    for name in ("btrfs", "virtio:d00000001v00001AF4", "overlay"):
        shown = judges.run(modprobe, "-d", tmp_path, "-S", release, "--show-depends", name).stdout
        files = [Path(line.split()[1]) for line in shown.splitlines() if line.startswith("insmod")]
        assert files and all(file.exists() for file in files), shown
    assert judges.run(modprobe, "-d", tmp_path, "-S", release, "--show-depends", "ext4").stdout == "builtin ext4\n"
    assert len([path for path in left if path.endswith(".ko")]) < 30


def test_the_kernel_recipe_gives_the_kernel_of_another_machine(tmp_path: Path) -> None:
    recipe, store = load(ROOT / "images/kernel"), Store(tmp_path)
    packages = choose("arm64", **json.loads(recipe.request("arm64")))
    manifest, _ = actions.image(recipe, "arm64", packages).perform(store)
    tree = layer_tree(store, image_manifest(store, manifest).layers[0].digest)
    kernel, tar = tree["kernel"], tree["kernel.tar"]
    assert isinstance(kernel, File) and isinstance(tar, File) and kernel.size > 5 << 20
    assert ["arm64" in release for release in modules.releases(tar_tree(store, tar.content))] == [True]
