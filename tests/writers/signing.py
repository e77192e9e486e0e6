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


def openssl_signature(key: Path, data: bytes) -> bytes:
    """The signature of `data` by somebody else's program."""
    path = key.with_suffix(".tbs")
    path.write_bytes(data)
    run(need("openssl"), "dgst", "-sha256", "-sign", key, "-out", key.with_suffix(".sig"), path)
    return key.with_suffix(".sig").read_bytes()


@cache
def certificate(path: Path) -> x509.Certificate:
    return x509.from_file(path.read_bytes())
