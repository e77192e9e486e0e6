"""The processor's microcode is the first thing in every initrd, in every format that has one: the kernel looks for it
there before it can decompress (Documentation/arch/x86/microcode.rst)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline import formats
from pipeline.inspect import listings
from pipeline.model.tree import File, Tree, complete, files
from pipeline.readers import HEADER, look_into
from pipeline.readers.view import View
from pipeline.stages import initrd
from pipeline.writers import cpio
from tests.formats import node
from tests.writers import samples

INITRDS = ("initrd.img", ".initrd", "-bootrd.img", "-initrd.img")
"""What formats call an initrd."""
DEEPEST = 8
OTHERS = {"rpi3"}
"""Formats for processors that have no microcode to be loaded."""


def microcode(store) -> bytes:
    path = "kernel/x86/microcode/GenuineIntel.bin"
    out = store.rope()
    cpio.write(complete(Tree({path: File(0o644, 0, 0, 0, (), store.content(samples.noise(5000)))})), out)
    return samples.read(store, out.finish())


def products(store):
    known = node.products(store)
    tree = store.tree(known["kernel"]()) | files([("ucode.cpio", store.content(microcode(store)))])
    kernel = store.put_tree(Tree(tree).ordered())
    fragment = initrd.fragment(store, known["rootfs"](), compress="zstd:1")
    ramdisk = initrd.initrd(store, kernel, fragment)
    return known | {"kernel": lambda: kernel, "initrd": lambda: ramdisk, "bootrd": lambda: ramdisk}


def initrds(path: str, view: View, depth: int = 0) -> Iterator[View]:
    """Every initrd in `view`, however deep: in a partition of a disk in an archive, say."""
    if path.endswith(INITRDS):
        yield view
        return
    opened = look_into(view) if depth < DEEPEST else None
    for name, each in opened.listing.items() if opened else ():
        if name != HEADER and each.content is not None:
            yield from initrds(name, each.content, depth + 1)


def with_initrd() -> list[str]:
    return [name for name in formats.names() if {"initrd", "bootrd"} & formats.needs(name) and name not in OTHERS]


def test_these_are_nearly_all() -> None:
    assert {"kernel+initrd", "uki", "raw-bios", "qcow2-efi", "vmdk", "gcp", "iso-hybrid"} <= set(with_initrd())


@pytest.mark.parametrize("name", with_initrd())
def test_microcode_is_first(store, name):
    first = microcode(store)
    result = node.make(store, name, products(store))
    views = {
        suffix: listings.of_content(store, entry.content)
        for suffix, entry in store.tree(result).items()
        if type(entry) is File
    }
    found = [each for suffix, view in views.items() for each in initrds(suffix, view)]
    assert found and all(each.read(0, len(first)) == first for each in found)
