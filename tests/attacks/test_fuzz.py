"""The fuzz targets, each for some time instead of some examples: NODEKILN_FUZZ_SECONDS=600 for a long run by hand.

What is found is kept in hypothesis' database, and the target's own test then begins with it.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from tests.oci import test_auth, test_decompress, test_manifest, test_reference, test_tar
from tests.trust import test_cbor

SECONDS = float(os.environ.get("NODEKILN_FUZZ_SECONDS") or 1)
"""For each target; the least is one input."""
LONGEST = 4096
"""Bytes that an input is drawn from."""
TARGETS: list[Any] = [
    test_reference.test_any_text_is_a_reference_or_refused,
    test_manifest.test_any_json_is_a_manifest_or_refused,
    test_manifest.test_any_bytes_are_a_manifest_or_refused,
    test_auth.test_any_text_is_challenges_or_none,
    test_decompress.test_garbage_is_refused_or_gives_bytes,
    test_tar.test_any_bytes_give_members_inside_the_archive_or_are_refused,
    test_cbor.test_any_bytes_are_refused_or_the_encoding_of_what_they_are_read_as,
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_for_a_while(target: Any) -> None:
    end, whole, cut = time.monotonic() + SECONDS, 0, 0
    while not whole or time.monotonic() < end:
        if target.hypothesis.fuzz_one_input(random.randbytes(random.randint(1, LONGEST))) is None:
            cut += 1  # too short for what the target draws from it
        else:
            whole += 1
    print(f"{target.__name__}: {whole} inputs, {cut} too short")
