"""Errors about images, with messages for a person."""

from __future__ import annotations

from pipeline.model.errors import BadInput, NodekilnError


class ImageError(NodekilnError):
    """An image that cannot be had, or must not be used. The message names image, layer and entry, where known."""


class NotFound(ImageError):
    """The source answers and does not have the image or blob."""


class Unreachable(ImageError):
    """The source does not answer as a registry does: no connection, server errors, rejected credentials."""


class Offline(ImageError):
    """The network is needed and NODEKILN_OFFLINE forbids it."""


class Refusal(ImageError, BadInput):
    """Content that breaks a rule: wrong digest or size, malformed, beyond a limit. Never retried, never used."""
