"""What formats give: their files, as LinuxKit calls them, and what others' tools find in them."""

import dataclasses
import gzip
import json
import re
import tarfile
from pathlib import Path
from typing import get_args

import pytest

from pipeline import formats
from pipeline.compression.compress import Compression
from pipeline.language import schema
from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.model.tree import File, Tree, files
from pipeline.spec import build
from pipeline.stages import initrd
from pipeline.stages import partitions as disks
from pipeline.writers import FormatError
from tests.formats import node
from tests.judges import need, needs_root, run
from tests.writers import samples


def test_the_folder_is_the_list():
    assert len(formats.names()) == len(list(Path(formats.__file__).parent.glob("[a-z]*.py")))
    for name in formats.names():
        found = formats.find(name)
        assert found.name == name and found.summary and found.produces
        assert set(found.own) <= set(found.produces)


@pytest.mark.parametrize(("change", "message"), [
    ({"needs": ("initrdd",)}, "the format tar needs 'initrdd': use kernel, initrd, rootfs"),
    ({"needs": (formats.Output("raw-bioss"),)}, r"needs Output\(format='raw-bioss'\): use aws, "),
    ({"options": ("labels",)}, "takes 'labels': use clusters, compress, label"),
    ({"drive": formats.Drive(), "produces": ("-a.img", "-b.img")}, "has a drive and 2 files"),
])  # fmt: skip
def test_a_format_that_asks_for_what_there_is_not_is_refused_where_it_is_defined(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(formats.find("tar"), **change)


def test_options_are_keys_of_build():
    keys = schema.fields(build.Build)
    assert {*get_args(formats.Option)} - {"name"} <= keys.keys()
    assert all(set(disks.Disk._fields) <= {*formats.find(name).options} for name in ("raw-bios", "ext4", "rpi3"))


@pytest.mark.parametrize("name", formats.names())
def test_a_format_gives_the_files_that_it_says(store, name):
    known = node.raspberry(store) if formats.find(name).firmware is formats.Firmware.BOARD else node.products(store)
    assert set(store.tree(node.make(store, name, known))) == {*formats.find(name).produces}


@pytest.mark.parametrize("name", ["", "raw", "tar ", "tar_kernel_initrd", "../formats/tar", "__init__", "Tar"])
def test_other_names_are_no_formats(name):
    with pytest.raises(KeyError):
        formats.find(name)


def test_a_fragment_leaves_out_the_boot_loader_s_files(store, tmp_path):
    tree = samples.plain(store)
    fragment = store.tree(initrd.fragment(store, store.put_tree(tree), compress="none"))["fragment"]
    store.export(fragment.content, tmp_path / "a.cpio")
    need("cpio")
    names = set(run("sh", "-c", f"cpio --quiet -it < {tmp_path}/a.cpio").stdout.splitlines())
    assert names == {path for path in tree if not path.startswith("boot/")} and "boot" in names


def test_a_large_part_becomes_several_gzip_archives(store):
    tree = samples.special(store)
    packed = samples.read(store, initrd.compressed(store, tree, Compression("gzip", 6), 100_000))
    assert packed.count(b"\x1f\x8b\x08\0\0\0\0\0") >= 2 and len(packed) % 4 == 0
    pieces = initrd.archives(tree, 100_000)
    assert {path for piece in pieces for path in piece} == set(tree)
    for piece in pieces:
        inodes = {entry.inode for entry in piece.values() if type(entry) is File and entry.inode}
        assert all(path in piece for path, entry in tree.items() if type(entry) is File and entry.inode in inodes)


def test_an_initrd_is_microcode_and_fragments_by_reference(store):
    microcode, parts = store.content(b"070701 microcode"), [store.content(b"abcd"), store.content(b"efghi")]
    kernel = store.put_tree(files([("kernel", ()), ("ucode.cpio", microcode)]))
    fragments = [store.put_tree(files([("fragment", part)])) for part in parts]
    entry = store.tree(initrd.initrd(store, kernel, *fragments))["initrd.img"]
    assert samples.read(store, entry.content) == b"070701 microcode" + b"abcd" + b"efghi\0\0\0"
    assert entry.content[0].blob == microcode[0].blob


def test_a_node_without_a_kernel_has_no_disk(store):
    nothing = store.put_tree(Tree())
    with pytest.raises(FormatError, match="kernel"):
        formats.find("raw-bios").build(store, nothing, nothing, nothing)


def made(store, name, folder, **options):
    result = node.make(store, name, node.products(store), **options)
    return {suffix: node.output(store, result, suffix, folder) for suffix in store.tree(result)}


def test_tar_kernel_initrd(store, tmp_path):
    with tarfile.open(made(store, "tar-kernel-initrd", tmp_path)["-initrd.tar"]) as archive:
        assert archive.getnames() == ["cmdline", "initrd.img", "kernel"]
        assert archive.extractfile("cmdline").read() == node.CMDLINE


@needs_root
def test_docker_archives_are_read_by_skopeo(store, tmp_path):
    found = made(store, "docker", tmp_path)
    tool = need("skopeo")
    for transport in ("docker-archive", "oci-archive"):
        facts = json.loads(run(tool, "inspect", f"{transport}:{found['-oci.tar']}").stdout)
        assert (facts["Architecture"], facts["Os"], len(facts["Layers"])) == ("amd64", "linux", 1)
        run(tool, "--insecure-policy", "copy", f"{transport}:{found['-oci.tar']}", f"dir:{tmp_path}/{transport}")
    layer = max((tmp_path / "docker-archive").iterdir(), key=lambda path: path.stat().st_size)
    assert f"sha256:{layer.name}" == Digest.of(layer.read_bytes())
    with tarfile.open(found[".docker"]) as archive:
        assert b'ENTRYPOINT ["/init"]' in archive.extractfile("Dockerfile").read()


@pytest.mark.parametrize("own", [[], ["Dockerfile"], ["Dockerfile", "sub/Dockerfile"]])
def test_linuxkit_s_archive_is_the_root_with_a_dockerfile(store, tmp_path, own):
    tree = samples.stored(store, {path: [path.encode()] for path in ("A", "bin/init", "sub/z")})
    tree |= {path: File(0o600, 1, 1, 0, (), store.content(b"another"), own[0]) for path in own}
    rootfs = store.put_tree(tree.ordered())
    outputs = store.tree(formats.find("docker").build(store, rootfs))
    path = samples.written(store, lambda out: out.extend(outputs[".docker"].content), tmp_path / "docker")
    with tarfile.open(path) as archive:
        assert archive.getnames() == sorted({*tree, "Dockerfile"})
        assert archive.extractfile("Dockerfile").read().startswith(b"FROM scratch\n")
        for name in {*tree} - {"Dockerfile", "bin", "sub"}:
            assert archive.extractfile(name).read() == samples.read(store, tree[name].content)


def test_gcp_is_a_whole_number_of_gib(store, tmp_path):
    path = made(store, "gcp", tmp_path)[".img.tar.gz"]
    need("tar")
    assert run("sh", "-c", f"gzip -dc {path} | tar tvf -").stdout.split()[2] == str(1 << 30)
    with gzip.open(path) as archive:
        assert archive.read(512)[257:265] == b"ustar  \0"


def test_kernel_iso_holds_the_root_file_system(store, tmp_path):
    found = made(store, "kernel+iso", tmp_path)
    assert found.keys() == {"-kernel", "-cmdline", ".iso"}
    listing = run(need("xorriso"), "-indev", found[".iso"], "-lsl", "/sbin").stdout
    assert "'init' -> '../init'" in listing


def test_size_is_the_size_of_the_disk(store, tmp_path):
    for name in ("raw-bios", "raw-efi", "raw-hybrid"):
        assert node.disk(store, name, tmp_path, size="100M").stat().st_size == 100 << 20
        with pytest.raises(StageProblem, match="size"):
            made(store, name, tmp_path, size="8M")


def test_netboot_has_the_files_of_kernel_initrd(store, tmp_path):
    found, usual = (made(store, name, tmp_path) for name in ("netboot", "kernel+initrd"))
    assert found.keys() == {".ipxe", "-kernel", "-initrd.img"}
    for suffix in ("-kernel", "-initrd.img"):
        assert found[suffix].read_bytes() == usual[suffix].read_bytes()
    assert node.CMDLINE.decode() in found[".ipxe"].read_text()


def test_rpi3_is_a_card_and_the_files_on_it(store, tmp_path):
    result = node.make(store, "rpi3", node.raspberry(store))
    card, archive = (node.output(store, result, suffix, tmp_path) for suffix in ("-rpi3.img", "-rpi3.tar"))
    volume = tmp_path / "volume"
    volume.write_bytes(card.read_bytes()[1 << 20 :])
    assert run(need("fsck.fat", "dosfstools"), "-n", volume).stdout.endswith("clusters\n")
    need("mcopy", "mtools")
    with tarfile.open(archive) as members:
        files = [member for member in members if member.isfile()]
        for member in files:
            run("mcopy", "-n", "-i", volume, f"::{member.name}", tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == members.extractfile(member).read()
    assert {member.name for member in files} > {
        "bootcode.bin", "broadcom/bcm2837-rpi-3-b.dtb", "config.txt", "extlinux/extlinux.conf", "fixup.dat",
        "initrd.img", "kernel", "start.elf", "u-boot.bin",
    }  # fmt: skip
    table = run(need("sfdisk", "fdisk"), "-l", card).stdout
    assert re.search(r"img1 +\* +2048 +\d+ +\d+ +\S+ +[ce] W95 FAT", table)


def test_rpi3_has_no_room_for_a_kernel_that_reaches_into_the_initrd(store):
    """U-Boot moves the kernel to 0x200000, and has the initrd at 0x2700000."""
    known = node.raspberry(store)
    tree = store.tree(known["kernel"]())
    data = store.bytes(tree.file("kernel").content)

    def kernel(size: int):
        changed = data[:16] + size.to_bytes(8, "little") + data[24:]
        return store.put_tree(Tree({**tree, "kernel": tree.file("kernel")._replace(content=store.content(changed))}))

    node.make(store, "rpi3", known | {"kernel": lambda: kernel(0x2500000)})
    with pytest.raises(FormatError, match=f"takes {0x2500001} bytes of memory, and U-Boot has room for {0x2500000}"):
        node.make(store, "rpi3", known | {"kernel": lambda: kernel(0x2500001)})


def test_rpi3_needs_device_trees(store, tmp_path):
    with pytest.raises(FormatError, match="kernel-generic"):
        node.make(store, "rpi3", node.raspberry(store) | {"rootfs": node.products(store)["rootfs"]})
