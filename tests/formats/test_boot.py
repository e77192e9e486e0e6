"""Every format that boots, booted to the node's own line on the console."""

import hashlib
from functools import partial

import pytest

from pipeline import formats, readers
from pipeline.container import cmdline
from pipeline.model.tree import File, Slice, Tree, below, complete, files, length
from pipeline.ondisk.mbr import LINUX
from pipeline.readers.view import HostFile
from pipeline.writers import disk, ext4, mbr
from tests.formats import machine, node
from tests.judges import need
from tests.writers import samples

pytestmark = pytest.mark.boot

DRIVES = {"raw": "virtio", "qcow2": "virtio", "vpc": "ide", "vmdk": "ide", "vhdx": "sata"}
"""The drives that disks are attached to, by QEMU's name of the image: those of the machines that they are for."""
UEFI = {formats.Firmware.BIOS: (False,), formats.Firmware.UEFI: (True,), formats.Firmware.EITHER: (False, True)}


def usual(name):
    """Yields the drive and the firmware of each machine that has to boot the format `name`."""
    output = formats.find(name)
    for efi in UEFI[output.firmware] if output.drive else ():
        yield name, "cd" if output.drive.device == "cd" else DRIVES[output.drive.image], efi


DISKS = [
    *(row for name in formats.names() for row in usual(name)),
    ("raw-bios", "ide", False), ("raw-bios", "sata", False), ("raw-bios", "usb", False), ("raw-efi", "sata", True),
    ("iso-hybrid", "usb", False), ("iso-hybrid", "usb", True), ("raw-hybrid", "usb", False),
    ("raw-hybrid", "usb", True), ("ext4", "ide", False),
]  # fmt: skip
"""Format, drive, by UEFI."""
ARM_DISKS = [
    ("raw-efi", "virtio"), ("raw-efi", "usb"), ("qcow2-efi", "virtio"), ("iso-efi", "scsi-cd"), ("ext4-efi", "virtio"),
]  # fmt: skip
"""The same by UEFI on arm64."""


@pytest.fixture(scope="module")
def outputs(store, tmp_path_factory):
    """The output file of a format, made once."""
    made = {}

    def output(name, suffix="", arch="amd64", **options):
        suffix = suffix or formats.find(name).produces[0]
        key = (name, suffix, arch, *options.items())
        if key not in made:
            result = node.make(store, name, node.products(store, arch=arch), **options)
            made[key] = node.output(store, result, suffix, tmp_path_factory.mktemp("boot"))
        return made[key]

    return output


@pytest.mark.parametrize("compress", ["zstd:3", "zstd:19", "gzip", "none"])
def test_kernel_and_initrd(store, tmp_path, compress):
    result = node.make(store, "kernel+initrd", node.products(store, compress))
    paths = [node.output(store, result, suffix, tmp_path) for suffix in ("-kernel", "-initrd.img", "-cmdline")]
    assert node.UP in machine.boot_kernel(*paths)


@pytest.mark.parametrize(("name", "drive", "efi"), DISKS)
def test_disk(outputs, name, drive, efi):
    assert node.UP in machine.boot(outputs(name), formats.find(name).drive.image, drive, efi)


def longest(name, console="console=ttyS0"):
    """A command line as long as the format's boot loaders pass it on. Its last word is needed to hear of the node."""
    rooms = (each.longest - len(each.template.format(line="", node="node")) for each in formats.loaders(name))
    start, room = "quiet panic=-1 test.padding=", min(rooms, default=cmdline.LONGEST)
    return f"{start.ljust(room - len(console) - 1, 'x')} {console}".encode()


@pytest.mark.parametrize(
    ("name", "drive", "efi"), [row for name in ("raw-bios", "iso-bios", "raw-efi", "ext4") for row in usual(name)]
)
def test_the_longest_command_line(store, tmp_path, name, drive, efi):
    known = node.products(store) | {"kernel": lambda: node.kernel(store, longest(name))}
    image = node.disk(store, name, tmp_path, known)
    assert node.UP in machine.boot(image, formats.find(name).drive.image, drive, efi)


@pytest.mark.parametrize("efi", [False, True])
def test_the_longest_command_line_from_the_network(store, tmp_path, efi):
    need("/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu")
    known = node.products(store) | {"kernel": lambda: node.kernel(store, longest("netboot"))}
    made = node.make(store, "netboot", known)
    files = [node.output(store, made, suffix, tmp_path) for suffix in (".ipxe", "-kernel", "-initrd.img")]
    assert node.UP in machine.boot_network(files, "amd64", efi, ipxe=True)


def test_the_longest_command_line_of_a_kernel_that_is_handed_over(store, tmp_path):
    known = node.products(store) | {"kernel": lambda: node.kernel(store, longest("kernel+initrd"))}
    made = node.make(store, "kernel+initrd", known)
    paths = [node.output(store, made, suffix, tmp_path) for suffix in ("-kernel", "-initrd.img", "-cmdline")]
    assert node.UP in machine.boot_kernel(*paths)


def test_the_longest_command_line_of_a_raspberry_pi(store, tmp_path):
    line = longest("rpi3", "console=ttyS1,115200")
    known = node.raspberry(store) | {"kernel": lambda: node.kernel(store, line, "arm64", "")}
    card = node.output(store, node.make(store, "rpi3", known, size="128M"), "-rpi3.img", tmp_path)
    u_boot = node.package("u-boot-rpi", "arm64") / "usr/lib/u-boot/rpi_3/u-boot.bin"
    assert f"{node.UP} on aarch64" in machine.boot_raspberry(card, u_boot)


@pytest.mark.parametrize(("name", "drive"), ARM_DISKS)
def test_disk_on_arm64(outputs, name, drive):
    image = formats.find(name).drive.image
    console = machine.boot(outputs(name, arch="arm64"), image, drive, efi=True, arch="arm64")
    assert f"{node.UP} on aarch64" in console


def test_kernel_and_initrd_on_arm64(outputs):
    paths = [outputs("kernel+initrd", suffix, "arm64") for suffix in ("-kernel", "-initrd.img", "-cmdline")]
    assert f"{node.UP} on aarch64" in machine.boot_kernel(*paths, arch="arm64")


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_unified_kernel_image_from_the_network(outputs, arch):
    assert node.UP in machine.boot_network([outputs("uki", arch=arch)], arch, efi=True, ipxe=False)


@pytest.mark.parametrize("efi", [False, True])
def test_netboot(store, tmp_path, efi):
    need("/usr/lib/ipxe/qemu/efi-virtio.rom", "ipxe-qemu")
    made = node.make(store, "netboot", node.products(store))
    files = [node.output(store, made, suffix, tmp_path) for suffix in (".ipxe", "-kernel", "-initrd.img")]
    assert node.UP in machine.boot_network(files, "amd64", efi, ipxe=True)


def test_a_card_for_a_raspberry_pi(store, tmp_path):
    """From U-Boot on: QEMU is the firmware that starts it. Cards have sizes that are powers of two, says QEMU."""
    made = node.make(store, "rpi3", node.raspberry(store), size="128M")
    u_boot = node.package("u-boot-rpi", "arm64") / "usr/lib/u-boot/rpi_3/u-boot.bin"
    console = machine.boot_raspberry(node.output(store, made, "-rpi3.img", tmp_path), u_boot)
    assert "Found /extlinux/extlinux.conf" in console
    assert f"{node.UP} on aarch64" in console


def test_a_disk_of_a_given_size(outputs):
    image = outputs("raw-bios", size="300M")
    assert image.stat().st_size == 300 << 20
    assert node.UP in machine.boot(image)


def test_a_disk_of_compressed_clusters(outputs):
    image, plain = (outputs("qcow2-bios", **options) for options in ({"clusters": "zstd:9"}, {}))
    assert image.stat().st_size < plain.stat().st_size
    assert node.UP in machine.boot(image, "qcow2")


@pytest.mark.parametrize(("name", "suffix", "kind"), [
    ("kernel+squashfs", "-squashfs.img", "squashfs"),
    ("kernel+erofs", "-erofs.img", "erofs"),
])  # fmt: skip
@pytest.mark.parametrize("compress", ["zstd:3", "gzip", "none"])
def test_a_root_file_system_that_the_kernel_mounts(store, tmp_path, name, suffix, kind, compress):
    if kind == "squashfs" and compress == "none":
        pytest.skip("squashfs is made compressed only")
    result = node.make(store, name, node.products(store), compress=compress)
    disk, kernel = (node.output(store, result, each, tmp_path) for each in (suffix, "-kernel"))
    bootrd = node.output(store, node.bootrd(store), "initrd.img", tmp_path)
    cmdline = tmp_path / "cmdline"
    cmdline.write_text(f"{node.CMDLINE.decode()} root=/dev/vda")
    drive = f"file={disk},format=raw,if=virtio,snapshot=on"
    assert f"({kind}, ro)" in (console := machine.boot_kernel(kernel, bootrd, cmdline, "-drive", drive))
    assert node.UP in console


@pytest.mark.parametrize("kind", ["squashfs", "erofs"])
def test_a_root_of_a_read_only_file_system_is_not_written_to_after_a_remount_either(store, tmp_path, kind):
    known = node.products(store) | {"rootfs": lambda: node.rootfs(store, node.REMOUNT)}
    disk, kernel = (
        node.output(store, node.make(store, f"kernel+{kind}", known), each, tmp_path)
        for each in (f"-{kind}.img", "-kernel")
    )
    bootrd = node.output(store, node.bootrd(store), "initrd.img", tmp_path)
    (tmp_path / "cmdline").write_text(f"{node.CMDLINE.decode()} root=/dev/vda")
    drive = f"file={disk},format=raw,if=virtio,snapshot=on"
    console = machine.boot_kernel(kernel, bootrd, tmp_path / "cmdline", "-drive", drive)
    assert "touch: /new: Read-only file system" in console and "written to" not in console


def test_a_root_of_ext4_is_written_to_after_a_remount(store, tmp_path):
    known = node.products(store) | {"rootfs": lambda: node.rootfs(store, node.REMOUNT)}
    console = machine.boot(node.disk(store, "ext4", tmp_path, known))
    assert "(ext4, ro)" in console and "remounted" in console and "written to" in console


@pytest.mark.parametrize("root", ["LABEL=root", "PARTLABEL=root", "UUID={}", "/dev/vda2", "PARTUUID={} rootdelay=1"])
def test_names_of_a_root(outputs, store, tmp_path, root):
    """Besides that of the disk's own command line; the last names no partition, which the node says before it ends."""
    image = outputs("ext4")
    volume = readers.look_into(HostFile(image)).listing["partition 2"].content
    identity = readers.look_into(volume).listing[""].properties["UUID"]
    kernel = node.output(store, node.kernel(store), "kernel", tmp_path)
    bootrd = node.output(store, node.bootrd(store), "initrd.img", tmp_path)
    (tmp_path / "cmdline").write_text(f"{node.CMDLINE.decode()} root={root.format(identity)}")
    drive = f"file={image},format=raw,if=virtio,snapshot=on"
    console = machine.boot_kernel(kernel, bootrd, tmp_path / "cmdline", "-drive", drive)
    if root.startswith("PARTUUID"):
        assert f"no root file system: PARTUUID={identity} is not there; the disks are: vda vda1 vda2" in console
    else:
        assert "/dev/vda2 is the root file system (ext4, ro)" in console
        assert node.UP in console


def test_a_root_by_its_number_in_a_boot_record(store, tmp_path):
    root = store.rope()
    ext4.write(store.tree(node.rootfs(store)), samples.keep(store), root)
    content = root.finish()
    volumes = [mbr.MbrVolume((Slice(None, 0, disk.MIB),), LINUX), mbr.MbrVolume(content, LINUX)]
    image = samples.written(
        store,
        lambda out: mbr.write_disk(volumes, length(content) + 2 * disk.MIB, out, partial(disk.identity, "test")),
        tmp_path / "disk.img",
    )
    kernel = node.output(store, node.kernel(store), "kernel", tmp_path)
    bootrd = node.output(store, node.bootrd(store), "initrd.img", tmp_path)
    signature = int.from_bytes(image.read_bytes()[440:444], "little")
    (tmp_path / "cmdline").write_text(f"{node.CMDLINE.decode()} root=PARTUUID={signature:08X}-02 rootwait")
    drive = f"file={image},format=raw,if=virtio,snapshot=on"
    console = machine.boot_kernel(kernel, bootrd, tmp_path / "cmdline", "-drive", drive)
    assert "/dev/vda2 is the root file system (ext4, ro)" in console
    assert node.UP in console


READER = b"""#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
for number in 0 1 77 1234 1999; do $busybox cat "/many/file $number"; done
$busybox find /many -name "file *" | $busybox wc -l
cd /sample
$busybox find . -type f -print0 | $busybox xargs -0 $busybox sha256sum | $busybox grep -oE "^[0-9a-f]{64}" |
    $busybox sort | $busybox sha256sum
$busybox stat -c "%n %a %u %g %h %Y %F" bin/su etc/shadow tmp dev/console lib/long bin/same-a
$busybox touch /new
$busybox echo "services are up"
$busybox poweroff -f
"""
READ = """\
bin/su 4755 0 0 1 1700000000 regular file
etc/shadow 640 0 42 1 1700000001 regular file
tmp 1777 1000 65534 2 1700000000 directory
dev/console 600 0 5 1 1700000000 character special file
lib/long 777 0 0 1 1700000000 symbolic link
bin/same-a 755 3 4 3 1700000000 regular file
touch: /new: Read-only file system
"""


def test_what_the_kernel_reads_from_ext4(store, tmp_path):
    """A hashed directory by name and as a whole; contents, holes included; owners, modes, links and times."""
    sample = samples.special(store)
    many = {f"many/file {number}": store.content(f"number {number}\n".encode()) for number in range(2000)}
    tree = {**store.tree(node.rootfs(store, READER)), **below("sample", sample), **files(many.items())}
    root = store.put_tree(complete(Tree(tree).ordered()))
    result = node.make(store, "ext4", node.products(store) | {"rootfs": lambda: root})
    console = machine.boot(node.output(store, result, "-ext4.img", tmp_path)).replace("\r", "")
    assert "".join(f"number {number}\n" for number in (0, 1, 77, 1234, 1999)) + "2000\n" in console
    contents = [samples.read(store, entry.content) for entry in sample.values() if type(entry) is File]
    sums = "".join(sorted(hashlib.sha256(content).hexdigest() + "\n" for content in contents))
    assert hashlib.sha256(sums.encode()).hexdigest() + "  -\n" + READ in console
