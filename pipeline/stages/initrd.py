"""The initial RAM disk, which the kernel unpacks into its first root file system.

It is a sequence of archives (Documentation/driver-api/early-userspace/buffer-format.rst): the processor's microcode,
uncompressed, because the kernel reads it before it can decompress; then a **fragment** for each component of the node.
Each fragment is compressed on its own, so a changed component changes one fragment, and the initrd refers to them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.compression import compress as compression
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Entry, File, Tree, length, only, outside
from pipeline.stages.carried import warn_of
from pipeline.stages.compression import choice
from pipeline.store import Store
from pipeline.writers import cpio

VERSION = f"1 cpio-{cpio.VERSION} {compression.VERSION}"
GZIP_ARCHIVE = 64 << 20
"""Size of gzip archives, in bytes: libdeflate needs whole buffers, so that a large component becomes several."""


def fragment(store: Store, tree: Digest, *kernel: Digest, compress: str = "zstd") -> Digest:
    """Returns the tree as a compressed archive: Tree {"fragment": File}, its size a multiple of 4.

    compress: `zstd[:level]`, `gzip[:level]` or `none`. kernel: a result of stages.compression, used instead. Files
    below boot/ are left out. Warns of attributes that an initrd cannot store. TooLarge for a file of 4 GiB or more.
    """
    chosen = compression.parse(choice(store, kernel[0]) if kernel else compress)
    entries = outside("boot", store.tree(tree))
    warn_of(cpio.CARRIED, entries)
    return store.put_tree(only("fragment", compressed(store, entries, chosen)))


def compressed(store: Store, tree: Tree, chosen: compression.Compression, gzip_archive: int = GZIP_ARCHIVE) -> Content:
    """Packs `tree` into compressed archives, padded to a multiple of 4 bytes: gzip's hold about `gzip_archive` each."""
    out = store.rope()
    for archive in archives(tree, gzip_archive) if chosen.name == "gzip" else [tree]:
        with compression.compressor(chosen, cpio.size(archive), out, store.read) as sink:
            cpio.write(archive, sink)
    out.write(bytes(-out.tell() % 4))
    return out.finish()


def initrd(store: Store, kernel: Digest, *fragments: Digest) -> Digest:
    """Joins the kernel tree's ucode.cpio, if it has one, and `fragments` by reference: Tree {"initrd.img": File}."""
    out = store.rope()
    microcode = store.tree(kernel).get_file("ucode.cpio")
    contents = [microcode.content] if microcode else []
    contents += [store.tree(digest).file("fragment").content for digest in fragments]
    for content in contents:
        out.extend(content)
        out.zeros(-length(content) % 4)
    return store.put_tree(only("initrd.img", out.finish()))


def archives(tree: Mapping[str, Entry], limit: int) -> list[Tree]:
    """Splits `tree` at about `limit` bytes of data. All names of a file are in the same archive, the last one's."""
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
