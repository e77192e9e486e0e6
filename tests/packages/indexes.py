"""Indexes of plain values: `index("libc6 2.36", "tool 1.0 Depends: libc6 (>= 2.0) | other; Provides: x")`."""

from __future__ import annotations

import hashlib

from pipeline.packages import archive_signature
from pipeline.packages.openpgp import ArchiveSigner, SignedText
from pipeline.packages.release import Entry
from pipeline.packages.universe import Index

AUTOMATIC = 500
"""Priority of an index whose versions are installed without being asked for (apt_preferences(5))."""


def index(
    *records: str,
    suite: str = "stable",
    component: str = "main",
    priority: int = AUTOMATIC,
    architecture: str = "amd64",
    archive: str = "debian",
) -> Index:
    """Returns an index of records `NAME VERSION FIELD: VALUE; FIELD: VALUE`."""
    data = "\n".join(_record(record, architecture) for record in records)
    entry = Entry(f"{component}/binary-{architecture}/Packages", len(data), hashlib.sha256(data.encode()).hexdigest())
    signature = archive_signature.of(SignedText(b"", (ArchiveSigner("ab" * 20, "Archive"),)), b"")
    return Index(archive, suite, component, "2026-11-01T00:00:00Z", priority, data.encode(), entry, signature)


def _record(text: str, architecture: str) -> str:
    name, version, *rest = text.split(" ", 2)
    fields = {
        "Package": name,
        "Version": version,
        "Architecture": architecture,
        "Filename": f"pool/main/{name}_{version.replace(':', '%3a')}_{architecture}.deb",
        "Size": "1000",
        "SHA256": hashlib.sha256(text.encode()).hexdigest(),
        "Priority": "optional",
    }
    for field in "".join(rest).split("; ") if rest else ():
        key, _, value = field.partition(": ")
        fields[key] = value
    return "".join(f"{key}: {value}\n" for key, value in fields.items())
