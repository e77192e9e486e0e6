"""Signatures of others, verified: pure functions from bytes, a root and a time to a signer. No socket, no clock.

    signer              who signed, when, in which log: the value that every kind of signature comes to
    error               the refusal of a signature
    keys                public keys and signatures by them
    document            JSON, read strictly
    certificate         X.509 certificates
    chain               paths of certificates, for a purpose at a time
    timestamp_token     time stamps of RFC 3161, parsed
    timestamp           time stamps, verified

Signatures of sigstore:

    bundle              signature, key or certificate, and their evidence
    root                trusted_root.json: authorities and logs with their validity
    root_difference     the differences of two of them, for people
    keyless             Fulcio's certificates and their identities
    sct                 the promise to publish such a certificate
    entry               entries of a log of signatures
    checkpoint          the signed size and root hash of a log
    merkle              proofs that a log has an entry
    record              bodies of entries, compared with a signature
    statement           envelopes and in-toto statements
    simplesigning       cosign's older signatures: a payload, and annotations of a layer
    signing             bundles of our own, by a managed key

Signatures of the Notary Project:

    notation            an envelope, its artifact, a trust store and a time -> signer
    notary_envelope     signed and unsigned attributes, whatever their encoding
    jws                 envelopes in JSON
    cose                envelopes in CBOR
    cbor                CBOR in its one deterministic form
    codesigning         requirements of certificate chains, and signatures by the first of one
    countersignature    the time stamp of an envelope
    trust_store         folders of certificates that are trusted
    distinguished_name  names of certificates, compared

Whose signatures an image needs:

    policy              rules about signers of images, by their names
    evidence            signatures as they were found, in a file beside the lock
    verification        the signers that a rule counts

`cryptography` (the extra nodekiln[signatures]) is imported inside functions: where nothing is signed, nothing needs it.
"""
