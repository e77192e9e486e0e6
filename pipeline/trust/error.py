"""The error about signatures, with a message for a person."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pipeline.model.errors import BadInput


class SignatureRefusal(BadInput):
    """A signature, key, certificate, log entry, time stamp or root that breaks a rule. One line, one fault."""


@contextlib.contextmanager
def about(part: str) -> Iterator[None]:
    """Turns refusals, and ValueError of malformed data, into refusals with a message that starts with `part`."""
    try:
        yield
    except (SignatureRefusal, ValueError) as error:
        raise SignatureRefusal(f"{part}: {error}") from None
