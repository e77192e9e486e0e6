"""Expected registers: PCR 11 is what systemd-measure calculates for the sections of a program."""

import hashlib

import pytest

from pipeline.ondisk import measured_boot
from pipeline.writers import efivars
from pipeline.writers.efivars import OWNER
from tests.judges import need, run

CONTENT = {
    ".linux": b"kernel" * 1000, ".osrel": b"ID=node\n", ".cmdline": b"quiet\0", ".initrd": b"initrd" * 500,
    ".uname": b"6.1.0", ".sbat": b"sbat,1\n", ".text": b"code",
}  # fmt: skip
DIGESTS = {name: hashlib.sha256(data).digest() for name, data in CONTENT.items()}


def test_pcr_11_is_systemd_measure_s(tmp_path):
    """Debian 12's, which measures what its stub (252) does."""
    tool = need("/usr/lib/systemd/systemd-measure", "systemd")
    if not run(tool, "--version").stdout.startswith("systemd 252"):
        pytest.skip("systemd-measure of another version measures other sections")
    words = []
    for name in measured_boot.SECTIONS[252]:
        if name in CONTENT:
            (tmp_path / name).write_bytes(CONTENT[name])
            words.append(f"--{name[1:]}={tmp_path / name}")
    text = run(tool, "calculate", *words, "--bank=sha256", "--phase=").stdout
    expected = measured_boot.pcr11(252, DIGESTS)
    assert expected is not None and f"11:sha256={expected.hex()}" in text


def test_another_order_gives_another_value_and_an_unknown_one_none():
    assert measured_boot.pcr11(252, DIGESTS) != measured_boot.pcr11(257, DIGESTS)
    assert measured_boot.pcr11(254, DIGESTS) is None and measured_boot.pcr11(0, {}) is None


@pytest.mark.parametrize(("magic", "version"), [
    (b"#### LoaderInfo: systemd-stub 252.39-1~deb12u2 ####\0", 252), (b"#### LoaderInfo: systemd-stub 257 ####", 257),
    (b"#### LoaderInfo: systemd-boot 257 ####", 0), (b"", 0),
])  # fmt: skip
def test_the_version_of_a_stub(magic, version):
    assert measured_boot.stub_version(magic) == version


def test_pcr_4_is_the_chain_of_its_three_events():
    """TCG PC Client Platform Firmware Profile: the action, a separator, then the program's Authenticode hash."""
    image, register = hashlib.sha256(b"program").digest(), bytes(32)
    for event in (b"Calling EFI Application from Boot Option", bytes(4)):
        register = hashlib.sha256(register + hashlib.sha256(event).digest()).digest()
    assert measured_boot.pcr4(image) == hashlib.sha256(register + image).digest()


def test_pcr_7_is_the_chain_of_the_variables_and_of_what_vouches_for_the_program():
    """As TCG has them: SecureBoot, PK, KEK, db, dbx, a separator, the entry of db. (tests/boot has a TPM hold it.)"""
    keys = {name: efivars.certificate_list(name.encode() * 300) for name in ("PK", "KEK", "other", "db")}
    contents = {**keys, "db": keys["other"] + keys["db"]}
    entry, register = OWNER.bytes_le + b"db" * 300, bytes(32)
    world, database = "61dfe48bca93d211aa0d00e098032b8c", "cbb219d73a3d9645a3bcdad00e67656f"
    for vendor, name, data in (
        (world, "SecureBoot", b"\1"), (world, "PK", keys["PK"]), (world, "KEK", keys["KEK"]),
        (database, "db", contents["db"]), (database, "dbx", b""), ("", "", b""), (database, "db", entry),
    ):  # fmt: skip
        fields = bytes.fromhex(vendor) + len(name).to_bytes(8, "little") + len(data).to_bytes(8, "little")
        event = fields + name.encode("utf-16-le") + data if vendor else bytes(4)
        register = hashlib.sha256(register + hashlib.sha256(event).digest()).digest()
    assert measured_boot.pcr7(contents, entry) == register
    assert measured_boot.pcr7({**contents, "dbx": keys["db"]}, entry) != register
