"""A folder of everything that a file system can hold, for other tools to make structures of."""

import contextlib
import os
from pathlib import Path

import pytest

MTIME = 1_600_000_000
BIG = bytes(range(256)) * 4096 + os.urandom(0)


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("contents") / "root"
    (root / "etc/deep/deeper").mkdir(parents=True)
    (root / "empty directory").mkdir()
    (root / "etc/hostname").write_text("node\n")
    (root / "etc/empty").touch()
    (root / "etc/big").write_bytes(BIG)
    (root / "etc/deep/A long name, with blanks and ümläuts.configuration").write_text("long\n")
    (root / "etc/deep/deeper/tail").write_bytes(b"x" * 131_073)
    with open(root / "etc/sparse", "wb") as sparse:
        sparse.seek(3 << 20)
        sparse.write(b"end")
    for number in range(300):
        (root / f"etc/deep/file-{number:03}").write_text(str(number))
    os.chmod(root / "etc/hostname", 0o640)
    for path in sorted(root.rglob("*")):
        os.utime(path, (MTIME, MTIME))
    return root


@pytest.fixture(scope="session")
def unix(folder, tmp_path_factory) -> Path:
    """`folder` with what only Unix has: links, and attributes where the host's file system takes them."""
    import shutil

    root = tmp_path_factory.mktemp("unix") / "root"
    shutil.copytree(folder, root, symlinks=True)
    os.symlink("../etc/hostname", root / "etc/link")
    os.symlink("x" * 200, root / "etc/long link")
    os.link(root / "etc/big", root / "etc/big too")
    if os.getuid() == 0:
        os.mknod(root / "null", 0o020666, os.makedev(1, 3))
        os.chown(root / "etc/hostname", 70_000, 12)
    with contextlib.suppress(OSError):
        os.setxattr(root / "etc/hostname", "user.test", b"value")
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, (MTIME, MTIME), follow_symlinks=False)
    return root
