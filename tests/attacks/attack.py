"""Attack: a hostile image, as small as it can be, and what must become of it.

Rows group them: 1-9 names that lead outside (CVE-2007-4559 and its many heirs, CVE-2021-32760, CVE-2025-47290),
10 whiteouts, 11-15 headers that lie (CVE-2025-62518, CVE-2025-8194, CVE-2025-58183), 16 compression, 17 and 26
documents that can be read in two ways (CVE-2021-41190), 18 digests as paths (CVE-2024-3727), 19 sizes, 20 foreign
layers (CVE-2020-15157), 23-24 endless or too many things, 27 layers that claim to be others, 30 and 32 configs
(CVE-2024-40635), 31, 33, 35 and 36 what is taken for a file to read, a place to write to, or a path (CVE-2024-9676,
CVE-2024-1753, CVE-2015-9258, CVE-2024-1485), 37-38 special and conflicting entries. test_corpus.ELSEWHERE has the rest,
among them 42-47, signatures: counted twice, of something else, of another type, too many (CVE-2023-33957), elsewhere,
or changed in any byte; and 48, bills of materials by strangers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.oci import craft
from tests.oci.craft import archive


class Attack(NamedTuple):
    rows: tuple[int, ...]
    build: Callable[[Path], str]
    """Writes an OCI layout into the folder and returns the manifest's digest."""
    refused: str = ""
    """A pattern for the error; "" where the attack is contained."""
    paths: tuple[str, ...] = ()
    """What the tree holds then; () where it does not matter."""


CORPUS: dict[str, Attack] = {}


def attack(
    name: str, rows: Sequence[int], layers: Sequence[bytes], refused: str = "", paths: str = "", **how: Any
) -> None:
    """An image of these uncompressed layers."""
    CORPUS[name] = Attack(tuple(rows), lambda folder: craft.image(folder, layers, **how), refused, tuple(paths.split()))


def stacked(
    name: str, rows: Sequence[int], layers: Sequence[Sequence[bytes]], refused: str = "", paths: str = ""
) -> None:
    """An image of layers of these entries."""
    attack(name, rows, [archive(*entries) for entries in layers], refused, paths)
