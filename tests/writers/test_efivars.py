"""Variables of UEFI with keys for Secure Boot. (tests/boot has firmware read them.)"""

from pathlib import Path
from uuid import UUID

import pytest

from pipeline.ondisk import efivars as ondisk
from pipeline.writers import FormatError, efivars
from tests.judges import need

CERTIFICATES = {"PK": b"platform" * 100, "KEK": b"exchange" * 110, "db": b"database" * 121}
CONTENTS = {name: efivars.certificate_list(certificate) for name, certificate in CERTIFICATES.items()}
REFUSED = (
    ondisk.SIGNATURE_LIST.pack(SignatureType=ondisk.X509.bytes_le, SignatureListSize=28 + 2 * 48, SignatureSize=48)
    + b"owner of digests" + b"d" * 32 + b"owner of digests" + b"e" * 32
)  # fmt: skip
"""A list of two signatures."""


@pytest.fixture(scope="module")
def blank():
    return Path(need("/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf")).read_bytes()


def variables(flash):
    """The variables in a flash: name -> vendor, attributes, data."""
    at, found = ondisk.VOLUME.unpack(flash).HeaderLength + ondisk.STORE.size, {}
    while (variable := ondisk.VARIABLE.unpack(flash, at)).StartId == ondisk.VARIABLE_MAGIC:
        start = at + ondisk.VARIABLE.size
        end = start + variable.NameSize + variable.DataSize
        name = flash[start : start + variable.NameSize].decode("utf-16-le").rstrip("\0")
        vendor = UUID(bytes_le=variable.VendorGuid)
        found[name] = (vendor, variable.Attributes, flash[start + variable.NameSize : end])
        at = end + -end % 4
    return found


def test_each_certificate_is_in_its_variable(blank):
    flash = efivars.enrol(blank, CONTENTS)
    assert flash == efivars.enrol(blank, dict(reversed(CONTENTS.items()))) and len(flash) == len(blank)
    found = variables(flash)
    for name, certificate in CERTIFICATES.items():
        vendor, attributes, data = found[name]
        assert (vendor, attributes) == (ondisk.DATABASE if name == "db" else ondisk.GLOBAL, 0x27)
        header = ondisk.SIGNATURE_LIST.unpack(data)
        assert header.SignatureListSize == len(data) and header.SignatureSize == len(certificate) + 16
        assert UUID(bytes_le=header.SignatureType) == ondisk.X509 and data.endswith(certificate)
        assert ondisk.signatures(data) == [ondisk.Signature(ondisk.X509, efivars.OWNER.bytes_le + certificate)]
    assert found["SecureBootEnable"] == (ondisk.SECURE_BOOT_ENABLE, 3, b"\1")
    assert variables(blank).keys() == found.keys() - {"PK", "KEK", "db", "SecureBootEnable"}


def test_a_blank_flash_of_arm_is_formatted_as_its_firmware_does_it():
    """Debian has one that AAVMF itself formatted, and enrolled a key in."""
    blank, theirs = (
        Path(need(f"/usr/share/AAVMF/AAVMF_VARS{name}.fd", "qemu-efi-aarch64")).read_bytes()
        for name in ("", ".snakeoil")
    )
    headers = ondisk.VOLUME.unpack(theirs).HeaderLength + ondisk.STORE.size
    ours = efivars.enrol(blank, CONTENTS)
    assert not blank.strip(b"\0") and ours[:headers] == theirs[:headers] and len(ours) == len(blank)
    assert variables(ours).keys() == {"PK", "KEK", "db", "SecureBootEnable"}
    assert {name: found[2] for name, found in variables(ours).items() if name in CONTENTS} == CONTENTS


def test_lists_of_signatures_are_read_as_they_stand(blank):
    content = CONTENTS["db"] + REFUSED
    assert [each.value for each in ondisk.signatures(content)] == [CERTIFICATES["db"], b"d" * 32, b"e" * 32]
    assert ondisk.signatures(b"") == []
    found = variables(efivars.enrol(blank, {**CONTENTS, "dbx": REFUSED}))
    assert found["dbx"] == (ondisk.DATABASE, 0x27, REFUSED)
    for size in range(1, len(content)):
        if size != len(CONTENTS["db"]):
            with pytest.raises(ValueError, match=r"ends within a list|a list of"):
                ondisk.signatures(content[:size])
    for size in (0, 16, 47, 200):
        changed = bytearray(REFUSED)
        ondisk.SIGNATURE_LIST.patch(changed, SignatureSize=size)
        with pytest.raises(ValueError, match="a list of"):
            ondisk.signatures(bytes(changed))
    with pytest.raises(ValueError, match="larger than"):
        ondisk.signatures(bytes(ondisk.LARGEST_CONTENT + 1))


def test_what_cannot_be_enrolled_is_refused(blank):
    enrolled = efivars.enrol(blank, CONTENTS)
    for flash, why in (
        (enrolled, "has a platform key already"), (b"", "not a file"), (bytes(200_000), "no firmware volume"),
        (blank[:1000], "no store"), (blank[:72] + bytes(28) + blank[100:], "no store"),
        (blank[:60_000] + b"x" + blank[60_001:], "not erased"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=why):
            efivars.enrol(flash, CONTENTS)
    with pytest.raises(FormatError, match="there is room for"):
        efivars.enrol(blank, {**CONTENTS, "dbx": bytes(300_000)})
