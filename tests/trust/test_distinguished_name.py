"""Names of certificates, compared as notation compares them."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from pipeline.trust import certificate, distinguished_name
from pipeline.trust.error import SignatureRefusal
from tests.trust.notary import LEAF, issue
from tests.trust.vectors import NOTATION, needs_vectors


@pytest.mark.parametrize(("text", "attributes"), [
    ("C=US,ST=WA,O=acme", {"C": "US", "ST": "WA", "O": "acme"}),
    ("C=US, S=WA, O=acme", {"C": "US", "ST": "WA", "O": "acme"}),
    (" C = US , O = a b  ", {"C": "US", "O": "a b"}),
    (r"CN=a\, b\;c\\d\+e\"f", {"CN": 'a, b;c\\d+e"f'}),
    (r"CN=\ a\ ", {"CN": " a "}),
    (r"CN=\C3\BC\2C", {"CN": "ü,"}),
    (r"CN=a\\,O=b", {"CN": "a\\", "O": "b"}),
    (r"CN=a\\41", {"CN": r"a\41"}),
    ("CN=a=b", {"CN": "a=b"}),
    ("CN=", {"CN": ""}),
    ("CN=ü,2.5.4.5=7", {"CN": "ü", "2.5.4.5": "7"}),
])  # fmt: skip
def test_a_name_is_read(text: str, attributes: dict[str, str]) -> None:
    assert distinguished_name.parse(text) == attributes


@pytest.mark.parametrize("text", [
    "", " ", ",", "acme", "CN", "=a", "CN=a,", "CN=a,,O=b", ",CN=a", "CN=a;O=b", "CN=a+O=b", "CN=#04024869",
    "CN=Bad=#CN", "CN=a,CN=b",
    "ST=a,S=b", 'CN="a"', "CN=<a>", "CN=a\\", "CN=a\\z", "CN=a\0", r"CN=\FF", "C N=a", "CN=" + "a" * 2000, "CN=a,x",
    "*", " " * 1000 + "=",
], ids=range(26))  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(SignatureRefusal):
        distinguished_name.parse(text)


@pytest.mark.parametrize(
    ("text", "missing"), [("C=US,ST=WA", "O"), ("C=US,O=a", "ST"), ("CN=a", "C, ST, O"), ("C=,ST=a,O=b", "C")]
)
def test_an_identity_names_country_state_and_organization(text: str, missing: str) -> None:
    assert distinguished_name.identity("C=US,S=WA,O=a") == {"C": "US", "ST": "WA", "O": "a"}
    with pytest.raises(SignatureRefusal, match=f": {missing} missing"):
        distinguished_name.identity(text)


@given(
    st.dictionaries(
        st.sampled_from(["2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.7", "2.5.4.8"]),
        st.text(
            st.characters(codec="utf-8", categories=["L", "N", "P", "S"], include_characters=" "),
            min_size=1,
            max_size=16,
        ),
        min_size=1,
    )
)
def test_a_name_of_a_certificate_is_written_as_cryptography_writes_it_and_read_again(values: dict[str, str]) -> None:
    name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(kind), value) for kind, value in values.items()])
    text = distinguished_name.text(name.public_bytes())
    assert text == name.rfc4514_string()
    if "=#" not in text:
        assert list(distinguished_name.parse(text).values()) == [*values.values()][::-1]


def test_a_value_that_is_no_printable_text_is_written_in_hexadecimal_and_not_compared() -> None:
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\0b"), x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US")]
    )
    assert distinguished_name.text(name.public_bytes()) == "C=US,CN=#0c03610062"
    with pytest.raises(SignatureRefusal, match="cannot be compared"):
        distinguished_name.check(name.public_bytes(), {"C": "US"})
    for data in (b"", b"\x30\x02\x31\x00", b"\x31\0", name.public_bytes() + b"\0"):
        with pytest.raises(SignatureRefusal):
            distinguished_name.check(data, {"C": "US"})


def test_a_certificate_has_to_have_all_attributes_of_an_identity_and_may_have_more() -> None:
    subject = issue("CN=a,OU=b,O=acme,L=x,ST=WA,C=US", None, *LEAF).certificate.subject.public_bytes()
    for text in ("C=US,ST=WA,O=acme", "CN=a,C=US,ST=WA,O=acme,OU=b,L=x"):
        distinguished_name.check(subject, distinguished_name.identity(text))
    for text in (
        "C=US,ST=WA,O=acm",
        "C=US,ST=WA,O=acme,CN=aa",
        "C=us,ST=WA,O=acme",
        "C=US,ST=WA,O=acme,DC=x",
        "C=US,ST=WA,O=acme,c=US",
    ):
        with pytest.raises(SignatureRefusal, match="signed by"):
            distinguished_name.check(subject, distinguished_name.identity(text))


@pytest.mark.parametrize("name", ["OU=a,OU=b,O=acme,ST=WA,C=US", "CN=a+OU=b,O=acme,ST=WA,C=US"])
def test_a_certificate_whose_name_can_be_read_in_two_ways_has_no_identity(name: str) -> None:
    subject = issue(name, None, *LEAF).certificate.subject.public_bytes()
    with pytest.raises(SignatureRefusal):
        distinguished_name.check(subject, distinguished_name.identity("O=acme,ST=WA,C=US"))


@needs_vectors
@pytest.mark.parametrize(("file", "identity", "right"), [
    ("signing-cert.pem", "C=US,O=SomeOrg,ST=WA", True),
    ("signing-cert.pem", "C=IND,O=SomeOrg,ST=TS", False),
    ("signing-cert.pem", "C=LOL,O=LOL,ST=LOL", False),
    ("signing-cert.pem", "C=bad=#identity,O=LOL,ST=LOL", False),
    ("bad-cert.pem", "C=US,O=SomeOrg,ST=WA", False),
])  # fmt: skip
def test_verdicts_of_notation_go(file: str, identity: str, right: bool) -> None:
    """verifier/verifier_test.go, TestVerifyX509TrustedIdentities."""
    subject = x509.load_pem_x509_certificate((NOTATION / "certs" / file).read_bytes()).subject.public_bytes()
    try:
        distinguished_name.check(subject, distinguished_name.identity(identity))
        assert right
    except SignatureRefusal:
        assert not right


@needs_vectors
@pytest.mark.parametrize(("identity", "right"), [
    ("C=US,ST=California,O=Notary Project", True), ("C=US,S=California,O=Notary Project", True),
    ("C=US,ST=California", False),
    ("C=US,O=Notary Project", False), ("invalid", False), ("C=US,ST=California,O=Notary Project,S=California", False),
    ("C=US,ST=California,O=Notary Project=#", False), ("OU=Sales+CN=J.  Smith,DC=example,DC=net", False),
])  # fmt: skip
def test_verdicts_of_notation_go_on_names(identity: str, right: bool) -> None:
    """internal/pkix/pkix_test.go, TestParseDistinguishedName."""
    try:
        distinguished_name.identity(identity)
        assert right
    except SignatureRefusal:
        assert not right


def test_names_are_compared_for_the_signer_s_certificate_alone() -> None:
    leaf = issue("CN=a,O=other,ST=WA,C=US", issue("CN=root,O=acme,ST=WA,C=US", None, *LEAF), *LEAF)
    with pytest.raises(SignatureRefusal, match="O=other"):
        distinguished_name.check(
            certificate.parse(leaf.chain[0]).subject, distinguished_name.identity("O=acme,ST=WA,C=US")
        )
