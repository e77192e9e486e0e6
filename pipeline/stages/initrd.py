"""The initial RAM disk: what the kernel unpacks into its first root file system.

It is a row of archives, one behind the other (Documentation/driver-api/early-userspace/buffer-format.rst): first the
processor's microcode, uncompressed, because the kernel looks for it before it can decompress; then a **fragment** for
each part of the node. A fragment is compressed on its own, so a change of one part re-makes one fragment, and the whole
is put together by reference.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.compression import compress as compression
from pipeline.model.digest import Digest
from pipeline.model.tree import Entry, File, Tree, length, only, outside
from pipeline.stages.carried import warn_of
from pipeline.stages.compression import choice
from pipeline.store import Store
from pipeline.writers import cpio

VERSION = f"1 cpio-{cpio.VERSION} {compression.VERSION}"
GZIP_ARCHIVE = 64 << 20
"""gzip is made of whole buffers, so a large part becomes several archives of about this size."""


def fragment(store: Store, tree: Digest, *kernel: Digest, compress: str = "zstd") -> Digest:
    """The tree as a compressed archive: Tree {"fragment": File}, its size a multiple of 4.

    compress: `zstd[:level]`, `gzip[:level]` or `none`; where `kernel` is given, what it chose (stages.compression).
    What lies below boot/ is left out: it is the boot loader's. Warns of what an initrd does not carry. TooLarge for a
    file of 4 GiB or more.
    """
    chosen = compression.parse(choice(store, kernel[0]) if kernel else compress)
    entries = outside("boot", store.tree(tree))
    warn_of(cpio.CARRIED, entries)
    out = store.rope()
    for archive in _archives(entries) if chosen.name == "gzip" else [entries]:
        with compression.compressor(chosen, cpio.size(archive), out, store.read) as sink:
            cpio.write(archive, sink)
    out.write(bytes(-out.tell() % 4))
    return store.put_tree(only("fragment", out.finish()))


def initrd(store: Store, kernel: Digest, *fragments: Digest) -> Digest:
    """Microcode (the kernel tree's ucode.cpio, if it has one) and `fragments`, in order: Tree {"initrd.img": File}.

    No byte is copied: the result refers to what it is made of.
    """
    out = store.rope()
    microcode = store.tree(kernel).get_file("ucode.cpio")
    contents = [microcode.content] if microcode else []
    contents += [store.tree(digest).file("fragment").content for digest in fragments]
    for content in contents:
        out.extend(content)
        out.zeros(-length(content) % 4)
    return store.put_tree(only("initrd.img", out.finish()))


def _archives(tree: Mapping[str, Entry], limit: int = GZIP_ARCHIVE) -> list[Tree]:
    """`tree` in pieces of about `limit` bytes of data, in order; all names of a file are where the last of them is."""
    filled = 0
    place: dict[str, int] = {}
    for path, entry in tree.items():
        shared = entry.inode if type(entry) is File else ""
        place[f"//{shared}" if shared else path] = filled // limit
        filled += entry.size if type(entry) is File else 0
    pieces: dict[int, Tree] = {}
    for path, entry in tree.items():
        shared = entry.inode if type(entry) is File else ""
        pieces.setdefault(place[f"//{shared}" if shared else path], Tree())[path] = entry
    return [pieces[number] for number in sorted(pieces)]
