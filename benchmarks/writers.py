"""Our writers beside the usual tools, on the same material, in turns: medians; and what they need for 4 GiB.

    python benchmarks/writers.py [--rounds N] [--folder DIR] [--large] [ROW ...]

The material is a tree of 260 MB from the host's Debian packages, in the store as an unpacked layer, as a tar, and as a
folder; a boot volume of 160 MB; and a disk of 1 GiB that is a quarter full. Every turn is a process of its own. Ours is
timed from the opened store to the file in its place, without Python's start and without the file's sum, since a build
starts once and the tools make no sum; CPU is that of the whole process, start included. The tools have the same blocks,
levels and number of threads, but the system's libraries (Debian 12's libzstd 1.5.4 is as fast as the pinned 1.5.7);
what ours changes of zstd's levels for small blocks is in pipeline/compression/compress.py; its cost shows in
the sizes.

--large: 4 GiB that do not compress instead, only ours, once: the process' peak memory is what matters.

Appends to benchmarks/history/writers.jsonl. Packages: squashfs-tools-ng, erofs-utils, mtools, e2fsprogs, qemu-utils,
cryptsetup-bin, sbsigntool, systemd-boot-efi.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import material
from incremental import Cost, environment, measure

HOME = Path(__file__).resolve().parent
HISTORY = HOME / "history" / "writers.jsonl"
MIB = 1 << 20
DISK = 1 << 30
STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
KERNEL, INITRD = 12 * MIB, 148 * MIB
LARGE, PART = 4 << 30, 64 * MIB
LEVEL = 9
LEVELS = (1, 4, 9, 15)
"""Of zstd in squashfs: the lowest, ours where nothing is said, what most other rows have, and tar2sqfs' own."""
AT_HAND = 3072 * MIB
"""Bytes that a turn finds touched. A virtual machine may have given free memory back to its host; what is written to
the page cache then waits for the host, at ten times the cost, and ours writes more: each part is in the store, too."""
COLLECT_RARELY = (100_000, 50, 50)
"""Python's garbage collector, as a build has it (pipeline/tasks)."""


class Row(NamedTuple):
    """`ours` is called in a process of its own, with a store, the material and a sink; `theirs` is a shell's line."""

    name: str
    ours: Callable[[Any, Any, Any], bytes | None]
    theirs: str


def _pack(store: Any, work: Any, headed: bool = False, **options: int) -> Callable[[Any], Any]:
    """What packs pieces, none of which was made before."""
    from pipeline.incremental import compress_blocks, compress_headed_blocks

    pack = compress_headed_blocks if headed else compress_blocks
    return partial(pack, store, f"round {time.time_ns()}", work, **options)


def _squashfs(compression: str) -> Callable[[Any, Any, Any], bytes]:
    def write(store: Any, made: Any, out: Any) -> bytes:
        from pipeline.compression import compress
        from pipeline.incremental import FILES_CHUNK
        from pipeline.writers import squashdata, squashfs

        chosen = compress.parse(compression)
        block = compress.block_compressor(chosen)
        packing = squashfs.Packing(
            chosen.name, block, _pack(store, partial(squashdata.compress_blocks, block), chunk=FILES_CHUNK)
        )
        return squashfs.write(made.tree(), store.read, out, packing)

    return write


def _erofs(level: int) -> Callable[[Any, Any, Any], bytes]:
    def write(store: Any, made: Any, out: Any) -> bytes:
        from pipeline.compression import compress
        from pipeline.incremental import FILES_CHUNK, one_by_one
        from pipeline.writers import erofs, erofsdata

        packing = (
            _pack(store, one_by_one(partial(erofsdata.compress_extent, compress.lz4(level))), chunk=FILES_CHUNK)
            if level
            else None
        )
        return erofs.write(made.tree(), store.read, out, packing)

    return write


def _ext4(store: Any, made: Any, out: Any) -> None:
    from pipeline.incremental import memoized
    from pipeline.writers import ext4

    now = time.time_ns()
    ext4.write(made.tree(), lambda name, make: memoized(store, f"{now} {name}", make), out, None, "root")


def _fat(store: Any, made: Any, out: Any) -> None:
    from pipeline.writers import fat

    plan = fat.plan(made.boot(), None)
    fat.write(plan, out, "NODE", fat.boot_sector(plan, "NODE", 1, 0))


def _disk(kind: str) -> Callable[[Any, Any, Any], None]:
    def write(store: Any, made: Any, out: Any) -> None:
        from pipeline.compression import compress
        from pipeline.incremental import one_by_one
        from pipeline.writers import disk, qcow2, vhd, vhdx, vmdk

        grains = _pack(store, one_by_one(partial(vmdk.compress_grain, compress.zlib(1))), headed=True)
        writers: dict[str, Callable[[], None]] = {
            "qcow2": lambda: qcow2.write(made.disk(), out),
            "vmdk": lambda: vmdk.write(made.disk(), grains, out, 1),
            "vhd": lambda: vhd.write_fixed(made.disk(), out, disk.identity("vhd")),
            "dynamic-vhd": lambda: vhd.write_dynamic(made.disk(), out, disk.identity("vhd")),
            "vhdx": lambda: vhdx.write(made.disk(), out, disk.identity),
        }
        writers[kind]()

    return write


def _tar(store: Any, made: Any, out: Any) -> None:
    from pipeline.writers import tar

    tar.write(made.tree(), out)


def _initrd(level: str) -> Callable[[Any, Any, Any], None]:
    def write(store: Any, made: Any, out: Any) -> None:
        from pipeline.stages import initrd

        fragment = store.tree(initrd.fragment(store, store.put_tree(made.tree()), compress=level))["fragment"]
        out.extend(fragment.content)

    return write


def _hash_tree(store: Any, made: Any, out: Any) -> None:
    from pipeline.writers import verity

    salt = time.time_ns().to_bytes(8, "big")
    verity.write(made.initrd(0), salt, _pack(store, verity.hash_groups(salt)), store.read, out)


def _signed(store: Any, made: Any, out: Any) -> None:
    """A program with a kernel and an initrd, made and signed: of others each time, of which no sum is known."""
    from pipeline.incremental import checksum16
    from pipeline.model.tree import cut, length
    from pipeline.ondisk import authenticode as ondisk
    from pipeline.ondisk import x509
    from pipeline.project import signing_keys
    from pipeline.stages import signed
    from pipeline.writers import authenticode

    program = _program(store, made, time.time_ns() % MIB)
    image, wordsum = signed.image_hash(store, program), partial(checksum16, store)
    certificate = x509.from_file(Path("db.pem").read_bytes())
    signature = signing_keys.sign(Path("db.key"), certificate, ondisk.signed_attributes(image))
    head, rest = store.bytes(cut(program, 0, MIB)), cut(program, MIB, length(program) - MIB)
    authenticode.attach(head, rest, authenticode.signed_data(image, [certificate], signature), wordsum, out)


def _program(store: Any, made: Any, offset: int) -> Any:
    """The content of an unsigned program with kernel and initrd."""
    from pipeline.incremental import checksum16
    from pipeline.model.tree import Slice
    from pipeline.writers import pe

    kernel = (Slice(made.initrd(0)[0].blob, offset, KERNEL),)
    out = store.rope()
    pe.write(
        pe.stub(STUB.read_bytes()), [(".initrd", made.initrd(offset)), (".linux", kernel)],
        partial(checksum16, store), out,
    )  # fmt: skip
    return out.finish()


CONVERT = "qemu-img convert -f raw -O {} disk.raw theirs"
ROWS = (
    *(
        Row(f"squashfs, zstd:{each}", _squashfs(f"zstd:{each}"), f"tar2sqfs -qf -c zstd -X level={each} theirs < tar")
        for each in LEVELS
    ),
    Row(f"squashfs, gzip:{LEVEL}", _squashfs(f"gzip:{LEVEL}"), f"tar2sqfs -qf -c gzip -X level={LEVEL} theirs < tar"),
    Row("erofs", _erofs(0), "mkfs.erofs --quiet theirs root"),
    Row(f"erofs, lz4hc:{LEVEL}", _erofs(LEVEL), f"mkfs.erofs --quiet -zlz4hc,{LEVEL} -C65536 theirs root"),
    Row("ext4", _ext4, "mke2fs -q -t ext4 -d root theirs 400M"),
    Row("FAT", _fat, "mformat -C -F -T 409600 -i theirs && mcopy -i theirs boot/* ::"),
    Row("qcow2", _disk("qcow2"), CONVERT.format("qcow2")),
    Row("vmdk", _disk("vmdk"), CONVERT.format("vmdk -o subformat=streamOptimized")),
    Row("vhd", _disk("vhd"), CONVERT.format("vpc -o subformat=fixed,force_size=on")),
    Row("dynamic-vhd", _disk("dynamic-vhd"), CONVERT.format("vpc -o force_size=on")),
    Row("vhdx", _disk("vhdx"), CONVERT.format("vhdx")),
    Row("tar", _tar, "tar -C root -cf theirs ."),
    Row("hash tree", _hash_tree, "veritysetup format --hash sha256 boot/initrd.img theirs"),
    Row("signed program", _signed, "sbsign --key db.key --cert db.pem --output theirs program.efi"),
    Row("initrd, zstd:4", _initrd("zstd:4"), "cd root; find . | cpio --quiet -oH newc | zstd -q4T2 > ../theirs"),
)


class Made(NamedTuple):
    """The material as our writers take it, each made when it is asked for."""

    tree: Callable[[], Any]
    boot: Callable[[], Any]
    """The files of a boot volume."""
    disk: Callable[[], Any]
    """A disk's content."""
    initrd: Callable[[int], Any]
    """An initrd's content, each another one: from an offset on."""


def prepare(folder: Path) -> None:
    """Put the material into `folder`."""
    from pipeline.oci.layer import flatten
    from pipeline.store import Store

    names = b"\0".join(os.fsencode(path) for path in material.chosen(material.SIZE, material.FILES))
    tar = ["tar", "--null", "--no-recursion", "--numeric-owner", "-P", "--transform=s,^/,,", "-cf", "tar", "-T", "-"]
    subprocess.run(tar, cwd=folder, input=names, check=True)
    (folder / "root").mkdir()
    subprocess.run(["tar", "-xf", "tar", "-C", "root"], cwd=folder, check=True)
    store = Store(folder / "store")
    with store.create() as blob, (folder / "tar").open("rb") as source:
        while data := source.read(MIB):
            blob.write(data)
        layer = blob.commit()
    tree = flatten(store, [layer])
    (folder / "boot").mkdir()
    for name, start, size in (("kernel", 0, KERNEL), ("initrd.img", KERNEL, INITRD)):
        with (folder / "tar").open("rb") as source, (folder / "boot" / name).open("wb") as out:
            source.seek(start)
            out.write(source.read(size))
    with (folder / "disk.raw").open("wb") as raw, (folder / "tar").open("rb") as source:
        raw.seek(MIB)
        shutil.copyfileobj(source, raw)
        raw.truncate(DISK)
    (folder / "digests").write_text(json.dumps([layer, store.put_tree(tree)]))
    store.export(_program(store, made(folder, store), 0), folder / "program.efi")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "db.key", "-out", "db.pem"]
    subprocess.run([*request, "-subj", "/CN=db"], cwd=folder, check=True, capture_output=True)


def made(folder: Path, store: Any) -> Made:
    from pipeline.model.digest import Digest
    from pipeline.model.tree import Slice, files

    layer, tree = map(Digest, json.loads((folder / "digests").read_text()))
    size = store.size(layer)
    boot = [("kernel", (Slice(layer, 0, KERNEL),)), ("initrd.img", (Slice(layer, KERNEL, INITRD),))]
    disk = (Slice(None, 0, MIB), Slice(layer, 0, size), Slice(None, 0, DISK - MIB - size))
    return Made(
        lambda: store.tree(tree), lambda: files(boot), lambda: disk,
        lambda offset: (Slice(layer, KERNEL + offset, INITRD),),
    )  # fmt: skip


def prepare_large(folder: Path) -> None:
    from pipeline.store import Store

    store = Store(folder / "store")
    with store.create() as blob:
        for number in range(2 * PART // MIB):
            blob.write(random.Random(number).randbytes(MIB))
        (folder / "digests").write_text(json.dumps([blob.commit(), ""]))


def large(folder: Path, store: Any) -> Made:
    """4 GiB in files of 64 MiB, no two the same: they start at different places of one blob."""
    from pipeline.model.digest import Digest
    from pipeline.model.tree import Slice, files

    blob = Digest(json.loads((folder / "digests").read_text())[0])
    tree = files((f"part{number:02}", (Slice(blob, number * 4096 + number, PART),)) for number in range(LARGE // PART))
    disk = tuple(piece for entry in tree.values() for piece in entry.content)  # type: ignore[union-attr]
    return Made(lambda: tree, lambda: tree, lambda: disk, lambda offset: (Slice(blob, offset, INITRD),))


def write(name: str, folder: Path) -> None:
    """One turn of ours: the file `ours`. Prints how long it took."""

    import pipeline.planning.plan  # noqa: F401  (a build has loaded it long before it comes to a writer)
    from pipeline.incremental import open_store
    from pipeline.store.copying import copy

    store = open_store(folder / "store")
    blobs = store.root / "blobs"
    kept = set(blobs.rglob("*"))
    gc.set_threshold(*COLLECT_RARELY)
    (row,) = (row for row in ROWS if row.name == name)
    made_of = large if folder.name == "large" else made
    began = time.perf_counter()
    out = store.rope()
    first = row.ours(store, made_of(folder, store), out)
    content = (store.content(first) if first else ()) + out.finish()
    with (folder / "ours").open("wb") as file:
        for _ in copy(store, content, file):
            pass
    print(time.perf_counter() - began)
    # The next turn shall add its blobs, not replace any: ext4 starts to write to the disk when a file is replaced. Nor
    # are they removed before the last turn: where many files were, ext4 takes its time to make new ones for a minute.
    (folder / "away").mkdir(exist_ok=True)
    for path in set(blobs.rglob("*")) - kept:
        path.rename(folder / "away" / f"{path.name}-{time.time_ns()}")


def turn(row: Row, who: str, folder: Path) -> Cost:
    """One turn of one of the two, from the same state: nothing waits to be written to the disk, and there is memory
    that the host of a virtual machine does not have to find first."""
    (folder / who).unlink(missing_ok=True)
    os.sync()
    subprocess.run([sys.executable, "-c", f"b'x' * {AT_HAND}"], check=True)
    words = [sys.executable, __file__, "--write", row.name] if who == "ours" else ["sh", "-c", row.theirs]
    cost = measure(words, folder, folder / "log")
    return cost._replace(wall=float((folder / "log").read_text())) if who == "ours" else cost


def run(folder: Path, rounds: int, wanted: list[str], who: tuple[str, ...]) -> list[dict[str, object]]:
    results = []
    for row in ROWS:
        if wanted and not any(word in row.name for word in wanted):
            continue
        costs = {each: [turn(row, each, folder)] for each in who}
        for _ in range(rounds - 1):
            for each in who:
                costs[each].append(turn(row, each, folder))
        result: dict[str, object] = {"row": row.name}
        for each, found in costs.items():
            wall, cpu, memory = (statistics.median(cost[part] for cost in found) for part in range(3))
            size = (folder / each).stat().st_size
            result[each] = {"seconds": round(wall, 3), "cpu": round(cpu, 3), "memory": round(memory), "bytes": size}
        results.append(result)
        print(shown(result), flush=True)
    return results


def shown(result: dict[str, Any]) -> str:
    line = "{seconds:7.2f} s {cpu:6.2f} s CPU {memory:5.0f} MiB {size:7.1f} MB"
    text = [f"{result['row']:18}"]
    text += [f"{who} {line.format(**result[who], size=result[who]['bytes'] / 1e6)}" for who in result if who != "row"]
    if "theirs" in result:
        text.append(f"{result['theirs']['seconds'] / result['ours']['seconds']:5.2f} times as fast")
    return "  ".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only rows whose names have one of these words")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; kept, and its material used again")
    parser.add_argument("--large", action="store_true", help="4 GiB, for the memory that it takes")
    parser.add_argument("--write", metavar="ROW", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.write, Path.cwd())
        return
    home = given.folder or Path(tempfile.mkdtemp(prefix="nodekiln-bench-"))
    folder = home / ("large" if given.large else "usual")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not (folder / "digests").exists():
            # in a process of its own: a child's peak memory counts from what its parent had when it was started
            preparing = "prepare_large" if given.large else "prepare"
            code = f"import sys, pathlib; sys.path.insert(0, {str(HOME)!r}); import writers; "
            subprocess.run(
                [sys.executable, "-c", f"{code}writers.{preparing}(pathlib.Path('.'))"],
                cwd=folder,
                env=environment(),
                check=True,
            )
        if given.large:
            results = run(folder, 1, given.rows, ("ours",))
        else:
            results = run(folder, given.rounds, given.rows, ("ours", "theirs"))
    finally:
        shutil.rmtree(folder / "away", ignore_errors=True)
        if not given.folder:
            shutil.rmtree(home)
    with HISTORY.open("a") as history:
        entry = {
            "when": f"{datetime.now(UTC):%Y-%m-%d}",
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "large": given.large,
        }
        history.write(json.dumps({**entry, "rows": results}) + "\n")


if __name__ == "__main__":
    main()
