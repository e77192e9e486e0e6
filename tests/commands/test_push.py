"""doit push and doit image: what they bring into Debian's docker-registry, read back with skopeo."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pipeline.model.digest import Digest
from pipeline.oci import push, reference, referrers
from pipeline.oci.registry import Registry
from pipeline.project import provenance
from pipeline.recipe import recipe
from pipeline.trust import bundle, evidence, simplesigning, statement, verification
from pipeline.trust import keys as public_keys
from tests.judges import need, run
from tests.oci import servers
from tests.project import doit, new_project

SPEC = """\
files:
  - {path: etc/hostname, contents: node}
build:
  formats: [tar, kernel+initrd]
  arch: [amd64, arm64]
"""
RECIPE = """\
image: hello
arches: [amd64, arm64]
files:
  - {path: bin/hello, contents: "hello", mode: "0755"}
cmd: [/bin/hello]
"""
LOCK: dict[str, Any] = {"version": 1, "images": {}, "packages": {}}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with servers.docker_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of one file for two architectures, and a recipe without packages."""
    root = new_project(tmp_path / "project", node=SPEC)
    (root / "images/hello").mkdir(parents=True)
    (root / "images/hello/build.yml").write_text(RECIPE)
    found = recipe.load(root / "images/hello")
    locked = {arch: {"request": found.request(arch), "packages": []} for arch in found.build.arches}
    (root / "specs/node.lock").write_text(json.dumps(LOCK | {"packages": {"hello": locked}}))
    monkeypatch.chdir(root)
    return root


def inspected(reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        run(need("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{reference}").stdout
    )
    return found


def test_a_node(project: Path, host: str) -> None:
    doit("build:node")
    said = doit("push:node", "--to", f"{host}/nodes/node:v1")
    index = inspected(f"{host}/nodes/node:v1")
    assert index["artifactType"] == push.ARTIFACT and index["annotations"] == {push.TITLE: "node"}
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    for entry in index["manifests"]:
        folder = project / "build/node" / entry["platform"]["architecture"]
        manifest = inspected(f"{host}/nodes/node@{entry['digest']}")
        sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
        files, others = {}, {}
        for layer in manifest["layers"]:
            found = files if layer["mediaType"] == push.FILE else others
            found[layer["annotations"][push.TITLE]] = layer["digest"].removeprefix("sha256:")
        assert files == sums
        assert others == {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in (("manifest.json", folder / "manifest.json"), ("node.lock", project / "specs/node.lock"))
        }
    again = doit("push:node", "--to", f"{host}/nodes/node:v1")
    assert again.split()[-1] == said.split()[-1]


def test_some_formats_of_a_node_that_was_not_built(project: Path, host: str) -> None:
    doit("push:node", "--to", f"{host}/node", "--formats", "tar")
    assert not (project / "build/node").exists()
    manifest = inspected(f"{host}/node@{inspected(f'{host}/node')['manifests'][0]['digest']}")
    titles = [layer["annotations"][push.TITLE] for layer in manifest["layers"]]
    assert titles == ["manifest.json", "node.lock", "node.tar"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["push:node"], "push:node --to REF"),
        (["push:node", "--to", "oci:x"], "only a registry"),
        (["push:node", "--to", "a.b/c@sha256:" + "0" * 64], "write a.b/c:TAG"),
        (["push:node", "--to", "a.b/c:1", "--formats", "tra"], "there is no format 'tra'"),
        (["push:node", "--to", "a.b/c:1", "--sign", "no.pem"], "no.pem: No such file"),
        (["push:node", "--to", "a.b/c:1", "--sign", "specs/node.yml"], "specs/node.yml: not a private key in PEM"),
        (["push:node", "--to", "a.b/c:1", "--sign-legacy"], "add --sign KEY"),
        (["image", "--sign", "no.pem", "hello"], "add --push REF"),
        (["image"], "doit image [--push REF | --copy] NAME"),
        (["image", "nothing"], "there is no recipe nothing"),
        (["image", "--arch", "s390x", "hello"], "is made for amd64, arm64, not for s390x"),
        (["image", "--push", "oci:x", "hello"], "only a registry"),
    ],
)
def test_what_cannot_be_pushed(project: Path, words: list[str], said: str) -> None:
    told = doit(*words, code=3)
    assert said in told and "Traceback" not in told
    assert not list(project.glob("cache/actions/**/*")), "found out before anything was made"


def test_several_nodes_have_no_one_reference(project: Path) -> None:
    shutil.copy("specs/node.yml", "specs/other.yml")
    assert "`doit push:NAME`, with NAME one of node, other" in doit("push", "--to", "a.b/c:1", code=3)


def test_what_is_over_its_budget_is_not_pushed(project: Path, host: str) -> None:
    (project / "specs/node.yml").write_text(SPEC + "  budget: {tar: 1K}\n")
    assert "tar has" in doit("push:node", "--to", f"{host}/node:1", code=3)
    doit("push:node", "--to", f"{host}/node:1", "--formats", "kernel+initrd")


def test_an_image_that_is_not_locked(project: Path) -> None:
    (project / "specs/node.lock").write_text(json.dumps(LOCK))
    assert "no lock in specs/ has the packages of hello for amd64, arm64" in doit("image", "hello", code=1)


def test_an_image_for_several_architectures(project: Path, host: str, tmp_path: Path) -> None:
    said = doit("image", "--push", f"{host}/team/hello:1", "hello")
    index = inspected(f"{host}/team/hello:1")
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": arch} for arch in ("amd64", "arm64")
    ]
    assert all(entry["digest"] in said for entry in index["manifests"])
    source = f"docker://{host}/team/hello:1"
    for arch in ("amd64", "arm64"):
        run(need("skopeo"), "copy", "--override-arch", arch, "--src-tls-verify=false", source, f"oci:{tmp_path}/{arch}")


def test_an_image_for_one(project: Path, host: str) -> None:
    doit("image", "--arch", "arm64", "--push", f"{host}/hello", "images/hello")
    said = run(need("skopeo"), "inspect", "--config", "--tls-verify=false", f"docker://{host}/hello").stdout
    assert json.loads(said)["architecture"] == "arm64" and json.loads(said)["config"]["Cmd"] == ["/bin/hello"]


# signatures


def keys(folder: Path, *names: str) -> None:
    """Writes key pairs NAME.pem and NAME.pub: on P-256, and the others Ed25519."""
    for number, name in enumerate(names):
        pair = Ed25519PrivateKey.generate() if number else generate_private_key(SECP256R1())
        (folder / f"{name}.pem").write_bytes(
            pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # fmt: skip
        public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pub").write_bytes(public)


def consumer(folder: Path, image: str, rule: str, *public: Path) -> None:
    """Makes a project whose node has the image, if the rule `rule` holds for it, which names the keys `public`."""
    services = f"services:\n  - {{name: hello, image: '{image}', command: [/bin/hello]}}\n"
    new_project(folder, node=f"{services}build: {{formats: [tar], arch: amd64}}\n")
    signers = ", ".join(f"{{cosign: trust/{each.name}}}" for each in public)
    rules = f"default: reject\nrules: [{{match: ['**/hello'], {rule}signers: [{signers}]}}]\n"
    (folder / "specs/trust.yml").write_text(rules)
    (folder / "trust").mkdir()
    for each in public:
        shutil.copy(each, folder / "trust")


def test_a_signed_image_and_a_node_that_takes_no_other(project: Path, host: str, tmp_path: Path) -> None:
    """Signed by one, it is taken where that key is asked for; rebuilt and signed by a second, where both are."""
    keys(tmp_path, "first", "second", "other")
    first, second, other = (tmp_path / f"{name}.pub" for name in ("first", "second", "other"))
    image = f"{host}/team/hello:1"
    push_signed = ["image", "--push", image, "--sign"]
    said = doit(*push_signed, str(first.with_suffix(".pem")), "hello")
    assert doit(*push_signed, str(first.with_suffix(".pem")), "hello").split()[-1] == said.split()[-1]
    index = said.split()[-1]
    tag = f"{host}/team/hello:{index.replace(':', '-')}"
    assert len(inspected(tag)["manifests"]) == 1, "pushed twice, signed once"

    for name, rule, public in (("one", "", [first]), ("no", "", [other]), ("two", "need: 2, ", [first, second])):
        consumer(tmp_path / name, image, rule, *public)
    assert f"{image}: signed by sha256:" in doit("lock", cwd=tmp_path / "one")
    doit("build", cwd=tmp_path / "one")
    assert "signed by 0 of the 1 signers" in doit("lock", code=3, cwd=tmp_path / "no")
    assert "signed by 1 of the 2 signers" in doit("lock", code=3, cwd=tmp_path / "two")

    shutil.copytree(project, tmp_path / "rebuilder", ignore=shutil.ignore_patterns("cache", "build"))
    again = doit(*push_signed, str(second.with_suffix(".pem")), "hello", cwd=tmp_path / "rebuilder")
    assert again.split()[-1] == index and len(inspected(tag)["manifests"]) == 2
    doit("lock", cwd=tmp_path / "two")
    doit("build", cwd=tmp_path / "two")


def test_a_legacy_signature_is_under_cosigns_tag(project: Path, host: str, tmp_path: Path) -> None:
    keys(tmp_path, "first")
    words = ["image", "--push", f"{host}/hello:1", "--sign", str(tmp_path / "first.pem"), "--sign-legacy", "hello"]
    index = doit(*words).split()[-1]
    tag = f"{host}/hello:{index.replace(':', '-')}"
    before = inspected(f"{tag}.sig")
    doit(*words)
    assert inspected(f"{tag}.sig") == before and len(before["layers"]) == 1
    found = referrers.find(reference.parse(f"{host}/hello:1"), [Digest.parse(index)]).signatures
    assert [each.evidence.kind for each in found] == ["sigstore", "cosign"]
    public = public_keys.load((tmp_path / "first.pub").read_bytes())
    simple = found[1].evidence
    assert simplesigning.verify(simple.data, dict(simple.annotations), None, key=public).digests == {index}


def test_a_signed_node(project: Path, host: str, tmp_path: Path) -> None:
    keys(tmp_path, "first")
    words = ["push:node", "--to", f"{host}/nodes/node:v1", "--sign", str(tmp_path / "first.pem"), "--formats", "tar"]
    index = doit(*words).split()[-1]
    assert doit(*words).split()[-1] == index
    (found,) = referrers.find(reference.parse(f"{host}/nodes/node:v1"), [Digest.parse(index)]).signatures
    result = bundle.verify(found.evidence.data, None, key=public_keys.load((tmp_path / "first.pub").read_bytes()))
    assert result.digests == {index} and result.predicate_type == statement.SIGNATURE
    (entry,) = inspected(f"{host}/nodes/node:{index.replace(':', '-')}")["manifests"]
    assert entry["artifactType"] == evidence.BUNDLE
    assert entry["annotations"]["dev.sigstore.bundle.predicateType"] == statement.SIGNATURE

    for each in inspected(f"{host}/nodes/node:v1")["manifests"]:
        manifest, arch = Digest.parse(each["digest"]), each["platform"]["architecture"]
        (found,) = referrers.find(reference.parse(f"{host}/nodes/node:v1"), [manifest]).signatures
        public = public_keys.load((tmp_path / "first.pub").read_bytes())
        result = bundle.verify(found.evidence.data, None, key=public)
        assert result.predicate_type == provenance.PREDICATE_TYPE and manifest in result.digests
        payload = json.loads(base64.b64decode(json.loads(found.evidence.data)["dsseEnvelope"]["payload"]))
        assert payload["subject"][-1] == {"name": "", "digest": {"sha256": manifest.hex}}, "wherever it is pushed to"
        doit("build:node")
        built = json.loads((project / "build/node" / arch / "provenance.json").read_text())
        definitions = [each["predicate"]["buildDefinition"] for each in (payload, built)]
        assert definitions[0]["resolvedDependencies"] == definitions[1]["resolvedDependencies"]
        assert payload["subject"][0] in built["subject"]


def test_provenance_is_attached_without_a_signature_too(project: Path, host: str) -> None:
    doit("push:node", "--to", f"{host}/node:1", "--formats", "tar")
    for each in inspected(f"{host}/node:1")["manifests"]:
        (entry,) = inspected(f"{host}/node:{each['digest'].replace(':', '-')}")["manifests"]
        assert entry["artifactType"] == statement.PAYLOAD_TYPE
        assert entry["annotations"] == {"in-toto.io/predicate-type": provenance.PREDICATE_TYPE}
        (layer,) = inspected(f"{host}/node@{entry['digest']}")["layers"]
        data = b"".join(Registry(host, "node").blob(Digest.parse(layer["digest"]), layer["size"]))
        assert each["digest"] in statement.parse(data).digests


BILL_TYPES = {
    "application/vnd.cyclonedx+json": "https://cyclonedx.org/bom",
    "application/spdx+json": "https://spdx.dev/Document",
}


def test_bills_of_materials_are_attached_and_signed(project: Path, host: str, tmp_path: Path) -> None:
    """Each is a referrer as it is, whose file is the one that was pushed, and the predicate of a signed statement."""
    keys(tmp_path, "first")
    (project / "specs/node.yml").write_text(SPEC.replace("[tar, kernel+initrd]", "[spdx, cyclonedx]"))
    words = ["push:node", "--to", f"{host}/node:1"]
    doit(*words)
    (first, _) = inspected(f"{host}/node:1")["manifests"]
    referrers_tag = f"{host}/node:{first['digest'].replace(':', '-')}"
    unsigned = [entry["artifactType"] for entry in inspected(referrers_tag)["manifests"]]
    assert unsigned == [statement.PAYLOAD_TYPE, *BILL_TYPES]

    signed = [*words, "--sign", str(tmp_path / "first.pem")]
    index = doit(*signed).split()[-1]
    before = inspected(referrers_tag)
    assert doit(*signed).split()[-1] == index and inspected(referrers_tag) == before
    public = public_keys.load((tmp_path / "first.pub").read_bytes())
    for pushed in inspected(f"{host}/node:1")["manifests"]:
        manifest = Digest.parse(pushed["digest"])
        bills = attached(host, manifest, *BILL_TYPES)
        files = {layer["annotations"][push.TITLE]: layer["digest"] for layer in
                 inspected(f"{host}/node@{manifest}")["layers"]}  # fmt: skip
        assert {name: Digest.of(data) for name, data in bills.values()}.items() <= files.items()
        found = referrers.find(reference.parse(f"{host}/node:1"), [manifest])
        statements = [bundle.verify(each.evidence.data, None, key=public) for each in found.signatures]
        assert all(each.digests >= {manifest} for each in statements) and not found.faults
        assert [each.predicate_type for each in statements] == [provenance.PREDICATE_TYPE, *BILL_TYPES.values()]
        for media_type, each in zip(BILL_TYPES, found.signatures[1:], strict=True):
            payload = json.loads(base64.b64decode(json.loads(each.evidence.data)["dsseEnvelope"]["payload"]))
            assert payload["predicate"] == json.loads(bills[media_type][1])
            assert payload["subject"] == [{"name": "", "digest": {"sha256": manifest.hex}}]
        assert signers(host, manifest, tmp_path / "first.pub") == 0, "an attestation is no signature"
    assert signers(host, Digest.parse(index), tmp_path / "first.pub") == 1


def attached(host: str, subject: Digest, *media_types: str) -> dict[str, tuple[str, bytes]]:
    """Returns title and content of the referrers of HOST/node@`subject` with these artifact types, one of each."""
    entries = inspected(f"{host}/node:{str(subject).replace(':', '-')}")["manifests"]
    found = {}
    for entry in entries:
        if entry["artifactType"] in media_types:
            assert entry["artifactType"] not in found
            manifest = inspected(f"{host}/node@{entry['digest']}")
            assert manifest["subject"]["digest"] == subject
            (layer,) = manifest["layers"]
            data = b"".join(Registry(host, "node").blob(Digest.parse(layer["digest"]), layer["size"]))
            found[entry["artifactType"]] = layer["annotations"][push.TITLE], data
    return found


def signers(host: str, index: str, *public: Path) -> int:
    """Returns how many of the keys a rule counts for the node that was pushed as HOST/node:1."""
    image, digest = reference.parse(f"{host}/node:1"), Digest.parse(index)
    rule = {"rule": "**", "need": 2, "signers": [{"kind": "cosign", "key": each.read_text()} for each in public]}
    claims = [verification.Claim(index, each.evidence, 0) for each in referrers.find(image, [digest]).signatures]
    return verification.verify(rule, claims, index, referrers.documents(image, digest, digest)).signers


def test_a_second_party_endorses_what_it_made_again(project: Path, host: str, tmp_path: Path) -> None:
    keys(tmp_path, "first", "second")
    first, second = tmp_path / "first.pub", tmp_path / "second.pub"
    pushed = f"{host}/node:1"
    words = ["push:node", "--to", pushed, "--formats", "tar", "--sign", str(first.with_suffix(".pem"))]
    index = doit(*words).split()[-1]
    there = tmp_path / "there"
    shutil.copytree(project, there, ignore=shutil.ignore_patterns("cache", "build", ".doit*"))
    endorse = ["verify:node", "--against", pushed, "--runs", "1", "--endorse", str(second.with_suffix(".pem"))]

    spec = there / "specs/node.yml"
    spec.write_text(SPEC + "# another spec\n")
    assert "manifest.json (amd64) is not the one that a push of this checkout has" in doit(*endorse, cwd=there, code=1)
    assert signers(host, index, first, second) == 1
    spec.write_text(SPEC)
    assert f"{index} is endorsed" in doit(*endorse, cwd=there)
    assert signers(host, index, first, second) == 2 and signers(host, index, second) == 1
    for each in inspected(pushed)["manifests"]:
        found = referrers.find(reference.parse(pushed), [Digest.parse(each["digest"])]).signatures
        payloads = {json.loads(one.evidence.data)["dsseEnvelope"]["payload"] for one in found}
        assert len(found) == 2 and len(payloads) == 1, "two signatures of one statement"
    assert "--against REF, without --formats" in doit("verify:node", "--endorse", str(second), code=3)
