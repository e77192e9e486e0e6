"""Kernel modules, read from their ELF files."""

import gzip

import pytest

from pipeline.kernel import modinfo
from pipeline.kernel.modinfo import BadModule, is_module, module_name, read
from tests.kernel import elf


@pytest.mark.parametrize("path", ["a.ko", "kernel/a.ko.xz", "a.ko.gz", "a.ko.zst"])
def test_a_path_says_what_a_module_is(path):
    assert is_module(path) and module_name(path) == "a"
    assert not is_module(path + ".sig") and not is_module("a.so")


def test_a_name_has_underscores():
    assert module_name("kernel/net/9p/9pnet-virtio.ko.xz") == "9pnet_virtio"


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"text", elf.module()[:100], b"\x7fELF\x09" + bytes(99)])
def test_what_is_no_module_is_refused_with_its_path(data):
    with pytest.raises(BadModule, match=r"kernel/a\.ko is not a kernel module"):
        read("kernel/a.ko", data)


def test_a_module_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(modinfo, "INFLATED_LIMIT", 1 << 20)
    with pytest.raises(BadModule, match="more than 1 MiB"):
        read("a.ko.gz", gzip.compress(bytes(2 << 20)))
