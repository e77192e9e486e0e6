"""Trust stores: folders of certificates, and what makes one be refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.host import tracked
from pipeline.trust import trust_store
from pipeline.trust.error import SignatureRefusal
from tests.trust.notary import AUTHORITY, LEAF, issue, signer
from tests.trust.vectors import NOTATION, needs_vectors

ROOT = signer().above[-1]
DER, PEM = ROOT.public_bytes(Encoding.DER), ROOT.public_bytes(Encoding.PEM)
OTHER = issue("CN=other", None, *AUTHORITY).certificate
ALONE = issue("CN=alone", None, *LEAF).certificate
SIGNER, MIDDLE = signer().certificate, signer().above[0]


def encoded(*certificates: object, encoding: Encoding = Encoding.PEM) -> bytes:
    return b"".join(each.public_bytes(encoding) for each in certificates)  # type: ignore[attr-defined]


def write(folder: Path, **files: bytes) -> Path:
    """Writes NAME of x509/ca/acme/NAME, where __ stands for a dot."""
    (folder / "x509/ca/acme").mkdir(parents=True)
    for name, data in files.items():
        (folder / "x509/ca/acme" / name.replace("__", ".")).write_bytes(data)
    return folder


def load(folder: Path) -> trust_store.TrustStore:
    return trust_store.parse(trust_store.read(folder))


@pytest.mark.parametrize("data", [DER, PEM, b"# comment\n" + PEM + PEM, PEM.replace(b"\n", b"\r\n"), DER + DER])
def test_certificates_in_pem_and_der_are_read(tmp_path: Path, data: bytes) -> None:
    assert load(write(tmp_path, root__crt=data)) == ((DER,), (), ())


def test_all_named_stores_of_a_kind_are_one() -> None:
    kinds = {"ca": ROOT, "signingAuthority": OTHER, "tsa": OTHER}
    files = {f"x509/{kind}/{name}/x.pem": encoded(each) for kind, each in kinds.items() for name in ("a", "b_C-1.0")}
    der, other = encoded(ROOT, encoding=Encoding.DER), encoded(OTHER, encoding=Encoding.DER)
    assert trust_store.parse(files) == ((der,), (other,), (other,))


@pytest.mark.parametrize(("kind", "certificate", "right"), [
    ("ca", ROOT, True), ("ca", MIDDLE, True), ("ca", ALONE, True), ("ca", SIGNER, False),
    ("signingAuthority", ROOT, True), ("signingAuthority", SIGNER, False),
    ("tsa", ROOT, True), ("tsa", MIDDLE, False), ("tsa", ALONE, False), ("tsa", SIGNER, False),
])  # fmt: skip
def test_an_authority_or_one_that_signs_itself_is_trusted_and_a_root_for_time(
    kind: str, certificate: object, right: bool
) -> None:
    files = {f"x509/{kind}/acme/a.pem": encoded(certificate), "x509/ca/right/b.pem": PEM}
    if right:
        assert (
            encoded(certificate, encoding=Encoding.DER)
            in trust_store.parse(files)[["ca", "signingAuthority", "tsa"].index(kind)]
        )
    else:
        with pytest.raises(SignatureRefusal, match=f"^x509/{kind}/acme/a.pem: "):
            trust_store.parse(files)


@pytest.mark.parametrize("data", [
    b"", b"\n", b"text", PEM[:-10], PEM[5:], DER[:-1], DER + b"\0", PEM + encoded(SIGNER), PEM.replace(b"CERTIFICATE",
    b"PUBLIC KEY"),
    PEM.replace(b"M", b"*", 1), b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    bytes(trust_store.LARGEST_FILE + 1),
    PEM + b"-----BEGIN CERTIFICATE-----\n", PEM.replace(b"END CERT", b"END KERT"), DER + PEM,
], ids=range(15))  # fmt: skip
def test_a_file_without_certificates_that_are_right_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SignatureRefusal, match=r"^x509/ca/acme/b\.crt: "):
        load(write(tmp_path, a__crt=PEM, b__crt=data))


@pytest.mark.parametrize("path", ["root.pem", "ca/acme/a.pem", "x509/a.pem", "x509/ca/a.pem", "x509/CA/acme/a.pem",
"x509/ca/acme/b/a.pem",
                                  "x509/ca/a b/a.pem", "x509/ca/acme/", "x509//acme/a.pem",
                                  "/x509/ca/acme/a.pem"])  # fmt: skip
def test_a_certificate_in_another_place_is_refused(path: str) -> None:
    with pytest.raises(SignatureRefusal, match="a certificate of a trust store is x509/"):
        trust_store.parse({path: PEM})


def test_a_store_that_trusts_no_signer_is_refused() -> None:
    for files in ({}, {"x509/tsa/acme/a.pem": PEM}):
        with pytest.raises(SignatureRefusal, match="without certificates in x509/ca or"):
            trust_store.parse(files)


@pytest.mark.parametrize("place", ["x509/ca/acme/link.crt", "x509/ca/link", "x509/tsa", "link"])
@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_a_symbolic_link_is_refused(tmp_path: Path, place: str, target: str) -> None:
    folder = write(tmp_path / "store", root__crt=PEM)
    targets = {"file": folder / "x509/ca/acme/root.crt", "folder": folder / "x509/ca/acme", "nothing": folder / "none"}
    (folder / place).symlink_to(targets[target])
    with pytest.raises(SignatureRefusal, match="no symbolic links"):
        trust_store.read(folder)


@pytest.mark.parametrize("place", ["x509/ca/acme/sub", "x509/ca/empty", "x509/tsa", "more"])
def test_a_folder_without_use_is_refused(tmp_path: Path, place: str) -> None:
    (write(tmp_path, root__crt=PEM) / place).mkdir()
    with pytest.raises(SignatureRefusal):
        trust_store.read(tmp_path)


def test_files_that_are_none_and_too_many_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", root__crt=PEM)
    os.mkfifo(folder / "x509/ca/acme/pipe")
    with pytest.raises(SignatureRefusal, match="nothing else"):
        trust_store.read(folder)
    many = write(tmp_path / "b", **{f"f{number}": PEM for number in range(trust_store.MOST_FILES + 1)})
    with pytest.raises(SignatureRefusal, match="more than"):
        trust_store.read(many)
    with pytest.raises(FileNotFoundError):
        trust_store.read(tmp_path / "c")


def test_a_plan_is_made_anew_if_a_certificate_changes(tmp_path: Path) -> None:
    folder = write(tmp_path, root__crt=PEM)
    with tracked.record_inputs() as inputs:
        trust_store.read(folder)
    assert tracked.unchanged(inputs)
    (folder / "x509/ca/acme/other.crt").write_bytes(encoded(OTHER))
    assert not tracked.unchanged(inputs)


VERDICTS = {
    "ca/valid-trust-store": True,
    "ca/valid-trust-store-2": True,
    "ca/valid-trust-store-self-signed": True,
    "ca/trust-store-with-invalid-certs": False,
    "ca/trust-store-with-leaf-certs": False,
    "ca/trust-store-with-leaf-certs-in-single-file": False,
    "ca/valid-trust-store_SYMLINK": False,
    "signingAuthority/valid-trust-store": True,
    "signingAuthority/valid-trust-store-2": True,
    "trust-store-with-cert-symlinks": False,
    "trust-store-with-directories": False,
    "tsa/test-timestamp": True,
    "tsa/test-mismatch": True,
    "tsa/test-nonCA": False,
    "tsa/test-nonSelfIssued": False,
}
"""Named stores of notation-go's verifier/testdata/truststore -> verdicts of verifier/truststore/truststore_test.go."""


@needs_vectors
@pytest.mark.parametrize("name", VERDICTS)
def test_verdicts_of_notation_go(tmp_path: Path, name: str) -> None:
    """Each named store in a folder beside a right one, with the symbolic links that the test data name as files."""
    store = NOTATION / "truststore/x509" / name
    place = tmp_path / "x509" / (name if "/" in name else f"ca/{name}")
    place.parent.mkdir(parents=True)
    if name.endswith("_SYMLINK"):
        place.symlink_to(store.with_name("valid-trust-store"))
    else:
        os.system(f"cp -r {store} {place}")
        if (link := place / "GlobalSignRootCA_SYMLINK.crt").exists():
            link.unlink()
            link.symlink_to("GlobalSignRootCA.crt")
    (tmp_path / "x509/ca/right").mkdir(parents=True, exist_ok=True)
    (tmp_path / "x509/ca/right/root.pem").write_bytes(PEM)
    try:
        assert load(tmp_path).ca and VERDICTS[name]
    except SignatureRefusal:
        assert not VERDICTS[name]


@needs_vectors
def test_each_named_store_of_the_vectors_has_a_verdict() -> None:
    x509 = NOTATION / "truststore/x509"
    names = {
        str(each.relative_to(x509)) for kind in ("ca", "signingAuthority", "tsa") for each in (x509 / kind).iterdir()
    }
    assert names | {each.name for each in x509.iterdir()} - {"ca", "signingAuthority", "tsa"} == {*VERDICTS}
