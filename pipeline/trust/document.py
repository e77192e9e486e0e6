"""JSON documents of sigstore, read strictly: protobuf's JSON encoding (protobuf.dev, "ProtoJSON Format").

Duplicate keys, unknown keys, numbers that are not integers, base64 that is not canonical and other types than the field
has are refused; null stands for an absent field.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NamedTuple

from pipeline.model import json_object
from pipeline.trust.error import SignatureRefusal

DEPTH = 32
"""Maximum depth of nested objects and lists."""
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Object(NamedTuple):
    """A JSON object. path: its place in the document, for messages."""

    fields: dict[str, Any]
    path: str

    def only(self, *names: str) -> Object:
        """Returns the object if it has no other fields than `names`. SignatureRefusal."""
        if unknown := [name for name in self.fields if name not in names]:
            raise SignatureRefusal(f"{self.path}: unknown field {unknown[0][:40]!r}")
        return self

    def has(self, name: str) -> bool:
        """Returns whether the field `name` is there, and is not null."""
        return self.fields.get(name) is not None

    def text(self, name: str) -> str:
        """Returns a text that is not empty. SignatureRefusal."""
        value = self._field(name, str, "a text")
        if not value:
            raise SignatureRefusal(f"{self._place(name)} is empty")
        return str(value)

    def blob(self, name: str) -> bytes:
        """Returns the bytes of a field in base64 (RFC 4648, 4), at least one. SignatureRefusal."""
        return decode_base64(self.text(name), self._place(name))

    def integer(self, name: str) -> int:
        """Returns an integer from 0 to 2^63 - 1, written as a number or as a decimal text. SignatureRefusal."""
        value = self.fields.get(name)
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if type(value) is not int or not 0 <= value < 1 << 63:
            raise SignatureRefusal(f"{self._place(name)} is not an integer from 0 to 2^63 - 1")
        return value

    def object(self, name: str) -> Object:
        """Returns an object. SignatureRefusal."""
        return Object(self._field(name, dict, "an object"), self._place(name))

    def objects(self, name: str, maximum: int) -> list[Object]:
        """Returns a list of objects, empty if the field is absent. SignatureRefusal for more than `maximum`."""
        values = self._field(name, list, "a list") if self.has(name) else []
        if len(values) > maximum:
            raise SignatureRefusal(f"{self._place(name)} has {len(values)} entries: {maximum} are taken")
        if not all(isinstance(value, dict) for value in values):
            raise SignatureRefusal(f"{self._place(name)} is not a list of objects")
        return [Object(value, f"{self._place(name)}[{number}]") for number, value in enumerate(values)]

    def texts(self, name: str, maximum: int) -> list[str]:
        """Returns a list of texts, empty if the field is absent. SignatureRefusal for more than `maximum`."""
        values = self._field(name, list, "a list") if self.has(name) else []
        if len(values) > maximum or not all(isinstance(value, str) for value in values):
            raise SignatureRefusal(f"{self._place(name)} is not a list of at most {maximum} texts")
        return values

    def _field(self, name: str, kind: type, kind_name: str) -> Any:
        value = self.fields.get(name)
        if value is None:
            raise SignatureRefusal(f"{self._place(name)} is missing")
        if not isinstance(value, kind):
            raise SignatureRefusal(f"{self._place(name)} is not {kind_name}")
        return value

    def _place(self, name: str) -> str:
        return f"{self.path}.{name}".lstrip(".")


def parse(unsafe_data: bytes, limit: int, path: str = "") -> Object:
    """Returns the JSON object in `unsafe_data`. SignatureRefusal for more than `limit` bytes, or anything else."""
    if len(unsafe_data) > limit:
        raise SignatureRefusal(f"{path or 'a document'} of more than {limit} bytes")
    try:
        text = unsafe_data.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=json_object.unique, parse_constant=_no_number, parse_float=_no_number
        )
        json_object.check_depth(value, DEPTH)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate is no character
    except RecursionError:
        raise SignatureRefusal(f"{path or 'it'} is not JSON that can be trusted: nested too deep") from None
    except ValueError as error:
        raise SignatureRefusal(f"{path or 'it'} is not JSON that can be trusted: {error}") from None
    if not isinstance(value, dict):
        raise SignatureRefusal(f"{path or 'it'} is not a JSON object")
    return Object(value, path)


def decode_base64(text: str, place: str) -> bytes:
    """Returns the bytes that `text` encodes (RFC 4648, 4) in the one way that is canonical (3.5). SignatureRefusal."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if base64.b64encode(data).decode() != text:
        raise SignatureRefusal(f"{place} is not base64")
    return data


def canonical(value: object) -> bytes:
    """Returns JSON as RFC 8785 writes it; `value` has no other numbers than integers, and keys in ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _no_number(text: str) -> None:
    raise ValueError(f"{text[:20]} is not an integer")
