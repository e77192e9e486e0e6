"""Certification paths with one fault each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.trust import chain
from pipeline.trust.error import SignatureRefusal
from tests.trust.certificates import END, MIDDLE, START, Issued, issue, usage


def path(leaf: dict[str, Any] | None = None, middle: dict[str, Any] | None = None) -> list[Issued]:
    """Returns leaf, intermediate authority and root, with other arguments of `issue` for the first two."""
    root = issue("root", authority=True, length=1)
    between = issue("between", root, **{"authority": True, "length": 0, "purposes": ("code",), **(middle or {})})
    return [issue("leaf", between, **{"purposes": ("code",), **(leaf or {})}), between, root]


def verify(certificates: list[Issued], purpose: str = chain.CODE_SIGNING, time: Any = MIDDLE) -> None:
    chain.verify([each.parsed for each in certificates], purpose, time)


def test_a_path_is_valid_from_its_first_moment_to_its_last() -> None:
    certificates = path()
    for time in (START, MIDDLE, END):
        verify(certificates, time=time)
    for time in (START - timedelta(seconds=1), END + timedelta(seconds=1)):
        with pytest.raises(SignatureRefusal, match=r"the signer's certificate: not valid at 202"):
            verify(certificates, time=time)


@pytest.mark.parametrize(("leaf", "message"), [
    ({"purposes": ()}, "not for this purpose"), ({"purposes": ("server",)}, "not for this purpose"),
    ({"purposes": ("any",)}, "not for this purpose"), ({"purposes": ("time",)}, "not for this purpose"),
    ({"authority": True}, "that of an authority"), ({"key_usage": usage(signs=False, issues=True)}, "may not sign"),
    ({"critical": True}, "critical extension"), ({"issuer": "somebody else"}, "another authority issued it"),
])  # fmt: skip
def test_a_faulty_leaf_is_refused(leaf: dict[str, Any], message: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"^the signer's certificate: .*{message}"):
        verify(path(leaf))


@pytest.mark.parametrize(("middle", "message"), [
    ({"authority": False, "length": None}, "not an authority"), ({"purposes": ("server",)}, "not for this purpose"),
    ({"key_usage": usage(signs=True, issues=False)}, "may not sign certificates"), ({"critical": True}, "critical"),
    ({"end": START + timedelta(days=1)}, "not valid at"),
])  # fmt: skip
def test_a_faulty_authority_is_refused(middle: dict[str, Any], message: str) -> None:
    with pytest.raises(SignatureRefusal, match=f"^authority 1 above the signer: .*{message}"):
        verify(path(middle=middle))


def test_a_path_longer_than_an_authority_allows_is_refused() -> None:
    leaf, between, root = path()
    below = issue("below", between, authority=True)
    with pytest.raises(SignatureRefusal, match="not of so long a path"):
        verify([issue("leaf", below, purposes=("code",)), below, between, root])
    with pytest.raises(SignatureRefusal, match="a path of 11 certificates"):
        verify([leaf] * 11)
    with pytest.raises(SignatureRefusal, match="a path of 0 certificates"):
        verify([])


def test_a_name_is_not_a_key() -> None:
    leaf, _, root = path()
    namesake = issue("between", root, authority=True)
    with pytest.raises(SignatureRefusal, match="not one of these data"):
        verify([leaf, namesake, root])


def test_a_certificate_for_time_stamps_is_for_nothing_else() -> None:
    certificates = path({"purposes": ("time",)}, {"purposes": ("time",)})
    verify(certificates, chain.TIME_STAMPING)
    with pytest.raises(SignatureRefusal, match="not for this purpose"):
        verify(path({"purposes": ("time", "code")}, {"purposes": ()}), chain.TIME_STAMPING)
