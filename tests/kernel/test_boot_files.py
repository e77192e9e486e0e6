"""What boots, read from its files."""

import gzip
import struct

import pytest

from pipeline.kernel import boot_files
from pipeline.model.tree import File
from pipeline.readers.view import BytesView


def bzimage(version: bytes, payload: bytes = b"") -> bytes:
    """A kernel of x86 with one setup sector (Documentation/arch/x86/boot.rst)."""
    data = bytearray(1024)
    data[0x1F1] = 1
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x300 - 0x200)
    data[0x300 : 0x300 + len(version)] = version
    struct.pack_into("<II", data, 0x248, 0, len(payload))
    return bytes(data) + payload


def configured(text: bytes) -> bytes:
    return b"code" + boot_files.START + gzip.compress(text) + boot_files.END + b"data"


def test_a_bzimage_has_its_version():
    assert boot_files.version(BytesView(bzimage(b"6.1.0-18-amd64 (debian) #1"))) == "6.1.0-18-amd64 (debian) #1"
    assert boot_files.version(BytesView(b"no kernel" * 99)) == ""


@pytest.mark.parametrize("packed", [gzip.compress, lambda data: data], ids=["gzip", "plain"])
def test_a_configuration_is_found_in_a_kernel(packed):
    kernel = packed(configured(b"CONFIG_X=y\n"))
    assert boot_files.config(BytesView(kernel)) == "CONFIG_X=y\n"


def test_a_configuration_is_found_in_a_bzimage():
    assert boot_files.config(BytesView(bzimage(b"6", gzip.compress(configured(b"CONFIG_X=y\n"))))) == "CONFIG_X=y\n"
    assert boot_files.config(BytesView(bzimage(b"6", gzip.compress(b"nothing")))) == ""


@pytest.mark.parametrize(
    "path, text, expected",
    [
        ("boot/cmdline", "console=ttyS0\n\0\0", "console=ttyS0"),
        ("boot/syslinux.cfg", "LABEL x\n  APPEND quiet a=b\n", "quiet a=b"),
        ("loader/entries/a.conf", "title x\noptions  root=/dev/sda\n", "root=/dev/sda"),
        ("boot/grub/grub.cfg", "linux /vmlinuz quiet\n", "quiet"),
        ("boot/grub/grub.cfg", "menuentry x\n", None),
        ("etc/hostname", "node", None),
        ("a-cmdline", "x" * (boot_files.LARGEST_LINE + 1), None),
    ],
)
def test_a_command_line_is_found_where_boot_loaders_have_it(path, text, expected):
    assert boot_files.command_line(path, BytesView(text.encode())) == expected


def test_modules_are_named_below_their_release():
    root = dict.fromkeys(["lib/modules/6.1/kernel/a.ko.xz", "usr/lib/modules/6.1/b.ko", "lib/x.ko"], File(0, 0, 0, 0))
    assert boot_files.modules(root) == {"kernel/a", "b"}
