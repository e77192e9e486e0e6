"""Exports a content to a file of the host. Another thread hashes the file while it is written.

The bytes come from blobs that are verified while they are copied (see `reading`), so their digest is the content's.
"""

from __future__ import annotations

import errno
import hashlib
import os
from functools import partial as bind
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.compression.ordered_pool import OrderedThreadPool
from pipeline.host import atomic
from pipeline.host.stamp import settle_mtime
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, length
from pipeline.store.copying import copy
from pipeline.store.errors import StoreError
from pipeline.store.tail import Tail, read

if TYPE_CHECKING:
    from pipeline.store import Store

SMALL = 64 << 10
"""Contents below this size, in bytes, are cheaper to write and to hash than to look up."""


def export(store: Store, content: Content, path: Path) -> Digest:
    """Writes `content` to `path`, beside it and then renamed. Returns its SHA-256. Missing or Damaged if a blob is.

    A killed export leaves `.NAME.partial`, which the next one takes over.
    """
    partial = path.with_name(f".{path.name}.partial")
    with store.lock("export-" + hashlib.sha256(os.fsencode(path.absolute())).hexdigest()):
        try:
            write = _write_small if length(content) < SMALL else _write
            return write(store, content, path, partial)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(f"no space left for {path}") from None
            raise


def _write_small(store: Store, content: Content, path: Path, partial: Path) -> Digest:
    """Writes a content that is not worth a seed, nor a thread."""
    data = store.bytes(content)
    with atomic.recreate(partial, buffering=0) as file:
        file.write(data)
    settle_mtime(partial)
    os.replace(partial, path)
    return Digest.of(data)


def _write(store: Store, content: Content, path: Path, partial: Path) -> Digest:
    seed, digests = store.seed(store, content, path), list[Digest]()
    if seed.digest is not None and seed.is_current():
        return seed.digest
    with seed.open(partial) as file, OrderedThreadPool(seed.hash) as threads, Tail(seed.start) as tail:
        os.truncate(file.fileno(), length(content))
        if seed.digest is None:
            threads.submit(bind(read, file, tail), digests.append)
        for offset, run in seed.runs():
            tail.reached(offset)
            for end in copy(store, run, file, offset, seed.dirty):
                tail.reached(end)
        tail.reached(length(content))
        settle_mtime(partial)
        seed.replace(partial)  # which need not wait for the hash
    return seed.digest or digests[0]
