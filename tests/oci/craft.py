"""Images crafted byte by byte: tar entries as no tool would write them, layers of them, and layouts around those."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FLAGS = {"f": b"0", "h": b"1", "l": b"2", "c": b"3", "b": b"4", "d": b"5", "p": b"6"}
MODES = {"d": 0o755, "l": 0o777}
TIME = 1_600_000_000


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def base256(value: int, width: int) -> bytes:
    sign = b"\xff" if value < 0 else b"\x80"
    return sign + (value % (1 << 8 * (width - 1))).to_bytes(width - 1, "big")


def header(
    name: bytes,
    flag: bytes = b"0",
    size: int | bytes = 0,
    *,
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    mtime: int | bytes = TIME,
    target: bytes = b"",
    major: int = 0,
    minor: int = 0,
    magic: bytes = b"ustar\x0000",
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One header block; a field given as bytes stands as it is."""

    def field(value: int | bytes, width: int) -> bytes:
        return (value if isinstance(value, bytes) else octal(value, width)).ljust(width, b"\0")

    block = b"".join(
        (name[:100].ljust(100, b"\0"), field(mode, 8), field(uid, 8), field(gid, 8), field(size, 12), field(mtime, 12))
    )
    rest = flag + target[:100].ljust(100, b"\0") + magic.ljust(8, b"\0")
    rest += tail.ljust(247, b"\0") if tail else bytes(64) + octal(major, 8) + octal(minor, 8) + bytes(167)
    rest = rest.ljust(512 - 156, b"\0")
    total = sum(block) + sum(rest) + 8 * 32
    return block + (checksum or b"%06o\0 " % total) + rest


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    total = size + len(str(size))
    total = size + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)


def pax(records: Iterable[tuple[bytes, bytes]] | Mapping[str, bytes], flag: bytes = b"x") -> bytes:
    pairs = [(key.encode(), value) for key, value in records.items()] if isinstance(records, Mapping) else records
    body = b"".join(record(key, value) for key, value in pairs)
    return header(b"PaxHeaders/x", flag, len(body)) + padded(body)


def long(name: bytes, flag: bytes = b"L") -> bytes:
    return header(b"././@LongLink", flag, len(name) + 1) + padded(name + b"\0")


def entry(
    name: str | bytes,
    kind: str = "f",
    data: bytes = b"",
    target: str | bytes = b"",
    records: Mapping[str, bytes] | None = None,
    **fields: Any,
) -> bytes:
    """An entry as an honest tool writes it, with an extended header where the name or `records` need one."""
    name, target = (
        text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in (name, target)
    )
    said = dict(records or {})
    if len(name) > 100:
        said["path"] = name
    if len(target) > 100:
        said["linkpath"] = target
    fields.setdefault("mode", MODES.get(kind, 0o644))
    return (pax(said) if said else b"") + header(name, FLAGS[kind], len(data), target=target, **fields) + padded(data)


def archive(*entries: bytes) -> bytes:
    return b"".join(entries) + bytes(1024)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def put(folder: Path, data: bytes) -> str:
    named = digest(data)
    place = folder / "blobs" / "sha256" / named[7:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return named


def image(
    folder: Path,
    layers: Sequence[bytes],
    *,
    name: str = "x",
    compress: Any = None,
    media_type: str = "application/vnd.oci.image.layer.v1.tar+gzip",
    config: Mapping[str, Any] | None = None,
    diff_ids: Sequence[str] | None = None,
) -> str:
    """Write an OCI layout with one image of these (uncompressed) layers; its manifest's digest."""
    compress = compress or (lambda data: gzip.compress(data, 1, mtime=0))
    packed = [compress(layer) for layer in layers]
    document: dict[str, Any] = {"architecture": "amd64", "os": "linux", **(config or {})}
    document["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids or map(digest, layers))}
    described = json.dumps(document).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": put(folder, described),
            "size": len(described),
        },
        "layers": [{"mediaType": media_type, "digest": put(folder, data), "size": len(data)} for data in packed],
    }
    return tagged(folder, json.dumps(manifest).encode(), name)


def tagged(
    folder: Path, manifest: bytes, name: str, media_type: str = "application/vnd.oci.image.manifest.v1+json"
) -> str:
    """Put a manifest or index into the layout `folder` under `name`, beside what is named there."""
    named = put(folder, manifest)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    place = folder / "index.json"
    index = json.loads(place.read_text()) if place.exists() else {"schemaVersion": 2, "manifests": []}
    annotations = {"org.opencontainers.image.ref.name": name}
    index["manifests"].append(
        {"mediaType": media_type, "digest": named, "size": len(manifest), "annotations": annotations}
    )
    place.write_text(json.dumps(index))
    return named
