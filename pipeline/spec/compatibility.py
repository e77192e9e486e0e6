"""Compatibility: all releases of an output generation make the same bytes of a spec and its lock.

A release that raises the VERSION of a released stage or format begins a new generation. A spec with `build.compat: N`
is built by the releases of generation N and refused by all others. The code of earlier generations is in their
releases, which can be installed side by side.
"""

from __future__ import annotations

from pipeline import __version__

FIRST = {1: "0.1.0"}
"""Generation -> the first nodekiln that makes it; docs/reference/versions.md lists what changed (tests/spec)."""
PRESENT = max(FIRST)


def refusal(generation: int) -> str:
    """The reason why this nodekiln cannot build a spec of a generation, with the releases that can; "" if it can."""
    if generation == PRESENT:
        return ""
    own = f"nodekiln {__version__} makes generation {PRESENT}"
    if generation > PRESENT:
        return f"{own}; generation {generation} takes a newer one"
    first, next_first = FIRST[generation], FIRST[generation + 1]
    return f"{own}; generation {generation} takes nodekiln {first} or a later one before {next_first}"
