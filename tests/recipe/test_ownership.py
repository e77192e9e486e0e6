"""Every path of a recipe's image belongs to the package that it came from, or to the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.action import closure
from pipeline.model.digest import Digest
from pipeline.model.origins import Origin, Origins
from pipeline.model.tree import Slice, files
from pipeline.planning import lock
from pipeline.planning.load import load
from pipeline.planning.plan import plan
from pipeline.recipe import deb, ownership
from pipeline.recipe.layout import merged
from pipeline.store import Store
from tests.judges import need, run
from tests.packages import repository
from tests.project import ROOT
from tests.recipe.test_assemble import ONE, PLAIN, TWO, build, own

COPYRIGHT = (
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+ or Expat\n"
)


def owners(store: Store, packages: dict[str, repository.Files], control: str = "", **params: Any) -> Origins:
    """The origins of the image that `tests.recipe.test_assemble.build` makes."""
    debs = {name: store.put(repository.deb(content, control=control)) for name, content in packages.items()}
    fetched = files((f"{name}.deb", (Slice(digest, 0, store.size(digest)),)) for name, digest in debs.items())
    locked = [
        {
            "name": name,
            "version": "1:2-3",
            "architecture": "amd64",
            "filename": f"pool/{name}.deb",
            "sha256": digest.hex,
        }
        | {"size": store.size(digest), "suite": "trixie-security", "archive": "debian-security"}
        for name, digest in debs.items()
    ]
    values = {key: value for key, value in {**PLAIN, **params}.items() if key not in ("reference", "config")}
    unpacked = deb.unpack(store, store.put_tree(fetched))
    result = ownership.ownership(store, unpacked, recipe="nodekiln/tool", tag="1", packages=locked, **values)
    return ownership.load(store, result)


def names(found: Origins) -> dict[str, str]:
    return {path: origin.name for path, origin in found.items()}


def test_each_path_has_one_owner(store: Store) -> None:
    params: dict[str, Any] = {
        "files": [own("usr/bin/one", contents="mine"), own("srv/new", contents="")],
        "symlinks": {"usr/bin/two": ["usr/bin/zwei"]},
        "concatenate": {"etc/both": ["etc/*"]},
    }
    found = owners(store, {"one": ONE, "two": TWO}, **params)
    assert found.keys() == build(store, {"one": ONE, "two": TWO}, **params).keys()
    mine = {path for path, name in names(found).items() if name == "nodekiln/tool"}
    assert mine == {"usr", "usr/bin", "usr/bin/one", "usr/bin/zwei", "srv", "srv/new", "etc", "etc/both"}
    assert {names(found)[path] for path in ("var/empty", "usr/share/doc/one/copyright", "etc/one")} == {"one"}
    assert {names(found)[path] for path in ("usr/bin/two", "lib64", "etc/shared")} == {"two"}


def test_a_path_that_two_packages_have_belongs_to_the_first(store: Store) -> None:
    assert names(owners(store, {"bb": {"etc/x": "1"}, "aa": {"etc/x": "1"}})) == {"etc": "aa", "etc/x": "aa"}


def test_a_package_is_known_by_its_deb_and_its_control_file(store: Store) -> None:
    content: repository.Files = {"usr/bin/a": "1", "usr/share/doc/aa/copyright": COPYRIGHT}
    data = repository.deb(content, control="Package: aa\nSource: src (2-3)\nDescription: x\n Source: no\n")
    found = owners(store, {"aa": content}, "Package: aa\nSource: src (2-3)\nDescription: x\n Source: no\n")["usr/bin/a"]
    assert found == Origin(
        "deb", "aa", "1:2-3", "amd64", Digest.of(data), within="nodekiln/tool", distribution="debian", release="trixie",
        source="src", source_version="2-3", licenses=("GPL-2+ or Expat",),
    )  # fmt: skip


def test_licences_of_a_package_whose_documents_are_anothers(store: Store) -> None:
    one: repository.Files = {"usr/bin/a": "1", "usr/share/doc/aa/copyright": COPYRIGHT}
    two: repository.Files = {"usr/bin/b": "2", "usr/share/doc/bb": ("link", "aa")}
    assert owners(store, {"aa": one, "bb": two})["usr/bin/b"].licenses == ("GPL-2+ or Expat",)


def test_members_of_a_kernels_archive_are_the_packages(store: Store) -> None:
    content: repository.Files = {
        "boot/vmlinuz-1": "kernel",
        "boot/config-1": "CONFIG_RD_ZSTD=y\n",
        "lib/modules/1/kernel/x.conf": "x",
    }
    found = names(
        {
            path: origin
            for path, origin in owners(store, {"linux": content}, kernel=True).items()
            if origin.kind == "deb" or path == "kernel.tar"
        }
    )
    assert found["kernel"] == found["kernel-config"] == found["kernel.tar/lib/modules/1/kernel/x.conf"] == "linux"
    assert found["kernel.tar"] == "nodekiln/tool"
    assert "boot/vmlinuz-1" not in found


@pytest.mark.network
def test_the_owners_of_the_default_node_are_those_of_dpkg_deb(tmp_path: Path) -> None:
    """Each file of a package stands in `dpkg-deb --contents` of the .deb with the recorded digest, and in no other
    package of the same recipe unless both have it."""
    judge, store = need("dpkg-deb", "dpkg"), Store(tmp_path / "store")
    spec = ROOT / "specs/node.yml"
    made = plan(load(spec), lock.read(spec.with_suffix(".lock")), "amd64")
    checked = 0
    for action in closure(made.products.inventory):
        if action.stage is not ownership.ownership:
            continue
        found = ownership.load(store, action.perform(store)[0])
        listed: dict[str, set[str]] = {}
        for package in action.params["packages"]:
            blob = store.path(Digest("sha256:" + package["sha256"]))
            lines = run(judge, "--contents", blob).stdout.splitlines()
            listed[package["name"]] = {merged(_path(line)) for line in lines}
        for path, origin in found.items():
            place = path.removeprefix("kernel.tar/")
            if origin.kind == "deb" and path not in ("kernel", "kernel-config"):
                assert {place, f"usr/{place}"} & listed[origin.name], (action.name, path, origin.name)
                first = min(name for name, paths in listed.items() if {place, f"usr/{place}"} & paths)
                assert first == origin.name or _is_shared(listed, place), (path, first, origin.name)
                checked += 1
            else:
                assert origin.kind in ("deb", "recipe")
    assert checked > 1000


def _path(line: str) -> str:
    """The path in a line of dpkg-deb's list: mode, owner, size, date, time, ./path[ -> target]."""
    name = line.split(None, 5)[5]
    return name.partition(" -> ")[0].partition(" link to ")[0].removeprefix("./").rstrip("/")


def _is_shared(listed: dict[str, set[str]], place: str) -> bool:
    """Whether several packages have a path: a directory, of which the first that has something in it here counts."""
    return sum(bool({place, f"usr/{place}"} & paths) for paths in listed.values()) > 1
