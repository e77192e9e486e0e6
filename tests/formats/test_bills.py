"""Bills of materials, by other people's validators: spdx-tools, and cyclonedx-python-lib's strict one."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.formats import cyclonedx, spdx
from pipeline.model.origins import Origin
from pipeline.stages.inventory import Inventory, OwnedFile, Part
from pipeline.store import Store
from tests.formats import node
from tests.judges import python_with

SPDX = """
import sys
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
for path in sys.argv[1:]:
    try:
        found = [each.validation_message for each in validate_full_spdx_document(parse_file(path))]
    except SPDXParsingError as error:
        found = error.messages
    print(path.rpartition("/")[2], len(found), str(found)[:300].replace("\\n", " "), flush=True)
"""
CYCLONEDX = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
validator = JsonStrictValidator(SchemaVersion.V1_6)
for path in sys.argv[1:]:
    found = validator.validate_str(open(path).read())
    print(path.rpartition("/")[2], int(found is not None), str(found)[:300].replace("\\n", " "), flush=True)
"""
JUDGES = {
    "spdx": ("spdx-tools==0.8.5", SPDX, ".spdx.json"),
    "cyclonedx": ("cyclonedx-python-lib[json-validation]==11.12.0", CYCLONEDX, ".cdx.json"),
}
Document = dict[str, Any]


def judged(name: str, documents: dict[str, Document], folder: Path) -> dict[str, tuple[int, str]]:
    """Number of faults and their text that the judge of the format `name` finds in each of `documents`."""
    requirement, program, suffix = JUDGES[name]
    paths = []
    for title, document in documents.items():
        paths.append(folder / f"{title}{suffix}")
        paths[-1].write_text(json.dumps(document))
    command = [python_with(requirement), "-c", program, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = (line.split(" ", 2) for line in done.stdout.splitlines())
    return {title.removesuffix(suffix): (int(count), text) for title, count, text in rows}


@cache
def _made(name: str, root: Path) -> bytes:
    store = Store(root)
    suffix = JUDGES[name][2]
    return store.bytes(store.tree(node.make(store, name, node.products(store))).file(suffix).content)


def bill(store: Store, name: str) -> Document:
    document: Document = json.loads(_made(name, store.root))
    return document


def package(document: Document, name: str) -> Document:
    found: Document = next(each for each in document["packages"] if each["name"] == name)
    return found


SPDX_FAULTS: dict[str, Callable[[Document], object]] = {
    "identifier": lambda d: d["files"][0].update(SPDXID="SPDXRef-a_b"),
    "no-sha1": lambda d: d["files"][0]["checksums"].pop(0),
    "dangling": lambda d: d["relationships"][0].update(relatedSpdxElement="SPDXRef-nothing"),
    "namespace": lambda d: d.update(documentNamespace="no uri"),
    "licence": lambda d: package(d, "linux-image-6.1.0_x").update(licenseDeclared="LicenseRef-unknown"),
    "unanalyzed": lambda d: package(d, "linux-image-6.1.0_x").update(filesAnalyzed=False),
    "location": lambda d: d["packages"][1].pop("downloadLocation"),
    "created": lambda d: d["creationInfo"].update(created="yesterday"),
}
CYCLONEDX_FAULTS: dict[str, Callable[[Document], object]] = {
    "serial": lambda d: d.update(serialNumber="urn:uuid:1"),
    "type": lambda d: d["components"][0].update(type="package"),
    "algorithm": lambda d: d["components"][0].update(hashes=[{"alg": "SHA-257", "content": "0" * 64}]),
    "unknown-field": lambda d: d["components"][0].update(files=[]),
    "twice": lambda d: d["components"].append(d["components"][0]),
    "no-name": lambda d: d["components"][0].pop("name"),
}


@pytest.mark.parametrize(("name", "faults"), [("spdx", SPDX_FAULTS), ("cyclonedx", CYCLONEDX_FAULTS)])
def test_a_bill_is_valid_and_each_fault_in_it_is_found(
    store: Store, tmp_path: Path, name: str, faults: dict[str, Callable[[Document], object]]
) -> None:
    right = bill(store, name)
    documents = {"right": right}
    for title, damage in faults.items():
        documents[title] = copy.deepcopy(right)
        damage(documents[title])
    found = judged(name, documents, tmp_path)
    assert found["right"][0] == 0, found["right"]
    assert {title for title, (count, _) in found.items() if not count} == {"right"}


LISTED = Origin("listed", "Flask", "3.0.0", url="pkg:pypi/flask@3.0.0?x=%20")
IMAGE = Origin("image", "docker.io/library/a:3")


@pytest.mark.parametrize(("name", "document"), [("spdx", spdx.document), ("cyclonedx", cyclonedx.document)])
def test_a_package_that_a_bill_of_an_image_names_is_valid(
    tmp_path: Path, name: str, document: Callable[[Inventory], Document]
) -> None:
    parts = (Part(IMAGE, (), (f"sha256:{'3' * 64}",), False), Part(LISTED, (IMAGE.name,), (), False))
    bare = Part(LISTED._replace(name="x", version="", url="pkg:npm/%40a/x"), (IMAGE.name,), (), False)
    made = document(Inventory("n", "amd64", 0, (*parts, bare), (OwnedFile("a", "1" * 40, "2" * 64, 0),)))
    assert judged(name, {"merged": made}, tmp_path)["merged"] == (0, "[]" if name == "spdx" else "None")
    assert json.dumps(made).count(LISTED.url) == 1
    if name == "spdx":
        held = {(row["spdxElementId"], row["relatedSpdxElement"]) for row in made["relationships"]}
        assert ("SPDXRef-image-0-docker.io-library-a-3", "SPDXRef-listed-1-Flask") in held
    else:
        assert {"ref": "image/0/docker.io/library/a:3@", "dependsOn": ["listed/1/Flask@3.0.0", "listed/2/x@"]} in made[
            "dependencies"
        ]


def test_each_file_is_contained_in_one_package(store: Store) -> None:
    document = bill(store, "spdx")
    ids = {file["SPDXID"]: file["fileName"] for file in document["files"]}
    contained = [row["relatedSpdxElement"] for row in document["relationships"] if row["relatedSpdxElement"] in ids]
    assert sorted(contained) == sorted(ids)
    owners = {package["SPDXID"]: package["name"] for package in document["packages"]}
    found = {
        ids[row["relatedSpdxElement"]]: owners[row["spdxElementId"]]
        for row in document["relationships"]
        if row["relatedSpdxElement"] in ids
    }
    assert found["./usr/bin/a b"] == "libstdc++6" and found["./boot/cmdline"] == "nodekiln"
    assert found["./etc/caf\N{REPLACEMENT CHARACTER}"] == "docker.io/library/a:3"
    sums = sorted(hashlib.sha1(path.encode()).hexdigest() for path in ("boot/kernel",))
    code = hashlib.sha1("".join(sums).encode()).hexdigest()
    kernel = package(document, "linux-image-6.1.0_x")
    assert kernel["packageVerificationCode"] == {"packageVerificationCodeValue": code}
    assert kernel["licenseDeclared"] == "(BSD-2-Clause OR GPL-2.0-only) AND GPL-2.0-only AND LicenseRef-Debian-X11-odd"
    assert package(document, "libstdc++6")["licenseDeclared"] == "NOASSERTION"


def test_both_name_the_same_packages(store: Store) -> None:
    ours, theirs = bill(store, "spdx"), bill(store, "cyclonedx")
    one = [ref["referenceLocator"] for each in ours["packages"] for ref in each.get("externalRefs", ())]
    other = [each["purl"] for each in theirs["components"] if "purl" in each]
    assert one == other
    assert "pkg:deb/debian/syslinux@3%3A6.04?arch=amd64&distro=debian-bookworm" in one
    files = {place["location"] for each in theirs["components"] for place in _places(each)}
    assert files == {file["fileName"][1:] for file in ours["files"]}


def _places(component: Document) -> list[Document]:
    places: list[Document] = component.get("evidence", {}).get("occurrences", [])
    return places


def test_a_bill_has_no_time_but_the_specs_and_a_name_of_its_content(store: Store) -> None:
    document = bill(store, "spdx")
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    assert document["documentNamespace"].startswith("urn:nodekiln:spdx:")
    assert "timestamp" not in bill(store, "cyclonedx")["metadata"]
