"""The origin of each path of an image out of a registry, of a component, and of the whole root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.model import origins as model
from pipeline.model.digest import Digest
from pipeline.model.origins import MADE, Origin, Origins
from pipeline.model.tree import Tree, complete, files, only
from pipeline.oci.resolve import resolve
from pipeline.recipe.ownership import FILE, load
from pipeline.stages import bundle, kernel, origins, root, root_image
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from pipeline.writers import tar
from tests.oci import craft
from tests.stages import images

STATUS = b"Package: tool\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\nSource: tools\n"
LIST = b"/.\n/bin\n/bin/tool\n/usr\n/usr/share\n/usr/share/doc\n/gone\n"
OWN = Origin("deb", "pkg", "1", "amd64", "sha256:" + "0" * 64)


def put(store: Store, found: Origins) -> Digest:
    return store.put_tree(files([(FILE, store.content(model.dump(found)))]))


def pulled(store: Store, folder: Path, layers: Sequence[Any]) -> tuple[Tree, Origins, Sequence[Any]]:
    craft.image(folder / "layout", layers)
    reference = f"oci:{folder}/layout"
    image = resolve(reference, ["amd64"]).platforms["amd64"]
    manifest = pull(store, reference=reference, manifest=image.manifest)
    tree = unpack(store, manifest)
    found = load(store, origins.image(store, manifest, tree, reference="example.org/a:1"))
    return store.tree(tree), found, image.layers


def test_paths_of_an_image_belong_to_layers_and_packages(store: Store, tmp_path: Path) -> None:
    entry = craft.entry
    layers = [
        craft.archive(
            entry("usr/bin/", kind="d"), entry("bin", kind="l", target="usr/bin"), entry("usr/bin/tool", data=b"1"),
            entry("etc/a", data=b"1"), entry("etc/b", data=b"1"), entry("var/lib/dpkg/status", data=STATUS),
            entry("var/lib/dpkg/info/tool.list", data=LIST), entry("etc/os-release", data=b"ID=ubuntu\nVERSION_ID=9\n"),
        ),
        craft.archive(entry("etc/b", data=b"2"), entry(".wh.nothing"), entry("bin/late", data=b"3")),
    ]  # fmt: skip
    tree, found, described = pulled(store, tmp_path, layers)
    first, second = (Origin("image", "example.org/a:1", layer=layer.digest) for layer in described)
    assert found.keys() == tree.keys()
    assert {path for path, origin in found.items() if origin == second} == {"etc", "etc/b", "usr/bin/late"}
    assert {path for path, origin in found.items() if origin not in (first, second)} == {"usr/bin/tool"}
    assert found["usr/bin/tool"] == Origin(
        "deb", "tool", "1.0-1", "amd64", layer=described[0].digest, within="example.org/a:1", distribution="ubuntu",
        release="9", source="tools", source_version="1.0-1",
    )  # fmt: skip


def test_what_a_container_gets_besides_its_image_is_made_here(store: Store) -> None:
    image = images.image(store, images.tree_of(store, "bin/sh", "etc/hosts = mine", "etc/x -> y"), Cmd=["/bin/sh"])
    known = put(store, dict.fromkeys(store.tree(image.tree), OWN))
    prefix = "containers/services/a"
    tree = bundle.bundle(
        store, image.manifest, image.tree, prefix=prefix, entry={"readonly": True}, ids={}, shared=None, epoch=1,
        arch="amd64",
    )  # fmt: skip
    at = [f"{prefix}/{folder}" for folder in root.IMAGE_FOLDERS]
    found = load(store, origins.placed(store, tree, image.tree, known, at=at))
    assert found.keys() == store.tree(tree).keys()
    own = {path.removeprefix(prefix) for path, origin in found.items() if origin == OWN}
    assert own == {"/rootfs/bin", "/rootfs/bin/sh", "/rootfs/etc/x"}


def test_an_init_image_keeps_its_owners(store: Store) -> None:
    image = store.put_tree(images.tree_of(store, "init", "etc/x/"))
    known = put(store, dict.fromkeys(store.tree(image), OWN))
    tree = root_image.unpack(store, image, epoch=1)
    found = load(store, origins.placed(store, tree, image, known, at=[""]))
    assert {path for path, origin in found.items() if origin == OWN} == {"init", "etc/x"}
    assert found["etc/hosts"] == MADE


def test_a_kernels_files_are_those_of_its_archive(store: Store) -> None:
    rope = store.rope()
    tar.write(complete(files([("lib/modules/1/a.conf", store.content(b"a"))])), rope)
    image = store.put_tree(
        Tree(
            {
                **only("kernel", store.content(b"k")),
                **only("ucode", store.content(b"u")),
                **only("kernel.tar", rope.finish()),
            }
        ).ordered()
    )
    recipe = Origin("recipe", "kernel")
    paths = {"kernel": OWN, "ucode": OWN, "kernel.tar": recipe, "kernel.tar/lib/modules/1/a.conf": OWN}
    contents = kernel.contents(store, image, binary="kernel", tar="kernel.tar", ucode="ucode", modules=None, epoch=1)
    tree = kernel.kernel(store, contents, cmdline="quiet", epoch=1)
    names = {"binary": "kernel", "tar": "kernel.tar", "ucode": "ucode"}
    found = load(store, origins.kernel(store, tree, image, put(store, paths), **names))
    assert found == {
        "boot": MADE, "boot/cmdline": MADE, "boot/kernel": OWN, "boot/ucode.cpio": OWN, "lib": recipe,
        "lib/modules": recipe, "lib/modules/1": recipe, "lib/modules/1/a.conf": OWN,
    }  # fmt: skip


def test_the_last_component_that_has_a_path_owns_it(store: Store) -> None:
    one, two = (complete(files([(path, store.content(b"x")) for path in paths])) for paths in (["a/b"], ["a/b", "c"]))
    parts = [store.put_tree(tree) for tree in (one, two)]
    tree = root.rootfs(store, *parts, directories=["d"], epoch=1)
    known = [put(store, dict.fromkeys(one, OWN)), origins.whole(store, parts[1], origin={"kind": "files", "name": "n"})]
    found = load(store, origins.node(store, tree, *known))
    mine = Origin("files", "n")
    assert found == {"a": mine, "a/b": mine, "c": mine, "d": MADE}
