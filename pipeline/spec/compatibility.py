"""Generation: which bytes this nodekiln makes of a spec and its lock, as one number.

A release that raises any VERSION of a released stage or format begins a new generation; all releases of a generation
make the same bytes. A spec that says `build.compat: N` is built by those, and refused by all others, which say who can.
The code of earlier generations is not kept: it is in their releases, which can be installed side by side.
"""

from __future__ import annotations

from pipeline import __version__

FIRST = {1: "0.1.0"}
"""Generation -> the first nodekiln that makes it; tests/spec/test_compatibility.py holds the CHANGELOG against it."""
PRESENT = max(FIRST)


def refusal(asked: int) -> str:
    """Why this nodekiln cannot build a spec of the generation `asked`, and which can; "" if it can itself."""
    if asked == PRESENT:
        return ""
    own = f"nodekiln {__version__} makes generation {PRESENT}"
    if asked > PRESENT:
        return f"{own}; generation {asked} takes a newer one"
    return f"{own}; generation {asked} takes nodekiln {FIRST[asked]} or a later one before {FIRST[asked + 1]}"
