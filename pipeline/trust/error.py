"""The error about signatures, with a message for a person."""

from __future__ import annotations

from pipeline.model.errors import BadInput


class SignatureRefusal(BadInput):
    """A signature, key, certificate, log entry, time stamp or root that breaks a rule. One line, one fault."""
