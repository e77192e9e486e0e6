"""What a writer declares to carry is what its own reader finds in what it wrote, and nothing else is."""

import tarfile
from pathlib import Path
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import formats, readers
from pipeline.language.problem import collect_warnings
from pipeline.model.tree import Directory, File, Tree
from pipeline.readers.view import HostFile
from pipeline.stages import initrd
from pipeline.stages.carried import PATH
from pipeline.writers import (
    FormatError,
    carried,
    cpio,
    erofs,
    erofsmeta,
    ext4,
    ext4inode,
    iso9660,
    rockridge,
    squashfs,
    tar,
)
from tests.writers import samples

ACL = pack("<I", 2) + b"".join(pack("<HHI", tag, 6, 0xFFFFFFFF) for tag in (1, 4, 32))
ATTRIBUTES = {
    "user.a": b"1", "trusted.b": b"2", "security.capability": bytes(20), "security.selinux": b"x\0",
    "system.posix_acl_access": ACL, "com.apple.x": b"3",
}  # fmt: skip


def written_squashfs(tree, store):
    out = store.rope()
    superblock = squashfs.write(tree, store.read, out, samples.blocks(store, "zstd:3"))
    return store.content(superblock) + out.finish()


def written_erofs(tree, store):
    out = store.rope()
    return store.content(erofs.write(tree, store.read, out, None)) + out.finish()


def roped(write):
    def written(tree, store):
        out = store.rope()
        write(tree, store, out)
        return out.finish()

    return written


WRITERS = {
    "cpio": (cpio.CARRIED, roped(lambda tree, store, out: cpio.write(tree, out))),
    "tar": (tar.CARRIED, roped(lambda tree, store, out: tar.write(tree, out))),
    "iso": (
        rockridge.CARRIED,
        roped(lambda tree, store, out: iso9660.write(iso9660.plan(tree, samples.keep(store)), out, "NODE")),
    ),
    "squashfs": (squashfs.CARRIED, written_squashfs),
    "erofs": (erofsmeta.CARRIED, written_erofs),
    "ext4": (ext4inode.CARRIED, roped(lambda tree, store, out: ext4.write(tree, samples.keep(store), out))),
}


def tree_with(store, mtime=5, **attributes):
    entry = File(0o644, 0, 0, mtime, tuple(sorted(attributes.items())), store.content(b"x"))
    return Tree({"": Directory(0o755, 0, 0, 5), "f": entry})


def read(store, content, path, structure):
    store.export(content, path)
    if structure == "tar":  # whose reader looks at no attributes
        member = tarfile.open(path).getmember("f")
        names = [key.removeprefix("SCHILY.xattr.") for key in member.pax_headers if key.startswith("SCHILY.")]
        return {"mtime": int(member.mtime), **{f"xattr {name}": "" for name in names}}
    return readers.look_into(HostFile(path)).listing["f"].properties


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("name", WRITERS)
def test_an_attribute_is_written_or_declared_as_lost(store, tmp_path: Path, name, attribute):
    declared, write = WRITERS[name]
    tree = tree_with(store, **{attribute: ATTRIBUTES[attribute]})
    losses = list(declared.losses(tree))
    if losses and declared.refuses:
        with pytest.raises(FormatError, match=attribute.replace(".", r"\.")):
            write(tree, store)
        return
    found = read(store, write(tree, store), tmp_path / "a", name)
    kept = any(each == f"xattr {attribute}" for each in found)
    assert kept is not bool(losses)
    for _, message, _ in losses:
        assert message == f"{declared.structure} has no place for the attribute {attribute} of f"


@pytest.mark.parametrize("mtime", [-(1 << 33), -1, 0, (1 << 32) - 1, 1 << 32, 5869583999, 5869584000, 1 << 34])
@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"iso"}))
def test_a_time_is_written_or_declared_as_moved(store, tmp_path: Path, name, mtime):
    declared, write = WRITERS[name]
    tree = tree_with(store, mtime)
    found = read(store, write(tree, store), tmp_path / "a", name)
    assert (str(found["mtime"]) == str(mtime)) is not bool(list(declared.losses(tree)))


@pytest.mark.parametrize("mtime", [-1, 0, 5869583999, 5869584000])
def test_a_date_of_iso9660_is_declared_as_moved_where_it_is(mtime):
    same = rockridge.date(mtime) in (rockridge.date(0), rockridge.date(rockridge.LATEST))
    assert same is (mtime in (0, rockridge.LATEST) or bool(rockridge.CARRIED.moved({"f": File(0, 0, 0, mtime)})))


@settings(deadline=None)
@given(st.lists(st.text("abc/", min_size=1), min_size=1, unique=True))
def test_a_message_names_the_first_and_counts_the_others(paths):
    text = carried.join_paths(paths)
    assert text.startswith(", ".join(paths[:3]))
    assert text.endswith(f" and {len(paths) - 3} more") is (len(paths) > 3)


@pytest.mark.parametrize("name", [each for each in formats.names() if formats.products(each) & {"rootfs", "initrd"}])
def test_every_format_that_holds_a_root_declares_what_it_keeps(name):
    assert formats.carried(name), name
    assert (cpio.CARRIED in formats.carried(name)) is ("initrd" in formats.products(name))


def test_a_build_warns_of_what_an_initrd_leaves_out(store):
    tree = tree_with(store, **{"security.capability": bytes(20)})
    del tree[""]
    with collect_warnings() as heard:
        initrd.fragment(store, store.put_tree(tree))
    assert [(each.path, each.message) for each in heard] == [
        (PATH, "an initrd (cpio) has no place for the attribute security.capability of f")
    ]
    assert "ambient" in heard[0].hint
