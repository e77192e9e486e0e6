"""Errors of writing say what the user can do."""

import errno
from pathlib import Path

import pytest

from pipeline.model.digest import Digest
from pipeline.model.errors import NodekilnError
from pipeline.store.errors import Damaged, Missing, StoreError, explained


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.ENOSPC, "no space left for /cache: free some, or run `doit gc`"),
        (errno.EFBIG, "allows no larger file"),
        (errno.EROFS, "cannot be written"),
        (errno.ENOTDIR, "is no folder"),
        (errno.ELOOP, "a symlink, which is not followed: remove it"),
        (errno.ENOLCK, "needs a file system with locks"),
    ],
)
def test_what_the_system_refused_has_a_remedy(monkeypatch, number, words):
    monkeypatch.delenv("NODEKILN_COMMAND", raising=False)
    error = explained(OSError(number, "text", "/cache/x"), Path("/cache"))
    assert isinstance(error, StoreError) and words in str(error)


def test_an_error_of_another_kind_stays():
    error = OSError(errno.EIO, "text")
    assert explained(error, Path("/cache")) is error


def test_a_damaged_blob_is_a_missing_one():
    digest = Digest.of(b"x")
    assert isinstance(Damaged(digest), Missing) and isinstance(Damaged(digest), NodekilnError)
    assert Damaged(digest).digest == digest and digest in str(Missing(digest))
