"""spdx: a bill of materials of the node, as SPDX 2.3 JSON: its packages, and the owner of each file.

Source: SPDX 2.3 and its JSON schema. A package contains its files that the node has, and its verification code is that
of these files. Files of boot loaders are parts of disks, not of the root: their packages have no files here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import files
from pipeline.packages import copyright as licences
from pipeline.spec.compatibility import PRESENT
from pipeline.stages import inventory as inventories
from pipeline.stages.inventory import Inventory, OwnedFile, Part
from pipeline.stages.purl import purl
from pipeline.store import Store

VERSION = f"1 generation-{PRESENT}"
NONE = "NOASSERTION"
DOCUMENT = "SPDXRef-DOCUMENT"
NODE = "SPDXRef-Node"
PURPOSES = {"image": "CONTAINER", "recipe": "CONTAINER", "files": "FILE", "made": "OTHER"}
"""Kind of origin -> primary package purpose; packages of a distribution have none."""


def build(store: Store, inventory: Digest) -> Digest:
    """Tree {".spdx.json"}."""
    data = canonical_json(document(inventories.load(store, inventory))) + b"\n"
    return store.put_tree(files([(".spdx.json", store.content(data))]))


def document(node: Inventory) -> dict[str, Any]:
    """Returns the document of a node; its namespace has the digest of all the rest."""
    ids = [_id(number, part) for number, part in enumerate(node.parts)]
    owned: dict[int, list[OwnedFile]] = {}
    for file in node.files:
        owned.setdefault(file.part, []).append(file)
    packages = [_package(ids[at], part, owned.get(at, ())) for at, part in enumerate(node.parts)]
    expressions = [licences.expression(part.origin.licenses) for part in node.parts]
    extracted = sorted({name for each in expressions for name in licences.references(each)})
    rest = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": node.name,
        "creationInfo": {
            "created": datetime.fromtimestamp(node.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: nodekiln-generation-{PRESENT}"],
        },
        "documentDescribes": [NODE],
        "packages": [_node(node), *packages],
        "files": [_file(number, file) for number, file in enumerate(node.files)],
        "relationships": list(_relationships(node, ids)),
    }
    if extracted:
        rest["hasExtractedLicensingInfos"] = [_extracted(name) for name in extracted]
    digest = hashlib.sha256(canonical_json(rest)).hexdigest()
    return {**rest, "documentNamespace": f"urn:nodekiln:spdx:{digest}"}


def _id(number: int, part: Part) -> str:
    """Returns the identifier of a part: letters, digits, `.` and `-` alone."""
    return f"SPDXRef-{part.origin.kind}-{number}-{re.sub(r'[^A-Za-z0-9.-]+', '-', part.origin.name or 'nodekiln')}"


def _node(node: Inventory) -> dict[str, Any]:
    return {
        "SPDXID": NODE,
        "name": node.name,
        "downloadLocation": NONE,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "comment": f"The root file system of the node for {node.arch}, and what starts it.",
        **_unknown(),
    }


def _package(name: str, part: Part, owned: Iterable[OwnedFile]) -> dict[str, Any]:
    origin, sums = part.origin, sorted(file.sha1 for file in owned)
    expression = licences.expression(origin.licenses)
    package: dict[str, Any] = {
        "SPDXID": name,
        "name": origin.name or "nodekiln",
        "downloadLocation": NONE,
        "filesAnalyzed": bool(sums),
        **_unknown(),
    }
    if expression:
        package["licenseDeclared"] = expression
    if sums:
        code = hashlib.sha1("".join(sums).encode(), usedforsecurity=False).hexdigest()
        package["packageVerificationCode"] = {"packageVerificationCodeValue": code}
        package["licenseInfoFromFiles"] = [NONE]
    if origin.version:
        package["versionInfo"] = origin.version
    if origin.digest:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": origin.digest.partition(":")[2]}]
    if origin.source and (origin.source, origin.source_version) != (origin.name, origin.version):
        package["sourceInfo"] = f"built from source package {origin.source} {origin.source_version}"
    if origin.kind == "listed":
        package["comment"] = "Named by a bill of materials of its image; no file is attributed to it."
    if part.boots:
        package["comment"] = "Starts the node; not in its root file system."
    if origin.kind in PURPOSES:
        package["primaryPackagePurpose"] = PURPOSES[origin.kind]
    if part.layers:
        package["comment"] = "Layers: " + ", ".join(part.layers)
    if url := purl(origin):
        package["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}
        ]
    return package


def _unknown() -> dict[str, str]:
    return dict.fromkeys(("licenseConcluded", "licenseDeclared", "copyrightText"), NONE)


def _file(number: int, file: OwnedFile) -> dict[str, Any]:
    return {
        "SPDXID": _file_id(number),
        "fileName": "./" + file.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": file.sha1},
            {"algorithm": "SHA256", "checksumValue": file.sha256},
        ],
        "licenseConcluded": NONE,
        "licenseInfoInFiles": [NONE],
        "copyrightText": NONE,
    }


def _file_id(number: int) -> str:
    return f"SPDXRef-File-{number}"


def _relationships(node: Inventory, ids: list[str]) -> Iterable[dict[str, str]]:
    """Yields: the document describes the node, which contains its parts; images contain packages, packages files."""
    yield _related(DOCUMENT, "DESCRIBES", NODE)
    images: Mapping[str, str] = {
        part.origin.name: ids[at] for at, part in enumerate(node.parts) if part.origin.kind in ("image", "recipe")
    }
    for at, part in enumerate(node.parts):
        yield _related(ids[at], "RUNTIME_DEPENDENCY_OF", NODE) if part.boots else _related(NODE, "CONTAINS", ids[at])
        for way in part.within:
            if way in images:
                yield _related(images[way], "CONTAINS", ids[at])
    for number, file in enumerate(node.files):
        yield _related(ids[file.part], "CONTAINS", _file_id(number))


def _related(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def _extracted(name: str) -> dict[str, str]:
    text = (
        "The text is in the copyright files of the Debian packages that declare it (usr/share/doc/PACKAGE/copyright)."
    )
    return {"licenseId": name, "name": name.removeprefix(licences.REFERENCE), "extractedText": text}


FORMAT = Format(
    "spdx", build, needs=("inventory",), options=(), produces=(".spdx.json",), firmware=Firmware.NONE
)  # fmt: skip
