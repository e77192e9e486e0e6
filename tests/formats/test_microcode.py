"""The processor's microcode is the first thing in every initrd, in every format that has one: the kernel looks for it
there before it can decompress (Documentation/arch/x86/microcode.rst)."""

from __future__ import annotations

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

DEEPEST = 8


def microcode(store) -> bytes:
    path = "kernel/x86/microcode/GenuineIntel.bin"
    out = store.rope()
    cpio.write(complete(Tree({path: File(0o644, 0, 0, 0, (), store.content(samples.noise(5000)))})), out)
    return samples.read(store, out.finish())


def products(store):
    """What formats need, with an initrd that has microcode; and that initrd's fragment, by which it is found again."""
    known = node.products(store)
    tree = store.tree(known["kernel"]()) | files([("ucode.cpio", store.content(microcode(store)))])
    kernel = store.put_tree(Tree(tree).ordered())
    fragment = initrd.fragment(store, known["rootfs"](), compress="zstd:1")
    ramdisk = initrd.initrd(store, kernel, fragment)
    needs = known | {"kernel": lambda: kernel, "initrd": lambda: ramdisk, "bootrd": lambda: ramdisk}
    return needs, samples.read(store, store.tree(fragment)["fragment"].content)


def initrds(view: View, fragment: bytes, depth: int = 0) -> list[View]:
    """The innermost views that hold `fragment`, however deep: in a partition of a disk in an archive, say."""
    opened = look_into(view) if depth < DEEPEST else None
    nodes = [each for name, each in opened.listing.items() if name != HEADER] if opened else []
    inner = [found for each in nodes if each.content for found in initrds(each.content, fragment, depth + 1)]
    return inner or ([view] if fragment in view.read(0, view.size) else [])


def with_initrd() -> list[str]:
    """The formats with an initrd, but for boards: their processors load no microcode."""
    made = (name for name in formats.names() if {"initrd", "bootrd"} & formats.products(name))
    return [name for name in made if formats.find(name).firmware is not formats.Firmware.BOARD]


@pytest.mark.parametrize("name", with_initrd())
def test_microcode_is_first(store, name):
    first = microcode(store)
    known, fragment = products(store)
    outputs = [entry.content for entry in store.tree(node.make(store, name, known)).values() if type(entry) is File]
    found = [each for content in outputs for each in initrds(listings.of_content(store, content), fragment)]
    assert found and all(each.read(0, len(first)) == first for each in found)
