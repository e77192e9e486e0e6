"""Signatures from the lock to the build: found, recorded with evidence, and verified again out of that alone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.action import Action
from pipeline.language.problem import Problems, StageProblem
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.planning import lock as locks
from pipeline.planning.load import load
from pipeline.planning.lock import Lock, LockError, LockRequest
from pipeline.planning.plan import Plan, plan
from pipeline.planning.signatures import Required, Signatures, Signed, Untrusted, verified, without_others, write
from pipeline.planning.trust_policy import evidence, evidence_path
from pipeline.stages import pull, trusted
from pipeline.store import Store
from pipeline.trust.evidence import BUNDLE, BUNDLES, EvidenceFile
from tests.oci import craft
from tests.project import ROOT
from tests.trust import instance, notary, signing
from tests.trust.signing import Key

NOW = 1_800_000_000
REFERENCE = "oci:layout:1"
SPEC = 'init: ["oci:layout:1"]\nbuild: {formats: [tar], arch: amd64}\n'
RULE = "rules:\n  - {match: ['oci:*'], need: NEED, signers: [{cosign: a.pub}, {cosign: b.pub}]}\n"


class Node:
    """A project with one spec, whose only image lies in a layout; its keys are a.pub and b.pub."""

    def __init__(self, root: Path) -> None:
        self.root, self.layout = root, root / "layout"
        self.index, self.manifest = signing.image(self.layout)
        self.a, self.b, self.other = Key(), Key(), Key()
        (root / "specs").mkdir()
        for name, key in (("a", self.a), ("b", self.b)):
            (root / f"{name}.pub").write_text(key.pem)
        self.spec()
        self.rules(RULE.replace("NEED", "1"))

    def spec(self, more: str = "") -> None:
        Path("specs/x.yml").write_text(SPEC + more)

    def rules(self, text: str) -> None:
        Path("specs/trust.yml").write_text(text)

    def plan(self) -> Plan:
        spec = load(Path("specs/x.yml"))
        return plan(spec, locks.read(Path("specs/x.lock")), "amd64")

    @property
    def required(self) -> Required:
        return self.plan().images.required

    def known(self) -> Signed:
        return Signed(locks.read(Path("specs/x.lock")), evidence(Path("specs/x.evidence")))

    def lock(self, anew: bool = False, now: int = NOW) -> Signed:
        """Does what `doit lock` does, and writes the two files."""
        lock, file = self.known()
        wanted = [each for each in self.plan().images.wanted if anew or lock.get(each) is None]
        lock = lock.updated(locks.resolve(wanted))
        signed = Signatures(now).update(Signed(lock, file), self.required, lambda reference: anew)
        write(Path("specs/x.evidence"), signed.evidence)
        locks.write(Path("specs/x.lock"), signed.lock)
        return signed

    def actions(self) -> Mapping[str, Action]:
        images = self.plan().images
        return {each.stage.__name__: each for each in (images(REFERENCE).manifest, *images(REFERENCE).manifest.inputs)}

    def build(self, store: Store) -> str:
        """Verifies and fetches the image."""
        return self.actions()["pull"].perform(store)[0]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.chdir(tmp_path)
    yield Node(tmp_path)


def test_a_signature_of_the_index_is_locked_and_verified_without_the_registry(node: Node, store: Store) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    lock, file = node.lock()
    [record] = lock.signatures(REFERENCE)
    assert record == {
        "rule": "oci:*", "signer": record["signer"], "subject": node.index, "kind": "sigstore",
        "evidence": record["evidence"], "time": "2027-01-15T08:00:00Z", "log": None,
    }  # fmt: skip
    assert record["signer"].startswith("sha256:") and record["evidence"] in file.signatures
    assert file.documents.keys() == {node.index, node.manifest}
    node.layout.rename(node.root / "gone")
    actions = node.actions()
    digest, ran = actions["trusted"].perform(store)
    assert ran and json.loads(store.bytes(store.tree(digest).file(trusted.RESULT).content))[0]["rule"] == "oci:*"
    assert not actions["trusted"].perform(store)[1], "nothing changed costs nothing"
    (node.root / "gone").rename(node.layout)
    assert node.build(store) == node.manifest


def test_a_signature_of_the_manifest_counts_as_well(node: Node, store: Store) -> None:
    signing.sign(node.layout, node.manifest, node.b.bundle(node.manifest))
    assert [each["subject"] for each in node.lock().lock.signatures(REFERENCE)] == [node.manifest]
    assert node.build(store) == node.manifest


@pytest.mark.parametrize(
    ("signers", "count"), [("", 0), ("other", 0), ("a", 1), ("aa", 1), ("a other", 1), ("ab", 2)], ids=str
)
def test_two_of_two_are_different_keys(node: Node, store: Store, signers: str, count: int) -> None:
    node.rules(RULE.replace("NEED", "2"))
    for name in signers.split() if " " in signers or signers == "other" else signers:
        key: Key = getattr(node, name)
        signing.sign(node.layout, node.index, key.bundle(node.index))
    if count == 2:
        node.lock()
        assert node.build(store) == node.manifest
        return
    with pytest.raises(Untrusted, match=rf"trust.yml:2:14: oci:layout:1: signed by {count} of the 2 .* asked: oci:"):
        node.lock()
    assert not Path("specs/x.lock").exists(), "nothing was written"


def test_one_key_under_two_names_counts_once(node: Node) -> None:
    node.rules(RULE.replace("NEED", "2"))
    Path("b.pub").write_text(node.a.pem.replace("\n", "\r\n") + "\n\n")
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    signing.sign(node.layout, node.manifest, node.a.bundle(node.manifest))
    with pytest.raises(Untrusted, match="signed by 1 of the 2"):
        node.lock()


def test_removing_a_key_fails_the_next_build_and_another_rule_costs_one_verification(node: Node, store: Store) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    node.lock()
    before = node.build(store)
    node.rules("rules: [{match: ['oci:*'], signers: [{cosign: b.pub}]}]\n")
    with pytest.raises(StageProblem, match=r"signed by 0 of the 1 .*lock"):
        node.build(store)
    action = node.actions()["trusted"]
    assert action.where and action.where((0,)) == "specs/trust.yml:1:18"
    node.rules("rules: [{match: ['oci:*'], signers: [{cosign: a.pub}]}]\n")
    assert node.build(store) == before


def test_a_locked_image_gets_the_signatures_that_a_new_rule_needs(
    node: Node, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.rules("")
    node.lock()
    assert not node.required and not Path("specs/x.evidence").exists()
    node.rules(RULE.replace("NEED", "1"))
    with pytest.raises(StageProblem, match=r"signed by 0 of the 1 signers that the rule 'oci:\*' needs .*lock"):
        node.build(store)
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    monkeypatch.setenv("NODEKILN_LOCKED", "1")
    with pytest.raises(LockError, match="not locked"):
        node.lock()
    monkeypatch.delenv("NODEKILN_LOCKED")
    node.lock()
    assert node.build(store) == node.manifest


def test_what_is_locked_is_kept_with_its_time_and_asks_nobody(node: Node) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    first = node.lock()
    assert node.lock(anew=True, now=NOW + 1000) == first, "the same signatures do not change the lock"
    node.layout.rename(node.root / "gone")
    assert node.lock(now=NOW + 2000) == first


def test_another_signer_is_another_record(node: Node) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    [before] = node.lock().lock.signatures(REFERENCE)
    node.layout.joinpath("index.json").unlink()
    assert signing.image(node.layout) == (node.index, node.manifest)
    signing.sign(node.layout, node.index, node.b.bundle(node.index))
    assert node.lock().lock.signatures(REFERENCE) == [before]
    [after] = node.lock(anew=True).lock.signatures(REFERENCE)
    assert after["signer"] != before["signer"] and [*node.known().evidence.signatures] == [after["evidence"]]


def test_a_spec_tightens(node: Node, store: Store) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    node.spec("trust: {rules: [{match: ['oci:layout'], signers: [{cosign: b.pub}]}]}\n")
    with pytest.raises(Untrusted, match=r"specs/x.yml:3:26: .*by 0 of the 1"):
        node.lock()
    signing.sign(node.layout, node.index, node.b.bundle(node.index))
    assert [each["rule"] for each in node.lock().lock.signatures(REFERENCE)] == ["oci:*", "oci:*", "oci:layout"]
    assert node.build(store) == node.manifest


def test_rules_that_go_take_their_records_along(node: Node) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    lock, _ = node.lock()
    assert without_others(lock, {}).signatures(REFERENCE) == [] and without_others(lock, node.required) == lock
    write(Path("specs/x.evidence"), EvidenceFile())
    assert not Path("specs/x.evidence").exists()


def test_a_signature_of_one_platform_is_none_of_another(node: Node) -> None:
    """The index covers both platforms, a manifest its own alone."""
    shutil.rmtree(node.layout)
    index, manifests = signing.platforms(node.layout, "amd64", "arm64")
    wanted = [LockRequest(REFERENCE, arch) for arch in manifests]
    known = Signed(Lock().updated(locks.resolve(wanted)), EvidenceFile())
    required = node.required
    signing.sign(node.layout, manifests["amd64"], node.a.bundle(manifests["amd64"]))
    with pytest.raises(Untrusted, match="signed by 0 of the 1"):
        Signatures(NOW).update(known, required)
    signing.sign(node.layout, index, node.a.bundle(index))
    records = Signatures(NOW).update(known, required).lock.signatures(REFERENCE)
    assert {each["subject"] for each in records} == {index, manifests["amd64"]}


def test_an_image_without_an_index_is_signed_itself(node: Node, store: Store) -> None:
    shutil.rmtree(node.layout)
    node.manifest = craft.image(node.layout, [craft.archive(craft.entry("x"))], name="1")
    signing.sign(node.layout, node.manifest, node.a.bundle(node.manifest))
    lock, file = node.lock()
    assert lock.images[REFERENCE]["index"] is None and file.documents.keys() == {node.manifest}
    assert node.build(store) == node.manifest


@pytest.mark.parametrize("subject", ["index", "manifest"])
@pytest.mark.parametrize("kind", ["jws", "cose"])
def test_a_signature_of_notation(node: Node, store: Store, kind: str, subject: str) -> None:
    signer = notary.signer()
    digest, media_type = (node.index, signing.INDEX) if subject == "index" else (node.manifest, signing.MANIFEST)
    size = (node.layout / "blobs" / "sha256" / digest[7:]).stat().st_size
    content = notary.payload(notary.Artifact(media_type, digest, size))
    signing.sign(node.layout, digest, notary.envelope(kind, signer, content), notary.MEDIA_TYPES[kind])
    (node.root / "acme/x509/ca/acme").mkdir(parents=True)
    (node.root / "acme/x509/ca/acme/root.der").write_bytes(signer.chain[-1])
    node.rules(f"rules: [{{match: ['oci:*'], signers: [{{notation: acme, subject: '{notary.SUBJECT}'}}]}}]\n")
    [record] = node.lock(now=notary.TIME).lock.signatures(REFERENCE)
    assert record["kind"] == "notation" and "CN=signer" in record["signer"] and record["subject"] == digest
    assert node.build(store) == node.manifest, "as of the time of the lock: the certificate has expired since"
    [claim] = verified(node.known(), REFERENCE, node.required[REFERENCE][0])
    assert claim.until == notary.END and claim.signer.key.startswith("sha256:")
    with pytest.raises(Untrusted, match="signed by 0 of the 1"):
        node.lock(anew=True)


@pytest.mark.parametrize(
    ("issuer", "identity", "fault"),
    [
        (instance.ISSUER, f"identity: '{instance.IDENTITY}'", ""),
        (instance.ISSUER, "identity-pattern: 'https://example.com/*@refs/tags/*'", ""),
        (instance.ISSUER, "identity-pattern: 'https://example.com/*'", "it is by 'https://example.com/release.yml@"),
        (instance.ISSUER, "identity: 'https://example.com/release.yml@refs/tags/v2'", "it is by 'https://example.com"),
        (f"{instance.ISSUER}/", f"identity: '{instance.IDENTITY}'", "the issuer of its certificate is 'https://issuer"),
    ],
)
def test_a_keyless_signature_under_cosigns_tag(
    node: Node, store: Store, issuer: str, identity: str, fault: str
) -> None:
    payload = signing.payload(node.index)
    signing.sign_legacy(node.layout, node.index, payload, signing.keyless(payload))
    (node.root / "root.json").write_bytes(instance.trusted_root())
    signer = f"{{keyless: {{issuer: '{issuer}', {identity}}}, root: root.json}}"
    node.rules(f"rules: [{{match: ['oci:*'], signers: [{signer}]}}]\n")
    if fault:
        with pytest.raises(Untrusted, match=fault):
            node.lock()
        return
    [record] = node.lock().lock.signatures(REFERENCE)
    assert record["signer"] == f"{instance.IDENTITY} ({instance.ISSUER})" and record["kind"] == "cosign"
    assert record["time"] == "2023-11-14T22:13:20Z" and record["log"].endswith(":7")
    assert node.build(store) == node.manifest


def test_a_signature_by_a_key_under_cosigns_tag_believes_no_name(node: Node, store: Store) -> None:
    """Attack: docker-reference believed. A payload about this name and another digest is none of this image."""
    payload = signing.payload(node.index, name="ghcr.io/somebody/else")
    signing.sign_legacy(node.layout, node.index, payload, node.a.annotations(payload))
    node.lock()
    assert node.build(store) == node.manifest


def test_a_payload_with_the_right_name_and_another_digest_is_refused(node: Node) -> None:
    other = signing.payload("sha256:" + "e" * 64, name="oci:layout")
    signing.sign_legacy(node.layout, node.index, other, node.a.annotations(other))
    with pytest.raises(Untrusted, match="it is of sha256:eeee"):
        node.lock()


PROGRAM = """
import sys
from pathlib import Path
from pipeline.planning import lock
from pipeline.planning.load import load
from pipeline.planning.plan import plan
from pipeline.store import Store

sys.addaudithook(lambda event, arguments: sys.exit(event) if event.startswith("socket.") else None)
images = plan(load(Path("specs/x.yml")), lock.read(Path("specs/x.lock")), "amd64").images
for action in images("oci:layout:1").manifest.inputs:
    action.perform(Store(Path("cache")))
print(len(images.required), "cryptography" in sys.modules, "requests" in sys.modules)
"""
"""Plans the spec, and verifies the signatures of its image; no socket may be made."""


def test_verifying_opens_no_socket_and_planning_imports_no_cryptography(node: Node) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    node.lock()

    def ran() -> str:
        words = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ran() == "1 True False\n"
    assert ran() == "1 False False\n", "it is in the store that they hold"
    node.rules("rules: [{match: ['oci:other'], signers: [{cosign: a.pub}]}]\n")
    assert ran() == "0 False False\n"


# what a stranger may do to a lock, to its evidence, or to a registry


def signed(node: Node) -> tuple[dict[str, Any], dict[str, Any]]:
    """Locks the image, signed by a; lock and evidence as JSON."""
    signing.sign(node.layout, node.index, node.a.bundle(node.index))
    node.lock()
    return tuple(json.loads(Path(f"specs/x.{name}").read_text()) for name in ("lock", "evidence"))  # type: ignore[return-value]


def test_another_manifest_under_a_signed_index_is_refused(node: Node, store: Store) -> None:
    """Attack: the digest is verified, and another tag is pulled."""
    lock, _ = signed(node)
    _, evil = signing.image(node.layout, "2", content="evil")
    lock["images"][REFERENCE]["platforms"]["amd64"]["manifest"] = evil
    Path("specs/x.lock").write_text(json.dumps(lock))
    with pytest.raises(StageProblem, match="by 0 of the 1"):
        node.build(store)
    assert not store.has(Digest(evil))


def test_a_signature_of_the_index_is_none_of_the_manifest(node: Node) -> None:
    signing.sign(node.layout, node.manifest, node.a.bundle(node.index))
    with pytest.raises(Untrusted, match=f"it is of {node.index}"):
        node.lock()


def test_a_signature_of_another_image_is_refused(node: Node, store: Store) -> None:
    lock, file = signed(node)
    evil_index, evil = signing.image(node.layout, "2", content="evil")
    image = lock["images"][REFERENCE]
    image["index"], image["platforms"]["amd64"]["manifest"] = evil_index, evil
    image["signatures"][0]["subject"] = evil_index
    folder = node.layout / "blobs" / "sha256"
    for digest in (evil_index, evil):
        file["documents"][digest] = base64.b64encode((folder / digest[7:]).read_bytes()).decode()
    Path("specs/x.lock").write_text(json.dumps(lock))
    Path("specs/x.evidence").write_text(json.dumps(file))
    with pytest.raises(StageProblem, match=f"by 0 of the 1 .* it is of {node.index[:20]}"):
        node.build(store)


def test_an_attestation_is_no_signature(node: Node) -> None:
    signing.sign(node.layout, node.index, node.a.bundle(node.index, "https://slsa.dev/provenance/v1"))
    with pytest.raises(Untrusted, match="which is no signature of an image"):
        node.lock()


def test_media_types_that_are_swapped_are_refused(node: Node) -> None:
    for media_type in ("application/jose+json", "application/cose", "application/vnd.dev.cosign.simplesigning.v1+json"):
        signing.sign(node.layout, node.index, node.a.bundle(node.index), media_type)
    with pytest.raises(Untrusted, match="by 0 of the 1"):
        node.lock()


@pytest.mark.parametrize("media_type", BUNDLES)
def test_bundles_of_all_versions_count(node: Node, store: Store, media_type: str) -> None:
    bundle = node.a.bundle(node.index).replace(BUNDLE.encode(), media_type.encode())
    signing.sign(node.layout, node.index, bundle, media_type)
    node.lock()
    assert node.build(store) == node.manifest


@pytest.mark.parametrize("change", ["gone", "damaged", "lost", "cut"])
def test_evidence_that_is_gone_or_damaged_is_one_line_that_says_what_to_do(
    node: Node, store: Store, change: str
) -> None:
    _, file = signed(node)
    path = Path("specs/x.evidence")
    if change == "gone":
        path.unlink()
    elif change == "lost":
        path.write_text(json.dumps(file | {"signatures": {}}))
    else:
        path.write_text(path.read_text()[:-20] if change == "cut" else path.read_text().replace("e", "f"))
    with pytest.raises((BadInput, Problems), match="lock") as error:
        node.build(store)
    assert str(error.value).count("\n") == 0
    if change in ("gone", "lost"):
        node.lock()
        assert node.build(store) == node.manifest


@pytest.mark.parametrize(
    ("field", "value"),
    [("time", "yesterday"), ("time", "2026-13-01T00:00:00Z"), ("subject", "x"), ("evidence", 1), ("signer", None)],
)
def test_a_damaged_record_is_no_lock(node: Node, field: str, value: object) -> None:
    lock, _ = signed(node)
    lock["images"][REFERENCE]["signatures"][0][field] = value
    Path("specs/x.lock").write_text(json.dumps(lock))
    with pytest.raises(LockError, match=r"not as .*signatures"):
        node.known()


def test_images_without_a_rule_have_the_actions_that_they_had(node: Node) -> None:
    node.rules("rules: [{match: ['oci:other'], signers: [{cosign: a.pub}]}]\n")
    lock = Lock({REFERENCE: {"index": None, "platforms": {"amd64": {"manifest": node.manifest}}}})
    images = plan(load(Path("specs/x.yml")), lock, "amd64").images
    action = images(REFERENCE).manifest
    assert action.inputs == () and action.stage is pull.pull
    assert action.key == Action("x", pull.pull, {"reference": REFERENCE, "manifest": node.manifest}).key
    assert evidence_path(load(Path("specs/x.yml"))) == Path("specs/x.evidence")
