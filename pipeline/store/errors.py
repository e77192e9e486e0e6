"""Errors of a store, with what the user can do about them."""

from __future__ import annotations

import errno
from pathlib import Path

from pipeline.host.user_command import user_command
from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError

damage_notices: list[str] = []
"""A line for each blob that this process found damaged, until the line has been shown."""


class StoreError(NodekilnError):
    """The store cannot be read or written: no space, no permission, or a damaged object."""


class Missing(StoreError):
    """A blob is not in the store."""

    def __init__(self, digest: Digest, why: str = "is not in the store") -> None:
        super().__init__(f"{digest} {why}")
        self.digest = digest


class Damaged(Missing):
    """A blob did not have its digest. It has been removed, and is missing from now on."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(digest, "was damaged and has been removed")


def explained(error: OSError, root: Path) -> Exception:
    """Returns the StoreError for `error` of writing to the store `root`; itself if there is nothing to add."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StoreError(f"no space left for {root}: free some, or run {user_command('gc')}")
        case errno.EFBIG:
            return StoreError(f"{root}: {error.strerror} (its file system or `ulimit -f` allows no larger file)")
        case errno.EACCES | errno.EROFS | errno.EPERM:
            return StoreError(f"{root} cannot be written: {error.strerror} ({error.filename})")
        case errno.EEXIST | errno.ENOTDIR:
            return StoreError(f"{root} is no folder: {error.strerror} ({error.filename})")
        case errno.ELOOP:
            return StoreError(f"{error.filename} is a symlink, which is not followed: remove it")
        case errno.ENOLCK | errno.EOPNOTSUPP:
            return StoreError(f"{root}: {error.strerror} (a store needs a file system with locks)")
    return error
