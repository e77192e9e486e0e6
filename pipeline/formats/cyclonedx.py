"""cyclonedx: a bill of materials of the node, as CycloneDX 1.6 JSON: its packages, and the files of each.

Source: CycloneDX 1.6 and its JSON schema. The list of components is flat; files of a package are the occurrences of its
evidence. It has neither a time nor a serial number that is random.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import files
from pipeline.packages import copyright as licences
from pipeline.spec.compatibility import PRESENT
from pipeline.stages import inventory as inventories
from pipeline.stages.inventory import Inventory, Part
from pipeline.stages.purl import purl
from pipeline.store import Store

VERSION = f"1 generation-{PRESENT}"
NODE = "node"
TYPES = {
    "deb": "library",
    "apk": "library",
    "image": "container",
    "recipe": "container",
    "files": "data",
    "made": "data",
    "listed": "library",
}
"""Kind of origin -> type of component."""


def build(store: Store, inventory: Digest) -> Digest:
    """Tree {".cdx.json"}."""
    data = canonical_json(document(inventories.load(store, inventory))) + b"\n"
    return store.put_tree(files([(".cdx.json", store.content(data))]))


def document(node: Inventory) -> dict[str, Any]:
    """Returns the document of a node; its serial number is a UUID out of the digest of all the rest."""
    names = [_name(number, part) for number, part in enumerate(node.parts)]
    owned: dict[int, list[str]] = {}
    for file in node.files:
        owned.setdefault(file.part, []).append(file.path)
    rest = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "nodekiln", "version": f"generation-{PRESENT}"}]},
            "component": {
                "type": "operating-system",
                "bom-ref": NODE,
                "name": node.name,
                "properties": [{"name": "nodekiln:arch", "value": node.arch}],
            },
        },
        "components": [_component(names[at], part, owned.get(at, [])) for at, part in enumerate(node.parts)],
        "dependencies": _dependencies(node, names),
    }
    digest = hashlib.sha256(canonical_json(rest)).digest()
    return {**rest, "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}"}


def _name(number: int, part: Part) -> str:
    """Returns the bom-ref of a part."""
    return f"{part.origin.kind}/{number}/{part.origin.name}@{part.origin.version}"


def _component(name: str, part: Part, paths: list[str]) -> dict[str, Any]:
    origin = part.origin
    component: dict[str, Any] = {"type": TYPES[origin.kind], "bom-ref": name, "name": origin.name or "nodekiln"}
    if origin.version:
        component["version"] = origin.version
    if origin.digest:
        component["hashes"] = [{"alg": "SHA-256", "content": origin.digest.partition(":")[2]}]
    if expression := licences.expression(origin.licenses):
        component["licenses"] = [{"expression": expression}]
    if url := purl(origin):
        component["purl"] = url
    properties = [{"name": "nodekiln:layer", "value": layer} for layer in part.layers]
    properties += [{"name": "nodekiln:image", "value": way} for way in part.within]
    if part.boots:
        properties.append({"name": "nodekiln:role", "value": "boot"})
    if origin.kind == "listed":
        properties.append({"name": "nodekiln:role", "value": "listed"})
    if properties:
        component["properties"] = properties
    if paths:
        locations = (path.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for path in paths)
        component["evidence"] = {"occurrences": [{"location": f"/{each}"} for each in locations]}
    return component


def _dependencies(node: Inventory, names: list[str]) -> list[dict[str, Any]]:
    """Returns the graph: the node depends on its parts, an image on the packages that came by it."""
    images = {part.origin.name: at for at, part in enumerate(node.parts) if part.origin.kind in ("image", "recipe")}
    below: dict[int, list[str]] = {}
    for at, part in enumerate(node.parts):
        for way in part.within:
            if way in images:
                below.setdefault(images[way], []).append(names[at])
    edges = [{"ref": NODE, "dependsOn": names}]
    edges += [{"ref": name, **({"dependsOn": below[at]} if at in below else {})} for at, name in enumerate(names)]
    return edges


FORMAT = Format(
    "cyclonedx", build, needs=("inventory",), options=(), produces=(".cdx.json",), firmware=Firmware.NONE
)  # fmt: skip
