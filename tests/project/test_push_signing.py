"""Pushes signed elsewhere, by openssl: requested, attached, pushed to Debian's docker-registry, and verified there."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.commands.push import run as push
from pipeline.commands.sign import run as sign
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.oci import reference, referrers
from pipeline.oci.registry import Registry
from pipeline.project import attestations, provenance
from pipeline.project.project import Project
from pipeline.tasks.command import Command
from pipeline.trust import bundle, keys, statement
from tests.judges import need, run
from tests.oci import servers
from tests.project import EMPTY_LOCK, doit, new_project

SPEC = """\
files:
  - {path: etc/hostname, contents: node}
build:
  formats: [tar, spdx]
  arch: [amd64, arm64]
"""
SIGN = "  sign: {push: keys/release.pub}\n"
KINDS = {"Ed25519": ["-algorithm", "ed25519"], "P-256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}
SIGNATURES = Path("specs/node.signatures")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with servers.docker_registry(tmp_path / "registry") as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node of one file for two architectures, whose pushes an Ed25519 key signs that lies elsewhere."""
    root = new_project(tmp_path / "project", node=SPEC + SIGN)
    (root / "specs/node.lock").write_text(EMPTY_LOCK)
    make_key(root, "Ed25519", "release")
    monkeypatch.chdir(root)
    return root


def private(root: Path, name: str) -> Path:
    return root.parent / f"{name}.pem"


def make_key(root: Path, kind: str, name: str) -> None:
    """Makes a private key beside the project, and its public key in the project's folder keys/."""
    run(need("openssl"), "genpkey", *KINDS[kind], "-out", private(root, name))
    (root / "keys").mkdir(exist_ok=True)
    run(need("openssl"), "pkey", "-in", private(root, name), "-pubout", "-out", root / f"keys/{name}.pub")


def sign_elsewhere(kind: str, key: Path, folder: Path) -> None:
    """Signs each request in the folder, which becomes the file of the same name with the suffix .sig."""
    for path in sorted(folder.glob("*.pae")):
        ways = {
            "Ed25519": ["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", path, "-out", path.with_suffix(".sig")],
            "P-256": ["dgst", "-sha256", "-sign", key, "-out", path.with_suffix(".sig"), path],
        }
        run(need("openssl"), *ways[kind])


def signatures(host: str, digest: Digest) -> list[bytes]:
    """Returns the bundles that the registry lists for a digest."""
    found = referrers.find(reference.parse(f"{host}/node:1"), [digest])
    assert not found.faults
    return [each.evidence.data for each in found.signatures]


@pytest.mark.parametrize("kind", KINDS)
def test_a_push_has_the_signatures_that_were_made_elsewhere(project: Path, host: str, kind: str) -> None:
    make_key(project, kind, "release")
    words = ["push:node", "--to", f"{host}/node:1"]
    assert "specs/node.signatures: no signature by keys/release.pub of the provenance of amd64" in doit(*words, code=1)
    text = doit("sign:node", "--request", "wanted")
    requests = sorted(Path("wanted").iterdir())
    assert [path.suffix for path in requests] == [".pae"] * 5 and all(path.stem in text for path in requests)
    assert all(hashlib.sha256(path.read_bytes()).hexdigest() == path.stem for path in requests)
    assert all(path.read_bytes().startswith(b"DSSEv1 28 application/vnd.in-toto+json ") for path in requests)

    sign_elsewhere(kind, private(project, "release"), Path("wanted"))
    assert "attaches the signatures" in doit("sign:node", "--attach", "wanted")
    assert sorted(json.loads(SIGNATURES.read_text())["pushes"]) == [f"sha256:{path.stem}" for path in requests]
    index = Digest.parse(doit(*words).split()[-1])
    assert doit(*words).split()[-1] == index
    public = keys.load(Path("keys/release.pub").read_bytes())
    (data,) = signatures(host, index)
    result = bundle.verify(data, None, key=public)
    assert result.digests == {index} and result.predicate_type == statement.SIGNATURE
    for entry in json.loads(Registry(host, "node").manifest(index)[0])["manifests"]:
        attested = [bundle.verify(each, None, key=public) for each in signatures(host, Digest.parse(entry["digest"]))]
        assert all(entry["digest"] in each.digests for each in attested)
        assert [each.predicate_type for each in attested] == [provenance.PREDICATE_TYPE, attestations.BILLS["spdx"][1]]

    doit("push:node", "--to", f"{host}/elsewhere/node:2")
    by_key = doit(*words, "--sign", str(private(project, "release")))
    assert by_key.split()[-1] == index
    assert (len(signatures(host, index)) == 1) is (kind == "Ed25519"), "openssl's ECDSA has chance in it"


def test_another_node_is_not_pushed_with_the_signatures_of_this_one(project: Path, host: str) -> None:
    doit("sign:node", "--request", "wanted")
    sign_elsewhere("Ed25519", private(project, "release"), Path("wanted"))
    doit("sign:node", "--attach", "wanted")
    doit("sign:node", "--attach", str(SIGNATURES))
    Path("specs/node.yml").write_text(SPEC.replace("contents: node", "contents: other") + SIGN)
    text = doit("push:node", "--to", f"{host}/node:1", code=1)
    assert "no signature by keys/release.pub of the provenance of amd64: there is none" in text
    assert "no signature of what has to be signed" in doit("sign:node", "--attach", str(SIGNATURES), code=3)
    assert not json.loads(run(need("curl"), "-s", f"http://{host}/v2/_catalog").stdout)["repositories"], "none was sent"
    Path("specs/node.yml").write_text(SPEC + SIGN)
    doit("push:node", "--to", f"{host}/node:1")


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A change of one signature."""

    def apply(root: Path) -> None:
        path = min((root / "wanted").glob("*.sig"))
        path.write_bytes(change(path.read_bytes()))

    return apply


def by_another_key(root: Path) -> None:
    make_key(root, "Ed25519", "other")
    sign_elsewhere("Ed25519", private(root, "other"), root / "wanted")


def of_other_bytes(root: Path) -> None:
    (root / "wanted" / "more.pae").write_bytes(b"more")
    sign_elsewhere("Ed25519", private(root, "release"), root / "wanted")


@pytest.mark.parametrize(
    "change",
    [changed(lambda data: data[:-1]), changed(lambda data: b""), changed(lambda data: data * 2),
     changed(lambda data: b"{" + bytes([data[0] ^ 1]) + data[2:]), by_another_key,
     of_other_bytes],
)  # fmt: skip
def test_a_signature_that_fits_nothing_is_one_line_and_nothing_is_written(
    project: Path, change: Callable[[Path], None]
) -> None:
    sign.run(Project(project), ["node"], request="wanted")
    sign_elsewhere("Ed25519", private(project, "release"), Path("wanted"))
    change(project)
    with pytest.raises(
        BadInput, match=r"^wanted/\w+\.sig: no signature by keys/release\.pub of what has to be signed$"
    ):
        sign.run(Project(project), ["node"], attach="wanted")
    assert not SIGNATURES.exists()


def test_a_stored_signature_is_verified_again_before_anything_is_sent(project: Path, host: str) -> None:
    doit("sign:node", "--request", "wanted")
    sign_elsewhere("Ed25519", private(project, "release"), Path("wanted"))
    doit("sign:node", "--attach", "wanted")
    make_key(project, "Ed25519", "release")
    text = doit("push:node", "--to", f"{host}/node:1", code=1)
    assert "of the provenance of amd64: the signature is not one of these data by this key" in text
    shutil.copy(SIGNATURES, "theirs")
    assert "theirs: the signature of sha256:" in doit("sign:node", "--attach", "theirs", code=3)


@pytest.mark.parametrize(("line", "used", "words", "why"), [
    ("{push: keys/none.pub}", sign, {"request": "x"}, "there is no file 'keys/none.pub'"),
    ("{push: specs/node.yml}", sign, {"request": "x"}, "build.sign.push: specs/node.yml: not a public key in"),
    ("{push: keys/large.pub}", sign, {"request": "x"}, "Ed25519, or ECDSA on P-256 do"),
    ("{push: /etc/hostname}", sign, {"request": "x"}, "lies outside the project"),
    ("{push: keys/release.pub}", sign, {}, "nobody signs"),
    ("{push: keys/release.pub}", push, {"to": "a.b/c:1", "formats": "tar"}, "leave out --formats"),
    ("{push: keys/release.pub}", push, {"to": "a.b/c:1", "sign": "../other.pem"}, "is not the private key of"),
    ("{}", sign, {"request": "x"}, "build.sign names no signer"),
    ("{push: keys/release.pub, key: x}", sign, {"request": "x"}, "build.sign.key is about EFI programs"),
])  # fmt: skip
def test_what_cannot_sign_is_one_line(project: Path, line: str, used: Command, words: dict[str, str], why: str) -> None:
    make_key(project, "Ed25519", "other")
    run(need("openssl"), "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "large.pem")
    run(need("openssl"), "pkey", "-in", "large.pem", "-pubout", "-out", "keys/large.pub")
    Path("specs/node.yml").write_text(f"{SPEC}  sign: {line}\n")
    with pytest.raises(BadInput, match=re.escape(why)) as caught:
        used.run(Project(project), ["node"], **words)
    assert "\n" not in str(caught.value) and not Path("x").exists()
