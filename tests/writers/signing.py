"""Keys, certificates and programs for tests of signatures."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pipeline.ondisk import x509
from tests.formats import node
from tests.judges import need, run


def stub() -> bytes:
    """systemd's EFI stub for x86-64, a program of other people's."""
    return (node.package("systemd-boot-efi") / "usr/lib/systemd/boot/efi/linuxx64.efi.stub").read_bytes()


def make_key(folder: Path, name: str, *options: object, kind: str = "rsa:2048") -> tuple[Path, Path]:
    """A key that openssl made, and its self-signed certificate."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    run(
        need("openssl"), "req", "-x509", "-newkey", *kind.split(), "-nodes", "-keyout", key, "-out", certificate,
        "-subj", f"/O=Tests, and more/CN={name}", "-days", 3650, *options,
    )  # fmt: skip
    return key, certificate


def make_chain(folder: Path, digest: str = "sha256") -> tuple[Path, Path, Path]:
    """A signer's key, a file with its certificate and that of its issuer, and the certificate of an authority above."""
    authority = make_key(folder, "authority", "-addext", "basicConstraints=critical,CA:TRUE", f"-{digest}")
    issuer = _issued(folder, "issuer", authority, "CA:TRUE", digest)
    leaf = _issued(folder, "leaf", issuer, "CA:FALSE", digest)
    chain = folder / "chain.pem"
    chain.write_bytes(leaf[1].read_bytes() + issuer[1].read_bytes())
    return leaf[0], chain, authority[1]


def _issued(folder: Path, name: str, issuer: tuple[Path, Path], kind: str, digest: str) -> tuple[Path, Path]:
    """A key, and its certificate by an issuer."""
    key, certificate, request = (folder / f"{name}.{ending}" for ending in ("key", "pem", "csr"))
    (folder / "extensions").write_text(f"basicConstraints=critical,{kind}\n")
    run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request,
        "-subj", f"/CN={name}")  # fmt: skip
    run("openssl", "x509", "-req", "-in", request, "-CA", issuer[1], "-CAkey", issuer[0], "-CAcreateserial",
        "-out", certificate, "-days", 3650, "-extfile", folder / "extensions", f"-{digest}")  # fmt: skip
    return key, certificate


def openssl_signature(key: Path, data: bytes) -> bytes:
    """The signature of `data` by somebody else's program."""
    path = key.with_suffix(".tbs")
    path.write_bytes(data)
    run(need("openssl"), "dgst", "-sha256", "-sign", key, "-out", key.with_suffix(".sig"), path)
    return key.with_suffix(".sig").read_bytes()


@cache
def certificate(path: Path) -> x509.Certificate:
    return x509.from_file(path.read_bytes())
