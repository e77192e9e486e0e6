"""What can be wrong with an image, in the words that a person reads."""

from __future__ import annotations

from pipeline.model.errors import BadInput, NodekilnError


class ImageError(NodekilnError):
    """An image that cannot be had, or must not be used. The message names image, layer and entry, where known."""


class NotFound(ImageError):
    """The place answers, and has no such image or blob."""


class Unreachable(ImageError):
    """The place does not answer as a registry does: no connection, server errors, refused credentials."""


class Offline(ImageError):
    """The network would be needed and NODEKILN_OFFLINE forbids it."""


class Refusal(ImageError, BadInput):
    """Content that breaks a rule: wrong digest or size, malformed, beyond a limit. Never retried, never used."""
