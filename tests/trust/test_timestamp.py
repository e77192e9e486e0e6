"""Time stamps: those of openssl-ts(1) as an authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.ondisk import der
from pipeline.trust import timestamp, timestamp_token
from pipeline.trust.certificate import sequence
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.root import Authority, Validity
from tests.judges import need, run
from tests.trust.certificates import START, Issued, issue
from tests.trust.der_edits import edits

LATER = datetime(2100, 1, 1, tzinfo=UTC)
SETTINGS = """
[tsa]
default_tsa = own
[own]
serial = {folder}/serial
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
signer_digest = {hash}
ess_cert_id_alg = {certificate_hash}
crypto_device = builtin
"""
DATA = b"a signature"


class Server:
    """An authority of time stamps: openssl with keys of its own."""

    def __init__(self, folder: Path, hash: str = "sha256", certificate_hash: str = "sha256") -> None:
        self.folder, self.hash = folder, hash
        self.root = issue("tsa root", authority=True, end=LATER)
        self.leaf = issue("tsa", self.root, purposes=("time",), end=LATER)
        (folder / "leaf.pem").write_bytes(self.leaf.pem)
        (folder / "leaf.key").write_bytes(self.leaf.key_pem)
        (folder / "serial").write_text("01\n")
        settings = SETTINGS.format(folder=folder, hash=hash, certificate_hash=certificate_hash)
        (folder / "tsa.cnf").write_text(settings)

    def stamp(self, data: bytes = DATA, *, with_certificates: bool = False) -> bytes:
        """Returns a TimeStampResp for `data`."""
        need("openssl")
        (self.folder / "data").write_bytes(data)
        options = ["-cert"] if with_certificates else []
        query = ["-query", "-data", self.folder / "data", f"-{self.hash}", *options, "-out", self.folder / "query"]
        run("openssl", "ts", *query)
        reply = ["-reply", "-config", self.folder / "tsa.cnf", "-queryfile", self.folder / "query"]
        signer = ["-signer", self.folder / "leaf.pem", "-inkey", self.folder / "leaf.key"]
        run("openssl", "ts", *reply, *signer, "-out", self.folder / "reply")
        return (self.folder / "reply").read_bytes()

    def authorities(self, *path: Issued, start: datetime = START, end: datetime | None = None) -> list[Authority]:
        certificates = tuple(each.parsed for each in path or (self.leaf, self.root))
        return [Authority(certificates, Validity(start, end))]


@pytest.mark.parametrize("hash", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("with_certificates", [False, True])
def test_time_stamps_of_openssl_are_verified(tmp_path: Path, hash: str, with_certificates: bool) -> None:
    server = Server(tmp_path, hash)
    before = datetime.now(UTC) - timedelta(seconds=1)
    reply = server.stamp(with_certificates=with_certificates)
    assert before <= timestamp.verify_response(reply, DATA, server.authorities()) <= datetime.now(UTC)


def test_the_older_attribute_of_the_certificate_is_taken(tmp_path: Path) -> None:
    server = Server(tmp_path, certificate_hash="sha1")
    assert timestamp.verify_response(server.stamp(), DATA, server.authorities())


def test_other_data_authorities_and_times_are_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    reply = server.stamp()
    with pytest.raises(SignatureRefusal, match="time stamp: it is of other data"):
        timestamp.verify_response(reply, b"other", server.authorities())
    other = issue("tsa", issue("tsa root", authority=True, end=LATER), purposes=("time",), end=LATER)
    faulty = [server.authorities(other), server.authorities(end=START), server.authorities(start=LATER), []]
    for authorities in faulty:
        with pytest.raises(SignatureRefusal, match="no authority that signed it, valid at its time"):
            timestamp.verify_response(reply, DATA, authorities)
    with pytest.raises(SignatureRefusal, match=r"another authority issued it|not one of these data"):
        timestamp.verify_response(
            reply, DATA, server.authorities(server.leaf, issue("tsa root", authority=True, end=LATER))
        )


def test_each_flipped_byte_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    reply, authorities = server.stamp(with_certificates=True), server.authorities()
    for at in range(len(reply)):
        flipped = bytearray(reply)
        flipped[at] ^= 1
        with pytest.raises(SignatureRefusal, match=r"^time stamp: "):
            timestamp.verify_response(bytes(flipped), DATA, authorities)


@pytest.mark.parametrize("certificate_hash", ["sha1", "sha256"])
def test_an_edited_element_is_refused_unless_it_is_of_the_unsigned_certificates(
    tmp_path: Path, certificate_hash: str
) -> None:
    server = Server(tmp_path, certificate_hash=certificate_hash)
    reply, authorities = server.stamp(with_certificates=True), server.authorities()
    for edited in edits(reply):
        try:
            timestamp.verify_response(edited, DATA, authorities)
        except SignatureRefusal:
            continue
        assert without_certificates(edited) == without_certificates(reply)


def without_certificates(reply: bytes) -> timestamp_token.Token:
    _, token = sequence(der.read(reply))
    return timestamp_token.parse(token.encoding)._replace(certificates=())


def test_a_reply_without_a_token_or_with_a_remark_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    _, token = sequence(der.read(server.stamp()))
    for status in ("\2", "\1"):
        reply = der.encode(
            der.SEQUENCE, der.encode(der.SEQUENCE, der.encode(der.INTEGER, status.encode())), token.encoding
        )
        with pytest.raises(SignatureRefusal, match="it was not granted"):
            timestamp.verify_response(reply, DATA, server.authorities())
    with pytest.raises(SignatureRefusal, match="it was not granted"):
        timestamp.verify_response(der.encode(der.SEQUENCE, timestamp.GRANTED), DATA, server.authorities())
    with pytest.raises(SignatureRefusal, match="more than"):
        timestamp.verify(token.encoding + bytes(timestamp.LARGEST), DATA, server.authorities())
