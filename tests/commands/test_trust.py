"""Images that must be signed, from `doit lock` to the next build: a registry on loopback, and doit as people use it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.oci import craft, servers
from tests.oci.servers import Server
from tests.packages.repository import Repository, certificate, key, write_sources
from tests.project import doit, new_project
from tests.trust import instance, notary, signing
from tests.trust.signing import Key

SPEC = """\
init: ["HOST/acme/base:1"]
services:
  - {name: app, image: "HOST/acme/app:1", command: [/x]}
build: {formats: [tar], arch: amd64}
"""
RULES = """\
default: reject
rules:
  - {match: ["HOST/acme/*"], signers: [{cosign: trust/release.pub}]}
  - {match: ["HOST/acme/base"], need: 0}
"""


class Signed:
    """A project whose image is signed in a registry."""

    def __init__(self, folder: Path, registry: Server) -> None:
        self.folder, self.registry, self.key = folder, registry, Key()
        self.root = new_project(folder / "project", node=SPEC.replace("HOST", registry.host))
        (self.root / "trust").mkdir()
        (self.root / "trust/release.pub").write_text(self.key.pem)
        self.rules(RULES)
        self.publish(self.key)

    def rules(self, text: str) -> None:
        (self.root / "specs/trust.yml").write_text(text.replace("HOST", self.registry.host))

    def publish(self, *keys: Key) -> str:
        """Puts the image into the registry, signed by `keys` alone; returns its index's digest."""
        layout = self.folder / "layout"
        craft.image(layout, [craft.archive(craft.entry("x", mode=0o755))], name="1")
        index, _ = signing.image(layout, "1")
        signatures = [key.bundle(index) for key in keys]
        referrers = [signing.referrer(index, each) for each in signatures]
        for data in (signing.EMPTY, *signatures, *referrers):
            craft.put(layout, data)
        craft.tagged(layout, signing.listing(*referrers), index.replace(":", "-"), signing.INDEX)
        self.registry.hold(layout)
        return index


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Signed]:
    with servers.server() as registry:
        made = Signed(tmp_path, registry)
        monkeypatch.chdir(made.root)
        yield made


def lock() -> Any:
    return json.loads(Path("specs/node.lock").read_text())


def test_from_the_lock_to_the_next_build(signed: Signed) -> None:
    host, registry = signed.registry.host, signed.registry
    assert f"{host}/acme/app:1: signed by sha256:" in doit("lock")
    records = lock()["images"][f"{host}/acme/app:1"]["signatures"]
    assert [each["rule"] for each in records] == [f"{host}/acme/*"]
    assert "signatures" not in lock()["images"][f"{host}/acme/base:1"]
    doit("build")
    asked = len(registry.log)
    doit("build")
    assert len(registry.log) == asked, "what is built asks nobody"
    assert "nothing moved" in doit("lock", "--check")

    shown = doit("trust:node")
    assert f"{host}/acme/app:1: {host}/acme/* (specs/trust.yml:3:14): 1 of trust/release.pub" in shown
    assert "sigstore, verified as of 20" in shown and f"{host}/acme/base:1: no rule needs a signature" in shown

    other = Key()
    Path("trust/release.pub").write_text(other.pem)
    told = doit("build", code=3)
    assert f"specs/trust.yml:3:14: {host}/acme/app:1: signed by 0 of the 1 signers" in told and "doit lock" in told
    assert "lacks 1: `doit lock`" in doit("trust")
    assert "signed by 0 of the 1 signers" in doit("lock", "--check", code=1)
    signed.publish(signed.key, other)
    told = doit("lock", "--check", code=1)
    assert f"{host}/acme/app:1: signed for '{host}/acme/*' by sha256:" in told and " -> sha256:" in told
    assert "signed by sha256:" in doit("lock")
    doit("build")


def test_the_first_build_locks_the_signatures_too(signed: Signed) -> None:
    doit("build")
    assert len(lock()["images"][f"{signed.registry.host}/acme/app:1"]["signatures"]) == 1
    assert Path("specs/node.evidence").exists()


def test_an_image_that_is_not_signed_is_neither_locked_nor_built(signed: Signed) -> None:
    signed.publish(Key())
    for words in (["lock"], ["build"]):
        told = doit(*words, code=3)
        assert "signed by 0 of the 1 signers" in told and f"asked: http://{signed.registry.host}/acme/app" in told
    assert not Path("specs/node.lock").exists()


def test_a_bundle_has_all_that_verifying_takes(signed: Signed, tmp_path: Path) -> None:
    doit("lock")
    doit("bundle:node")
    there = new_project(tmp_path / "there")
    asked = len(signed.registry.log)
    doit("build:node", "--from", f"{signed.root}/build/node.bundle.tar", cwd=there, NODEKILN_OFFLINE="1")
    assert (there / "build/node/node.tar").exists() and len(signed.registry.log) == asked
    assert {"node.evidence", "trust.yml"} <= {path.name for path in there.rglob("*")}


def test_the_signers_of_recipes_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded by the lock, shown, and compared; a lock from before has none, and is as good."""
    monkeypatch.setenv("NODEKILN_SNAPSHOT", "off")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    root = new_project(tmp_path / "project", node='init: ["@pkg:images/tool"]\nbuild: {formats: [tar], arch: amd64}\n')
    (root / "images/tool").mkdir(parents=True)
    (root / "images/tool/build.yml").write_text("image: tool\npackages: [tool]\n")
    repository = Repository(root / "archive")
    repository.add("tool", {"usr/bin/tool": "#!"})
    write_sources(root, repository)
    (root / "archive.asc").write_text(certificate() + certificate("heir"))
    monkeypatch.chdir(root)
    repository.publish()
    doit("build")
    built = Path("build/node/node.tar").read_bytes()
    name = f"{key('archive').extract_certificate().fingerprint}: archive <archive@example.org>"
    shown = doit("trust:node")
    assert f"file:{root}/archive test of 2026-01-01T00:00:00Z: tool\n    {name}\n" in shown
    assert "nothing moved" in doit("lock", "--check")

    repository.signed_by = "heir"
    repository.publish()
    told = doit("lock", "--check", code=1)
    assert f"file:{root}/archive test: archive signed by " in told and " (heir <heir@example.org>)" in told
    doit("lock", "--update", "tool")
    assert "heir <heir@example.org>" in doit("trust:node") and "nothing moved" in doit("lock", "--check")

    document = lock()
    del document["packages"]["tool"]["amd64"]["archives"]
    Path("specs/node.lock").write_text(json.dumps(document))
    assert "recipes without a locked signer of their archive: tool\n    `doit lock --update tool`" in doit("trust:node")
    assert "nothing moved" in doit("lock", "--check")
    doit("build", NODEKILN_LOCKED="1")
    assert Path("build/node/node.tar").read_bytes() == built


THREE = """\
rules:
  - {match: ["HOST/acme/app"], signers: [{cosign: trust/release.pub}]}
  - match: ["HOST/acme/keyless"]
    signers:
      - {keyless: {issuer: "ISSUER", identity-pattern: "https://example.com/*@refs/tags/*"}, root: trust/root.json}
  - match: ["HOST/acme/notary"]
    signers: [{notation: trust/acme, subject: "CN=signer,O=acme,ST=WA,C=US"}]
"""


def test_three_kinds_of_signers_on_the_console(signed: Signed) -> None:
    """A key's bundle as referrer, a keyless signature under cosign's tag, an envelope of notation as referrer."""
    host, layout = signed.registry.host, signed.folder / "layout"
    index = signed.publish(signed.key)
    payload = signing.payload(index)
    signing.sign_legacy(layout, index, payload, signing.keyless(payload))
    now = int(time.time())
    signer = notary.issue(notary.SUBJECT, None, *notary.LEAF, start=now - 1000, end=now + 10 * 86400 + 1000)
    size = (layout / "blobs" / "sha256" / index[7:]).stat().st_size
    content = notary.payload(notary.Artifact(signing.INDEX, index, size))
    envelope = notary.envelope("jws", signer, content)
    referrer = signing.referrer(index, envelope, notary.MEDIA_TYPES["jws"])
    bundle = signed.key.bundle(index)
    keyed = signing.referrer(index, bundle)
    for data in (envelope, referrer, bundle, keyed):
        craft.put(layout, data)
    craft.tagged(layout, signing.listing(referrer, keyed), index.replace(":", "-"), signing.INDEX)
    signed.registry.hold(layout)
    (signed.root / "trust/root.json").write_bytes(instance.trusted_root())
    (signed.root / "trust/acme/x509/ca/acme").mkdir(parents=True)
    (signed.root / "trust/acme/x509/ca/acme/root.der").write_bytes(signer.chain[-1])
    signed.rules(THREE.replace("ISSUER", instance.ISSUER))
    services = "".join(
        f"  - {{name: {name}, image: '{host}/acme/{name}:1', command: [/x]}}\n" for name in ("app", "keyless", "notary")
    )
    build = "build: {formats: [tar], arch: amd64}\n"
    Path("specs/node.yml").write_text(f"init: ['{host}/acme/base:1']\nservices:\n{services}{build}")
    told = doit("lock")
    assert f"{host}/acme/keyless:1: signed by {instance.IDENTITY} ({instance.ISSUER}) (cosign, 2023-11-14)" in told
    assert f"{host}/acme/notary:1: signed by {notary.SUBJECT} (notation, 20" in told
    assert f"{host}/acme/app:1: signed by sha256:" in told
    doit("build")
    shown = doit("trust:node")
    old = "warning: specs/trust.yml:5:120: the newest key of 'trust/root.json' is of 2020-01-01"
    assert shown.count(old) == doit("check:node", "--alone").count(old) == 1
    same = doit("trust:node", "--update-root", "trust/root.json")
    assert "the same root" in same and f"keyless:1: {instance.IDENTITY} ({instance.ISSUER}) holds with it" in same
    (signed.root / "new.json").write_bytes(instance.trusted_root().replace(b'"tlogs"', b'"others"'))
    told = doit("trust:node", "--update-root", "new.json")
    assert "log of signatures log.example.com" in told and "): gone" in told and "does not hold with it" in told
    assert "new.json: " in doit("trust:node", "--update-root", "none/new.json", code=3)
    assert ": 10 days left" in shown and f"{host}/acme/base:1: no rule needs a signature" in shown


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("default: reject\n", "specs/node.yml:1:8: no rule matches HOST/acme/base, and `default: reject` refuses it"),
        ("rules: [{match: ['**'], signers: [{cosign: no.pub}]}]\n", "specs/trust.yml:1:44: there is no file 'no.pub'"),
        ("rules: [{match: ['**'], signer: []}]\n", "specs/trust.yml:1:25: rules[0]: unknown key 'signer'"),
        ("rules: [{match: ['**']}]\n", "specs/trust.yml:1:9: rules[0]: names no signers"),
        ("rules: [{match: ['HOST/*/app'], need: 0}, {match: ['HOST/**'], need: 0}]\n",
         "specs/node.yml:3:24: two rules for HOST/acme/app have equally long literal prefixes"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_at_its_line(signed: Signed, rules: str, message: str) -> None:
    signed.rules(rules)
    assert message.replace("HOST", signed.registry.host) in doit("check", code=3)
