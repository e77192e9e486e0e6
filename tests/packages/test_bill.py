"""Bills of materials by others: packages are read, and whatever is not as it should be is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.packages import bill
from pipeline.packages.bill import CYCLONEDX, SPDX, BillRefusal, ListedPackage, parse

FLASK = ListedPackage("pkg:pypi/flask@3.0.0", "Flask", "3.0.0")
MUSL = ListedPackage("pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64", "musl", "1.2.5-r0")


def row(title: str, url: str = "", version: str = "", **more: Any) -> dict[str, Any]:
    refs = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}] if url else []
    return {"SPDXID": f"SPDXRef-{title}", "name": title, "versionInfo": version, "externalRefs": refs, **more}


def spdx(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    described = {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                 "relatedSpdxElement": "SPDXRef-image"}  # fmt: skip
    document = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "packages": [*rows], "files": []}
    return {**document, "relationships": [described], **more}


def component(name: str, url: str, version: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "library", "name": name, "version": version, "purl": url, "bom-ref": url, **more}


def cyclonedx(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [*rows], **more}


GOOD_SPDX = spdx(
    row("image", "pkg:generic/app@1"), row("none"), row("Flask", FLASK.url, "3.0.0"), row("musl", MUSL.url, "1.2.5-r0"),
    row("base", "pkg:oci/base@sha256%3Aabc"),
)  # fmt: skip
GOOD_CYCLONEDX = cyclonedx(
    component("musl", MUSL.url, "1.2.5-r0", components=[component("Flask", FLASK.url, "3.0.0")]), {"name": "x"},
    metadata={"component": component("image", "pkg:generic/app@1")},
)  # fmt: skip


def read(document: object, media_type: str = SPDX) -> tuple[ListedPackage, ...]:
    return parse(json.dumps(document).encode(), media_type)


def test_packages_are_those_with_a_package_url_but_the_image() -> None:
    assert read(GOOD_SPDX) == read(GOOD_CYCLONEDX, CYCLONEDX) == (MUSL, FLASK)
    assert read(spdx(row("image", "pkg:generic/app@1"))) == (ListedPackage("pkg:generic/app@1", "image", ""),)
    assert MUSL.identity == ("apk", "musl", "1.2.5-r0")
    escaped = ListedPackage("pkg:deb/debian/libstdc%2B%2B6@1%3A2~a", "libstdc++6", "1:2~a")
    assert escaped.identity == ("deb", "libstdc++6", "1:2~a")


def deep(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


TWICE = json.dumps(GOOD_SPDX).replace('"packages":', '"packages": [], "packages":', 1)
HOSTILE: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "not JSON"),
    "no text": (b"\xff\xfe", "not JSON"),
    "a list": ([], "not a JSON object"),
    "a key twice": (TWICE, "a key comes twice"),
    "nested": (spdx(annotations=deep(bill.DEPTH_LIMIT)), "nested more than 64 deep"),
    "nested beyond the parser": ("[" * 200_000, "nested more than 64 deep"),
    "another version": (spdx(spdxVersion="SPDX-3.0"), "'SPDX-3.0': 2.2 and 2.3 are read"),
    "no version": (spdx(spdxVersion=None), "the version of SPDX is None"),
    "an identifier twice": (spdx(row("a", FLASK.url), row("a", MUSL.url)), "'SPDXRef-a' comes twice"),
    "an identifier of a package and a file": (spdx(row("a"), files=[{"SPDXID": "SPDXRef-a"}]), "comes twice"),
    "no identifier": (spdx({"name": "a"}), "without SPDXID"),
    "a number as a name": (spdx(row("a", FLASK.url, name=7)), "name is not a text"),
    "no name": (spdx(row("a", FLASK.url, name="")), "without name"),
    "a long name": (spdx(row("a", FLASK.url, name="x" * 1001)), "at most 1000 printable characters"),
    "a terminal's escape": (spdx(row("a", FLASK.url, name="\x1b[2J")), r"printable characters: '\x1b[2J'"),
    "half a surrogate": (spdx(row("a", FLASK.url, name="\ud800")), "printable"),
    "no package URL": (spdx(row("a", "pkg:pypi/flask 3")), "is not a package URL"),
    "another URL": (spdx(row("a", "https://example.com/pkg:pypi/a")), "is not a package URL"),
    "packages as a text": (spdx(packages="x"), "packages is not a list"),
    "packages of texts": (spdx(packages=["x"]), "packages is not a list of objects"),
    "a flood": (spdx(packages=[{}] * (bill.PACKAGES_LIMIT + 1)), "100001 entries, and 100000 are read"),
    "huge": (" " * (bill.SIZE_LIMIT + 1), "more than 16777216 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bill_is_refused_in_one_line(name: str) -> None:
    document, message = HOSTILE[name]
    data = document.encode() if isinstance(document, str) else document
    data = data if isinstance(data, bytes) else json.dumps(document).encode()
    with pytest.raises(BillRefusal) as caught:
        parse(data, SPDX)
    assert message in str(caught.value) and str(caught.value).isprintable() and len(str(caught.value)) < 300


@pytest.mark.parametrize(("document", "message"), [
    (cyclonedx(component("a", FLASK.url), component("b", FLASK.url)), f"'{FLASK.url}' comes twice"),
    (cyclonedx(component("a", FLASK.url, components=[component("b", FLASK.url)])), "comes twice"),
    (cyclonedx(specVersion="2.0"), "'2.0': 1.2 to 1.6 are read"),
    (cyclonedx(bomFormat="x"), "the version of CycloneDX"),
    (cyclonedx(components={}), "components is not a list"),
    (cyclonedx({"components": [{}] * bill.PACKAGES_LIMIT}), "components: more than 100000"),
])  # fmt: skip
def test_another_bill_of_cyclonedx_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(BillRefusal) as caught:
        read(document, CYCLONEDX)
    assert message in str(caught.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(FLASK.url),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["packages", "files", "relationships", "components", "SPDXID", "name", "purl", "externalRefs",
                         "referenceType", "referenceLocator", "versionInfo", "bom-ref"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["packages", "files", "relationships", "components"]), values))
def test_anything_is_packages_or_refused(fields: dict[str, Any]) -> None:
    for document, media_type in ((spdx() | fields, SPDX), (cyclonedx() | fields, CYCLONEDX)):
        try:
            found = read(document, media_type)
        except BillRefusal as error:
            assert str(error).isprintable()
        else:
            assert all(each.url.startswith("pkg:") and each.name for each in found)
