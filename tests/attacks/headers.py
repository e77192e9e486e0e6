"""Headers that lie about sizes, names and sparse files (rows 11-15)."""

from __future__ import annotations

from tests.attacks.attack import attack
from tests.oci.craft import archive, base256, header, long, padded, pax
from tests.oci.stacks import f, old_sparse, pax_sparse_0, pax_sparse_01, pax_sparse_1

INNER = archive(f("smuggled"))
attack(
    "size in the extended header only",
    [11],
    [pax({"size": b"%d" % len(INNER)}) + header(b"x", b"0", 0) + INNER + archive()],
    paths="x",
)
attack(
    "size in the header only",
    [11],
    [pax({"size": b"0"}) + header(b"x", b"0", len(INNER)) + INNER + archive()],
    paths="smuggled x",
)
attack("malformed record", [11], [header(b"p", b"x", 8) + padded(b"8 path=a") + archive(f("x"))], "malformed")
attack(
    "record without an equals sign",
    [11],
    [header(b"p", b"x", 9) + padded(b"9 patha\n\n") + archive(f("x"))],
    "malformed",
)
attack(
    "record longer than its header",
    [11],
    [header(b"p", b"x", 11) + padded(b"99 path=ab\n") + archive(f("x"))],
    "malformed",
)
attack("record with a NUL in its name", [11], [pax({"path": b"a\0b"}) + archive(f("x"))], "NUL")
attack("record with a NUL in its key", [11], [pax([(b"pa\0th", b"a")]) + archive(f("x"))], "malformed")
attack("two names", [11], [pax({"path": b"one"}) + long(b"two") + archive(f("x"))], "two names for one entry")
attack(
    "two extended headers",
    [11],
    [pax({"path": b"one"}) + pax({"path": b"two"}) + archive(f("x"))],
    "two extended headers",
)
attack(
    "global header that renames",
    [11],
    [pax({"path": b"other"}, b"g") + archive(f("x"))],
    "global header that sets path",
)
attack("global header with a size", [11], [pax({"size": b"0"}, b"g") + archive(f("x"))], "global header that sets size")
attack("extended header at the end", [11], [pax({"path": b"x"}) + archive()], "between an extended header")
attack("unknown kind", [11], [header(b"x", b"Q") + archive()], "unknown kind 'Q'")
attack("multi-volume", [11], [header(b"x", b"M", 0) + archive()], "unknown kind")
attack("wrong checksum", [11], [header(b"x", checksum=b"000001\0 ") + archive()], "no tar header")
attack("nested tar", [11], [archive(f("inner.tar", INNER))], paths="inner.tar")
attack("negative size", [12], [header(b"x", b"0", base256(-512, 12)) + archive()], "claims -512 bytes")
attack("negative size in octal", [12], [header(b"x", b"0", b"-0000001000\0") + archive()], "not an octal number")
attack("endless size", [12], [header(b"x", b"0", base256(1 << 80, 12)) + archive()], "more than 64 bits")
attack(
    "negative size of an extended header",
    [12],
    [header(b"x", b"x", base256(-512, 12)) + archive()],
    "extended header of -512 bytes",
)
attack("negative size in a record", [12], [pax({"size": b"-1"}) + archive(f("x"))], "is not a number")
attack("record of no length", [12], [header(b"p", b"x", 6) + padded(b"0 a=b\n") + archive(f("x"))], "malformed")
attack(
    "record whose length is a sign",
    [12],
    [header(b"p", b"x", 7) + padded(b"+7 a=b\n") + archive(f("x"))],
    "has no length",
)
attack("octal with letters", [12], [header(b"x", mode=b"0o644\0\0\0") + archive()], "not an octal number")
attack("octal with underscores", [12], [header(b"x", mode=b"0_644\0\0\0") + archive()], "not an octal number")
attack(
    "a TiB that is not there",
    [13],
    [header(b"x", b"0", (1 << 33) - 1) + archive()],
    "claims 8589934591 bytes, of which",
)
attack("a TiB in base 256", [13], [header(b"x", b"0", base256(1 << 40, 12)) + archive()], "claims 1099511627776 bytes")
attack("cut off in a header", [13], [f("x") + header(b"y")[:300]], "no tar header")
attack("cut off in a file", [13], [header(b"x", b"0", 5000) + bytes(1000)], "of which")
attack("no archive at all", [13], [b"this is not a tar, but it is longer than nothing" * 20], "no tar header")
attack(
    "long name of GiBs",
    [14],
    [header(b"x", b"L", base256(1 << 32, 12)) + archive()],
    "extended header of 4294967296 bytes",
)
attack(
    "extended header of GiBs", [14], [header(b"x", b"x", 1 << 32) + archive()], "extended header of 4294967296 bytes"
)
attack(
    "record of a million spaces",
    [14],
    [header(b"p", b"x", 1 << 19) + b" " * (1 << 19) + archive(f("x"))],
    "has no length",
)
attack(
    "record of a million digits",
    [14],
    [header(b"p", b"x", 1 << 19) + b"9" * (1 << 19) + archive(f("x"))],
    "has no length",
)
attack(
    "very many records", [14], [header(b"p", b"x", 6 * 10000) + padded(b"6 a=b\n" * 10000) + archive(f("x"))], paths="x"
)
attack("very many extended headers", [14], [pax({"comment": b"x"}, b"g") * 20000 + archive(f("x"))], paths="x")
attack("time of many digits", [14], [pax({"mtime": b"9" * 400}) + archive(f("x"))], "is not a time")
attack("id of many digits", [14, 32], [pax({"uid": b"9" * 5000}) + archive(f("x"))], "is not a number")
for kind, sparse in {"GNU": old_sparse, "0.0": pax_sparse_0, "0.1": pax_sparse_01, "1.0": pax_sparse_1}.items():
    bomb = [sparse(b"x%d" % number, 4 << 30, [(0, b"x")]) for number in range(4)]
    attack(f"bomb of holes ({kind})", [15, 16], [archive(*bomb)], "entry 'x0': .* grow beyond 268435456")
attack("sparse file of 8 GiB", [15], [archive(old_sparse(b"x", (1 << 33) - 1, []), f("y"))], "grow beyond 268435456")
attack(
    "bomb of holes in many layers",
    [15, 16],
    [archive(old_sparse(b"x", 100 << 20, [])) for _ in range(3)],
    "layer 3 of 3 .* grow beyond",
)
attack(
    "bomb of holes beside bytes",
    [15, 16],
    [archive(f("x", bytes(200 << 20)), old_sparse(b"y", 100 << 20, []))],
    "grow beyond",
)
attack("holes of 200 MiB", [15], [archive(old_sparse(b"x", 200 << 20, []), f("y"))], paths="x y")
attack(
    "sparse file beyond all",
    [15],
    [pax({"GNU.sparse.size": b"9223372036854775807", "GNU.sparse.map": b"0,0"}) + archive(f("x", b""))],
    "beyond the limits",
)
attack(
    "sparse map of millions",
    [15],
    [
        pax({"GNU.sparse.major": b"1", "GNU.sparse.realsize": b"5"})
        + header(b"x", b"0", 1 << 20)
        + b"999999999\n"
        + bytes((1 << 20) - 10)
        + archive()
    ],
    "map is cut off",
)
REGIONS = b"".join(b"%d\n1\n" % (2 * n) for n in range(70_000))
SPARSE = padded(b"70000\n" + REGIONS) + bytes(70_000)
attack(
    "sparse map of 70 000 regions",
    [15],
    [
        pax({"GNU.sparse.major": b"1", "GNU.sparse.realsize": b"140000"})
        + header(b"x", b"0", len(SPARSE))
        + padded(SPARSE)
        + archive()
    ],
    "beyond the limits",
)
attack(
    "sparse regions that overlap",
    [15],
    [pax({"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,10,5,10"}) + archive(f("x", bytes(20)))],
    "overlaps",
)
attack(
    "sparse regions backwards",
    [15],
    [pax({"GNU.sparse.size": b"100", "GNU.sparse.map": b"50,10,0,10"}) + archive(f("x", bytes(20)))],
    "overlaps",
)
attack(
    "sparse region beyond the end",
    [15],
    [pax({"GNU.sparse.size": b"5", "GNU.sparse.map": b"0,10"}) + archive(f("x", bytes(10)))],
    "overlaps another or its end",
)
attack(
    "sparse with too little data",
    [15],
    [pax({"GNU.sparse.size": b"50", "GNU.sparse.map": b"0,40"}) + archive(f("x", bytes(10)))],
    "bytes more than it has",
)
attack(
    "sparse half a region",
    [15],
    [pax({"GNU.sparse.size": b"50", "GNU.sparse.map": b"0,10,20"}) + archive(f("x", bytes(10)))],
    "half a region",
)
attack("sparse header that is cut off", [15], [old_sparse(b"x", 10, [])[:300]], "no tar header")
