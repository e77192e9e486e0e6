"""The signature of an archive over a suite, as a lock records it.

A chain of digests leads from it to each package: the signature is of a Release file, which has the digests of the
indexes (Packages files), which have those of the packages. https://wiki.debian.org/DebianRepository/Format
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pipeline.model.digest import Digest
from pipeline.packages.openpgp import ArchiveSigner, SignedText


class ArchiveSignature(NamedTuple):
    """A verified signature of a Release file. release: digest of what was signed. evidence: digest of the file with the
    signature, InRelease or Release.gpg.
    """

    signers: tuple[ArchiveSigner, ...]
    release: Digest
    evidence: Digest

    def document(self) -> dict[str, Any]:
        """Returns it as a lock has it."""
        signers = [each._asdict() for each in self.signers]
        return {"signers": signers, "release": self.release, "evidence": self.evidence}


def of(signed: SignedText, unsafe_file: bytes) -> ArchiveSignature:
    """Returns the signature of a Release file that was verified. unsafe_file: the file that has it."""
    return ArchiveSignature(signed.signers, Digest.of(signed.text), Digest.of(unsafe_file))
