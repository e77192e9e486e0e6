"""A signed Debian archive in a folder, and the .deb files in it, made of plain values, without any tool of Debian's."""

from __future__ import annotations

import datetime
import email.utils
import functools
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zstandard

Files = Mapping[str, "str | bytes | tuple[str, str]"]
"""Path -> contents; ("link", target) and ("directory", "0755") for what is no file."""

MTIME = 1_600_000_000
COMPRESSORS = {
    "": bytes,
    ".xz": lzma.compress,
    ".gz": lambda data: __import__("gzip").compress(data, mtime=0),
    ".zst": zstandard.ZstdCompressor().compress,
}


def deb(files: Files, suffix: str = ".xz", control: str = "") -> bytes:
    """A .deb (deb(5)) with `files`; its data is compressed as `suffix` says."""
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": lzma.compress(archive({"./control": control}))}
    return ar({**parts, f"data.tar{suffix}": COMPRESSORS[suffix](archive(files))})


def ar(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members.items():
        out += b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name.encode(), MTIME, 0, 0, 0o100644, len(data))
        out += data + b"\n" * (len(data) % 2)
    return out


def archive(files: Files) -> bytes:
    """A tar as dpkg-deb makes them: GNU form, names with ./ before them, directories first."""
    out = io.BytesIO()
    folders = {str(parent) for path in files for parent in Path(path).parents} - {"."}
    everything = {**dict.fromkeys(folders, ("directory", "0755")), **files}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(everything):
            tar.addfile(*_member(path, everything[path]))
    return out.getvalue()


def _member(path: str, value: str | bytes | tuple[str, str]) -> tuple[tarfile.TarInfo, io.BytesIO | None]:
    entry = tarfile.TarInfo("./" + path.removeprefix("./"))
    entry.mtime, entry.mode = MTIME, 0o644
    if isinstance(value, tuple):
        kind, text = value
        entry.type = tarfile.SYMTYPE if kind == "link" else tarfile.DIRTYPE
        entry.mode = 0o777 if kind == "link" else int(text, 8)
        entry.linkname = text if kind == "link" else ""
        return entry, None
    data = value.encode() if isinstance(value, str) else value
    if "bin/" in path and data.startswith(b"\x7fELF"):
        entry.mode = 0o755
    entry.size = len(data)
    return entry, io.BytesIO(data)


@functools.cache
def key(name: str) -> Any:
    """An OpenPGP key with a secret part, the same for the whole run."""
    from pysequoia import Tsk

    return Tsk.generate(f"{name} <{name}@example.org>")


def certificate(name: str = "archive") -> str:
    """The certificate of a key, armored."""
    return str(key(name).extract_certificate())


@functools.cache
def sign(data: bytes, name: str = "archive", detached: bool = False) -> bytes:
    """A signature of `data`, the same for the whole run."""
    from pysequoia import SignatureMode
    from pysequoia import sign as sequoia_sign

    mode = SignatureMode.DETACHED if detached else SignatureMode.CLEAR
    return bytes(sequoia_sign(key(name).signer(), data, mode=mode))


class Repository:
    """An archive with one suite in `folder`.

    date: of its Release file. fields: further fields of it. forms: endings of the Packages files. signed_by: name of
    the key. is_inline: InRelease instead of Release.gpg. by_hash: indexes are there by hash alone.
    """

    def __init__(self, folder: Path, origin: str = "Debian", suite: str = "test") -> None:
        self.suite = suite
        self.folder = folder
        self.origin = origin
        self.records: dict[str, list[str]] = {}
        self.date = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        self.fields: dict[str, str] = {}
        self.forms: tuple[str, ...] = (".xz", "")
        self.signed_by = "archive"
        self.is_inline = True
        self.by_hash = False

    def add(
        self,
        name: str,
        files: Files | None = None,
        version: str = "1.0",
        arch: str = "amd64",
        suffix: str = ".xz",
        **fields: str,
    ) -> None:
        """Add a package; `fields` are those of deb-control(5), with "_" for "-"."""
        data = deb({f"usr/share/doc/{name}/copyright": f"{name}\n"} if files is None else files, suffix)
        path = f"pool/main/{name[0]}/{name}/{name}_{version.partition(':')[2] or version}_{arch}.deb"
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)
        record = {"Package": name, "Version": version, "Architecture": arch, "Maintainer": "A <a@example.org>"}
        record |= {key.replace("_", "-"): value for key, value in fields.items()}
        record |= {"Filename": path, "Size": str(len(data)), "SHA256": hashlib.sha256(data).hexdigest()}
        record |= {"Description": f"{name} for tests"}
        text = "".join(f"{key}: {value}\n" for key, value in record.items())
        for each in ("amd64", "arm64") if arch == "all" else (arch,):
            self.records.setdefault(each, []).append(text)

    def publish(self) -> str:
        """Write the indexes. The line that names the repository in a sources.list(5)."""
        suite = self.folder / "dists" / self.suite
        sums = "".join(self._index(suite, arch, form) for arch in ("amd64", "arm64") for form in self.forms)
        fields = {"Origin": self.origin, "Suite": self.suite, "Codename": self.suite}
        fields |= {"Architectures": "amd64 arm64", "Components": "main"}
        fields |= {"Date": email.utils.format_datetime(self.date, usegmt=True), **self.fields}
        fields |= {"Acquire-By-Hash": "yes"} if self.by_hash else {}
        text = "".join(f"{name}: {value}\n" for name, value in fields.items()) + f"SHA256:\n{sums}"
        for name in ("InRelease", "Release", "Release.gpg"):
            (suite / name).unlink(missing_ok=True)
        (suite / "Release").write_text(text)
        if self.is_inline:
            (suite / "InRelease").write_bytes(sign(text.encode(), self.signed_by))
        else:
            (suite / "Release.gpg").write_bytes(sign(text.encode(), self.signed_by, detached=True))
        return f"deb [trusted=yes] file:{self.folder} {self.suite} main"

    def _index(self, suite: Path, arch: str, form: str) -> str:
        """Write an index. Its line in the Release file."""
        data = COMPRESSORS[form]("\n".join(self.records.get(arch, [])).encode())
        digest, path = hashlib.sha256(data).hexdigest(), f"main/binary-{arch}/Packages{form}"
        place = suite / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if self.by_hash:
            place = place.parent / "by-hash/SHA256" / digest
            place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return f" {digest} {len(data)} {path}\n"

    def locked(self, *names: str, arch: str = "amd64") -> list[dict[str, Any]]:
        """Packages of it as an old lock has them, without suite and archive."""
        records = (dict(line.split(": ", 1) for line in text.splitlines()) for text in self.records.get(arch, []))
        fields = {"name": "Package", "version": "Version", "architecture": "Architecture", "filename": "Filename"}
        fields |= {"size": "Size", "sha256": "SHA256"}
        found = [{name: record[field] for name, field in fields.items()} for record in records]
        return [each | {"size": int(each["size"])} for each in found if each["name"] in names]

    def source(self, url: str = "", **keys: Any) -> dict[str, Any]:
        """It as a source of a sources.yml. url: where it is served, if it is."""
        return {"url": url or f"file:{self.folder}", "suites": [self.suite], "signed-by": "archive.asc", **keys}


def write_sources(folder: Path, *sources: Repository | dict[str, Any], release: str = "test") -> None:
    """Write a project's sources.yml with these sources, and the keys that sign."""
    listed = [source.source() if isinstance(source, Repository) else source for source in sources]
    for source in sources:
        if isinstance(source, Repository):
            source.publish()
    (folder / "sources.yml").write_text(json.dumps({release: listed}))
    (folder / "archive.asc").write_text(certificate())


def configure(folder: Path, *sources: str) -> Path:
    """An apt.conf with which apt knows `sources` and no others."""
    (folder / "sources.list").write_text("\n".join(sources) + "\n")
    config = folder / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{folder}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        'Dir::Etc::preferencesparts "/dev/null";\nDir::Etc::parts "/dev/null";\nAcquire::Retries "0";\n'
        'APT::Update::Post-Invoke:: "touch /tmp/nodekiln-hook-ran; false";\n'
    )
    return config
