"""Bills of materials of images from the lock to the inventory: found, recorded, and merged out of the files alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.language.problem import Problems, StageProblem
from pipeline.model.digest import Digest
from pipeline.oci import referrers
from pipeline.oci.error import Refusal
from pipeline.packages import bill
from pipeline.planning import lock as locks
from pipeline.planning.bills import NoBill, packages, update
from pipeline.planning.load import load
from pipeline.planning.lock import LockError
from pipeline.planning.plan import Plan, plan
from pipeline.planning.signatures import Signatures, Signed, write
from pipeline.planning.trust_policy import evidence
from pipeline.project import provenance
from pipeline.stages import inventory
from pipeline.store import Store
from tests.oci import craft
from tests.packages.test_bill import FLASK, GOOD_SPDX, HOSTILE, MUSL, spdx
from tests.trust import signing

REFERENCE = "oci:layout:1"
SPEC = 'init: ["oci:layout:1"]\nbuild: {formats: [spdx], arch: amd64SBOM}\n'
MEDIA_TYPE = "application/spdx+json"


class Node:
    """A project with one spec, whose only image lies in a layout."""

    def __init__(self, root: Path) -> None:
        self.layout = root / "layout"
        self.index, self.manifest = signing.image(self.layout)
        Path("specs").mkdir()
        self.spec("external")

    def spec(self, sbom: str) -> None:
        Path("specs/x.yml").write_text(SPEC.replace("SBOM", f", sbom: {sbom}" if sbom else ""))

    def attach(self, document: object, subject: str = "", media_type: str = MEDIA_TYPE) -> str:
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        signing.sign(self.layout, subject or self.index, data, media_type)
        return Digest.of(data)

    def plan(self) -> Plan:
        return plan(load(Path("specs/x.yml")), locks.read(Path("specs/x.lock")), "amd64")

    def lock(self, anew: bool = False) -> Signed:
        """Does what `doit lock` does, and writes the two files."""
        images, known = self.plan().images, locks.read(Path("specs/x.lock"))
        wanted = [each for each in images.wanted if anew or known.get(each) is None]
        known = known.updated(locks.resolve(wanted))
        signed = update(Signed(known, evidence(Path("specs/x.evidence"))), images.sbom, lambda reference: anew)
        write(Path("specs/x.evidence"), signed.evidence)
        locks.write(Path("specs/x.lock"), signed.lock)
        return signed

    def listed(self, store: Store) -> list[tuple[str, tuple[str, ...]]]:
        """Package URL of each part of the inventory that a bill names, and the image that it came by."""
        found = inventory.load(store, self.plan().products.inventory.perform(store)[0])
        return [(each.origin.url, each.within) for each in found.parts if each.origin.kind == "listed"]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.chdir(tmp_path)
    yield Node(tmp_path)


@pytest.mark.parametrize("of", ["index", "manifest"])
@pytest.mark.parametrize("sbom", ["external", "['oci:layout:1']"])
def test_a_bill_is_locked_and_merged_without_the_registry(node: Node, store: Store, sbom: str, of: str) -> None:
    subject = getattr(node, of)
    digest = node.attach(GOOD_SPDX, subject)
    node.spec(sbom)
    signed = node.lock()
    assert signed.lock.bills(REFERENCE) == [{"subject": subject, "mediaType": MEDIA_TYPE, "digest": digest}]
    assert packages(signed, REFERENCE) == 2 and signed.evidence.bills.keys() == {digest}
    assert evidence(Path("specs/x.evidence")) == signed.evidence and locks.read(Path("specs/x.lock")) == signed.lock
    unpacked = node.plan().images(REFERENCE).tree.perform(store)
    node.layout.rename("gone")
    assert node.listed(store) == [(FLASK.url, (REFERENCE,)), (MUSL.url, (REFERENCE,))] and unpacked
    assert node.lock() == signed, "what is locked asks nobody"
    stated = provenance.dependencies(signed.lock, "amd64")
    assert {"uri": f"docker://{REFERENCE}", "digest": {"sha256": digest[7:]}, "mediaType": MEDIA_TYPE} in stated


def test_an_image_without_a_bill_is_recorded_so_or_refused(node: Node, store: Store) -> None:
    node.attach(GOOD_SPDX, media_type="application/json")
    assert node.lock().lock.bills(REFERENCE) == [] and not Path("specs/x.evidence").exists()
    assert node.listed(store) == []
    node.spec("['oci:layout:1']")
    with pytest.raises(NoBill, match=r"specs/x.yml:2:46: oci:layout:1: no bill of materials .*; asked: oci:layout"):
        node.lock(anew=True)
    node.spec("['oci:layout:2']")
    with pytest.raises(Problems, match=r"x.yml:2:46: build.sbom: the spec has no image oci:layout:2 from a registry"):
        node.plan()


def test_what_is_not_locked_or_lost_is_one_line(node: Node, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    node.attach(GOOD_SPDX)
    node.spec("")
    assert node.lock().lock.bills(REFERENCE) is None
    node.spec("external")
    monkeypatch.setenv("NODEKILN_LOCKED", "1")
    with pytest.raises(LockError, match="its bills of materials are not locked"):
        node.lock()
    monkeypatch.delenv("NODEKILN_LOCKED")
    with pytest.raises(StageProblem, match=r"its bills of materials are not locked \(`doit lock`\)"):
        node.listed(store)
    node.lock()
    assert len(node.listed(store)) == 2
    Path("specs/x.evidence").unlink()
    with pytest.raises(StageProblem, match="not locked"):
        node.listed(store)
    node.lock()
    assert len(node.listed(store)) == 2
    node.spec("")
    assert node.lock().lock.bills(REFERENCE) is None and not Path("specs/x.evidence").exists()


def test_another_bill_is_another_record(node: Node, store: Store) -> None:
    node.attach(GOOD_SPDX)
    node.lock()
    other = node.attach(spdx())
    assert len(node.lock().lock.bills(REFERENCE) or ()) == 1
    assert other in [each["digest"] for each in node.lock(anew=True).lock.bills(REFERENCE) or ()]
    assert len(node.listed(store)) == 2


def test_a_bill_of_another_platform_or_image_is_none_of_this(node: Node, store: Store) -> None:
    """The index has a bill for all platforms, a manifest for its own alone; others are not looked at."""
    node.attach(GOOD_SPDX, "sha256:" + "e" * 64)
    assert node.lock().lock.bills(REFERENCE) == []
    node.attach(GOOD_SPDX)
    node.lock(anew=True)
    document = json.loads(Path("specs/x.lock").read_text())
    document["images"][REFERENCE]["bills"][0]["subject"] = "sha256:" + "e" * 64
    Path("specs/x.lock").write_text(json.dumps(document))
    assert node.listed(store) == []


@pytest.mark.parametrize("name", [name for name in HOSTILE if name != "huge"])
def test_a_hostile_bill_is_not_locked(node: Node, name: str) -> None:
    document, message = HOSTILE[name]
    node.attach(document.encode() if isinstance(document, str) else document)
    with pytest.raises(NoBill) as caught:
        node.lock()
    said = str(caught.value)
    assert said.startswith("specs/x.yml:2:45: oci:layout:1: the bill of materials sha256:") and message in said
    assert said.isprintable() and not Path("specs/x.lock").exists()


def test_too_large_and_too_many_bills_are_not_locked(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.attach(GOOD_SPDX)
    with monkeypatch.context() as smaller:
        smaller.setattr(bill, "SIZE_LIMIT", 100)
        with pytest.raises(NoBill, match=r"cannot all be read; asked: .* 100"):
            node.lock()
    for number in range(referrers.BILLS_LIMIT):
        node.attach(spdx(comment=str(number)))
    with pytest.raises(Refusal, match="more than 16 bills of materials of sha256:"):
        node.lock()


@pytest.mark.parametrize(("field", "value"), [("digest", "x"), ("subject", 1), ("mediaType", None)])
def test_a_damaged_record_is_no_lock(node: Node, field: str, value: object) -> None:
    node.attach(GOOD_SPDX)
    node.lock()
    document: Any = json.loads(Path("specs/x.lock").read_text())
    document["images"][REFERENCE]["bills"][0][field] = value
    Path("specs/x.lock").write_text(json.dumps(document))
    with pytest.raises(LockError, match=r"not as .*bills"):
        node.plan()


def test_signatures_and_bills_share_a_file(node: Node, store: Store) -> None:
    key = signing.Key()
    Path("a.pub").write_text(key.pem)
    Path("specs/trust.yml").write_text("rules: [{match: ['oci:*'], signers: [{cosign: a.pub}]}]\n")
    signing.sign(node.layout, node.index, key.bundle(node.index))
    node.attach(GOOD_SPDX)
    signed = Signatures(1_800_000_000).update(node.lock(), node.plan().images.required)
    write(Path("specs/x.evidence"), signed.evidence)
    locks.write(Path("specs/x.lock"), signed.lock)
    assert len(signed.lock.signatures(REFERENCE)) == len(signed.evidence.bills) == 1
    assert craft.digest(json.dumps(GOOD_SPDX).encode()) in signed.evidence.bills
    assert len(node.listed(store)) == 2
