"""Errors about images, by what can be done about them."""

from pipeline.model.errors import BadInput, NodekilnError
from pipeline.oci.error import ImageError, NotFound, Offline, Refusal, Unreachable


def test_only_what_breaks_a_rule_is_bad_input():
    for kind in (NotFound, Unreachable, Offline, Refusal):
        assert issubclass(kind, ImageError) and issubclass(kind, NodekilnError)
        assert issubclass(kind, BadInput) == (kind is Refusal)
