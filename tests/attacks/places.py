"""Places that something later looks at or writes to (rows 31, 33), and names that could be taken for paths (35, 36)."""

from __future__ import annotations

from tests.attacks.attack import CORPUS, Attack, attack, stacked
from tests.oci import craft
from tests.oci.craft import archive, entry, header
from tests.oci.stacks import d, f, l, pax_sparse_1

USERS = "etc/passwd"
stacked("users of a FIFO", [31], [[entry(USERS, "p")]], paths=f"etc {USERS}")
stacked("users of the host", [31], [[l(USERS, "/../../../../etc/passwd")]], paths=f"etc {USERS}")
stacked("users in a device", [31], [[entry(USERS, "c", major=1, minor=5)]], paths=f"etc {USERS}")
attack(
    "users of 200 MiB",
    [31],
    [archive(pax_sparse_1(USERS.encode(), 200 << 20, [(0, b"root:x:0:0::/:/bin/sh\n")]))],
    paths=f"etc {USERS}",
)

MOUNTED = ("proc", "sys", "dev", "run", "tmp", "var", "etc/resolv.conf", "etc/hosts", "dev/shm")
for target in ("/", "../../../..", "/tmp/probe"):
    stacked(f"mount points that are links to {target}", [33], [[d("etc"), *(l(name, target) for name in MOUNTED[:6])]])
stacked("files to mount on that are links", [33], [[d("dev"), *(l(name, "/tmp/probe") for name in MOUNTED[6:])]])
stacked("files where folders are mounted", [33], [[f(name) for name in MOUNTED[:6]]])

for name in ("../../../probe", "/probe", "..", "a\nb", "\x1b[2J"):
    CORPUS[f"image named {name!r}"] = Attack(
        (35,), lambda folder, name=name: craft.image(folder, [archive(f("x"))], name=name), "", ("x",)
    )
stacked(
    "refused after names of our own places",
    [36],
    [[f("../../store/tmp/x"), f("../probe"), f("../../store/blobs/sha256/" + "0" * 64), header(b"x", b"Q")]],
    "unknown kind",
)
