"""On-disk structures: one module per format, each structure once, for its writer and its reader.

Fields have the names of the format's own specification. A field that no caller names is zero, or its default; a new one
is a line in its structure.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any


class Structure:
    """The fields of an on-disk structure, in order: name -> type (as in the module struct), or type and default."""

    def __init__(self, order: str, **fields: str | tuple[str, Any]) -> None:
        pairs = {name: field if isinstance(field, tuple) else (field, None) for name, field in fields.items()}
        self._order, self._types = order, {name: kind for name, (kind, _) in pairs.items()}
        zero = {name: b"" if kind.endswith("s") else 0 for name, (kind, _) in pairs.items()}
        self._defaults = zero | {name: value for name, (_, value) in pairs.items() if value is not None}
        self.struct = struct.Struct(order + "".join(self._types.values()))
        self.size = self.struct.size

    @cached_property
    def offset(self) -> dict[str, int]:
        """Name of a field -> the byte that it starts at."""
        kinds = list(self._types.values())
        return {name: struct.calcsize(self._order + "".join(kinds[:index])) for index, name in enumerate(self._types)}

    def only(self, *names: str) -> struct.Struct:
        """The structure without the values of its other fields: for the few fields of many records."""
        kinds = (kind if name in names else f"{struct.calcsize(kind)}x" for name, kind in self._types.items())
        return struct.Struct(self._order + "".join(kinds))

    @cached_property
    def _record(self) -> Any:
        return namedtuple("_record", self._types)

    @cached_property
    def pack(self) -> Callable[..., bytes]:
        """Returns the structure's bytes; takes fields by name. Compiled for the structure, because inodes are packed by
        the ten thousand."""
        parameters = ", ".join(f"{name}=defaults[{name!r}]" for name in self._types)
        names = {"pack": self.struct.pack, "defaults": self._defaults}
        return eval(f"lambda *, {parameters}: pack({', '.join(self._types)})", names)  # type: ignore[no-any-return]  # noqa: S307

    def patch(self, data: bytearray, at: int = 0, **fields: Any) -> None:
        """Writes `fields` into the structure that starts at `at`."""
        for name, value in fields.items():
            struct.pack_into(self._order + self._types[name], data, at + self.offset[name], value)

    def unpack(self, data: bytes, at: int = 0) -> Any:
        """The structure that starts at `at`, as a named tuple. Raises struct.error for too few bytes."""
        return self._record._make(self.struct.unpack_from(data, at))

    def iter_unpack(self, data: bytes) -> Iterator[Any]:
        """Yields structures that follow each other."""
        return map(self._record._make, self.struct.iter_unpack(data))


def encode_device(major: int, minor: int) -> int:
    """The numbers of a device in 32 bits, as Linux stores them (include/linux/kdev_t.h, new_encode_dev)."""
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def decode_device(number: int) -> tuple[int, int]:
    """Major and minor number."""
    return number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
