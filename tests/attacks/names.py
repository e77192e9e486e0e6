"""Names and links that lead out of the image (rows 1-9), and whiteouts (10)."""

from __future__ import annotations

from tests.attacks.attack import stacked
from tests.oci.craft import entry
from tests.oci.stacks import OPQ, d, f, h, l

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
stacked(
    "symlink to a symlink to outside",
    [2],
    [[l("a", "/"), l("b", "a/tmp/probe"), f("b/x")]],
    paths="a b tmp tmp/probe tmp/probe/x",
)
for label, name in {"slash dot": "/.", "dot": ".", "empty": "", "slash": "/", "dot slash": "./"}.items():
    stacked(
        f"symlink named {label}",
        [3],
        [[entry(name, "l", target=PROBE), f("x")], [f("y")]],
        "root of the image|slash at its end|ends in a slash",
    )
stacked("file as the root", [3], [[f(".")]], "root of the image")
stacked("symlink with a slash at its end", [4], [[l("a/", PROBE), f("a/x")]], "ends in a slash")
stacked("chain of them", [4], [[l("a/", "b"), l("b/", "c"), l("c/", "/tmp")]], "ends in a slash")
stacked("file with a slash at its end", [4], [[f("a/")]], "ends in a slash")
stacked("symlink with an empty target", [4], [[entry("a", "l", target="")]], "a symlink to ''")

LADDER = [e for n in range(16) for e in (d("a/" * n + "a"), l("a/" * n + f"l{n}", "a/" * 300 + "a"))]
stacked(
    "ladder longer than a path may be",
    [5],
    [[*LADDER, h("out", "/".join(f"l{n}" for n in range(16)) + "/../../etc/passwd")]],
    "not there|too many|no directory",
)
stacked(
    "hard link to a deeper relative symlink",
    [6],
    [[d("a"), d("a/b"), l("a/b/up", "../../../etc"), h("s", "a/b/up"), f("s/x")]],
    paths="a a/b a/b/up etc etc/x s",
)
stacked("hard link that cannot be made", [7], [[h("out", "missing"), f("out/x")]], "is not there")
stacked(
    "hard link to a symlink, then re-moded",
    [8],
    [[l("s", "/etc/passwd"), h("t", "s"), f("t", mode=0o777)]],
    paths="s t",
)
stacked("directory that becomes a symlink between entries", [9], [[d("foo"), l("foo", "/"), f("foo/x")]], paths="foo x")
stacked(
    "directory that becomes a symlink between layers",
    [9],
    [[d("foo"), f("foo/y")], [l("foo", "/tmp"), f("foo/x")]],
    paths="foo tmp tmp/x",
)

# whiteouts (row 10)

for name in (".wh..", ".wh...", ".wh.", "etc/.wh..", "etc/.wh...", "etc/.wh."):
    stacked(f"whiteout named {name}", [10], [[d("etc"), f("x")], [f(name, b"")]], "whiteout that names no entry")
stacked("whiteout as a directory's name", [10], [[d("etc")], [f(".wh.etc/somefile")]], "whose name is a whiteout")
stacked(
    "whiteout through a symlink to outside",
    [10],
    [[l("s", "/tmp"), d("tmp"), f("tmp/x")], [f("s/.wh.x", b"")]],
    paths="s tmp",
)
stacked("whiteout above the root", [10], [[f("x"), f("y")], [f("../.wh.x", b"")]], paths="y")
stacked(
    "opaque through a symlink above the root",
    [10],
    [[l("s", "../.."), f("x")], [f(f"s/{OPQ}", b""), f("y")]],
    paths="y",
)
stacked(
    "AUFS's own notes", [10], [[f(".wh..wh.aufs", b""), d(".wh..wh.plnk"), f(".wh..wh.plnk/1.2"), f("x")]], paths="x"
)
stacked("whiteout of the same layer", [10], [[f("x"), f(".wh.x", b"")]], paths="x")
stacked("whiteout below a file", [10], [[f("x")], [f("x/.wh.y", b"")]], paths="x")
