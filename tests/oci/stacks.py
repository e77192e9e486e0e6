"""Layer stacks that try the rules of image-spec's layer.md, one rule each; umoci says what they make."""

from __future__ import annotations

from tests.oci.craft import archive, base256, entry, header, long, octal, padded, pax

e = entry
WH, OPQ = ".wh.", ".wh..wh..opq"


def d(name: str, **fields: object) -> bytes:
    return e(name, "d", **fields)


def f(name: str | bytes, data: bytes = b"data", **fields: object) -> bytes:
    return e(name, "f", data, **fields)


def l(name: str, target: str, **fields: object) -> bytes:  # noqa: E743
    return e(name, "l", target=target, **fields)


def h(name: str, target: str, **fields: object) -> bytes:
    return e(name, "h", target=target, **fields)


def old_sparse(name: bytes, real: int, regions: list[tuple[int, bytes]]) -> bytes:
    table = b"".join(octal(at, 12) + octal(len(data), 12) for at, data in regions).ljust(96, b"\0")
    # offsets 345..: atime, ctime, offset, longnames, unused, then the table at 386
    tail = bytes(80) + bytes(41) + table + b"\0" + octal(real, 12)
    body = b"".join(data for _, data in regions)
    return header(name, b"S", len(body), magic=b"ustar  \0", tail=tail) + padded(body)


def pax_sparse_0(name: bytes, real: int, regions: list[tuple[int, bytes]]) -> bytes:
    pairs = [(b"GNU.sparse.size", b"%d" % real), (b"GNU.sparse.numblocks", b"%d" % len(regions))]
    for at, data in regions:
        pairs += [(b"GNU.sparse.offset", b"%d" % at), (b"GNU.sparse.numbytes", b"%d" % len(data))]
    body = b"".join(data for _, data in regions)
    return pax(pairs) + header(name, b"0", len(body)) + padded(body)


def pax_sparse_01(name: bytes, real: int, regions: list[tuple[int, bytes]]) -> bytes:
    table = b",".join(b"%d,%d" % (at, len(data)) for at, data in regions)
    pairs = [(b"GNU.sparse.size", b"%d" % real), (b"GNU.sparse.numblocks", b"%d" % len(regions))]
    pairs += [(b"GNU.sparse.name", name), (b"GNU.sparse.map", table)]
    body = b"".join(data for _, data in regions)
    return pax(pairs) + header(b"GNUSparseFile.0/x", b"0", len(body)) + padded(body)


def pax_sparse_1(name: bytes, real: int, regions: list[tuple[int, bytes]]) -> bytes:
    table = b"".join([b"%d\n" % len(regions), *(b"%d\n%d\n" % (at, len(data)) for at, data in regions)])
    pairs = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name)]
    pairs += [(b"GNU.sparse.realsize", b"%d" % real)]
    body = padded(table) + b"".join(data for _, data in regions)
    return pax(pairs) + header(b"GNUSparseFile.0/x", b"0", len(body)) + padded(body)


BASE = [d("a"), d("a/b"), f("a/b/c"), f("a/x", b"x"), d("z"), f("z/1", b"1"), f("z/2", b"2"), l("s", "a")]
REGIONS = [(512, b"A" * 512), (8192, b"B" * 100)]
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")

STACKS: dict[str, list[list[bytes]]] = {
    # replacement
    "file over file": [BASE, [f("a/x", b"new", mode=0o600, uid=5)]],
    "directory over directory keeps children": [BASE, [d("a", mode=0o700, uid=7, gid=8)]],
    "directory over directory, same layer": [[d("a"), f("a/x"), d("a", mode=0o711)]],
    "file over full directory": [BASE, [f("a", b"now a file")]],
    "file over full directory, same layer": [[d("a"), f("a/x"), f("a", b"file")]],
    "directory over file": [BASE, [d("a/x"), f("a/x/y")]],
    "directory over file, same layer": [[f("a"), d("a"), f("a/y")]],
    "symlink over directory": [BASE, [l("z", "a")]],
    "directory over symlink": [BASE, [d("s"), f("s/own")]],
    "directory over symlink to directory keeps target": [BASE, [d("s", mode=0o700)]],
    "file over symlink": [BASE, [f("s", b"plain")]],
    "symlink over file": [BASE, [l("a/x", "b/c")]],
    "fifo over file": [BASE, [e("a/x", "p")]],
    "file over fifo": [[e("p", "p")], [f("p")]],
    "device over directory": [BASE, [e("z", "c", major=1, minor=3)]],
    "duplicate entries, last wins": [[f("a", b"1"), f("a", b"22", mode=0o755)]],
    # parents
    "missing parents": [[f("deep/er/est/file")]],
    "missing parents, entry comes later": [[f("p/q"), d("p", mode=0o700, uid=3)]],
    "child before parent across layers": [[f("p/q")], [d("p", mode=0o1777)]],
    "root entry": [[d("./", mode=0o711, uid=1, gid=2), f("./x")]],
    "root entry above": [BASE, [d(".", mode=0o700)]],
    "names with ./ and doubled slashes": [[d("./a/"), f("./a//b"), f("a/./c")]],
    "absolute names": [[f("/abs/file"), d("/abs2")]],
    # whiteouts
    "whiteout of a file": [BASE, [f("a/.wh.x", b"")]],
    "whiteout of a directory": [BASE, [f(".wh.a", b"")]],
    "whiteout of a symlink": [BASE, [f(".wh.s", b"")]],
    "whiteout of what is not there": [BASE, [f(".wh.nothing", b""), f("q/.wh.nothing", b"")]],
    "whiteout then same name": [BASE, [f(".wh.a", b""), d("a"), f("a/new")]],
    "same name then whiteout": [BASE, [d("a"), f("a/new"), f(".wh.a", b"")]],
    "file then whiteout of it": [BASE, [f("a/x", b"new"), f("a/.wh.x", b"")]],
    "whiteout then file": [BASE, [f("a/.wh.x", b""), f("a/x", b"new")]],
    "whiteout of the same layer's file alone": [[f("only"), f(".wh.only", b"")]],
    "whiteout through a symlink": [BASE, [f("s/.wh.x", b"")]],
    "whiteout below a whiteout": [BASE, [f(".wh.a", b""), f("a/.wh.b", b"")]],
    "whiteout of a hard link's one name": [[f("one"), h("two", "one")], [f(".wh.one", b"")]],
    "whiteout with content": [BASE, [f("a/.wh.x", b"content of a whiteout")]],
    "whiteout as directory": [BASE, [d("a/.wh.x")]],
    "opaque before": [BASE, [d("z"), f(f"z/{OPQ}", b""), f("z/new")]],
    "opaque after": [BASE, [d("z"), f("z/new"), f(f"z/{OPQ}", b"")]],
    "opaque between": [BASE, [f("z/new"), f(f"z/{OPQ}", b""), f("z/1", b"again")]],
    "opaque without its directory": [BASE, [f(f"z/{OPQ}", b"")]],
    "opaque of nested": [BASE, [f(f"a/{OPQ}", b""), f("a/b/d")]],
    "opaque after nested": [BASE, [f("a/b/d"), f(f"a/{OPQ}", b"")]],
    "opaque twice": [BASE, [f(f"z/{OPQ}", b""), f("z/n"), f(f"z/{OPQ}", b"")]],
    "opaque root": [BASE, [f("new"), f(OPQ, b"")]],
    "opaque through a symlink": [BASE, [f(f"s/{OPQ}", b""), f("a/n")]],
    "opaque of a missing directory": [BASE, [f(f"none/{OPQ}", b"")]],
    "three layers of opaque": [BASE, [f(f"z/{OPQ}", b""), f("z/1", b"b")], [f("z/3"), f(f"z/{OPQ}", b"")]],
    "whiteout, back in a third layer": [BASE, [f(".wh.z", b"")], [d("z"), f("z/9")]],
    # links
    "hard link": [[f("one", mode=0o755), h("two", "one")]],
    "hard link with other metadata": [[f("one", mode=0o755, uid=3), h("two", "one", mode=0o600, uid=9)]],
    "hard link across layers": [BASE, [h("linked", "a/x")]],
    "hard link before its target in the alphabet": [[f("z", mode=0o640), h("a", "z")]],
    "hard link to a hard link": [[f("1"), h("2", "1"), h("3", "2")]],
    "hard link, then its target is replaced": [[f("1", b"old"), h("2", "1")], [f("1", b"new")]],
    "hard link over a directory": [BASE, [h("z", "a/x")]],
    "hard link to a symlink": [[f("t"), l("s", "t"), h("hs", "s")]],
    "hard link to a device": [[e("null", "c", major=1, minor=3), h("zero", "null")]],
    "hard link through a symlink": [BASE, [h("linked", "s/x")]],
    "hard link with an absolute target": [BASE, [h("linked", "/a/x")]],
    "hard link with dots in its target": [BASE, [h("a/linked", "../../a/./x")]],
    "hard link to what is missing": [[h("two", "one")]],
    "hard link before its target": [[h("two", "one"), f("one")]],
    "hard link to a directory": [BASE, [h("dir2", "a")]],
    "symlink in the middle": [BASE, [f("s/new", b"n")]],
    "symlink in the middle, absolute": [[d("a"), l("s", "/a"), f("s/x")]],
    "symlink in the middle, above the root": [[d("a"), l("s", "../../../a"), f("s/x")]],
    "symlink in the middle, dangling": [[l("s", "gone/dir"), f("s/x")]],
    "symlink in the middle, dangling, with dots": [[l("s", "gone/../dir"), f("s/x")]],
    "symlink through a file and back": [[f("b"), l("a", "b/.."), f("a/b", b"new")]],
    "whiteout below a file": [[f("a"), f("a/.wh.b", b"")]],
    "symlink chain": [[d("t"), l("1", "t"), l("2", "1"), l("3", "2/../2"), f("3/x")]],
    "symlink as last component of a directory entry": [[d("t"), l("s", "t"), d("s/sub")]],
    "directory replaced by symlink between entries": [[d("foo"), l("foo", "/"), d("foo/bar"), f("foo/bar/x")]],
    "symlink loop in the middle": [[l("a", "b"), l("b", "a"), f("a/x")]],
    "symlink in a lower layer": [[d("real"), l("alias", "real")], [f("alias/x")], [f("alias/.wh.x", b"")]],
    # metadata
    "set-id and sticky bits": [[f("u", mode=0o4755), f("g", mode=0o2755), d("t", mode=0o1777)]],
    "devices and fifos": [[e("c", "c", major=4, minor=65), e("b", "b", major=8, minor=257), e("p", "p", mode=0o600)]],
    "big ids": [
        [f("octal", uid=0o7777777, gid=0o7777777), f("b", uid=base256(4294967294, 8), gid=base256(3000000, 8))]
    ],
    "ids in an extended header": [[f("x", records={"uid": b"4000000", "gid": b"4000001"})]],
    "times": [[f("e", mtime=0), f("f", records={"mtime": b"1234567890.999"}), f("n", records={"mtime": b"1"})]],
    "xattrs": [[f("x", records={"SCHILY.xattr.user.one": b"1", "SCHILY.xattr.user.bin": b"\0\xff\n="})]],
    "security.capability": [[f("ping", mode=0o755, records={"SCHILY.xattr.security.capability": CAPABILITY})]],
    "xattrs on directories": [[e("x", "d", records={"SCHILY.xattr.user.d": b"d"})]],
    "xattrs go when a file is replaced": [[f("x", records={"SCHILY.xattr.user.one": b"1"})], [f("x")]],
    "xattrs go when a directory is said again": [[e("x", "d", records={"SCHILY.xattr.user.d": b"1"})], [d("x")]],
    # names and formats
    "long names": [[f("d" * 60 + "/" + "f" * 120), f("n" * 255)]],
    "GNU long name and target": [
        [long(b"g" * 150) + header(b"g" * 100) + b"", long(b"t" * 150, b"K") + header(b"link", b"2", target=b"t" * 100)]
    ],
    "names that are no UTF-8": [[f(b"caf\xe9"), f("näme-中"), f(b"\xff\xfe/\x80")]],
    "odd names": [[f("-rf"), f("a b"), f("new\nline"), f("back\\slash"), f("trail. "), f("*")]],
    "case and normalization twins": [[f("A", b"1"), f("a", b"2"), f("\u00e9", b"3"), f("e\u0301", b"4")]],
    "ustar prefix": [[header(b"name", tail=bytes(80) + b"pre/fix")]],
    "V7": [[header(b"old", magic=bytes(8)), header(b"olddir/", b"\0", magic=bytes(8), mode=0o755)]],
    "contiguous file": [[header(b"contiguous", b"7", 4) + padded(b"data")]],
    "empty files": [[f("empty", b""), f("also", b"")]],
    "size in an extended header": [[pax({"size": b"5"}) + header(b"x", b"0", 5) + padded(b"12345"), f("after")]],
    "old sparse": [[old_sparse(b"sparse", 10000, REGIONS), f("after")]],
    "sparse 0.0": [[pax_sparse_0(b"sparse", 10000, REGIONS), f("after")]],
    "sparse 0.1": [[pax_sparse_01(b"sparse", 10000, REGIONS), f("after")]],
    "sparse 1.0": [[pax_sparse_1(b"sparse", 10000, REGIONS), f("after")]],
    "global header with a comment": [[pax({"comment": b"0123"}, b"g"), f("x")]],
    "empty layer": [[f("x")], []],
    "many layers": [[f(f"f{n}"), f("same", b"%d" % n)] for n in range(130)],
    # escapes
    "dot dot": [[f("../up"), f("a/../../up2"), d("../../d"), f("x/../y")]],
    "symlinks to outside": [[l("etc", "/tmp/probe"), f("etc/x"), d("etc/sub", mode=0o777)]],
    "symlinks to outside, across layers": [[l("etc", "../../../../tmp/probe")], [f("etc/x")]],
}


def layers(name: str) -> list[bytes]:
    return [archive(*entries) for entries in STACKS[name]]
