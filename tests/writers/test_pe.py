"""EFI programs: objdump and sbverify find nothing wrong."""

import re
from functools import partial

import pytest

from pipeline.incremental import checksum16
from pipeline.writers import FormatError, pe
from tests.formats import node
from tests.judges import need, run
from tests.writers import samples
from tests.writers.signing import make_key


@pytest.fixture(scope="module")
def stub():
    return (node.package("systemd-boot-efi") / "usr/lib/systemd/boot/efi/linuxx64.efi.stub").read_bytes()


@pytest.fixture(scope="module")
def program(store, stub, tmp_path_factory):
    sections = [(".cmdline", store.content(b"quiet\0")), (".initrd", store.content(samples.noise(100_001))),
                (".linux", store.content(samples.noise(50_000)))]  # fmt: skip
    out = store.rope()
    pe.write(pe.stub(stub), sections, partial(checksum16, store), out)
    path = tmp_path_factory.mktemp("pe") / "program.efi"
    store.export(out.finish(), path)
    return path


def test_sections_hold_what_was_given(program, tmp_path):
    tool = need("objcopy", "binutils")
    given = ((".cmdline", b"quiet\0"), (".initrd", samples.noise(100_001)), (".linux", samples.noise(50_000)))
    for name, data in given:
        run(tool, "-O", "binary", "--only-section", name, program, tmp_path / "section")
        assert (tmp_path / "section").read_bytes().rstrip(b"\0") == data.rstrip(b"\0")


def test_the_checksum_is_the_one_of_the_specification(program):
    data = program.read_bytes()
    place = int.from_bytes(data[60:64], "little") + 24 + 64
    total = 0
    for at in range(0, len(data) - 1, 2):
        total += int.from_bytes(data[at : at + 2], "little") if not place <= at < place + 4 else 0
        total = (total & 0xFFFF) + (total >> 16)
    assert total + len(data) == int.from_bytes(data[place : place + 4], "little")


def test_sbverify_reads_it(program):
    text = run("sh", "-c", f"{need('sbverify', 'sbsigntool')} --list {program} 2>&1 || true").stdout
    assert "No signature table present" in text and not re.search("gap in section table|checksum", text), text


@pytest.mark.parametrize("cut", [0, 10, 63, 64, 200, 600])
def test_what_is_no_program_is_refused(stub, cut):
    with pytest.raises(FormatError, match="PE"):
        pe.stub(stub[:cut])


def test_a_stub_without_room_is_refused(store, stub):
    sections = [(f".s{number}", store.content(b"x")) for number in range(30)]
    with pytest.raises(FormatError, match="room"):
        pe.write(pe.stub(stub), sections, partial(checksum16, store), store.rope())


def test_a_signed_stub_is_taken_without_its_signature_and_a_signed_kernel_image_not_at_all(
    store, stub, program, tmp_path
):
    key, certificate = make_key(tmp_path, "other")
    (tmp_path / "stub").write_bytes(stub)
    signed = {}
    for path in (tmp_path / "stub", program):
        words = ("--key", key, "--cert", certificate, "--output", tmp_path / "signed", path)
        run(need("sbsign", "sbsigntool"), *words)
        signed[path] = (tmp_path / "signed").read_bytes()
    made = []
    for data in (stub, signed[tmp_path / "stub"]):
        out = store.rope()
        pe.write(pe.stub(data), [(".linux", store.content(b"kernel"))], partial(checksum16, store), out)
        made.append(store.bytes(out.finish()))
    assert made[0] == made[1]
    for name in (".linux", ".cmdline"):
        with pytest.raises(FormatError, match=f"has a section {name} already: a unified kernel image is no stub"):
            pe.write(pe.stub(signed[program]), [(name, store.content(b"x"))], partial(checksum16, store), store.rope())
