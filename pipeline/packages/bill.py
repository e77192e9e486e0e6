"""Packages that a bill of materials names: SPDX 2.2 and 2.3, CycloneDX 1.2 to 1.6, in JSON.

A bill comes from strangers. It is refused as a whole if it is too large or nested too deep, if a key of an object or an
identifier comes twice, or if a field has another type or a character that does not print. Packages without a package
URL are passed over, since nothing identifies them; so is the image that the bill is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from pipeline.model import json_object
from pipeline.packages.error import PackageError

SPDX, CYCLONEDX = "application/spdx+json", "application/vnd.cyclonedx+json"
MEDIA_TYPES = (SPDX, CYCLONEDX)
"""Media types of bills (IANA)."""
CYCLONEDX_VERSIONS = [("CycloneDX", f"1.{minor}") for minor in range(2, 7)]
"""Format and version of the documents that are read."""
SIZE_LIMIT = 16 << 20
"""Maximum size of a bill, in bytes: a bill of each file of a large image."""
DEPTH_LIMIT = 64
"""Maximum depth of nested objects and lists."""
PACKAGES_LIMIT = 100_000
"""Maximum number of packages that a bill names."""
TEXT_LIMIT = 1000
"""Maximum length of a name, a version, an identifier and a package URL, in characters."""
SHOWN = 80
"""Maximum length of a quotation in a message, in characters."""

_URL = re.compile(
    r"pkg:([a-z][a-z0-9.+-]*)/([^\s@?#\"<>\\^`{|}]+)(?:@([^\s@?#]+))?(?:\?[^\s?#]*)?(?:#[^\s#]*)?", re.ASCII
)
"""A package URL (package-url specification): type, path, version."""


class BillRefusal(PackageError):
    """A bill that is not read; the message has the reason."""


class ListedPackage(NamedTuple):
    """A package that a bill names. url: its package URL."""

    url: str
    name: str
    version: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """The type of its URL, the name without namespace, and the version, as a package database has them."""
        match = _URL.fullmatch(self.url)
        assert match
        return match[1], unquote(match[2].rpartition("/")[2]), unquote(match[3] or "")


def parse(unsafe_data: bytes, media_type: str) -> tuple[ListedPackage, ...]:
    """Returns the packages in a bill of `media_type`, sorted, each once. BillRefusal."""
    if len(unsafe_data) > SIZE_LIMIT:
        raise BillRefusal(f"a bill of materials of more than {SIZE_LIMIT} bytes")
    try:
        unsafe = json.loads(unsafe_data.decode(), object_pairs_hook=json_object.unique)
        json_object.check_depth(unsafe, DEPTH_LIMIT)
    except RecursionError:
        raise BillRefusal(f"nested more than {DEPTH_LIMIT} deep") from None
    except ValueError as error:
        raise BillRefusal(f"not JSON that is read: {error}") from None
    if not isinstance(unsafe, dict):
        raise BillRefusal("not a JSON object")
    rows = _spdx(unsafe) if media_type == SPDX else _cyclonedx(unsafe)
    return tuple(sorted({row for row in rows if row.identity[0] != "oci"}))


def _spdx(unsafe: dict[str, Any]) -> Iterator[ListedPackage]:
    """Yields the packages of an SPDX document (SPDX 2.3, clause 7)."""
    if unsafe.get("spdxVersion") not in ("SPDX-2.2", "SPDX-2.3"):
        raise BillRefusal(f"the version of SPDX is {_quoted(unsafe.get('spdxVersion'))}: 2.2 and 2.3 are read")
    described = set(map(str, _list(unsafe, "documentDescribes")))
    for unsafe_row in _objects(unsafe, "relationships"):
        if unsafe_row.get("relationshipType") == "DESCRIBES" and unsafe_row.get("spdxElementId") == "SPDXRef-DOCUMENT":
            described.add(_text(unsafe_row, "relatedSpdxElement"))
    unsafe_packages = _objects(unsafe, "packages")
    ids = [_text(each, "SPDXID") for each in unsafe_packages]
    _check_unique([*ids, *(_text(each, "SPDXID") for each in _objects(unsafe, "files"))])
    for identifier, each in zip(ids, unsafe_packages, strict=True):
        urls = [ref for ref in _objects(each, "externalRefs") if ref.get("referenceType") == "purl"]
        if urls and not (identifier in described and len(unsafe_packages) > 1):
            url = _text(urls[0], "referenceLocator")
            yield _package(url, _text(each, "name"), _optional(each, "versionInfo"))


def _cyclonedx(unsafe: dict[str, Any]) -> Iterator[ListedPackage]:
    """Yields the components of a CycloneDX document, and those within them."""
    if (unsafe.get("bomFormat"), unsafe.get("specVersion")) not in CYCLONEDX_VERSIONS:
        raise BillRefusal(f"the version of CycloneDX is {_quoted(unsafe.get('specVersion'))}: 1.2 to 1.6 are read")
    components, todo = [], [unsafe]
    while todo:
        more = _objects(todo.pop(), "components")
        components += more
        todo += more
        if len(components) > PACKAGES_LIMIT:
            raise BillRefusal(f"components: more than {PACKAGES_LIMIT}")
    _check_unique([reference for each in components if (reference := _optional(each, "bom-ref"))])
    for each in components:
        if url := _optional(each, "purl"):
            yield _package(url, _text(each, "name"), _optional(each, "version"))


def _package(url: str, name: str, version: str) -> ListedPackage:
    if not _URL.fullmatch(url):
        raise BillRefusal(f"{_quoted(url)} is not a package URL: pkg:TYPE/NAME@VERSION")
    return ListedPackage(url, name, version)


def _list(unsafe: dict[str, Any], name: str) -> list[Any]:
    """Returns a list of at most PACKAGES_LIMIT entries; an empty one if the field is absent."""
    value = unsafe.get(name)
    if value is not None and not isinstance(value, list):
        raise BillRefusal(f"{name} is not a list")
    if value and name in ("packages", "components") and len(value) > PACKAGES_LIMIT:
        raise BillRefusal(f"{name}: {len(value)} entries, and {PACKAGES_LIMIT} are read")
    return value or []


def _objects(unsafe: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = _list(unsafe, name)
    if not all(isinstance(each, dict) for each in found):
        raise BillRefusal(f"{name} is not a list of objects")
    return found


def _text(unsafe: dict[str, Any], name: str) -> str:
    if not (value := _optional(unsafe, name)):
        raise BillRefusal(f"a package, a file or a relationship without {name}")
    return value


def _optional(unsafe: dict[str, Any], name: str) -> str:
    """Returns a text; "" if the field is absent."""
    value = unsafe.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_LIMIT or not value.isprintable():
        raise BillRefusal(f"{name} is not a text of at most {TEXT_LIMIT} printable characters: {_quoted(value)}")
    return value


def _quoted(value: object) -> str:
    return ascii(value)[:SHOWN]


def _check_unique(identifiers: Iterable[str]) -> None:
    seen: set[str] = set()
    for each in identifiers:
        if each in seen:
            raise BillRefusal(f"the identifier {_quoted(each)} comes twice")
        seen.add(each)
