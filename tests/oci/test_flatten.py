"""umoci is the judge of how layers are laid over each other."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, Device, Directory, Entry, File, Symlink, Tree
from pipeline.oci.error import Refusal
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests.judges import need
from tests.oci import craft
from tests.oci.stacks import STACKS, layers

Facts = dict[str, Any]
NOW = craft.TIME + 1
"""Later than every time stamp in the stacks."""

REFUSED = {
    "hard link to what is missing",
    "hard link before its target",
    "hard link to a directory",
    "symlink loop in the middle",
}
"""Errors of umoci for archives that this project refuses, too."""
OURS_ALONE = {
    "contiguous file",
    "old sparse",
    "global header with a comment",
}
"""Kinds of entries that umoci does not know; GNU tar judges them in test_tar."""


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_makes_the_tree_that_umoci_makes(name: str, tmp_path: Path) -> None:
    umoci = need("umoci")
    if os.getuid() != 0:
        pytest.skip("umoci keeps owners, devices and attributes only for root")
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    image = craft.image(layout, layers(name))
    done = subprocess.run([umoci, "unpack", "--image", f"{layout}:x", str(bundle)], capture_output=True, text=True)
    store = Store(tmp_path / "store")
    pull(store, reference=f"oci:{layout}:x", manifest=image)
    if name in REFUSED:
        assert done.returncode != 0
        with pytest.raises(Refusal, match=r"layer . of . .*entry"):
            unpack(store, Digest(image))
        return
    tree = store.tree(unpack(store, Digest(image)))
    if name in OURS_ALONE:
        assert "unknown typeflag" in done.stderr
        return
    assert done.returncode == 0, f"umoci refuses it: {done.stderr}"
    assert ours(store, tree) == theirs(bundle / "rootfs", tree)


PATHS = st.sampled_from(["a", "b", "c", "a/b", "a/c", "b/a", "a/b/c", "a/b/a", "b/c/a", "./a/", "/b", "../c", "c/../a"])
TARGETS = st.sampled_from(["a", "b", "c", "/a", "../b", "a/b", "..", "b/..", "/", "c/a", "gone"])


@st.composite
def entries(draw: st.DrawFn) -> bytes:
    kind, path, target = draw(st.sampled_from("fffddlhpww")), draw(PATHS), draw(TARGETS)
    if kind == "w":
        directory, slash, name = path.strip("/").rpartition("/")
        name = draw(st.sampled_from([".wh." + name, ".wh..wh..opq"]))
        return craft.entry(f"{directory}{slash}{name}") if name[4:] not in ("", ".", "..") else b""
    if kind == "d":
        return craft.entry(path, "d", mode=draw(st.sampled_from([0o755, 0o700, 0o1777])))
    data = draw(st.binary(max_size=3)) if kind == "f" else b""
    return craft.entry(path.rstrip("/"), kind, data, target if kind in "lh" else "", uid=draw(st.integers(0, 3)))


@settings(max_examples=max(1, int(os.environ.get("NODEKILN_FUZZ") or 100) // 2))
@given(stack=st.lists(st.lists(entries(), max_size=8), min_size=1, max_size=3))
def test_any_stack_that_umoci_takes_makes_the_same_tree(stack: list[list[bytes]]) -> None:
    """Archives that umoci refuses may be taken: a disk can do less than a tree (a link to what it replaces)."""
    umoci = need("umoci")
    if os.getuid() != 0:
        pytest.skip("umoci keeps owners only for root")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = craft.image(folder / "layout", [craft.archive(*layer) for layer in stack])
        bundle = folder / "bundle"
        if subprocess.run([umoci, "unpack", "--image", f"{folder}/layout:x", bundle], capture_output=True).returncode:
            return
        store = Store(folder / "store")
        tree = store.tree(unpack(store, pull(store, reference=f"oci:{folder}/layout:x", manifest=image)))
        assert ours(store, tree) == theirs(bundle / "rootfs", tree)


def ours(store: Store, tree: Tree) -> dict[str, Facts]:
    found = {}
    for path, entry in tree.items():
        inode = tree[entry.inode] if type(entry) is File and entry.inode else entry
        facts = metadata(inode)
        if type(entry) is File:
            facts |= {"data": hashlib.sha256(b"".join(store.read(entry.content))).hexdigest(), "inode": entry.inode}
        elif type(entry) is Symlink:
            facts |= {"target": entry.target}
        elif type(entry) is Device:
            facts |= {"device": (entry.major, entry.minor) if entry.kind in "bc" else None}
        found[path] = facts
    return found


def metadata(entry: Entry) -> Facts:
    kind = {Directory: "d", File: "f", Symlink: "l"}.get(type(entry)) or entry.kind  # type: ignore[union-attr]
    mode = 0o777 if kind == "l" else entry.mode
    mtime = entry.mtime if entry.mtime != EPOCH else None
    return {"kind": kind, "mode": oct(mode), "owner": (entry.uid, entry.gid), "mtime": mtime, "xattrs": entry.xattrs}


def theirs(root: Path, expected: Tree) -> dict[str, Facts]:
    """Describes a folder in the same form; time stamps only where the archive had one."""
    names = [os.fsencode(root)]
    for folder, folders, files in os.walk(os.fsencode(root)):
        names += [os.path.join(folder, name) for name in folders + files]
    found: dict[str, Facts] = {}
    first: dict[int, str] = {}
    for name in sorted(names):
        path = os.fsdecode(name)[len(str(root)) + 1 :]
        status = os.lstat(name)
        kind = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFIFO: "p"}.get(
            stat.S_IFMT(status.st_mode)
        )
        kind = kind or ("c" if stat.S_ISCHR(status.st_mode) else "b")
        if not path and "" not in expected:
            continue
        entry = expected.get(path)
        # umoci does not give a folder its time back after it has removed something from it
        touched = kind == "d" and status.st_mtime > NOW
        known = entry is not None and entry.mtime != EPOCH
        facts: Facts = {
            "kind": kind,
            "mode": oct(status.st_mode & 0o7777),
            "owner": (status.st_uid, status.st_gid),
            "mtime": (entry.mtime if touched else int(status.st_mtime // 1)) if known and entry else None,
            "xattrs": tuple(
                (key, os.getxattr(name, key, follow_symlinks=False))
                for key in sorted(os.listxattr(name, follow_symlinks=False))
            ),
        }
        if kind == "f":
            linked = status.st_nlink > 1
            facts["data"] = hashlib.sha256(Path(os.fsdecode(name)).read_bytes()).hexdigest()
            facts["inode"] = first.setdefault(status.st_ino, path) if linked else ""
        elif kind == "l":
            facts["target"] = os.fsdecode(os.readlink(name))
        elif kind in "bcp":
            facts["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind != "p" else None
        found[path] = facts
    return found


def test_there_are_at_least_sixty_stacks() -> None:
    assert len(STACKS) >= 60


def test_a_digest_is_what_names_the_image(tmp_path: Path) -> None:
    image = craft.image(tmp_path / "layout", layers("hard link"))
    store = Store(tmp_path / "store")
    assert pull(store, reference=f"oci:{tmp_path}/layout", manifest=image) == Digest.parse(image)
