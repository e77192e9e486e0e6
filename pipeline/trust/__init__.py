"""Signatures of others, verified: pure functions from bytes, a root and a time to a signer. No socket, no clock.

    signer        who signed, when, in which log: the value that every kind of signature comes to
    error         the refusal of a signature
    keys          public keys and signatures by them

`cryptography` (the extra nodekiln[signatures]) is imported inside functions: where nothing is signed, nothing needs it.
"""
