"""Signatures of others, verified: pure functions from bytes, a root and a time to a signer. No socket, no clock.

    signer        who signed, when, in which log: the value that every kind of signature comes to
    error         the refusal of a signature
    keys          public keys and signatures by them
    document      JSON, read strictly
    root          trusted_root.json: authorities and logs with their validity
    certificate   X.509 certificates; chain: paths of them, for a purpose at a time
    bundle        sigstore's bundles: signature, key or certificate, and their evidence
    keyless       Fulcio's certificates and their identities; sct: the promise to publish them
    entry         entries of a log of signatures (checkpoint, merkle); record: compared with the signature
    timestamp     time stamps of RFC 3161 (timestamp_token)
    statement     envelopes and in-toto statements

`cryptography` (the extra nodekiln[signatures]) is imported inside functions: where nothing is signed, nothing needs it.
"""
