"""Hostile images, each as small as it can be, and what must become of them.

The numbers are the rows of the list of known attacks that docs/security.md keeps. An attack is either contained (the
paths that it makes inside the image are listed) or refused (with words that the error must hold).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.oci import craft
from tests.oci.craft import archive, base256, entry, header, long, padded, pax, record
from tests.oci.stacks import OPQ, d, f, h, l, old_sparse


class Attack(NamedTuple):
    rows: tuple[int, ...]
    build: Callable[[Path], str]
    """Writes an OCI layout into the folder and returns the manifest's digest."""
    refused: str = ""
    """A pattern for the error; "" where the attack is contained."""
    paths: tuple[str, ...] = ()
    """What the tree holds then; () where it does not matter."""


CORPUS: dict[str, Attack] = {}


def attack(name: str, rows: Sequence[int], layers: Sequence[bytes], refused: str = "", paths: str = "", **how: Any) -> None:
    """An image of these uncompressed layers."""
    CORPUS[name] = Attack(tuple(rows), lambda folder: craft.image(folder, layers, **how), refused, tuple(paths.split()))


def stacked(name: str, rows: Sequence[int], layers: Sequence[Sequence[bytes]], refused: str = "", paths: str = "") -> None:
    """An image of layers of these entries."""
    attack(name, rows, [archive(*entries) for entries in layers], refused, paths)


# names that lead outside (rows 1-9)

for label, name in {"dot dot": "../x", "absolute": "/x", "up and down": "a/../../x", "many": "../" * 50 + "x"}.items():
    for kind in "fdlcp":
        stacked(f"{label}, {kind}", [1], [[entry(name, kind, target="t")]], paths="x")
    stacked(f"{label}, hard link", [1], [[f("t"), h(name, "t")]], paths="t x")
    stacked(f"{label}, hard link to it", [1], [[f("x"), h("y", name)]], paths="x y")
stacked("hard link to a file of the host", [1, 8], [[h("x", "/etc/passwd")]], "is not there")
stacked("hard link above the root", [1], [[h("x", "../../../../etc/passwd")]], "is not there")

PROBE = "/tmp/probe"
INSIDE = "etc tmp tmp/probe tmp/probe/"
stacked("directory through a symlink", [2], [[l("etc", PROBE), d("etc/x", mode=0o777)]], paths=INSIDE + "x")
stacked("file through a symlink", [2], [[l("etc", PROBE), f("etc/x")]], paths=INSIDE + "x")
stacked("device through a symlink", [2], [[l("etc", PROBE), entry("etc/x", "b", major=8)]], paths=INSIDE + "x")
stacked("symlink in one layer, file in the next", [2], [[l("etc", PROBE)], [f("etc/x")]], paths=INSIDE + "x")
stacked("re-moding through a symlink", [2], [[l("etc", PROBE), d("etc", mode=0)]], paths="etc")
stacked("relative symlink above the root", [2], [[l("a", "../../../tmp"), f("a/x")]], paths="a tmp tmp/x")
stacked("symlink to a symlink to outside", [2], [[l("a", "/"), l("b", "a/tmp/probe"), f("b/x")]], paths="a b tmp tmp/probe tmp/probe/x")
for label, name in {"slash dot": "/.", "dot": ".", "empty": "", "slash": "/", "dot slash": "./"}.items():
    stacked(f"symlink named {label}", [3], [[entry(name, "l", target=PROBE), f("x")], [f("y")]], "root of the image|slash at its end|ends in a slash")
stacked("file as the root", [3], [[f(".")]], "root of the image")
stacked("symlink with a slash at its end", [4], [[l("a/", PROBE), f("a/x")]], "ends in a slash")
stacked("chain of them", [4], [[l("a/", "b"), l("b/", "c"), l("c/", "/tmp")]], "ends in a slash")
stacked("file with a slash at its end", [4], [[f("a/")]], "ends in a slash")
stacked("symlink with an empty target", [4], [[entry("a", "l", target="")]], "a symlink to ''")

LADDER = [e for n in range(16) for e in (d("a/" * n + "a"), l("a/" * n + f"l{n}", "a/" * 300 + "a"))]
stacked("ladder longer than a path may be", [5], [[*LADDER, h("out", "/".join(f"l{n}" for n in range(16)) + "/../../etc/passwd")]], "not there|too many|no directory")
stacked("hard link to a deeper relative symlink", [6], [[d("a"), d("a/b"), l("a/b/up", "../../../etc"), h("s", "a/b/up"), f("s/x")]], paths="a a/b a/b/up etc etc/x s")
stacked("hard link that cannot be made", [7], [[h("out", "missing"), f("out/x")]], "is not there")
stacked("hard link to a symlink, then re-moded", [8], [[l("s", "/etc/passwd"), h("t", "s"), f("t", mode=0o777)]], paths="s t")
stacked("directory that becomes a symlink between entries", [9], [[d("foo"), l("foo", "/"), f("foo/x")]], paths="foo x")
stacked("directory that becomes a symlink between layers", [9], [[d("foo"), f("foo/y")], [l("foo", "/tmp"), f("foo/x")]], paths="foo tmp tmp/x")

# whiteouts (row 10)

for name in (".wh..", ".wh...", ".wh.", "etc/.wh..", "etc/.wh...", "etc/.wh."):
    stacked(f"whiteout named {name}", [10], [[d("etc"), f("x")], [f(name, b"")]], "whiteout that names no entry")
stacked("whiteout as a directory's name", [10], [[d("etc")], [f(".wh.etc/somefile")]], "whose name is a whiteout")
stacked("whiteout through a symlink to outside", [10], [[l("s", "/tmp"), d("tmp"), f("tmp/x")], [f("s/.wh.x", b"")]], paths="s tmp")
stacked("whiteout above the root", [10], [[f("x"), f("y")], [f("../.wh.x", b"")]], paths="y")
stacked("opaque through a symlink above the root", [10], [[l("s", "../.."), f("x")], [f(f"s/{OPQ}", b""), f("y")]], paths="y")
stacked("AUFS's own notes", [10], [[f(".wh..wh.aufs", b""), d(".wh..wh.plnk"), f(".wh..wh.plnk/1.2"), f("x")]], paths="x")
stacked("whiteout of the same layer", [10], [[f("x"), f(".wh.x", b"")]], paths="x")
stacked("whiteout below a file", [10], [[f("x")], [f("x/.wh.y", b"")]], "is no directory")

# headers that lie (rows 11-15)

INNER = archive(f("smuggled"))
attack("size in the extended header only", [11], [pax({"size": b"%d" % len(INNER)}) + header(b"x", b"0", 0) + INNER + archive()], paths="x")
attack("size in the header only", [11], [pax({"size": b"0"}) + header(b"x", b"0", len(INNER)) + INNER + archive()], paths="smuggled x")
attack("malformed record", [11], [header(b"p", b"x", 8) + padded(b"8 path=a") + archive(f("x"))], "malformed")
attack("record without an equals sign", [11], [header(b"p", b"x", 9) + padded(b"9 patha\n\n") + archive(f("x"))], "malformed")
attack("record longer than its header", [11], [header(b"p", b"x", 11) + padded(b"99 path=ab\n") + archive(f("x"))], "malformed")
attack("record with a NUL in its name", [11], [pax({"path": b"a\0b"}) + archive(f("x"))], "NUL")
attack("record with a NUL in its key", [11], [pax([(b"pa\0th", b"a")]) + archive(f("x"))], "malformed")
attack("two names", [11], [pax({"path": b"one"}) + long(b"two") + archive(f("x"))], "two names for one entry")
attack("two extended headers", [11], [pax({"path": b"one"}) + pax({"path": b"two"}) + archive(f("x"))], "two extended headers")
attack("global header that renames", [11], [pax({"path": b"other"}, b"g") + archive(f("x"))], "global header that sets path")
attack("global header with a size", [11], [pax({"size": b"0"}, b"g") + archive(f("x"))], "global header that sets size")
attack("extended header at the end", [11], [pax({"path": b"x"}) + archive()], "between an extended header")
attack("unknown kind", [11], [header(b"x", b"Q") + archive()], "unknown kind 'Q'")
attack("multi-volume", [11], [header(b"x", b"M", 0) + archive()], "unknown kind")
attack("wrong checksum", [11], [header(b"x", checksum=b"000001\0 ") + archive()], "no tar header")
attack("nested tar", [11], [archive(f("inner.tar", INNER))], paths="inner.tar")
attack("negative size", [12], [header(b"x", b"0", base256(-512, 12)) + archive()], "claims -512 bytes")
attack("negative size in octal", [12], [header(b"x", b"0", b"-0000001000\0") + archive()], "no octal number")
attack("endless size", [12], [header(b"x", b"0", base256(1 << 80, 12)) + archive()], "more than 64 bits")
attack("negative size of an extended header", [12], [header(b"x", b"x", base256(-512, 12)) + archive()], "extended header of -512 bytes")
attack("negative size in a record", [12], [pax({"size": b"-1"}) + archive(f("x"))], "is no number")
attack("record of no length", [12], [header(b"p", b"x", 6) + padded(b"0 a=b\n") + archive(f("x"))], "malformed")
attack("record whose length is a sign", [12], [header(b"p", b"x", 7) + padded(b"+7 a=b\n") + archive(f("x"))], "has no length")
attack("octal with letters", [12], [header(b"x", mode=b"0o644\0\0\0") + archive()], "no octal number")
attack("octal with underscores", [12], [header(b"x", mode=b"0_644\0\0\0") + archive()], "no octal number")
attack("a TiB that is not there", [13], [header(b"x", b"0", (1 << 33) - 1) + archive()], "claims 8589934591 bytes, of which")
attack("a TiB in base 256", [13], [header(b"x", b"0", base256(1 << 40, 12)) + archive()], "claims 1099511627776 bytes")
attack("cut off in a header", [13], [f("x") + header(b"y")[:300]], "no tar header")
attack("cut off in a file", [13], [header(b"x", b"0", 5000) + bytes(1000)], "of which")
attack("no archive at all", [13], [b"this is not a tar, but it is longer than nothing" * 20], "no tar header")
attack("long name of GiBs", [14], [header(b"x", b"L", base256(1 << 32, 12)) + archive()], "extended header of 4294967296 bytes")
attack("extended header of GiBs", [14], [header(b"x", b"x", 1 << 32) + archive()], "extended header of 4294967296 bytes")
attack("record of a million spaces", [14], [header(b"p", b"x", 1 << 19) + b" " * (1 << 19) + archive(f("x"))], "has no length")
attack("record of a million digits", [14], [header(b"p", b"x", 1 << 19) + b"9" * (1 << 19) + archive(f("x"))], "has no length")
attack("very many records", [14], [header(b"p", b"x", 6 * 10000) + padded(b"6 a=b\n" * 10000) + archive(f("x"))], paths="x")
attack("very many extended headers", [14], [pax({"comment": b"x"}, b"g") * 20000 + archive(f("x"))], paths="x")
attack("time of many digits", [14], [pax({"mtime": b"9" * 400}) + archive(f("x"))], "is no time")
attack("id of many digits", [14, 32], [pax({"uid": b"9" * 5000}) + archive(f("x"))], "is no number")
attack("sparse file of 8 EiB", [15], [archive(old_sparse(b"x", (1 << 33) - 1, []) , f("y"))], paths="x y")
attack("sparse file beyond all", [15], [pax({"GNU.sparse.size": b"9223372036854775807", "GNU.sparse.map": b"0,0"}) + archive(f("x", b""))], "beyond the limits")
attack("sparse map of millions", [15], [pax({"GNU.sparse.major": b"1", "GNU.sparse.realsize": b"5"}) + header(b"x", b"0", 1 << 20) + b"999999999\n" + bytes((1 << 20) - 10) + archive()], "map is cut off")
REGIONS = b"".join(b"%d\n1\n" % (2 * n) for n in range(70_000))
SPARSE = padded(b"70000\n" + REGIONS) + bytes(70_000)
attack("sparse map of 70 000 regions", [15], [pax({"GNU.sparse.major": b"1", "GNU.sparse.realsize": b"140000"}) + header(b"x", b"0", len(SPARSE)) + padded(SPARSE) + archive()], "beyond the limits")
attack("sparse regions that overlap", [15], [pax({"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,10,5,10"}) + archive(f("x", bytes(20)))], "overlaps")
attack("sparse regions backwards", [15], [pax({"GNU.sparse.size": b"100", "GNU.sparse.map": b"50,10,0,10"}) + archive(f("x", bytes(20)))], "overlaps")
attack("sparse region beyond the end", [15], [pax({"GNU.sparse.size": b"5", "GNU.sparse.map": b"0,10"}) + archive(f("x", bytes(10)))], "overlaps another or its end")
attack("sparse with too little data", [15], [pax({"GNU.sparse.size": b"50", "GNU.sparse.map": b"0,40"}) + archive(f("x", bytes(10)))], "bytes more than it has")
attack("sparse half a region", [15], [pax({"GNU.sparse.size": b"50", "GNU.sparse.map": b"0,10,20"}) + archive(f("x", bytes(10)))], "half a region")
attack("sparse header that is cut off", [15], [old_sparse(b"x", 10, [])[:300]], "no tar header")

# compression (row 16)


def zstd(data: bytes, **options: Any) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(**options).compress(data)


def huge_window(_: bytes) -> bytes:
    """A frame that asks for 2 GiB of memory: RFC 8878, 3.1.1.1.2; exponent 21 is 2^31."""
    return b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([21 << 3]) + b"\x01\x00\x00"


SMALL = archive(f("x"))
attack("gzip bomb", [16], [bytes(300 << 20)], "grow beyond")
attack("zstd bomb", [16], [bytes(300 << 20)], "grow beyond 268435456", compress=zstd)
attack("bomb of two layers", [16], [archive(f("x", bytes(140 << 20))), archive(f("y", bytes(140 << 20)))], "grow beyond 268435456")
attack("gzip in many members", [16], [SMALL], paths="x", compress=lambda data: b"".join(gzip.compress(data[n : n + 7]) for n in range(0, len(data), 7)))
attack("empty gzip members", [16], [SMALL], paths="x", compress=lambda data: gzip.compress(b"") * 5000 + gzip.compress(data))
attack("many zstd frames", [16], [SMALL], paths="x", compress=lambda data: b"".join(zstd(data[n : n + 7]) for n in range(0, len(data), 7)))
attack("zstd frames to skip", [16], [SMALL], paths="x", compress=lambda data: b"\x50\x2a\x4d\x18\x05\0\0\0hello" + zstd(data))
attack("zstd window of 2 GiB", [16], [SMALL], "broken zstd", compress=huge_window)
attack("zeros after gzip", [16], [SMALL], paths="x", compress=lambda data: gzip.compress(data) + bytes(100_000))
attack("something after gzip", [16], [SMALL], "no gzip follows", compress=lambda data: gzip.compress(data) + b"junk")
attack("something after zeros after gzip", [16], [SMALL], "no gzip follows", compress=lambda data: gzip.compress(data) + bytes(70_000) + b"j")
attack("something after zstd", [16], [SMALL], "broken zstd", compress=lambda data: zstd(data) + b"junkjunk")
attack("gzip that is cut off", [16], [SMALL], "cut off", compress=lambda data: gzip.compress(data)[:-9])
attack("zstd that is cut off", [16], [SMALL], "diff id", compress=lambda data: zstd(data)[:-9])
attack("gzip with a wrong check", [16], [SMALL], "broken gzip|diff id", compress=lambda data: gzip.compress(data)[:-8] + bytes(8))
attack("xz", [16], [SMALL], "diff id", compress=lambda data: __import__("lzma").compress(data))
attack("something after the archive", [16], [SMALL + b"hidden" * 1000], paths="x")

# what layers claim (row 27), special entries (37), conflicts (38)

attack("diff id of another layer", [27], [SMALL], "not to its diff id", diff_ids=[craft.digest(archive(f("popular")))])
attack("too few diff ids", [27], [SMALL, SMALL], "2 layers, but 1 diff ids", diff_ids=[craft.digest(SMALL)])
stacked("device numbers beyond Linux", [37], [[header(b"x", b"3", major=0o17777)]], "beyond Linux")
stacked("uid of -1", [37, 32], [[f("x", uid=base256(-1, 8))]], "id -1 is not")
stacked("uid of 2^32", [37, 32], [[f("x", uid=base256(1 << 32, 8))]], "id 4294967296 is not")
stacked("attribute of 64 KiB and one", [37], [[f("x", records={"SCHILY.xattr.user.x": bytes(65537)})]], "beyond Linux's limits")
stacked("attribute of 64 KiB", [37], [[f("x", records={"SCHILY.xattr.user.x": bytes(65536)})]], paths="x")
stacked("attribute without a name", [37], [[f("x", records={"SCHILY.xattr.": b"1"})]], "beyond Linux's limits")
stacked("attribute that is no base64", [37], [[f("x", records={"LIBARCHIVE.xattr.user.x": b"!"})]], "not base64")
stacked("name of 256 bytes", [37], [[f("é" * 128)]], "more than 255 bytes")
stacked("name of 255 bytes", [37], [[f("é" * 127 + "x")]])
stacked("target of 5000 bytes", [37], [[l("x", "t" * 5000)]], "1 to 4095 bytes")
stacked("hard link to a directory", [38], [[d("a"), h("b", "a")]], "to the directory 'a'")
stacked("hard link to itself", [38], [[h("a", "a")]], "is not there")
stacked("hard link before its target", [38], [[h("b", "a"), f("a")]], "is not there")
stacked("file in a file", [38], [[f("a"), f("a/b")]], "is no directory")
stacked("depth of 4000", [38], [[f("d/" * 4000 + "x")]])
stacked("depth of 5000", [38], [[f("d/" * 5000 + "x")]], "more than 4096 directories deep")
stacked("200 layers", [38], [[f(f"{n:03}")] for n in range(200)])
stacked("symlink loop", [38], [[l("a", "b"), l("b", "a"), f("a/x")]], "too many symlinks")
stacked("symlink to itself", [38], [[l("a", "a/a"), f("a/x")]], "too many symlinks")
stacked("100 000 entries", [38], [[header(b"%d" % n, b"0") for n in range(100_000)]])

# documents (rows 17-19, 26, 30, 32)

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
document("index in a manifest's clothes", [17], lambda m: (m.clear(), m.update(schemaVersion=2, mediaType=MANIFEST, manifests=[])), "says that it is")
document("manifest that says it is an index", [17], lambda m: m.update(mediaType=INDEX), "it came as")
document("schema 1", [17], lambda m: m.update(schemaVersion=1), "schemaVersion 2")
document("keys that come twice", [17], lambda m: json.dumps(m)[:-1].encode() + b',"layers":[]}', "comes twice")
document("not JSON", [17], lambda m: b"{", "not JSON")
document("deep JSON", [17, 14], lambda m: b"[" * 200_000, "not JSON")
document("no object", [17], lambda m: b"[]", "JSON object")
document("NaN", [17], lambda m: b'{"schemaVersion":2,"x":NaN}', "no JSON number")
for bad in ("sha256:../../x", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32, "sha256:" + "a" * 64 + "\n", "", None, 5):
    document(f"digest {bad!r}", [18], layer(digest=bad), "not a digest")
document("negative size", [19], layer(size=-1), "size -1")
document("size of no bytes", [19], layer(size=0), "has more bytes, not 0")
document("size too small", [19], layer(size=10), "has more bytes, not 10")
document("size too large", [19], layer(size=1 << 30), "bytes, not 1073741824")
document("size as a text", [19], layer(size="10"), "size 10")
document("size as a truth", [19], layer(size=True), "size True")
document("size as a fraction", [19], layer(size=1.5), "size 1.5")
document("foreign layer", [20], layer(mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["http://169.254.169.254/"]), "registries do not give out")
document("layer with URLs", [20], layer(urls=["http://169.254.169.254/"]))
document("no layer type", [20], layer(mediaType="text/html"), "registries do not give out")
document("media type with a newline", [20], layer(mediaType="a/b\nX: y"), "mediaType")
document("config of GiBs", [23], lambda m: m["config"].update(size=1 << 33), "claims 8589934592 bytes")
document("thousands of layers", [24], lambda m: m.update(layers=m["layers"] * 5000), "more than 1000")
document("a chart", [24], lambda m: m["config"].update(mediaType="application/vnd.cncf.helm.config.v1+json"), "no container image")
document("annotations of another type", [17], lambda m: m["layers"][0].update(annotations=[1], platform=None))
config("labels of a reserved kind", [30], config={"Labels": {"containerd.io/restart.policy": "always"}, "Healthcheck": {"Test": ["x"]}})
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
    digest = craft.image(folder, [SMALL])
    with open(folder / "index.json", "r+b") as file:
        file.truncate(1 << 30)
    return digest


CORPUS["index.json of a GiB"] = Attack((23,), build_huge_index, "larger than 16777216 bytes")
__all__ = ["CORPUS", "Attack", "record"]
