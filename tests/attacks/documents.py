"""Manifests, descriptors and configs (rows 17-20, 23, 24, 30, 32)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.attacks.attack import CORPUS, Attack, attack
from tests.oci import craft
from tests.oci.craft import archive
from tests.oci.stacks import f

SMALL = archive(f("x"))

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def document(name: str, rows: Sequence[int], change: Callable[[dict[str, Any]], object], refused: str = "") -> None:
    """An image whose manifest was changed."""

    def build(folder: Path) -> str:
        digest = craft.image(folder, [SMALL])
        manifest = json.loads((folder / "blobs" / "sha256" / digest[7:]).read_text())
        result = change(manifest)
        data = result if isinstance(result, bytes) else json.dumps(manifest).encode()
        (folder / "index.json").unlink()
        return craft.tagged(folder, data, "x")

    CORPUS[name] = Attack(tuple(rows), build, refused)


def config(name: str, rows: Sequence[int], refused: str = "", **fields: Any) -> None:
    """An image whose config has these fields."""
    attack(name, rows, [SMALL], refused, "" if refused else "x", config=fields)


def layer(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda manifest: manifest["layers"][0].update(fields)


document("manifest and index at once", [17], lambda m: m.update(manifests=[]), "of a manifest and of an index")
document(
    "index in a manifest's clothes",
    [17],
    lambda m: (m.clear(), m.update(schemaVersion=2, mediaType=MANIFEST, manifests=[])),
    "states that it is",
)
document("manifest that says it is an index", [17], lambda m: m.update(mediaType=INDEX), "it came as")
document("schema 1", [17], lambda m: m.update(schemaVersion=1), "schemaVersion 2")
document("keys that come twice", [17], lambda m: json.dumps(m)[:-1].encode() + b',"layers":[]}', "comes twice")
document("not JSON", [17], lambda m: b"{", "not JSON")
document("deep JSON", [17, 14], lambda m: b"[" * 200_000, "not JSON")
document("no object", [17], lambda m: b"[]", "is not a JSON object")
document("NaN", [17], lambda m: b'{"schemaVersion":2,"x":NaN}', "not a JSON number")
for bad in (
    "sha256:../../x",
    "sha256:" + "A" * 64,
    "sha256:" + "a" * 63,
    "md5:" + "a" * 32,
    "sha256:" + "a" * 64 + "\n",
    "",
    None,
    5,
):
    document(f"digest {bad!r}", [18], layer(digest=bad), "not a digest")
document("negative size", [19], layer(size=-1), "size -1")
document("size of no bytes", [19], layer(size=0), "has more bytes, not 0")
document("size too small", [19], layer(size=10), "has more bytes, not 10")
document("size too large", [19], layer(size=1 << 30), "bytes, not 1073741824")
document("size as a text", [19], layer(size="10"), "size 10")
document("size as a truth", [19], layer(size=True), "size True")
document("size as a fraction", [19], layer(size=1.5), "size 1.5")
document(
    "foreign layer",
    [20],
    layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["http://169.254.169.254/"]),
    "registries do not give out",
)
document("layer with URLs", [20], layer(urls=["http://169.254.169.254/"]))
document("no layer type", [20], layer(mediaType="text/html"), "registries do not give out")
document("media type with a newline", [20], layer(mediaType="a/b\nX: y"), "mediaType")
document(
    "layer type with a parameter",
    [20],
    layer(mediaType="application/vnd.oci.image.layer.v1.tar;x=y"),
    "registries do not give out",
)
document("media type with a header", [20], layer(mediaType="a/b;c=d\r\nX: y"), "mediaType")
document("media type of many parameters", [20], layer(mediaType="a/b" + ";c=d" * 100_000), "mediaType")
document("config of GiBs", [23], lambda m: m["config"].update(size=1 << 33), "claims 8589934592 bytes")
document("thousands of layers", [24], lambda m: m.update(layers=m["layers"] * 5000), "more than 1000")
document(
    "a chart",
    [24],
    lambda m: m["config"].update(mediaType="application/vnd.cncf.helm.config.v1+json"),
    "not a container image",
)
document("annotations of another type", [17], lambda m: m["layers"][0].update(annotations=[1], platform=None))
config(
    "labels of a reserved kind",
    [30],
    config={"Labels": {"containerd.io/restart.policy": "always"}, "Healthcheck": {"Test": ["x"]}},
)
config("user beyond all ids", [32], "User", config={"User": "4294967296"})
config("user -1", [32], "User", config={"User": "-1"})
config("group beyond all ids", [32], "User", config={"User": "0:4294967295"})
config("user of three parts", [32], "User", config={"User": "a:b:c"})
config("user with a newline", [32], "User", config={"User": "a\nb"})
config("environment of another type", [30], "Env", config={"Env": {"a": "b"}})
config("command of numbers", [30], "Cmd", config={"Cmd": [1]})
config("labels of lists", [30], "Labels", config={"Labels": {"a": []}})
config("NUL in a command", [30], "NUL", config={"Cmd": ["a\0b"]})


def build_huge_index(folder: Path) -> str:
    digest = craft.image(folder, [archive(f("huge"))])
    with open(folder / "index.json", "r+b") as file:
        file.truncate(1 << 30)
    return digest


CORPUS["index.json of a GiB"] = Attack((23,), build_huge_index, "larger than 16777216 bytes")
