"""A small node for tests: Debian's kernel and busybox, which says on the console that it is up and powers off."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import formats
from pipeline.model import origins as model
from pipeline.model.digest import Digest
from pipeline.model.origins import Origin
from pipeline.model.tree import Device, Directory, File, Symlink, Tree, complete, files
from pipeline.packages import index, resolve, sources
from pipeline.packages.error import PackageError
from pipeline.packages.mirrors import Mirrors
from pipeline.packages.package import Package
from pipeline.packages.universe import Index
from pipeline.stages import initramfs as mounting
from pipeline.stages import initrd, unified
from pipeline.stages import inventory as inventories
from pipeline.store import Store
from pipeline.writers import tar
from tests.judges import alone, cache_folder, need, run

RELEASE = "bookworm"
"""The release whose packages tests use."""
UP = "services are up"
CMDLINES = {"amd64": b"console=ttyS0 quiet panic=-1", "arm64": b"console=ttyAMA0 quiet panic=-1"}
"""Architecture -> command line: where a machine's first serial port is called what."""
CMDLINE = CMDLINES["amd64"]
PI_CMDLINE = b"console=ttyS1,115200 quiet panic=-1"
PI_FIRMWARE = [f"usr/lib/raspi-firmware/{name}" for name in ("bootcode.bin", "fixup.dat", "start.elf")]
STUBS = {"amd64": "linuxx64.efi.stub", "arm64": "linuxaa64.efi.stub"}
INIT = b"""#!/bin/busybox sh
/bin/busybox echo "services are up on $(/bin/busybox uname -m)"
/bin/busybox poweroff -f
"""
REMOUNT = b"""#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -o remount,rw / && echo "remounted"
$busybox touch /new && echo "written to"
echo "services are up"
$busybox poweroff -f
"""
"""An init that tries to write to its root as a root of the node could."""
MTIME = 1700000000
DISKS = (
    "virtio_pci", "virtio_blk", "ahci", "ata_piix", "sd_mod", "xhci_pci", "usb_storage", "ext4", "crc32c_generic",
    "squashfs", "erofs",
)  # fmt: skip
"""Modules of the kernel: drives in QEMU, and what may be on them."""
LIBRARIES = {
    "amd64": ("lib/x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"),
    "arm64": ("lib/aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1"),
}
"""Where libc6 has what busybox is linked with, and where its loader is looked for."""
APPLETS = (
    "blkid", "cat", "cut", "echo", "grep", "hexdump", "ls", "mount", "printf", "readlink", "sed", "sh", "sleep",
    "sort", "switch_root", "tr", "umount",
)  # fmt: skip
"""What mount-root runs, of busybox."""

DMSETUP_LIBRARIES = {
    "libdevmapper1.02.1": "libdevmapper.so.1.02.1", "libselinux1": "libselinux.so.1", "libudev1": "libudev.so.1",
    "libpcre2-8-0": "libpcre2-8.so.0", "libc6": "libm.so.6",
}  # fmt: skip
"""Package -> the library of it that dmsetup is linked with."""


def cache() -> Path:
    """Where packages and the results of boots are kept between test runs."""
    return cache_folder()


@functools.cache
def indexes(arch: str) -> list[Index]:
    """What RELEASE has for `arch`."""
    return index.open_all(sources.load()(RELEASE), [arch])[arch]


def choose(arch: str, name: str, dependencies: bool | list[str] = False) -> list[Package]:
    """The package `name` and those of its dependencies; skipped where no mirror can be asked."""
    try:
        return resolve.choose(indexes(arch), arch, [name], dependencies)
    except PackageError as error:
        reason = f"{name} ({arch}): {error}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@functools.cache
def package(name: str, arch: str = "amd64") -> Path:
    """The unpacked Debian package `name`. Nothing is installed and no root is needed; skipped where that cannot be."""
    folder = cache() / "packages" / f"{name}_{arch}"
    with alone("packages"):
        if not folder.exists():
            _unpack(name, arch, folder)
    return folder


def _unpack(name: str, arch: str, folder: Path) -> None:
    download = folder.with_name(f"{folder.name}.{os.getpid()}")
    download.mkdir(parents=True)
    (chosen,) = choose(arch, name)
    mirrors, deb = Mirrors(), download / "package.deb"
    deb.write_bytes(b"".join(mirrors.chunks(chosen.url(mirrors.require(chosen.archive)[0]))))
    assert hashlib.sha256(deb.read_bytes()).hexdigest() == chosen.sha256
    run(need("dpkg-deb", "dpkg"), "-x", deb, download / "root")
    (download / "root").rename(folder)
    deb.unlink()
    download.rmdir()


@functools.cache
def kernel_package(arch: str = "amd64", flavour: str = "cloud-") -> Path:
    """Debian's kernel for virtual machines (flavour "": for any), whose name has its version in it.

    One that is here already serves; else it is the newest.
    """
    pattern = re.compile(rf"linux-image-[0-9.-]+-{flavour}{arch}_{arch}")
    here = [path for path in (cache() / "packages").glob("linux-image-*") if pattern.fullmatch(path.name)]
    if here:
        return max(here)
    whole = f"linux-image-{flavour}{arch}"
    (name,) = (each.name for each in choose(arch, whole, ["linux-image-*"]) if each.name != whole)
    return package(name, arch)


def host(store: Store, path: Path, mode: int = 0o644) -> File:
    """A file of the host as an entry."""
    return File(mode, 0, 0, MTIME, (), store.content(path.read_bytes()))


def kernel(store: Store, cmdline: bytes = b"", arch: str = "amd64", flavour: str = "cloud-") -> Digest:
    """The product `kernel`, with a command line of its own or the usual one."""
    (image,) = (kernel_package(arch, flavour) / "boot").glob("vmlinuz-*")
    tree = files([("cmdline", store.content(cmdline or CMDLINES[arch]))])
    return store.put_tree(Tree({**tree, "kernel": host(store, image)}).ordered())


def rootfs(store: Store, init: bytes = INIT, arch: str = "amd64") -> Digest:
    """A root file system with /init and /sbin/init."""
    tree = Tree({
        "bin/busybox": host(store, package("busybox-static", arch) / "bin/busybox", 0o755),
        "bin/sh": Symlink(0o777, 0, 0, MTIME, (), "busybox"),
        "dev": Directory(0o755, 0, 0, MTIME),
        "dev/console": Device(0o600, 0, 0, MTIME, (), "c", 5, 1),
        "init": File(0o755, 0, 0, MTIME, (), store.content(init)),
        "proc": Directory(0o755, 0, 0, MTIME),
        "sbin/init": Symlink(0o777, 0, 0, MTIME, (), "../init"),
    })  # fmt: skip
    return store.put_tree(complete(tree))


def image(store: Store, package_name: str, *paths: str, arch: str = "amd64") -> Digest:
    """What a recipe for the boot loader in `package_name` gives."""
    root = package(package_name, arch)
    return store.put_tree(complete(Tree({path: host(store, root / path) for path in paths}).ordered()))


def syslinux(store: Store) -> Digest:
    """What images/syslinux keeps of Debian's packages."""
    parts = [
        image(store, "syslinux", "usr/bin/syslinux", "usr/lib/SYSLINUX/mbr.bin"),
        image(store, "extlinux", "usr/lib/EXTLINUX/gptmbr.bin"),
        image(store, "isolinux", "usr/lib/ISOLINUX/isolinux.bin", "usr/lib/ISOLINUX/isohdpfx.bin"),
        image(store, "syslinux-common", "usr/lib/syslinux/modules/bios/ldlinux.c32"),
    ]
    return store.put_tree(Tree({path: entry for part in parts for path, entry in store.tree(part).items()}).ordered())


def products(store: Store, compress: str = "zstd:3", arch: str = "amd64") -> dict[str, Any]:
    """What formats may need, by name, each made when it is asked for."""

    def ramdisk() -> Digest:
        fragment = initrd.fragment(store, rootfs(store, arch=arch), compress=compress)
        return initrd.initrd(store, kernel(store, arch=arch), fragment)

    return {
        "kernel": lambda: kernel(store, arch=arch),
        "rootfs": lambda: rootfs(store, arch=arch),
        "release": lambda: unified.release(store, rootfs(store, arch=arch)),
        "initrd": ramdisk,
        "bootrd": lambda: bootrd(store, arch),
        "verity_bootrd": lambda: bootrd(store, arch, verity=True),
        "inventory": lambda: inventory(store),
        "syslinux": lambda: syslinux(store),
        "systemd-boot": lambda: image(store, "systemd-boot-efi", f"usr/lib/systemd/boot/efi/{STUBS[arch]}", arch=arch),
    }


def inventory(store: Store) -> Digest:
    """The product `inventory`: parts of every kind, with the names that are hard to write down."""
    origins = {
        "boot/kernel": Origin(
            "deb", "linux-image-6.1.0_x", "6.1.192-3", "amd64", f"sha256:{'1' * 64}", within="nodekiln/kernel",
            distribution="debian", release="bookworm", source="linux-signed-amd64", source_version="6.1.192+3",
            licenses=("GPL-2", "GPL-2 or BSD-2-clause", "X11/odd+"),
        ),
        "usr/bin/a b": Origin(
            "deb", "libstdc++6", "1:12.2.0~rc1-14+deb12u1", "amd64", f"sha256:{'2' * 64}", within="nodekiln/kernel",
            distribution="debian", release="bookworm", source="gcc-12", source_version="1:12.2.0~rc1-14+deb12u1",
        ),
        "usr/bin/musl": Origin(
            "apk", "musl", "1.2.5-r0", "x86_64", "", f"sha256:{'3' * 64}", "docker.io/library/a:3", "alpine", "3.20.1",
            "musl", "1.2.5-r0",
        ),
        "etc/caf\udce9": Origin("image", "docker.io/library/a:3", layer=f"sha256:{'3' * 64}"),
        "etc/mine": Origin("recipe", "nodekiln/kernel", "0123abcd"),
        "etc/motd": Origin("files", "node"),
        "boot/cmdline": Origin("made"),
        "usr/lib/link": Origin("made"),
    }  # fmt: skip
    tree = files((path, store.content(path.encode("utf-8", "surrogateescape"))) for path in origins)
    root = store.put_tree(complete(Tree({**tree, "usr/lib/link": Symlink(0o777, 0, 0, MTIME, (), "a")}).ordered()))
    known = model.of_tree(store.tree(root), origins)
    loader = Origin("deb", "syslinux", "3:6.04", "amd64", f"sha256:{'4' * 64}", within="nodekiln/syslinux",
                    distribution="debian", release="bookworm", source="syslinux", source_version="3:6.04")  # fmt: skip
    image = store.put_tree(files([("mbr.bin", ())]))
    tables = (store.put_tree(files([("origins.json", store.content(model.dump(each)))])) for each in
              (known, {"mbr.bin": loader}))  # fmt: skip
    owners, boot = tables
    return inventories.inventory(store, root, owners, image, boot, name="node", arch="amd64", epoch=MTIME)


def raspberry(store: Store) -> dict[str, Any]:
    """The same for a Raspberry Pi: another kernel, and its device trees; no firmware, which QEMU is itself."""
    trees = kernel_package("arm64", "") / "usr/lib"

    def root() -> Digest:
        found = {f"boot/dtb/broadcom/{path.name}": host(store, path) for path in trees.rglob("bcm2837-*.dtb")}
        return store.put_tree(complete(Tree({**store.tree(rootfs(store, arch="arm64")), **found}).ordered()))

    def boot_parts() -> Digest:
        u_boot = image(store, "u-boot-rpi", "usr/lib/u-boot/rpi_3/u-boot.bin", arch="arm64")
        firmware = files((name, store.content(b"stands in for " + name.encode())) for name in PI_FIRMWARE)
        return store.put_tree(complete(Tree({**store.tree(u_boot), **firmware}).ordered()))

    return products(store, arch="arm64") | {
        "kernel": lambda: kernel(store, PI_CMDLINE, "arm64", ""),
        "rootfs": root,
        "raspi": boot_parts,
    }


def make(store: Store, name: str, /, known: dict[str, Any], **options: Any) -> Digest:
    """The format `name` and everything that it needs, as a plan would have it. known: products and recipes, by name."""
    wanted = formats.find(name)
    taken = {key: value for key, value in options.items() if key in wanted.options}
    return wanted.build(store, *(_need(store, need, known, **options) for need in wanted.needs), **taken)


def _need(store: Store, need: formats.Need, known: dict[str, Any], **options: Any) -> Digest:
    if isinstance(need, formats.Output):
        return make(store, need.format, known, **options)
    return known[need.name if isinstance(need, formats.Recipe) else need]()


def disk(store: Store, name: str, /, folder: Path, known: dict[str, Any] | None = None, **options: Any) -> Path:
    """The one file of the format `name`, on the host."""
    (suffix,) = formats.find(name).produces
    return output(store, make(store, name, known or products(store), **options), suffix, folder)


def output(store: Store, result: Digest, suffix: str, folder: Path) -> Path:
    """The output file with this suffix, on the host."""
    entry = store.tree(result).file(suffix)
    path = folder / f"node{suffix}"
    store.export(entry.content, path)
    return path


def modules(*names: str, arch: str = "amd64") -> list[Path]:
    """The kernel's modules `names` and what they need, in the order in which they are to be inserted."""
    known = {path.stem.replace("-", "_"): path for path in (kernel_package(arch) / "lib/modules").rglob("*.ko")}
    ordered: list[Path] = []

    def add(name: str) -> None:
        path = known.get(name)
        if path is not None and path not in ordered:
            (needed,) = re.findall(rb"\0depends=([^\0]*)\0", path.read_bytes())
            for other in filter(None, needed.decode().split(",")):
                add(other.replace("-", "_"))
            ordered.append(path)

    for name in names:
        add(name)
    return ordered


def bootrd(store: Store, arch: str = "amd64", verity: bool = False) -> Digest:
    """The initrd that mounts a root file system, as a plan has it; of its modules those that QEMU's disks need."""
    kernels = kernel_package(arch)
    chosen = modules(*DISKS, *(("dm_verity",) if verity else ()), arch=arch)
    tree = {str(path.relative_to(kernels)): host(store, path) for path in chosen}
    archive = store.rope()
    tar.write(complete(Tree(tree).ordered()), archive)
    found = mounting.modules(
        store, store.put_tree(files([("kernel.tar", archive.finish())])), tar="kernel.tar", verity=verity
    )
    folder, loader = LIBRARIES[arch]
    libc = package("libc6", arch) / folder
    paths = {f"{folder}/{name}": libc / name for name in ("libc.so.6", "libresolv.so.2")}
    paths |= {loader: libc / Path(loader).name, "bin/busybox": package("busybox", arch) / "bin/busybox"}
    paths[mounting.MOUNT_ROOT] = Path(__file__).parents[2] / "images/init/mount-root"
    links = {f"bin/{name}": Symlink(0o777, 0, 0, MTIME, (), "busybox") for name in APPLETS}
    links["sbin/modprobe"] = Symlink(0o777, 0, 0, MTIME, (), "/bin/busybox")
    init = {path: host(store, source, 0o755) for path, source in paths.items()} | links
    tools = store.put_tree(complete(Tree(init).ordered()))
    dmsetup = [dmsetup_image(store, arch)] if verity else []
    fragment = initrd.fragment(store, mounting.ramdisk(store, found, tools, *dmsetup), compress="zstd:3")
    return initrd.initrd(store, kernel(store, arch=arch), fragment)


def dmsetup_image(store: Store, arch: str = "amd64") -> Digest:
    """What images/dmsetup keeps of Debian's packages."""
    folder, _ = LIBRARIES[arch]
    paths = {"usr/sbin/dmsetup": package("dmsetup", arch) / "sbin/dmsetup"}
    for name, library in DMSETUP_LIBRARIES.items():
        unpacked = package(name, arch)
        (path,) = (each for each in (unpacked / folder, unpacked / "usr" / folder) for each in each.glob(library))
        paths[f"usr/{folder}/{library}"] = path
    return store.put_tree(complete(Tree({path: host(store, file, 0o755) for path, file in paths.items()}).ordered()))
