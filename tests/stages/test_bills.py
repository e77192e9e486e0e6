"""Packages that bills of an image name: those that no package database of the image names."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.model.origins import Origin
from pipeline.model.tree import complete, files
from pipeline.packages.bill import CYCLONEDX, SPDX
from pipeline.packages.installed import APK
from pipeline.stages import bills
from pipeline.store import Store
from tests.packages.test_bill import FLASK, GOOD_CYCLONEDX, GOOD_SPDX, MUSL, component, cyclonedx


def entry(document: object, media_type: str = SPDX) -> dict[str, str]:
    return {"mediaType": media_type, "contents": base64.b64encode(json.dumps(document).encode()).decode()}


def image(store: Store, *packages: str) -> Digest:
    text = "\n\n".join(packages).encode()
    return store.put_tree(complete(files([(APK[0], store.content(text))])))


def found(store: Store, tree: Digest, *entries: dict[str, str]) -> list[Origin]:
    return bills.load(store, bills.bills(store, tree, reference="r/a:1", bills=entries))


def origin(listed: Any) -> Origin:
    return Origin("listed", listed.name, listed.version, within="r/a:1", url=listed.url)


def test_what_the_images_own_database_names_is_left_out(store: Store) -> None:
    tree = image(store, "P:musl\nV:1.2.5-r0\n", "P:zlib\nV:1\n")
    assert found(store, tree, entry(GOOD_SPDX)) == [origin(FLASK)]
    assert found(store, image(store, "P:musl\nV:1.2.4-r9\n"), entry(GOOD_SPDX)) == [origin(MUSL), origin(FLASK)]


def test_bills_of_both_forms_are_one_list(store: Store) -> None:
    other = cyclonedx(component("six", "pkg:pypi/six@1", "1"))
    both = entry(GOOD_SPDX), entry(GOOD_CYCLONEDX, CYCLONEDX), entry(other, CYCLONEDX)
    assert [each.name for each in found(store, image(store), *both)] == ["musl", "Flask", "six"]
    assert found(store, image(store)) == []


def test_bills_that_are_not_locked_or_refused_are_a_problem(store: Store) -> None:
    with pytest.raises(StageProblem, match=r"r/a:1: its bills of materials are not locked \(`doit lock`\)"):
        bills.bills(store, image(store), reference="r/a:1", bills=None)
    with pytest.raises(StageProblem, match="r/a:1: a bill of materials: the version of SPDX is None"):
        found(store, image(store), entry({}))
