"""What the sections' stages make of images and files: trees, problems at their place, warnings."""
# ruff: noqa: E501  # tables are read row by row

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pipeline import formats, sections
from pipeline.engine import host_digests
from pipeline.engine.action import Action
from pipeline.language import problem
from pipeline.language.problem import StageProblem
from pipeline.model import columns
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Directory, File, Symlink, Tree
from pipeline.planning import check
from pipeline.planning.load import load
from pipeline.spec.components import Context, Image
from pipeline.stages import bundle, files, kernel, root_image, volume
from pipeline.store import Store
from tests.conformance import trees as conformance
from tests.stages.images import STAMP, Made, image, tree_of

Json = dict[str, Any]


def text(store: Store, tree: Tree, path: str) -> str:
    entry = tree.file(path)
    return store.bytes(entry.content).decode()


class TestRootImage:
    def test_what_must_be_there_is(self, store: Store) -> None:
        tree = root_image.root_image(store, Tree(), EPOCH)
        assert set(tree) == {
            "dev", "dev/pts", "dev/shm", "etc", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "sys"
        }  # fmt: skip
        assert (len(text(store, tree, "etc/hosts")), len(text(store, tree, "etc/resolv.conf"))) == (160, 29)
        assert tree["etc/mtab"] == Symlink(0o755, 0, 0, EPOCH, (), "/proc/mounts")

    def test_what_an_image_has_of_it_is_replaced(self, store: Store) -> None:
        given = tree_of(
            store,
            "etc/",
            "dev/console c 5 1",
            "dev/pts/",
            "dev/null c 1 3",
            "etc/hostname",
            "etc/hosts = x",
            ".dockerenv",
            "Dockerfile",
            "sub/Dockerfile",
        )
        tree = root_image.root_image(store, given, EPOCH, root_image.RESOLVER)
        assert not {"dev/console", "etc/hostname", ".dockerenv", "Dockerfile"} & set(tree)
        assert {"dev/null", "sub/Dockerfile"} <= set(tree)
        assert tree["etc"] == tree["dev/pts"] == Directory(0o755, 0, 0, EPOCH)
        assert tree["etc/resolv.conf"] == Symlink(0o644, 0, 0, EPOCH, (), "/run/resolvconf/resolv.conf")
        assert text(store, tree, "etc/hosts").startswith("127.0.0.1 ")

    def test_an_images_own_mtab_stays(self, store: Store) -> None:
        tree = root_image.root_image(store, tree_of(store, "etc/mtab -> ../proc/self/mounts"), EPOCH)
        assert tree["etc/mtab"] == Symlink(0o777, 0, 0, EPOCH, (), "../proc/self/mounts")

    def test_a_link_where_a_directory_must_be_is_replaced(self, store: Store) -> None:
        tree = root_image.root_image(store, tree_of(store, "etc -> usr/etc", "usr/etc/passwd"), EPOCH)
        assert type(tree["etc"]) is Directory and "usr/etc/passwd" in tree

    def test_package_lists_are_joined(self, store: Store) -> None:
        one, two, none = (
            store.put_tree(tree_of(store, *paths))
            for paths in (("lib/apk/db/installed = P:a\n",), ("lib/apk/db/installed = P:b\n",), ("bin/x",))
        )
        joined = store.tree(root_image.packages(store, one, none, two, epoch=EPOCH))
        assert text(store, joined, "lib/apk/db/installed") == "P:a\n\n\nP:b\n\n\n"
        assert store.tree(root_image.packages(store, one, none, epoch=EPOCH)) == {}


def made(store: Store, given: Made, entry: Json | None = None, **params: Any) -> Tree:
    params = {
        "prefix": "containers/services/s",
        "entry": entry or {},
        "ids": {},
        "shared": None,
        "epoch": EPOCH,
    } | params
    return store.tree(bundle.bundle(store, given.manifest, given.tree, **params))


def document(store: Store, tree: Tree, path: str) -> Json:
    found: Json = json.loads(text(store, tree, f"containers/services/s/{path}"))
    return found


class TestBundle:
    def test_a_writable_root_is_an_overlay(self, store: Store) -> None:
        tree = made(store, image(store, tree_of(store, "bin/sh"), Cmd=["/bin/sh"]))
        place = "containers/services/s"
        assert {f"{place}/{name}" for name in ("lower/bin/sh", "tmp", "rootfs", "config.json", "runtime.json")} <= set(
            tree
        )
        assert not any(path.startswith((f"{place}/rootfs/", f"{place}/tmp/")) for path in tree)
        assert tree[place] == tree["containers"] == Directory(0o755, 0, 0, EPOCH)
        assert tree[f"{place}/lower/bin/sh"].mtime == STAMP
        mounts = document(store, tree, "runtime.json")["mounts"]
        assert mounts[2]["options"] == [
            f"lowerdir=/{place}/lower", f"upperdir=/{place}/tmp/upper", f"workdir=/{place}/tmp/work"
        ]  # fmt: skip

    def test_a_read_only_root_is_bound_to_itself(self, store: Store) -> None:
        tree = made(store, image(store, tree_of(store, "bin/sh"), {"readonly": True}, Cmd=["/bin/sh"]))
        place = "containers/services/s"
        assert f"{place}/rootfs/bin/sh" in tree and f"{place}/lower" not in tree and f"{place}/tmp" not in tree
        assert document(store, tree, "runtime.json")["mounts"] == [
            {"destination": f"/{place}/rootfs", "source": f"/{place}/rootfs", "options": ["bind"]}
        ]

    @pytest.mark.parametrize(
        ("own", "first", "label", "source"),
        [
            (False, None, {}, "lowerdir=/containers/onboot/000-a/lower"),
            (False, True, {}, "lowerdir=/containers/onboot/000-a/rootfs"),
            (False, None, {"readonly": True}, "lowerdir=/containers/onboot/000-a/rootfs"),
            (True, False, {}, "/containers/onboot/000-a/lower"),
            (True, None, {"readonly": True}, "/containers/onboot/000-a/rootfs"),
            (True, False, {"readonly": True}, "/containers/onboot/000-a/lower"),
        ],
    )  # fmt: skip
    def test_a_shared_root_points_at_the_first(
        self, store: Store, own: bool, first: bool | None, label: Json, source: str
    ) -> None:
        shared = {"prefix": "containers/onboot/000-a", "readonly": first}
        tree = made(
            store, image(store, tree_of(store, "bin/sh"), label, Cmd=["/bin/sh"]), {"readonly": own}, shared=shared
        )
        folders = {
            path.removeprefix("containers/services/s/") for path, entry in tree.items() if type(entry) is Directory
        }
        assert folders - {"containers", "containers/services", "containers/services/s"} == (
            {"rootfs"} if own else {"rootfs", "tmp"}
        )
        last = document(store, tree, "runtime.json")["mounts"][-1]
        assert source == (last["source"] if own else last["options"][0])

    def test_names_are_looked_up_in_the_spec_then_in_the_image(self, store: Store) -> None:
        paths = ("bin/x", "etc/passwd = root:x:0:0::/:\nweb:x:33:44::/:\nbad:x:y\n", "etc/group = www:x:55:\n")
        given = image(store, tree_of(store, *paths), Cmd=["/bin/x"])
        tree = made(store, given, {"uid": "web", "gid": "www", "additionalGids": ["s", "www"]}, ids={"s": 104})
        assert document(store, tree, "config.json")["process"]["user"] == {
            "uid": 33,
            "gid": 55,
            "additionalGids": [104, 55],
        }
        for entry, path, hint in [
            ({"uid": "wep"}, ("uid",), "did you mean 'web'"),
            ({"gid": "55"}, ("gid",), "without quotes: 55"),
        ]:
            with pytest.raises(
                StageProblem, match="is neither a container of this spec nor in the image's /etc/"
            ) as caught:
                made(store, given, entry)
            assert caught.value.path == path and hint in caught.value.hint

    def test_a_passwd_behind_links_is_found_inside_the_image(self, store: Store) -> None:
        tree = tree_of(store, "etc/passwd -> ../../../usr/share/passwd", "usr/share/passwd = web:x:33:44::/:", "bin/x")
        found = made(store, image(store, tree, Cmd=["/bin/x"]), {"uid": "web"})
        assert document(store, found, "config.json")["process"]["user"]["uid"] == 33

    def test_links_in_a_circle_end(self, store: Store) -> None:
        given = image(store, tree_of(store, "etc/passwd -> passwd", "bin/x"), Cmd=["/bin/x"])
        with pytest.raises(StageProblem, match="nor in the image's /etc/passwd"):
            made(store, given, {"uid": "web"})

    @pytest.mark.parametrize(
        ("label", "complaint"),
        [
            ("[a]", "label org.mobyproject.config:1:1: expected a mapping, not a list"),
            ('{"name": "x"}', "unknown key 'name'"),
            ("command: x", "expected a list, not the string 'x'"),
            ('{"capabilities": ["CAP_FLY"]}', "capabilities[0]: unknown capability 'CAP_FLY'"),
            ("a: [", "invalid YAML"),
            ("&a [*a]", "is inside its own anchor"),
            ('{"bind": ["/a:/a"]}', "did you mean 'binds'?"),
            ('{"net": "new", "net": "host"}', "duplicate key 'net'"),
        ],
    )
    def test_a_wrong_label_is_a_problem_of_the_image(self, store: Store, label: str, complaint: str) -> None:
        with pytest.raises(StageProblem) as caught:
            made(store, image(store, tree_of(store, "bin/x"), label))
        assert caught.value.path == ("image",) and complaint in str(caught.value)

    def test_the_same_of_a_shared_image_is_the_same_without_it(self, store: Store) -> None:
        given = image(store, tree_of(store, "bin/sh"), {"capabilities": ["all"]}, Cmd=["/bin/sh"])
        alone = made(store, given)
        shared = made(store, given, shared={"prefix": "containers/services/t", "readonly": None})
        place = "containers/services/s/config.json"
        assert alone[place] == shared[place]


def warned(
    store: Store, paths: list[str], entry: Json, label: Json | None = None, **config: Any
) -> list[tuple[Any, str]]:
    with problem.collect_warnings() as heard:
        made(store, image(store, tree_of(store, *paths), label or {}, **config), entry)
    return [(each.path, each.message) for each in heard]


class TestWarnings:
    def test_a_user_of_the_image_is_ignored(self, store: Store) -> None:
        given = {"Cmd": ["/bin/x"], "User": "1000:1000"}
        message = "the image's user '1000:1000' is ignored: the container runs as root"
        assert warned(store, ["bin/x"], {}, **given) == [(("image",), message)]
        assert warned(store, ["bin/x"], {"uid": 1000}, **given) == []
        assert warned(store, ["bin/x"], {}, {"uid": 5}, **given) == []

    @pytest.mark.parametrize(
        ("command", "paths", "message"),
        [
            (["/bin/x"], ["bin/x"], None),
            (["/bin/y"], ["bin/x"], "the image has no '/bin/y'"),
            (["/bin/x"], ["bin/x = not a program"], "'/bin/x' is not executable in the image"),
            (["x"], ["usr/bin/x"], None),
            (["y"], ["usr/bin/x"], "the image has no 'y'"),
            (["/bin/x"], ["bin -> usr/bin", "usr/bin/x"], None),
            (["/bin/x"], ["bin/x -> /nowhere"], "the image has no '/bin/x'"),
            (["./x"], ["srv/x"], None),
            (["/host/x"], ["bin/x"], None),
            ([], ["bin/x"], "no command: neither the spec nor the image has one"),
        ],
    )  # fmt: skip
    def test_a_command_that_is_not_in_the_image(
        self, store: Store, command: list[str], paths: list[str], message: str | None
    ) -> None:
        entry = {"command": command, "binds": ["/usr/bin:/host"], "cwd": "/srv", "env": ["PATH=/sbin:/usr/bin"]}
        found = warned(store, paths, entry)
        assert [said for _, said in found] == ([message] if message else [])
        assert all(path[0] == "command" for path, _ in found)

    def test_a_mount_point_that_cannot_be_made(self, store: Store) -> None:
        entry = {
            "readonly": True, "command": ["/bin/x"], "binds": ["/a:/a", "/b:/b", "/d:/dev/d"],
            "tmpfs": ["/t"], "mounts": [{"type": "tmpfs", "destination": "/a/inside"}, {"type": "tmpfs", "destination": "/m"}],
        }  # fmt: skip
        found = warned(store, ["bin/x", "b/"], entry, {"binds": ["/l:/l"]})
        assert [path for path, _ in found] == [("binds", 0), ("mounts", 1), ("tmpfs", 0)]
        assert warned(store, ["bin/x"], {"command": ["/bin/x"]}, {"readonly": True, "binds": ["/l:/l"]})[0][0] == (
            "image",
        )
        assert warned(store, ["bin/x"], entry | {"readonly": False}) == []

    def test_nobody_has_to_listen(self, store: Store) -> None:
        made(store, image(store, tree_of(store, "bin/x"), User="5"))


KERNEL = {
    "cmdline": "console=ttyS0",
    "binary": "kernel",
    "tar": "kernel.tar",
    "ucode": "",
    "modules": None,
    "epoch": EPOCH,
}


def kernel_tree(store: Store, image: Digest, *, cmdline: str, epoch: int, **rest: Any) -> Digest:
    """What both stages of a kernel come to."""
    return kernel.kernel(store, kernel.contents(store, image, epoch=epoch, **rest), cmdline=cmdline, epoch=epoch)


def modules_tar(tmp_path: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (
            ("./lib/modules/6.1/x.ko", b"module"),
            ("./boot/System.map", b"map"),
            ("./boot/kernel", b"other"),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o644, STAMP
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class TestKernel:
    def given(self, store: Store, tmp_path: Path) -> Digest:
        tree = tree_of(store, "kernel", "kernel-headers.tar", "ucode.cpio", "vmlinuz")
        tree["kernel.tar"] = File(0o644, 0, 0, STAMP, (), store.content(modules_tar(tmp_path)))
        return store.put_tree(tree.ordered())

    def test_boot_and_modules(self, store: Store, tmp_path: Path) -> None:
        tree = store.tree(kernel_tree(store, self.given(store, tmp_path), **KERNEL))
        assert text(store, tree, "boot/cmdline") == "console=ttyS0"
        assert text(store, tree, "boot/kernel") == "kernel" and tree["boot/kernel"].mode == 0o755
        assert tree["boot/kernel"].mtime == tree["boot"].mtime == EPOCH
        assert text(store, tree, "lib/modules/6.1/x.ko") == "module" and tree["lib/modules/6.1/x.ko"].mtime == STAMP
        assert "boot/System.map" in tree and "boot/ucode.cpio" not in tree and "kernel-headers.tar" not in tree

    def test_everything_has_other_names(self, store: Store, tmp_path: Path) -> None:
        params = KERNEL | {"binary": "vmlinuz", "tar": "", "ucode": "ucode.cpio"}
        tree = store.tree(kernel_tree(store, self.given(store, tmp_path), **params))
        assert sorted(tree) == ["boot", "boot/cmdline", "boot/kernel", "boot/ucode.cpio"]
        assert text(store, tree, "boot/kernel") == "vmlinuz"

    @pytest.mark.parametrize(
        ("key", "name", "hint"),
        [("binary", "kernels", "did you mean 'kernel'?"), ("tar", "zzz", "at its top it holds kernel, "), ("ucode", "ucode.cpi", "did you mean 'ucode.cpio'?")],
    )  # fmt: skip
    def test_a_file_that_is_missing_is_named(
        self, store: Store, tmp_path: Path, key: str, name: str, hint: str
    ) -> None:
        with pytest.raises(StageProblem, match=f"the kernel image has no file '{name}'") as caught:
            kernel_tree(store, self.given(store, tmp_path), **KERNEL | {key: name})
        assert caught.value.path == (key,) and hint in caught.value.hint

    def test_modules_are_chosen_among_those_of_the_tar(self, store: Store, tmp_path: Path) -> None:
        tree = tree_of(store, "kernel")
        out = io.BytesIO()
        tarfile.open(fileobj=out, mode="w").close()
        tree["kernel.tar"] = File(0o644, 0, 0, STAMP, (), store.content(out.getvalue()))
        given = store.put_tree(tree.ordered())
        with pytest.raises(StageProblem, match="the kernel image has no modules") as caught:
            kernel_tree(store, given, **KERNEL | {"modules": ["virtio_net"]})
        assert caught.value.path == ("modules",)
        assert "boot/kernel" in store.tree(kernel_tree(store, given, **KERNEL | {"modules": []}))


class TestVolume:
    def test_a_blank_one(self, store: Store) -> None:
        tree = store.tree(volume.volume(store, prefix="containers/volumes/v", epoch=EPOCH))
        place = "containers/volumes/v"
        assert list(tree) == [
            "containers",
            "containers/volumes",
            place,
            f"{place}/lower",
            f"{place}/merged",
            f"{place}/tmp",
        ]

    def test_one_with_an_image(self, store: Store) -> None:
        given = store.put_tree(tree_of(store, "data/x"))
        tree = store.tree(volume.volume(store, given, prefix="containers/volumes/v", epoch=EPOCH))
        assert text(store, tree, "containers/volumes/v/lower/data/x") == "data/x"
        assert type(tree["containers/volumes/v/lower/etc/resolv.conf"]) is Symlink

    def test_one_that_holds_an_image_itself(self, store: Store) -> None:
        given = image(store, tree_of(store, "bin/x"))
        params: Json = {"prefix": "v", "reference": "docker.io/library/a:1", "epoch": EPOCH}
        tree = store.tree(volume.layout(store, given.manifest, platforms=["linux/amd64"], **params))
        index = json.loads(text(store, tree, "v/lower/index.json"))
        assert index["manifests"][0]["digest"] == given.manifest
        assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "docker.io/library/a:1"}
        blobs = {
            path.removeprefix("v/lower/blobs/sha256/"): entry
            for path, entry in tree.items()
            if "/blobs/sha256/" in path
        }
        assert given.manifest.hex in blobs and len(blobs) == 2
        for name in blobs:
            assert Digest.of(text(store, tree, f"v/lower/blobs/sha256/{name}").encode()).hex == name
        with pytest.raises(StageProblem, match="has nothing for linux/arm64") as caught:
            volume.layout(store, given.manifest, given.manifest, platforms=["linux/amd64", "linux/arm64"], **params)
        assert caught.value.path == ("platforms", 1)


def entry(path: str, **said: Any) -> Json:
    return {"at": 3, "path": path, "mode": 0o600, "uid": 0, "gid": 0, "kind": "file", "contents": ""} | said


def laid(store: Store, *entries: Json, below: tuple[Tree, ...] = (), **params: Any) -> Tree:
    trees = [store.put_tree(tree) for tree in below]
    return store.tree(
        files.files(store, *trees, entries=list(entries), **{"ids": {}, "known": [], "epoch": EPOCH} | params)
    )


class TestFiles:
    def test_a_file_a_directory_a_link(self, store: Store) -> None:
        tree = laid(
            store, entry("a", contents="x", mode=0o640, uid=5, gid=6), entry("d", kind="directory", mode=0o700),
            entry("l", kind="symlink", target="/a"),
        )  # fmt: skip
        assert text(store, tree, "a") == "x" and tree["a"][:4] == (0o640, 5, 6, EPOCH)
        assert tree["d"] == Directory(0o700, 0, 0, EPOCH)
        assert tree["l"] == Symlink(0o600, 0, 0, EPOCH, (), "/a")

    @pytest.mark.parametrize(
        ("mode", "above"), [(0o600, 0o700), (0o644, 0o755), (0o440, 0o550), (0o000, 0o000), (0o4620, 0o4730)]
    )
    def test_directories_on_the_way_can_be_entered(self, store: Store, mode: int, above: int) -> None:
        tree = laid(store, entry("a/b/c", mode=mode, uid=7))
        assert tree["a"] == tree["a/b"] == Directory(above, 7, 0, EPOCH)

    def test_a_directory_that_is_there_is_left_alone(self, store: Store) -> None:
        below = tree_of(store, "etc/", "usr/etc -> /etc")
        tree = laid(store, entry("etc/new/x"), entry("usr/etc/y"), below=(below,))
        assert "etc" not in tree and "etc/new" in tree
        assert type(tree["usr/etc"]) is Directory, "a link is no directory: like LinuxKit's, ours replaces it"
        assert tree_like_linuxkit(store, below)["etc"] == Directory(0o700, 0, 0, EPOCH)

    def test_what_lies_on_top_decides(self, store: Store) -> None:
        lower, upper = tree_of(store, "a/"), tree_of(store, "a -> b")
        assert "a" in laid(store, entry("a/x"), below=(lower, upper))
        assert "a" not in laid(store, entry("a/x"), below=(upper, lower))

    def test_a_directory_that_is_said_is_made_as_it_is_said(self, store: Store) -> None:
        said = entry("etc", kind="directory", mode=0o711)
        assert laid(store, entry("etc/x"), said, below=(tree_of(store, "etc/"),))["etc"].mode == 0o711
        assert laid(store, said, entry("etc/x"))["etc"].mode == 0o711

    def test_the_later_of_two_is_there(self, store: Store) -> None:
        assert text(store, laid(store, entry("a", contents="1"), entry("a", contents="2")), "a") == "2"

    def test_names_of_owners(self, store: Store) -> None:
        below = tree_of(store, "etc/passwd = web:x:33:44::/:", "etc/group = www:x:55:")
        tree = laid(
            store, entry("a", uid="web", gid="www"), entry("b", uid="s", gid="root"), below=(below,), ids={"s": 101}
        )
        assert tree["a"][1:3] == (33, 55) and tree["b"][1:3] == (101, 0)
        with pytest.raises(
            StageProblem, match="'wep' is neither a container of this spec nor in the root's /etc/passwd"
        ) as caught:
            laid(store, entry("a", uid="wep"), below=(below,))
        assert caught.value.path == (3, "uid") and "did you mean 'web'" in caught.value.hint

    def test_a_source_is_copied_if_it_is_what_was_planned(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"data" * 1000)
        found = files.find_source("f", tmp_path)
        assert found == str(tmp_path / "f")
        said = entry("a", kind="source", source=found, sha256=host_digests.sha256(Path(found)))
        assert text(store, laid(store, said), "a") == "data" * 1000
        (tmp_path / "f").write_bytes(b"other")
        with pytest.raises(StageProblem, match="has changed while it was built") as caught:
            laid(store, said)
        assert caught.value.path == (3, "source")
        (tmp_path / "f").unlink()
        with pytest.raises(StageProblem, match="cannot be read: No such file"):
            laid(store, said)

    def test_where_sources_are_looked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("specs/both", "both", "only-here", "home/mine"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(name)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        specs = Path("specs")
        assert files.find_source("both", specs) == "specs/both"
        assert files.find_source("only-here", specs) == "only-here"
        assert files.find_source("~/mine", specs) == "~/mine" and host_digests.sha256(Path("~/mine").expanduser())
        assert files.find_source("none", specs) is None
        assert files.find_source("specs", specs) is None, "a folder is no file"


def tree_like_linuxkit(store: Store, below: Tree) -> Tree:
    return laid(store, entry("etc/new/x"), below=(below,), linuxkit=True)


GOLDEN = {
    "bundle-1": "sha256:3df426c1a2c72beb9bf40679a70d52c7d59db549f42fe02cdc590b9ccfb04414",
    "files-1": "sha256:2d176abbab6465f2eca6309eb763961de1b1fb6121a96a588bb570803d5cade6",
    "kernel-1 modules-1": "sha256:16230c59547e19c962f898df933335735f4638fff7a3eda06a175eb7821b0ddf",
    "layout-1": "sha256:deb0bcec12137205abc57b00b11a0a651cf1f1eb5b61a3642a37c101abac6bb4",
    "packages-1": "sha256:71abedbfbc5a330868c44d8b4a63a990ceb9960897e7296219ea3ea6c809c127",
    "unpack-1": "sha256:d199e567cf828eb8bec4201507479ec08b83911572982824803d8874aa420f2c",
    "volume-1": "sha256:bea184b670b9f7a3051553bdc3b957f98d792120665d8ed37602ed1afec0adc8",
}
"""Result of each stage by its name and its module's VERSION: what it gives may only change with that, or trees'."""
TREES = 3


def test_golden_digests_by_version(store: Store, tmp_path: Path) -> None:
    label = {"capabilities": ["CAP_NET_ADMIN"], "binds": ["/dev:/dev"], "net": "new"}
    tree = tree_of(store, "bin/sh", "etc/passwd = root:x:0:0::/:", "lib/apk/db/installed = P:a", "dev/null c 1 3")
    given = image(store, tree, label, Cmd=["/bin/sh"], Env=["A=é"])
    shape: Json = {"prefix": "containers/onboot/000-a", "epoch": EPOCH}
    said: Json = {"entry": {"binds.add": ["/v:/v:ro"]}, "ids": {}, "shared": None}
    entries = [entry("etc/a", contents="x"), entry("d", kind="directory"), entry("l", kind="symlink", target="a")]
    boot = tree_of(store, "kernel")
    boot["kernel.tar"] = File(0o644, 0, 0, STAMP, (), store.content(modules_tar(tmp_path)))
    found = {
        f"bundle-{bundle.VERSION}": bundle.bundle(store, given.manifest, given.tree, **shape, **said),
        f"files-{files.VERSION}": files.files(store, given.tree, entries=entries, ids={}, known=[], epoch=EPOCH),
        f"kernel-{kernel.VERSION}": kernel_tree(store, store.put_tree(boot.ordered()), **KERNEL),
        f"layout-{volume.VERSION}": volume.layout(store, given.manifest, reference="a", platforms=[], **shape),
        f"packages-{root_image.VERSION}": root_image.packages(store, given.tree, given.tree, epoch=EPOCH),
        f"unpack-{root_image.VERSION}": root_image.unpack(store, given.tree, epoch=EPOCH),
        f"volume-{volume.VERSION}": volume.volume(store, given.tree, **shape),
    }
    assert columns.VERSION == TREES
    assert found == GOLDEN


def test_check_examines_what_only_images_can_tell(store: Store, tmp_path: Path) -> None:
    text = (
        "services:\n"
        "  - {name: a, image: x, uid: nobody}\n"
        "  - {name: b, image: x, command: [/bin/y]}\n"
        "  - {name: c, image: x, capabilities.add: [CAP_KILL]}\n"
        "kernel: {image: x}\n"
    )
    (tmp_path / "a.yml").write_text(text)
    loaded = load(tmp_path / "a.yml")
    given = image(store, tree_of(store, "bin/x"), {"capabilities": ["all"]}, Cmd=["/bin/x"])
    manifest, tree = (Action("given", conformance.given, {"digest": digest}) for digest in given)
    parts = sections.components(Context(loaded, lambda text: Image(text, manifest, tree)))
    found = check.examine(store, parts)
    assert [str(each).removeprefix(f"{tmp_path}/") for each in found.errors] == [
        "a.yml:2:30: 'nobody' is neither a container of this spec nor in the image's /etc/passwd",
        "a.yml:4:22: unknown capability 'all' in the image's label",
        "a.yml:5:9: the kernel image has no file 'kernel' (at its top it holds no files)",
    ]
    assert [str(each).removeprefix(f"{tmp_path}/") for each in found.warnings] == [
        "a.yml:3:35: the image has no '/bin/y'"
    ]
    assert check.examine(store, parts) == found, "also what is known already is looked into"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kernel+initrd", ["warning", "an initrd (cpio)", "security.capability"]),
        ("raw-bios", ["warning", "an initrd (cpio)", "security.capability"]),
        ("kernel+iso", ["warning", "ISO 9660", "security.capability"]),
        ("kernel+squashfs", ["error", "squashfs", "odd.name"]),
        ("tar", []),
    ],
)
def test_check_names_what_a_format_does_not_carry(store: Store, tmp_path: Path, name: str, said: list[str]) -> None:
    (tmp_path / "a.yml").write_text("services:\n  - name: a\n    image: x\n    command: [/bin/x]\n")
    tree = tree_of(store, "bin/x", "bin/y")
    tree["bin/x"] = tree["bin/x"]._replace(xattrs=(("security.capability", bytes(20)),))
    tree["bin/y"] = tree["bin/y"]._replace(xattrs=(("odd.name", b""),))
    made = image(store, tree)
    manifest, given = (Action("given", conformance.given, {"digest": digest}) for digest in made)
    parts = sections.components(Context(load(tmp_path / "a.yml"), lambda text: Image(text, manifest, given)))
    found = check.examine(store, parts, formats.carried(name))
    lines = [f"warning {each}" for each in found.warnings] + [f"error {each}" for each in found.errors]
    assert all("a.yml:3:12: " in line for line in lines)
    if said:
        severity, structure, attribute = said
        place = "containers/services/a/lower/bin/" + ("x" if attribute == "security.capability" else "y")
        assert [line for line in lines if f"{structure} has no place for the attribute {attribute} of {place}" in line]
        assert all(line.startswith(severity) for line in lines)
    else:
        assert lines == []
