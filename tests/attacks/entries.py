"""Special entries (row 37) and entries that conflict (38)."""

from __future__ import annotations

from tests.attacks.attack import stacked
from tests.oci.craft import base256, header
from tests.oci.stacks import d, f, h, l

stacked("device numbers beyond Linux", [37], [[header(b"x", b"3", major=0o17777)]], "beyond Linux")
stacked("uid of -1", [37, 32], [[f("x", uid=base256(-1, 8))]], "id -1 is not")
stacked("uid of 2^32", [37, 32], [[f("x", uid=base256(1 << 32, 8))]], "id 4294967296 is not")
stacked(
    "attribute of 64 KiB and one",
    [37],
    [[f("x", records={"SCHILY.xattr.user.x": bytes(65537)})]],
    "beyond Linux's limits",
)
stacked("attribute of 64 KiB", [37], [[f("x", records={"SCHILY.xattr.user.x": bytes(65536)})]], paths="x")
stacked("attribute without a name", [37], [[f("x", records={"SCHILY.xattr.": b"1"})]], "beyond Linux's limits")
stacked("attribute that is no base64", [37], [[f("x", records={"LIBARCHIVE.xattr.user.x": b"!"})]], "not base64")
stacked("name of 256 bytes", [37], [[f("é" * 128)]], "more than 255 bytes")
stacked("name of 255 bytes", [37], [[f("é" * 127 + "x")]])
stacked("target of 5000 bytes", [37], [[l("x", "t" * 5000)]], "1 to 4095 bytes")
stacked("hard link to a directory", [38], [[d("a"), h("b", "a")]], "to the directory 'a'")
stacked("hard link to itself", [38], [[h("a", "a")]], "is not there")
stacked("hard link before its target", [38], [[h("b", "a"), f("a")]], "is not there")
stacked("file in a file", [38], [[f("a"), f("a/b")]], "is not a directory")
stacked("depth of 4000", [38], [[f("d/" * 4000 + "x")]])
stacked("depth of 5000", [38], [[f("d/" * 5000 + "x")]], "more than 4096 directories deep")
stacked("200 layers", [38], [[f(f"{n:03}")] for n in range(200)])
stacked("symlink loop", [38], [[l("a", "b"), l("b", "a"), f("a/x")]], "too many symlinks")
stacked("symlink to itself", [38], [[l("a", "a/a"), f("a/x")]], "too many symlinks")
stacked("100 000 entries", [38], [[header(b"%d" % n, b"0") for n in range(100_000)]])
