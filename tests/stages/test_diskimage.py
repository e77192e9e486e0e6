"""The same disk in another format."""

from pipeline.model.tree import Slice, files
from pipeline.stages import diskimage
from tests.judges import need, run


def test_qemu_finds_the_disk_in_both_kinds_of_qcow2(store, tmp_path):
    content = (*store.content(b"disk" * 20_000), Slice(None, 0, 1 << 20))
    image = store.put_tree(files([(".img", content)]))
    assert diskimage.disk(store, image) == (".img", content)
    store.export(content, tmp_path / "raw")
    for clusters in ("plain", "zstd:1"):
        tree = store.tree(diskimage.qcow(store, image, ".qcow2", clusters))
        store.export(tree.file(".qcow2").content, tmp_path / "a.qcow2")
        run(
            need("qemu-img", "qemu-utils"),
            "compare",
            "-f",
            "raw",
            "-F",
            "qcow2",
            tmp_path / "raw",
            tmp_path / "a.qcow2",
        )
