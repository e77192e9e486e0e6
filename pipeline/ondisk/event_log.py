"""The log of what firmware and boot loaders measured into a TPM (binary_bios_measurements of Linux), and its replay.

Source: TCG PC Client Platform Firmware Profile 1.05, 10.2 (TCG_PCR_EVENT2), 10.4.1 (event types), 10.4.5.1 (Spec ID
Event) and 10.4.5.3 (Startup Locality).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.ondisk import Structure

HEADER = Structure("<", pcrIndex="I", eventType="I", digest="20s", eventSize="I")
"""TCG_PCR_EVENT: the first event, which lists the banks."""
SPEC_ID = Structure(
    "<",
    signature=("16s", b"Spec ID Event03\0"), platformClass="I", specVersionMinor="B", specVersionMajor="B",
    specErrata="B", uintnSize="B", numberOfAlgorithms="I",
)  # fmt: skip
ALGORITHM = Structure("<", algorithmId="H", digestSize="H")
EVENT = Structure("<", pcrIndex="I", eventType="I", count="I")
"""TCG_PCR_EVENT2, up to its digests."""
BANKS = {0x4: "sha1", 0xB: "sha256", 0xC: "sha384", 0xD: "sha512", 0x12: "sm3_256"}
"""Number of an algorithm (TPM 2.0 Part 2, 6.3) -> its bank, as Linux calls it."""
NO_ACTION = 0x3
"""EV_NO_ACTION: an event that is not measured."""
APPLICATION = 0x80000003
"""EV_EFI_BOOT_SERVICES_APPLICATION: its digest is the Authenticode hash of a program that firmware started."""
TYPES = {
    0x1: "EV_POST_CODE", 0x4: "EV_SEPARATOR", 0x5: "EV_ACTION", 0x6: "EV_EVENT_TAG", 0x7: "EV_S_CRTM_CONTENTS",
    0x8: "EV_S_CRTM_VERSION", 0xD: "EV_IPL", 0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT", APPLICATION: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER", 0x80000005: "EV_EFI_RUNTIME_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT", 0x80000007: "EV_EFI_ACTION", 0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES", 0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2", 0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x80000010: "EV_EFI_HCRTM_EVENT", 0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
}  # fmt: skip
LOCALITY = b"StartupLocality\0"
"""Signature of the event whose last byte is the first value of PCR 0."""
MAX_EVENTS = 10_000
"""Maximum number of events of a log: some hundred times what a boot measures."""
ONES = {17, 18, 19, 20, 21, 22}
"""Registers that start with ones instead of zeros (PC Client Platform TPM Profile, 4.6.1)."""


class Event(NamedTuple):
    """A measurement. register: number of the PCR. kind: the event's type. digests: bank -> extension of the PCR."""

    register: int
    kind: int
    digests: Mapping[str, bytes]
    data: bytes

    @property
    def title(self) -> str:
        """The type's name in the specification, or its number."""
        return TYPES.get(self.kind, f"event {self.kind:#x}")


def parse(data: bytes) -> list[Event]:
    """Returns the events of a log, without its header. ValueError if it is not one, or ends within an event."""
    try:
        return list(_events(data))
    except struct.error:
        raise ValueError("the event log ends within an event") from None


def replay(events: Sequence[Event], bank: str) -> dict[int, bytes]:
    """Returns the registers of a bank after `events`: number -> value. Registers without an event are left out.

    ValueError for an event without a digest for the bank.
    """
    registers: dict[int, bytes] = {}
    for event in events:
        if event.kind == NO_ACTION:
            if event.register == 0 and event.data.startswith(LOCALITY) and len(event.data) == len(LOCALITY) + 1:
                registers[0] = event.data[-1:].rjust(hashlib.new(bank).digest_size, b"\0")
            continue
        if bank not in event.digests:
            raise ValueError(f"an event of PCR {event.register} has no digest for the bank {bank}")
        digest = event.digests[bank]
        first = (b"\xff" if event.register in ONES else b"\0") * len(digest)
        registers[event.register] = hashlib.new(bank, registers.get(event.register, first) + digest).digest()
    return registers


def _events(data: bytes) -> Iterator[Event]:
    header = HEADER.unpack(data)
    sizes = _algorithms(_taken(data, HEADER.size, header.eventSize))
    at = HEADER.size + header.eventSize
    count = 0
    while at < len(data):
        event, at = _event(data, at, sizes)
        yield event
        count += 1
        if count > MAX_EVENTS:
            raise ValueError(f"the event log has more than {MAX_EVENTS} events")


def _algorithms(data: bytes) -> dict[int, int]:
    """Returns the sizes of the digests in a log, in bytes, by the numbers of their algorithms."""
    head = SPEC_ID.unpack(data)
    if head.signature != b"Spec ID Event03\0":
        raise ValueError("the event log does not start with a Spec ID Event03: a TPM 1.2 writes another one")
    places = range(
        SPEC_ID.size, SPEC_ID.size + min(head.numberOfAlgorithms, len(BANKS)) * ALGORITHM.size, ALGORITHM.size
    )
    return {each.algorithmId: each.digestSize for each in (ALGORITHM.unpack(data, at) for at in places)}


def _event(data: bytes, at: int, sizes: Mapping[int, int]) -> tuple[Event, int]:
    """Returns the event at `at`, and the offset behind it."""
    head = EVENT.unpack(data, at)
    if head.count > len(sizes):
        raise ValueError(f"an event has {head.count} digests, and the event log {len(sizes)} banks")
    at, digests = at + EVENT.size, {}
    for _ in range(head.count):
        (algorithm,) = struct.unpack_from("<H", data, at)
        if algorithm not in sizes:
            raise ValueError(
                f"an event has a digest of the algorithm {algorithm:#x}, which the event log does not list"
            )
        digests[BANKS.get(algorithm, hex(algorithm))] = _taken(data, at + 2, sizes[algorithm])
        at += 2 + sizes[algorithm]
    (size,) = struct.unpack_from("<I", data, at)
    return Event(head.pcrIndex, head.eventType, digests, _taken(data, at + 4, size)), at + 4 + size


def _taken(data: bytes, at: int, size: int) -> bytes:
    """Returns `size` bytes from `at` on; struct.error if there are fewer."""
    if len(data) - at < size:
        raise struct.error
    return data[at : at + size]
