"""Clones: a file that shares its blocks with another until one of them is written to (ioctl_ficlone(2))."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

FICLONE = 0x40049409
"""Request of ioctl(2) that makes a file share all blocks of another (linux/fs.h)."""


def clone(source: Path, file: int) -> bool:
    """Gives the empty file with the descriptor `file` the bytes of `source`, whose blocks it shares.

    Returns False, with the file still empty, where the file system cannot: it has no shared blocks (ext4, tmpfs), or
    the two lie on different ones. Btrfs, XFS and bcachefs can.
    """
    try:
        original = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(file, FICLONE, original)
    except OSError:  # whatever else is wrong with the file system, copying meets it again
        os.ftruncate(file, 0)
        return False
    finally:
        os.close(original)
    return True
