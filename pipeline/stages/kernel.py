"""The kernel section: boot/ and the kernel's modules from a kernel image (LinuxKit, docs/kernels.md)."""

from __future__ import annotations

from pipeline.kernel import modules as kernel_modules
from pipeline.language.problem import StageProblem, suggestion
from pipeline.model.digest import Digest
from pipeline.model.tree import Directory, File, Tree, outside, overlay
from pipeline.oci.layer import tar_tree
from pipeline.store import Store

VERSION = f"1 modules-{kernel_modules.VERSION}"


BOOT = ("kernel", "ucode.cpio")
"""Files of boot/ for the boot loader, beside the command line (LinuxKit's names)."""


def kernel(store: Store, contents: Digest, *, cmdline: str, epoch: int) -> Digest:
    """Returns the tree `contents` with the command line as boot/cmdline."""
    line = Tree({"boot/cmdline": _line(store, cmdline, epoch)})
    return store.put_tree(overlay(store.tree(contents), line))


def boot(store: Store, contents: Digest, *, cmdline: str, epoch: int) -> Digest:
    """Returns the files for the boot loader: Tree {"cmdline", "kernel"}, with "ucode.cpio" if `contents` has it."""
    tree = store.tree(contents)
    files = Tree((name, tree[f"boot/{name}"]) for name in BOOT if f"boot/{name}" in tree)
    return store.put_tree(overlay(files, {"cmdline": _line(store, cmdline, epoch)}))


def running(store: Store, contents: Digest) -> Digest:
    """Returns the tree `contents` without what is below boot/, which only the boot loader needs."""
    return store.put_tree(outside("boot", store.tree(contents)))


def contents(
    store: Store, image: Digest, *, binary: str, tar: str, ucode: str, modules: list[str] | None, epoch: int
) -> Digest:
    """Returns a Tree with boot/kernel, boot/ucode.cpio (if `ucode` names it) and the files of the tar `tar`.

    The rest of the image (headers, sources, a build's configuration) is left out.
    modules: names or patterns of the modules to keep, with those that they need; None for all.
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
    """Returns the regular file `path` of the kernel image; StageProblem of `key` if there is none."""
    if file := tree.get_file(path.removeprefix("/")):
        return file
    files = [name for name in tree.files() if "/" not in name]
    hint = suggestion(path, files) or f"at its top it holds {', '.join(files[:8]) or 'no files'}"
    raise StageProblem((key,), f"the kernel image has no file {path!r}", hint)
