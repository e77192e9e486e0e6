"""Certificates of Fulcio, and the identity that they name (fulcio, docs: certificate-specification.md, oid-info.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pipeline.ondisk import der
from pipeline.trust import chain, sct
from pipeline.trust.certificate import Certificate, sequence, string
from pipeline.trust.error import SignatureRefusal, about
from pipeline.trust.root import Root

ISSUER, OLD_ISSUER = "1.3.6.1.4.1.57264.1.8", "1.3.6.1.4.1.57264.1.1"
"""Extensions with the issuer's URL: as a UTF8String, and as bare text."""
OTHER_NAME, MAIL, URI = 0xA0, 0x81, 0x86
"""Tags of a GeneralName (RFC 5280, 4.2.1.6)."""
FULCIO_NAME = der.identifier("1.3.6.1.4.1.57264.1.7")
"""otherName of identities that are neither a URI nor an address."""
UTF8_STRING = 0x0C


def verify(certificate: Certificate, root: Root, times: Sequence[datetime]) -> None:
    """Returns if an authority of `root` issued `certificate`, valid at all of `times`, and a log has it.

    SignatureRefusal, also if `times` is empty: such certificates are valid for minutes, and the present is no measure.
    """
    if not times:
        raise SignatureRefusal("no verified time: neither a log's promise nor a time stamp")
    for time in times:
        sct.verify(certificate, _authority(certificate, root, time), root.certificate_logs)


def identity(certificate: Certificate) -> tuple[str, str]:
    """Returns issuer and subject alternative name. SignatureRefusal unless there is exactly one of each."""
    with about("the signer's certificate"):
        value = certificate.extension(chain.SUBJECT_ALTERNATIVE_NAME)
        names = sequence(der.read(value)) if value is not None else []
        if len(names) != 1:
            raise SignatureRefusal(f"{len(names)} subject alternative names: one is needed")
        return _issuer(certificate), _name(names[0])


def _authority(certificate: Certificate, root: Root, time: datetime) -> Certificate:
    """Returns the authority that issued `certificate`, by a path that is valid at `time`. SignatureRefusal."""
    refusal = SignatureRefusal(f"the root has no authority that is valid at {time:%Y-%m-%dT%H:%M:%SZ}")
    for authority in root.authorities:
        if authority.validity.holds(time):
            try:
                chain.verify((certificate, *authority.path), chain.CODE_SIGNING, time)
                return authority.path[0]
            except SignatureRefusal as error:
                refusal = error
    raise refusal


def _issuer(certificate: Certificate) -> str:
    new, old = certificate.extension(ISSUER), certificate.extension(OLD_ISSUER)
    issuers = set()
    if new is not None:
        issuers.add(string(der.Element(UTF8_STRING, der.expect(der.read(new), UTF8_STRING), new)))
    if old is not None:
        issuers.add(string(der.Element(UTF8_STRING, old, old)))
    if len(issuers) != 1 or not (issuer := issuers.pop()):
        raise SignatureRefusal("no issuer, or two that differ")
    return issuer


def _name(element: der.Element) -> str:
    if element.tag in (MAIL, URI):
        name = string(der.Element(0x16, element.content, element.encoding))
    elif element.tag == OTHER_NAME:
        kind, explicit = der.children(element.content)
        if kind.encoding != FULCIO_NAME:
            raise SignatureRefusal("a subject alternative name of a kind that is not known")
        text = der.read(der.expect(explicit, 0xA0))
        der.expect(text, UTF8_STRING)
        name = string(text)
    else:
        raise SignatureRefusal("a subject alternative name that is neither a URI nor an address")
    if not name:
        raise SignatureRefusal("an empty subject alternative name")
    return name
