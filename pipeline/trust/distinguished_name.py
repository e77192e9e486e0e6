"""Distinguished names as text (RFC 4514), compared as trusted identities are (notaryproject/specifications,
trust-store-trust-policy.md, "Trusted Identities Constraints")."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.ondisk import der
from pipeline.trust.certificate import dotted, sequence, string
from pipeline.trust.error import SignatureRefusal, about

NAMES = {
    "2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O",
    "2.5.4.11": "OU", "0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}  # fmt: skip
"""Types of attributes -> their short names (RFC 4514, 3)."""

ATTRIBUTE = re.compile(
    r"""\ *([A-Za-z]+|\d+(?:\.\d+)+)\ *=\ *           # a type: a name of RFC 4514, 3, or a dotted object identifier
    ((?:[^,;+"\\<>\0]|\\[\ \#=,;+"\\<>]|\\[0-9A-Fa-f]{2})*)  # a value: characters of which some are escaped
    (?:,|\Z)""",
    re.VERBOSE,
)
ESCAPE = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)
NEEDED = ("C", "ST", "O")
"""Attributes that a trusted identity has, so that no other organization's certificate matches it."""
ALIASES = {"S": "ST"}
LONGEST = 1024
"""Maximum size of a name, in characters."""


def parse(text: str) -> dict[str, str]:
    """Returns the attributes of a name: types -> values, both as they are written, without escapes.

    SignatureRefusal for one that notation does not compare: with several attributes in one part (a+b), with one type
    twice, with values in hexadecimal (=#).
    """
    if len(text) > LONGEST:
        raise SignatureRefusal(f"a name of more than {LONGEST} characters")
    if "=#" in text:
        raise SignatureRefusal(f"{text!a}: '=#' cannot be compared")
    attributes: dict[str, str] = {}
    at = 0
    while at < len(text) or not attributes:
        match = ATTRIBUTE.match(text, at)
        if not match:
            raise SignatureRefusal(f"{text!a} is not a name of RFC 4514, such as CN=…,O=…,ST=…,C=… ({text[at:]!a})")
        kind = ALIASES.get(match[1], match[1])
        if kind in attributes:
            raise SignatureRefusal(f"{text!a} has {kind} twice")
        attributes[kind] = _unescaped(match[2])
        at = match.end()
    if text.endswith(",") and not text.endswith("\\,"):
        raise SignatureRefusal(f"{text!a} ends in a comma")
    return attributes


def identity(text: str) -> dict[str, str]:
    """Returns the attributes that a trusted identity has to have. SignatureRefusal if it does not name NEEDED."""
    attributes = parse(text)
    if missing := [kind for kind in NEEDED if not attributes.get(kind)]:
        raise SignatureRefusal(
            f"{text!a}: {', '.join(missing)} missing: an identity names {', '.join(NEEDED)} at least"
        )
    return attributes


def text(subject: bytes) -> str:
    """Returns the name `subject`, in DER, as text: the last part first. SignatureRefusal.

    A value that is no printable text stands there in hexadecimal (2.4).
    """
    with about("a name"):
        parts = [
            "+".join(f"{_kind(kind)}={_value(value)}" for kind, value in map(sequence, der.children(each)))
            for each in (der.expect(part, der.SET) for part in sequence(der.read(subject)))
        ]
    return ",".join(reversed(parts))


def check(subject: bytes, identity: Mapping[str, str]) -> None:
    """Returns if the name `subject`, in DER, has all attributes of `identity`; else SignatureRefusal."""
    name = text(subject)
    attributes = parse(name)
    if any(attributes.get(kind) != value for kind, value in identity.items()):
        wanted = ",".join(f"{kind}={value}" for kind, value in identity.items())
        raise SignatureRefusal(f"signed by {name!a}, which is not {wanted!a}")


def _kind(element: der.Element) -> str:
    return NAMES.get(identifier := dotted(element), identifier)


def _value(element: der.Element) -> str:
    """Returns a value with its escapes (2.4)."""
    try:
        value = string(element)
    except ValueError:
        return f"#{element.encoding.hex()}"
    value = re.sub(r'([,+"\\<>;])', r"\\\1", value)
    value = re.sub(r"^([ #])", r"\\\1", value)
    return re.sub(r"(?<!\\) $", r"\\ ", value)


def _unescaped(text: str) -> str:
    """Returns a value without its escapes (RFC 4514, 2.4), and without blanks at its end that are not escaped."""
    stripped = text.rstrip(" ")
    if len(stripped) < len(text) and stripped.endswith("\\") and not stripped.endswith("\\\\"):
        stripped += " "
    try:
        return ESCAPE.sub(lambda match: match[2] or bytes.fromhex(match[1].replace("\\", "")).decode(), stripped)
    except UnicodeDecodeError:
        raise SignatureRefusal(f"{text!a}: escaped bytes that are not UTF-8") from None
