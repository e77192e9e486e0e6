"""The kernel section: boot/ and the kernel's modules, out of a kernel image (LinuxKit, docs/kernels.md)."""

from __future__ import annotations

from pipeline.kernel import modules as kernel_modules
from pipeline.language.problem import StageProblem, suggestion
from pipeline.model.digest import Digest
from pipeline.model.tree import Directory, File, Tree, outside, overlay
from pipeline.oci.layer import tar_tree
from pipeline.store import Store

VERSION = f"1 modules-{kernel_modules.VERSION}"


BOOT = ("kernel", "ucode.cpio")
"""What boots, beside the command line (LinuxKit's names)."""


def kernel(store: Store, contents: Digest, *, cmdline: str, epoch: int) -> Digest:
    """The tree `contents` (see below) with the command line as boot/cmdline."""
    line = Tree({"boot/cmdline": _line(store, cmdline, epoch)})
    return store.put_tree(overlay(store.tree(contents), line))


def boot(store: Store, contents: Digest, *, cmdline: str, epoch: int) -> Digest:
    """What boots: a flat Tree {"cmdline", "kernel"}, and "ucode.cpio" if the tree `contents` has one."""
    tree = store.tree(contents)
    found = Tree((name, tree[f"boot/{name}"]) for name in BOOT if f"boot/{name}" in tree)
    return store.put_tree(overlay(found, {"cmdline": _line(store, cmdline, epoch)}))


def running(store: Store, contents: Digest) -> Digest:
    """What a running node has of the tree `contents`: all but what is below boot/, which is the bootloader's."""
    return store.put_tree(outside("boot", store.tree(contents)))


def contents(
    store: Store, image: Digest, *, binary: str, tar: str, ucode: str, modules: list[str] | None, epoch: int
) -> Digest:
    """A Tree with boot/kernel, boot/ucode.cpio (if `ucode` names it) and what the tar `tar` holds.

    The image holds more (headers, sources, a build's configuration), which is left behind.
    modules: names or patterns; with them, only those modules stay, and what they need. None for all.
    """
    tree = store.tree(image)
    boot = Tree({"boot": Directory(0o755, 0, 0, epoch)})
    boot["boot/kernel"] = _boot_file(_file(tree, binary, "binary"), epoch)
    if ucode:
        boot["boot/ucode.cpio"] = _boot_file(_file(tree, ucode, "ucode"), epoch)
    if not tar:
        return store.put_tree(boot.ordered())
    unpacked = tar_tree(store, _file(tree, tar, "tar").content)
    if modules is not None:
        from pipeline.kernel.modules import cut

        unpacked = cut(store, unpacked, modules)
    return store.put_tree(overlay(unpacked, boot.ordered()))


def _line(store: Store, cmdline: str, epoch: int) -> File:
    return File(0o644, 0, 0, epoch, (), store.content(cmdline.encode()))


def _boot_file(entry: File, epoch: int) -> File:
    return File(entry.mode, 0, 0, epoch, (), entry.content)


def _file(tree: Tree, path: str, key: str) -> File:
    """The regular file `path` of the kernel image, or a problem of the key that named it."""
    if file := tree.get_file(path.removeprefix("/")):
        return file
    files = [name for name in tree.files() if "/" not in name]
    found = suggestion(path, files) or f"at its top it holds {', '.join(files[:8]) or 'no files'}"
    raise StageProblem((key,), f"the kernel image has no file {path!r}", found)
