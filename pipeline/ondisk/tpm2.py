"""Commands that make a TPM 2.0 sign its registers, and the answers. Nothing is sent here.

The key is a primary one of the endorsement hierarchy: the same template gives the same key as long as the TPM has its
seed, so nothing has to be stored on the node. It is restricted: the TPM signs nothing with it that it did not state.

Source: TCG, TPM 2.0 Library, Part 2 (structures) 10.12 and 12.2, Part 3 (commands) 18.4 (Quote) and 24.1
(CreatePrimary). Numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.ondisk import Structure

SESSIONS = 0x8002
"""TPM_ST_SESSIONS: tag of a command with an authorization."""
CREATE_PRIMARY, QUOTE = 0x131, 0x158
"""TPM_CC_CreatePrimary, TPM_CC_Quote."""
ENDORSEMENT = 0x4000000B
"""TPM_RH_ENDORSEMENT."""
PASSWORD = 0x40000009
"""TPM_RS_PW: an authorization by password, here the empty one."""
ECC, ECDSA, SHA256, NO_ALGORITHM, P256 = 0x23, 0x18, 0xB, 0x10, 0x3
ATTRIBUTES = 0x50472
"""fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign."""
HEADER = Structure(">", tag=("H", SESSIONS), size="I", code="I")
"""Before each command, and before each answer."""
AUTHORIZATION = struct.pack(">IIHBH", 9, PASSWORD, 0, 0, 0)
PUBLIC = Structure(
    ">",
    type=("H", ECC), nameAlg=("H", SHA256), objectAttributes=("I", ATTRIBUTES), authPolicySize="H",
    symmetric=("H", NO_ALGORITHM), scheme=("H", ECDSA), hashAlg=("H", SHA256), curveID=("H", P256),
    kdf=("H", NO_ALGORITHM),
).pack()  # fmt: skip
"""TPMT_PUBLIC of the key, up to its point."""
GENERATED, QUOTED = 0xFF544347, 0x8018
"""TPM_GENERATED_VALUE, TPM_ST_ATTEST_QUOTE."""
CLOCK = struct.Struct(">QIIBQ")
"""TPMS_CLOCK_INFO (clock, resetCount, restartCount, safe) and firmwareVersion."""
NUMBERS = range(24)
"""Registers that are signed: all."""
SELECTION = struct.pack(">IHB3s", 1, SHA256, 3, b"\xff\xff\xff")
"""TPML_PCR_SELECTION of them, of the SHA-256 bank."""
POINT = 32
"""Size of a coordinate of P-256, in bytes."""


class Quote(NamedTuple):
    """A signed statement. point: the key's public point, X and Y. attested: what is signed. signature: r and s."""

    point: bytes
    attested: bytes
    signature: tuple[int, int]


def create_key() -> bytes:
    """Returns the command that makes the key."""
    template = PUBLIC + _sized(b"") + _sized(b"")
    parameters = _sized(_sized(b"") + _sized(b"")) + _sized(template) + _sized(b"") + struct.pack(">I", 0)
    return _command(CREATE_PRIMARY, ENDORSEMENT, parameters)


def quote(nonce: bytes) -> bytes:
    """Returns the command that signs all registers and `nonce`. The key's handle, at offset 10, is zero."""
    return _command(QUOTE, 0, _sized(nonce) + struct.pack(">H", NO_ALGORITHM) + SELECTION)


def read(created: bytes, signed: bytes) -> Quote:
    """Reads the two answers. ValueError if one is an error, or not what the commands ask for."""
    try:
        data = _answer(created, "TPM2_CreatePrimary", 8)
        (public, _), (data, _) = _unsized(data), _unsized(_answer(signed, "TPM2_Quote", 4))
        rest = _unsized(_answer(signed, "TPM2_Quote", 4))[1]
        if not public.startswith(PUBLIC):
            raise ValueError("the TPM made another key than it was to make")
        x, more = _unsized(public[len(PUBLIC) :])
        y, _ = _unsized(more)
        if struct.unpack_from(">HH", rest) != (ECDSA, SHA256):
            raise ValueError("the TPM signed with another algorithm than ECDSA with SHA-256")
        r, more = _unsized(rest[4:])
        s, _ = _unsized(more)
    except struct.error:
        raise ValueError("an answer of the TPM ends early") from None
    if max(map(len, (x, y, r, s))) > POINT:
        raise ValueError("a number in an answer of the TPM is too large")
    point = x.rjust(POINT, b"\0") + y.rjust(POINT, b"\0")
    return Quote(point, data, (int.from_bytes(r), int.from_bytes(s)))


def check(attested: bytes, nonce: bytes, registers: Mapping[int, bytes]) -> None:
    """Compares what was signed with the nonce and the registers. ValueError."""
    try:
        magic, kind = struct.unpack_from(">IH", attested)
        _, rest = _unsized(attested[6:])
        extra, rest = _unsized(rest)
        digest, _ = _unsized(rest[CLOCK.size + len(SELECTION) :])
    except struct.error:
        raise ValueError("the quote ends early") from None
    if (magic, kind) != (GENERATED, QUOTED) or extra != nonce:
        raise ValueError("the quote is not for this question: its nonce is another one")
    if rest[CLOCK.size : CLOCK.size + len(SELECTION)] != SELECTION:
        raise ValueError("the quote is not of all registers")
    if [*NUMBERS] != sorted(registers) or digest != hashlib.sha256(
        b"".join(registers[each] for each in NUMBERS)
    ).digest():
        raise ValueError("the quote is of other registers than the node reports")


def _command(code: int, handle: int, parameters: bytes) -> bytes:
    body = struct.pack(">I", handle) + AUTHORIZATION + parameters
    return HEADER.pack(size=HEADER.size + len(body), code=code) + body


def _answer(data: bytes, name: str, skipped: int) -> bytes:
    """Returns the parameters of an answer. skipped: bytes before them: a handle, and the size of the parameters."""
    head = HEADER.unpack(data)
    if head.code:
        raise ValueError(f"{name} gives {head.code:#x}")
    if head.size != len(data):
        raise ValueError(f"the answer to {name} has {len(data)} bytes, and says {head.size}")
    return data[HEADER.size + skipped :]


def _sized(data: bytes) -> bytes:
    """Returns `data` behind its size (TPM2B)."""
    return struct.pack(">H", len(data)) + data


def _unsized(data: bytes) -> tuple[bytes, bytes]:
    """Returns what a TPM2B holds, and what follows it; struct.error if it ends early."""
    (size,) = struct.unpack_from(">H", data)
    if len(data) < 2 + size:
        raise struct.error
    return data[2 : 2 + size], data[2 + size :]
