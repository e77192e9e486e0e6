"""Files that a machine starts without a boot loader."""

from pipeline.model.tree import files
from pipeline.stages.direct_boot import direct_boot


def test_kernel_and_command_line_lie_beside_the_root(store):
    names = ("kernel", "cmdline", "ucode.cpio")
    kernel = store.put_tree(files((name, store.content(name.encode())) for name in names))
    tree = store.tree(direct_boot(store, kernel, "-initrd.img", store.content(b"root")))
    assert {path: store.bytes(file.content) for path, file in tree.files().items()} == {
        "-kernel": b"kernel", "-cmdline": b"cmdline", "-initrd.img": b"root"
    }  # fmt: skip
    nothing = store.put_tree(files([]))
    assert list(store.tree(direct_boot(store, nothing, "-x", store.content(b"root")))) == ["-x"]
