"""Bundles of containers: configuration, overlays, shared roots, warnings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.language import problem
from pipeline.language.problem import StageProblem
from pipeline.model.tree import EPOCH, Directory, Tree
from pipeline.stages import bundle
from pipeline.store import Store
from tests.stages.images import STAMP, Made, image, text, tree_of

Json = dict[str, Any]


def made(store: Store, given: Made, entry: Json | None = None, **params: Any) -> Tree:
    params = {
        "prefix": "containers/services/s",
        "entry": entry or {},
        "ids": {},
        "shared": None,
        "epoch": EPOCH,
        "arch": "amd64",
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


class TestSandbox:
    def test_it_follows_from_capabilities_and_image(self, store: Store) -> None:
        given = image(store, tree_of(store, "bin/sh"), {"seccomp": "basic", "capabilities": ["CAP_SYS_ADMIN"]})
        config = document(store, made(store, given, arch="arm64"), "config.json")
        assert config["process"]["noNewPrivileges"] and "/proc/sys" in config["linux"]["readonlyPaths"]
        assert config["linux"]["seccomp"]["architectures"] == ["SCMP_ARCH_AARCH64"]
        own = document(store, made(store, given, {"seccomp": "default"}), "config.json")
        assert "readonlyPaths" not in own["linux"] and "noNewPrivileges" not in own["process"]
        assert "mount" in own["linux"]["seccomp"]["syscalls"][0]["names"]

    def test_a_set_uid_program_of_the_image_keeps_its_effect(self, store: Store) -> None:
        tree = tree_of(store, "bin/su")
        tree["bin/su"] = tree.file("bin/su")._replace(mode=0o4755)
        config = document(store, made(store, image(store, tree, Cmd=["/bin/su"])), "config.json")
        assert "noNewPrivileges" not in config["process"] and "maskedPaths" in config["linux"]

    def test_linuxkit_has_none_unless_the_spec_asks(self, store: Store) -> None:
        given = image(store, tree_of(store, "bin/sh"), Cmd=["/bin/sh"])
        config = document(store, made(store, given, linuxkit=True), "config.json")
        assert config["linux"].keys() == {"resources", "namespaces"} and "noNewPrivileges" not in config["process"]
        config = document(store, made(store, given, {"seccomp": "default"}, linuxkit=True), "config.json")
        assert config["linux"].keys() == {"resources", "namespaces", "seccomp"}


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
            "tmpfs": ["/t"],
            "mounts": [{"type": "tmpfs", "destination": "/a/inside"}, {"type": "tmpfs", "destination": "/m"}],
        }  # fmt: skip
        found = warned(store, ["bin/x", "b/"], entry, {"binds": ["/l:/l"]})
        assert [path for path, _ in found] == [("binds", 0), ("mounts", 1), ("tmpfs", 0)]
        assert warned(store, ["bin/x"], {"command": ["/bin/x"]}, {"readonly": True, "binds": ["/l:/l"]})[0][0] == (
            "image",
        )
        assert warned(store, ["bin/x"], entry | {"readonly": False}) == []

    def test_nobody_has_to_listen(self, store: Store) -> None:
        made(store, image(store, tree_of(store, "bin/x"), User="5"))
