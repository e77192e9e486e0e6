"""Sections of EFI programs, such as unified kernel images (Microsoft, "PE Format"; UAPI Group Specifications, UKI)."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.ondisk import pe as ondisk
from pipeline.readers import HEADER, Listing, Node, Reader, StructureError
from pipeline.readers.view import View, subview

PE32 = min(ondisk.DIRECTORIES.values())


def recognises(view: View) -> bool:
    data = view.read(0, ondisk.DOS.size)
    if not data.startswith(ondisk.DOS_MAGIC) or len(data) < ondisk.DOS.size:
        return False
    return view.read(ondisk.DOS.unpack(data).lfanew, len(ondisk.MAGIC)) == ondisk.MAGIC


def read(view: View) -> Listing:
    """Lists `.linux`, `.initrd`, … with their lengths in memory, without the padding in the file."""
    start = ondisk.DOS.unpack(view.read(0, ondisk.DOS.size)).lfanew + len(ondisk.MAGIC)
    coff, optional = ondisk.COFF.unpack(view.read(start, ondisk.COFF.size)), start + ondisk.COFF.size
    listing: dict[str, Node] = {}
    for name, node in _sections(view, optional + coff.SizeOfOptionalHeader, coff.NumberOfSections):
        while name in listing:  # multi-profile images repeat sections
            name += "'"
        listing[name] = node
    header = ondisk.OPTIONAL.unpack(view.read(optional, ondisk.OPTIONAL.size))
    place, entry = optional + ondisk.DIRECTORIES.get(header.Magic, PE32), ondisk.DATA_DIRECTORY
    certificates = entry.unpack(view.read(place + entry.size * ondisk.CERTIFICATES, entry.size))
    if coff.SizeOfOptionalHeader > PE32 and certificates.Size:
        content = subview(view, certificates.VirtualAddress, certificates.Size)
        listing["(certificates)"] = Node("certificates", {}, content)
    properties: dict[str, str | int] = {
        "machine": f"{coff.Machine:#06x}", "time stamp": coff.TimeDateStamp, "flags": f"{coff.Characteristics:#06x}",
    }  # fmt: skip
    listing[HEADER] = Node("program", properties, None, {"checksum": f"{header.CheckSum:#010x}"})
    return listing


def _sections(view: View, table: int, count: int) -> Iterator[tuple[str, Node]]:
    for number in range(count):
        data = view.read(table + ondisk.SECTION.size * number, ondisk.SECTION.size)
        if len(data) < ondisk.SECTION.size:
            raise StructureError("a PE with fewer sections than its header states")
        entry = ondisk.SECTION.unpack(data)
        raw = entry.SizeOfRawData
        content = subview(view, entry.PointerToRawData, min(entry.VirtualSize or raw, raw))
        place = {"address": f"{entry.VirtualAddress:#x}", "offset": entry.PointerToRawData}
        properties: dict[str, str | int] = {"flags": f"{entry.Characteristics:#x}"}
        yield entry.Name.rstrip(b"\0").decode("latin-1"), Node("section", properties, content, place)


READER = Reader("PE", recognises, read)
