"""Variables of UEFI with keys for Secure Boot. (tests/boot has firmware read them.)"""

from pathlib import Path
from uuid import UUID

import pytest

from pipeline.ondisk import efivars as ondisk
from pipeline.writers import FormatError, efivars
from tests.judges import need

CERTIFICATES = (b"platform" * 100, b"exchange" * 110, b"database" * 121)


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
    flash = efivars.enrol(blank, *CERTIFICATES)
    assert flash == efivars.enrol(blank, *CERTIFICATES) and len(flash) == len(blank)
    found = variables(flash)
    for name, certificate in zip(("PK", "KEK", "db"), CERTIFICATES, strict=True):
        vendor, attributes, data = found[name]
        assert (vendor, attributes) == (ondisk.DATABASE if name == "db" else ondisk.GLOBAL, 0x27)
        header = ondisk.SIGNATURE_LIST.unpack(data)
        assert header.SignatureListSize == len(data) and header.SignatureSize == len(certificate) + 16
        assert UUID(bytes_le=header.SignatureType) == ondisk.X509 and data.endswith(certificate)
    assert found["SecureBootEnable"] == (ondisk.SECURE_BOOT_ENABLE, 3, b"\1")
    assert variables(blank).keys() == found.keys() - {"PK", "KEK", "db", "SecureBootEnable"}


def test_what_cannot_be_enrolled_is_refused(blank):
    enrolled = efivars.enrol(blank, *CERTIFICATES)
    for flash, why in (
        (enrolled, "has a platform key already"), (b"", "not a file"), (bytes(200_000), "no firmware volume"),
        (blank[:1000], "no store"), (blank[:72] + bytes(28) + blank[100:], "no store"),
        (blank[:60_000] + b"x" + blank[60_001:], "not erased"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=why):
            efivars.enrol(flash, *CERTIFICATES)
    with pytest.raises(FormatError, match="there is room for"):
        efivars.enrol(blank, bytes(300_000), *CERTIFICATES[1:])
