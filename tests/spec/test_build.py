"""build: what is wrong with it is told at its place; what it means for the plan."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from pipeline import formats
from pipeline.engine.action import Action, closure
from pipeline.language.problem import Problems
from pipeline.model.digest import Digest
from pipeline.model.tree import File, Tree, only
from pipeline.planning.load import load
from pipeline.planning.lock import Lock
from pipeline.planning.plan import Plan, plan
from pipeline.stages import compression, initrd
from pipeline.store import Store
from tests.judges import need, run

DATA = "{label: DATA, size: 1G}"
MANY = [f"{{label: p{number}, size: 1M}}" for number in range(128)]
WRONG = [
    ("build: {formats: [tar, raw-efi.zts]}\n", "1:24: unknown format 'raw-efi.zts' (did you mean 'raw-efi.zst'?)"),
    ("build: {formats: [tar.zst]}\n", "1:19: unknown format 'tar.zst'"),
    ("build: {release: bokworm}\n", "1:18: there is no release 'bokworm' (did you mean 'bookworm'?)"),
    ("build: {release: x}\n", "1:18: there is no release 'x' (there is trixie, bookworm, noble)"),
    ("build: {formats: [qcow2]}\n", "(did you mean 'qcow2-bios' or 'qcow2-efi' or 'qcow2-verity-efi'?)"),
    ("build: {formats: [raw]}\n", "(did you mean 'raw-bios' or 'raw-efi' or 'raw-hybrid'?)"),
    ("build: {formats: [ISO]}\n", "(did you mean 'iso-bios' or 'iso-efi' or 'iso-efi-initrd'?)"),
    ("build:\n  formats: [iso-bios, kernel+iso]\n",
     "2:23: iso-bios and kernel+iso both give a.iso (leave one of them out)"),
    ("build: {verity: panik}\n", "1:17: build.verity: expected panic or restart or eio, not the string 'panik'"),
    ("build:\n  verity: panic\n  formats: [kernel+erofs, bootrd, raw-efi]\n",
     "2:11: raw-efi has no root that can be verified (use kernel+erofs, kernel+squashfs, qcow2-verity-efi, "),
    ("build: {verity: eio, formats: [tar, verity-efi]}\n", "1:17: tar has no root that can be verified"),
    ("build: {verity: eio, formats: [ext4.zst]}\n", "1:17: ext4.zst has no root that can be verified"),
    ("build: {verity: eio, formats: [kernel+erofs, verity-efi, kernel+squashfs]}\n",
     "1:58: kernel+squashfs and kernel+erofs both give a-cmdline with a root hash (leave one of them out)"),
    ("build: {size: 1024K}\n", "1:15: build.size: '1024K' is not a size such as 512M"),
    ("build: {size: 2M}\n", "1:15: size '2M': wanted MiB (1024M), GiB (2G) or TiB, more than 2M and at most 2T"),
    ("build: {size: 3T}\n", "1:15: size '3T'"),
    ("build: {label: node}\n", "1:16: build.label: 'node' is not a label of at most 11 letters (capitals)"),
    ("build: {clusters: gzip}\n", "build.clusters: 'gzip' is not plain or zstd[:1-22]"),
    ("build: {partitions: [{format: ext4}]}\n",
     "1:31: the first partition is the FAT volume that the node boots from (leave its format out)"),
    (f"build: {{partitions: [{{type: {'0' * 8}-0000-0000-0000-{'0' * 12}}}]}}\n",
     "1:29: the first partition is what firmware boots from: its type is fixed (leave it out)"),
    ("build: {partitions: [{size: 9T}]}\n", "1:29: size '9T': wanted MiB"),
    ("build: {partitions: [{label: lower}]}\n", "1:30: 'lower' is not a label of at most 11"),
    ("build: {partitions: [{}, {label: x, format: fat, size: 1G}]}\n", "1:34: 'x' is not a label of at most 11"),
    ("build: {partitions: [{}, {label: a-label-that-is-long, format: ext4, size: 1G}]}\n",
     "1:34: the label 'a-label-that-is-long' is too long for ext4 (at most 16 characters)"),
    ("build: {partitions: [{}, {label: a}]}\n",
     "1:26: partition 2 has no size (only the last can do without, where build.size has one)"),
    ("build: {size: 4G, partitions: [{}, {label: a}, {label: b}]}\n", "1:36: partition 2 has no size"),
    (f"build: {{partitions: [{{}}, {DATA}, {DATA}]}}\n", "1:59: two partitions have the label 'DATA'"),
    (f"build: {{label: DATA, partitions: [{{}}, {DATA}]}}\n", "two partitions have the label 'DATA'"),
    ("build: {partitions: [{}, {size: 1G}, {size: 2G}]}\n", "two partitions have the label ''"),
    (f"build: {{size: 512M, partitions: [{{}}, {DATA}]}}\n",
     "1:15: 512M is too small: the partitions alone take 1025M"),
    ("build: {partitions: [{}, {label: a, size: 1G, type: 8300}]}\n", "expected a GUID, not the number 8300"),
    ("build: {partitions: [{}, {label: a, size: 1G, type: linux}]}\n", "'linux' is not a GUID"),
    ("build: {partitions: [{}, {label: a, size: 1G, format: xfs}]}\n", "expected none or ext4 or swap or fat, not"),
    ("build: {partitions: [{}, {label: a, size: 4M, format: ext4}]}\n",
     "1:43: 4M is too small for ext4 (at least 5M)"),
    ("build: {partitions: [{}, {label: A, size: 2M, format: fat}]}\n", "1:43: 2M is too small for fat (at least 3M)"),
    (f"build: {{formats: [raw-efi, qcow2-bios.zst], partitions: [{{}}, {', '.join(MANY[:4])}]}}\n",
     "1:131: 5 partitions; qcow2-bios.zst has room for 4 (leave the others out)"),
    (f"build: {{formats: [raw-efi], partitions: [{{}}, {', '.join(MANY)}]}}\n",
     "129 partitions; raw-efi has room for 128"),
    (f"build: {{formats: [ext4], partitions: [{{}}, {', '.join(MANY[:127])}]}}\n",
     "128 partitions; ext4 has room for 127"),
    ("build: {formats: [vhd], size: 2T}\n", "1:31: a disk of 2097152M; vhd has room for 2088960M (make it smaller)"),
    ("build: {formats: [rpi3], partitions: [{}, {label: a, size: 1T}, {label: b, size: 1T}, {label: c, size: 1M}]}\n",
     "a disk of 2097153M; rpi3 has room for 2097152M"),
]  # fmt: skip


def planned(folder: Path, text: str) -> Plan:
    (folder / "a.yml").write_text(text)
    return plan(load(folder / "a.yml"), Lock(), "amd64")


@pytest.mark.parametrize(("text", "complaint"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(Problems) as caught:
        planned(tmp_path, text)
    (told,) = str(caught.value).splitlines()
    assert told.startswith((f"{tmp_path}/a.yml:1:", f"{tmp_path}/a.yml:2:"))
    assert complaint in told


def test_partitions_are_options_of_raw_disks(tmp_path: Path) -> None:
    made = planned(tmp_path, f"build: {{size: 4G, label: HERE, partitions: [{{}}, {DATA}], clusters: 'zstd:3'}}\n")
    asked = {"size": "4G", "label": "HERE", "partitions": [{}, {"label": "DATA", "size": "1G"}]}
    for name in ("raw-bios", "raw-efi", "raw-hybrid"):
        assert made.format(name).params == asked
    assert made.format("qcow2-efi").params == {"clusters": "zstd:3"}
    assert made.format("iso-hybrid").params == {"label": "HERE"}
    assert made.format("vhdx").inputs == (made.format("raw-efi"),)


def test_a_compressed_disk_is_planned_from_the_disk(tmp_path: Path) -> None:
    made = planned(tmp_path, "build: {formats: [raw-efi.zst, vhdx.gz], compress: 'zstd:19'}\n")
    assert made.format("raw-efi.zst").inputs == (made.format("raw-efi"),)
    assert made.format("raw-efi.zst").params == {"compress": "zstd:19"}
    assert made.format("vhdx.gz").key != made.format("vhdx.zst").key


# compression that the kernel can unpack

NODE = "kernel: {image: k, cmdline: quiet}\ninit: [i]\nservices: [{name: a, image: x}]\n"


def fragments(made: Plan) -> list[Action]:
    return [each for each in made.products.initrd.inputs if each.name.startswith("fragment/")]


def test_only_without_a_word_of_the_spec_is_the_kernel_looked_into(tmp_path: Path) -> None:
    asked = [each.name for each in closure(planned(tmp_path, NODE + "build: {compress: gzip}\n").products.initrd)]
    assert "compression" not in asked
    assert "compression" not in [each.name for each in closure(planned(tmp_path, "init: [i]\n").products.initrd)]
    made = planned(tmp_path, NODE)
    (chosen,) = {each.inputs[1] for each in fragments(made)}
    assert chosen.name == "compression" and [each.name for each in chosen.inputs] == ["unpack/k"]
    assert all(not each.params for each in fragments(made))


def test_a_changed_command_line_or_option_is_no_other_compression(tmp_path: Path) -> None:
    """tests/tasks/test_build.py sees that nothing is compressed again: what fragments hold is as it was."""
    one, other = (
        planned(tmp_path, NODE),
        planned(tmp_path, NODE.replace("quiet", "debug").replace("image: x", "image: y")),
    )
    keys = {each.name: each.inputs[1].key for each in fragments(one)}
    assert keys == {each.name: each.inputs[1].key for each in fragments(other)} and len(set(keys.values())) == 1


def bzimage(payload: bytes) -> bytes:
    """As much of a bzImage as says where its payload is (Documentation/arch/x86/boot.rst)."""
    data = bytearray(1024)
    data[0x1F1] = 1
    data[0x202:0x206] = b"HdrS"
    data[0x248:0x250] = (0).to_bytes(4, "little") + len(payload).to_bytes(4, "little")
    return bytes(data) + payload


def inside(*lines: str) -> bytes:
    """A kernel's own bytes with its configuration in them."""
    return b"code" * 1000 + b"IKCFG_ST" + gzip.compress("\n".join(lines).encode()) + b"IKCFG_ED" + b"more" * 100


ZSTD, GZIP, XZ = "CONFIG_RD_ZSTD=y", "CONFIG_RD_GZIP=y", "CONFIG_RD_XZ=y"
KERNELS = [
    ({"kernel": b"no kernel"}, "zstd:9"),
    ({}, "zstd:9"),
    ({"kernel": b"", "boot/config-6.1.0": f"{GZIP}\n{ZSTD}\n".encode()}, "zstd:9"),
    ({"kernel": b"", "config-5.4": f"# CONFIG_RD_ZSTD is not set\n{GZIP}\n".encode()}, "gzip:6"),
    ({"kernel": b"", "kernel-config": f"{XZ}\n".encode()}, "none"),
    ({"kernel": inside(GZIP)}, "gzip:6"),
    ({"kernel": gzip.compress(inside(GZIP))}, "gzip:6"),
    ({"kernel": bzimage(gzip.compress(inside(ZSTD)))}, "zstd:9"),
    ({"kernel": bzimage(lzma.compress(inside(XZ)))}, "none"),
    ({"kernel": bzimage(lzma.compress(b"says nothing"))}, "zstd:9"),
    ({"kernel": bzimage(lzma.compress(inside(GZIP))[:-20])}, "zstd:9"),
    ({"kernel": bzimage(gzip.compress(b"IKCFG_ST damaged IKCFG_ED"))}, "zstd:9"),
]


@pytest.mark.parametrize("level", ["-1", "-9"])
def test_a_kernel_may_be_compressed_with_lz4(store: Store, tmp_path: Path, level: str) -> None:
    """As scripts/Makefile.lib of the kernel does it: a legacy frame, and the size behind it."""
    for text in (inside(GZIP), bytes(9 << 20) + inside(GZIP) + bytes(8 << 20)):
        run(need("lz4", "lz4"), "-l", "-f", level, written(tmp_path / "data", text), tmp_path / "packed")
        packed = (tmp_path / "packed").read_bytes() + len(text).to_bytes(4, "little")
        for kernel in (bzimage(packed), packed[:-4]):
            assert compression.choice(store, chosen(store, {"kernel": kernel})) == "gzip:6"
        assert compression.choice(store, chosen(store, {"kernel": bzimage(packed[:90])})) == "zstd:9"
        damaged = packed[:40] + bytes(20) + packed[60:]
        assert compression.choice(store, chosen(store, {"kernel": damaged})) in ("zstd:9", "gzip:6")


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def chosen(store: Store, files: dict[str, bytes]) -> Digest:
    tree = Tree((path, File(0o644, 0, 0, 0, (), store.content(data))) for path, data in sorted(files.items()))
    return compression.compression(store, store.put_tree(tree), binary="/kernel", choices=["zstd:9", "gzip:6"])


@pytest.mark.parametrize(("files", "wanted"), KERNELS)
def test_a_kernel_says_what_it_can_unpack(store: Store, files: dict[str, bytes], wanted: str) -> None:
    assert compression.choice(store, chosen(store, files)) == wanted


@pytest.mark.parametrize(("config", "magic"), [(ZSTD, b"\x28\xb5\x2f\xfd"), (GZIP, b"\x1f\x8b"), (XZ, b"070701")])
def test_a_fragment_is_compressed_so(store: Store, config: str, magic: bytes) -> None:
    tree = store.put_tree(only("file", store.content(b"x" * 1000)))
    how = chosen(store, {"kernel": b"", "kernel-config": config.encode()})
    entry = store.tree(initrd.fragment(store, tree, how))["fragment"]
    assert isinstance(entry, File) and store.bytes(entry.content).startswith(magic)


def test_a_file_that_no_initrd_has_room_for_is_for_other_formats() -> None:
    carrying = formats.carrying(5 << 30)
    assert {"tar", "docker", "kernel+squashfs", "kernel+iso"} <= set(carrying)
    assert not {"kernel+initrd", "uki", "raw-bios", "qcow2-efi", "tar-kernel-initrd"} & set(carrying)
