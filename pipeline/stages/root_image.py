"""Turns an image into a root file system.

Some paths are dropped, others exist in every root file system with fixed contents: LinuxKit's rule, which comes from
`docker export`. It applies to init images, volumes and containers alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Directory, Entry, File, Symlink, Tree, overlay
from pipeline.store import Store

VERSION = 1

DROPPED = frozenset((".dockerenv", "Dockerfile", "dev/console", "dev/pts", "dev/shm", "etc/hostname"))
DIRECTORIES = ("dev", "dev/pts", "dev/shm", "etc", "proc", "sys")
"""Directories of every root file system, with mode 0755."""
HOSTS = (
    b"127.0.0.1       localhost\n"
    b"::1     localhost ip6-localhost ip6-loopback\n"
    b"fe00::0 ip6-localnet\nff00::0 ip6-mcastprefix\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
)
NO_RESOLVER = b"\n# no resolv.conf configured\n"
RESOLVER = "/run/resolvconf/resolv.conf"
"""Target of /etc/resolv.conf in init images and volumes, written at run time."""
PACKAGES = "lib/apk/db/installed"
"""Alpine's list of installed packages."""


def unpack(store: Store, image: Digest, *, epoch: int) -> Digest:
    """Returns the tree of an init image as a root file system."""
    return store.put_tree(root_image(store, store.tree(image), epoch, RESOLVER))


def packages(store: Store, *images: Digest, epoch: int) -> Digest:
    """Merges the lists of Alpine's installed packages; returns the empty tree if fewer than two images have one.

    Otherwise the last image's list would win, and scanners would see its packages only.
    """
    lists = [file for image in images if (file := store.tree(image).get_file(PACKAGES))]
    if len(lists) < 2:
        return store.put_tree(Tree())
    rope = store.rope()
    for file in lists:
        rope.extend(file.content)
        rope.write(b"\n\n")
    return store.put_tree(Tree({PACKAGES: File(0o644, 0, 0, epoch, (), rope.finish())}))


def root_image(store: Store, tree: Mapping[str, Entry], epoch: int, resolver: str = "") -> Tree:
    """Returns `tree` without DROPPED, and with the paths of every root file system.

    resolver: target of /etc/resolv.conf; "" for an empty configuration.
    """
    kept = Tree((path, entry) for path, entry in tree.items() if path not in DROPPED)
    mtab = kept.get("etc/mtab")
    added = Tree((path, Directory(0o755, 0, 0, epoch)) for path in DIRECTORIES)
    added["etc/hosts"] = _file(store.content(HOSTS), epoch)
    added["etc/mtab"] = mtab._replace(mtime=epoch) if mtab else Symlink(0o755, 0, 0, epoch, (), "/proc/mounts")
    if resolver:
        added["etc/resolv.conf"] = Symlink(0o644, 0, 0, epoch, (), resolver)
    else:
        added["etc/resolv.conf"] = _file(store.content(NO_RESOLVER), epoch)
    return overlay(kept, added.ordered())


def _file(content: Content, epoch: int) -> File:
    return File(0o644, 0, 0, epoch, (), content)
