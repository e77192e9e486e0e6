"""The rules for the images of a spec: which files have them, which names they match, what LinuxKit's lists mean."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from pipeline.host import tracked
from pipeline.language.problem import Problems
from pipeline.oci.reference import parse
from pipeline.planning import trust_policy
from pipeline.planning.describe import trust_schema
from pipeline.planning.load import load
from pipeline.planning.lock import Lock
from pipeline.planning.plan import plan
from pipeline.planning.trust_policy import Requirement, Unacceptable, match_name
from pipeline.project.project import RULES, Project

DIGEST = "@sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NODEKILN_OUTSIDE", raising=False)
    write("specs/x.yml", "build: {formats: [tar]}\n")


def write(path: str, text: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path)


def requirements(reference: str) -> tuple[Requirement, ...]:
    found = trust_policy.read(load(Path("specs/x.yml")))
    assert found
    return found.requirements(reference)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("alpine:3.20", "docker.io/library/alpine"), ("acme/app" + DIGEST, "docker.io/acme/app"),
        ("GHCR.io:443/acme/app:1", "ghcr.io/acme/app"), ("registry-1.docker.io/acme/app", "docker.io/acme/app"),
        ("index.docker.io/acme/app:1", "docker.io/acme/app"), ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b"),
        ("oci:./layouts//x/../app:1", "oci:layouts/app"), ("oci-archive:app.tar", "oci:app.tar"),
        ("docker-archive:app.tar:a:1", "docker-archive:app.tar"),
    ],
)  # fmt: skip
def test_a_repository_has_one_name(reference: str, name: str) -> None:
    assert match_name(parse(reference)) == name


def test_a_project_without_rules_has_no_policy() -> None:
    assert trust_policy.read(load(Path("specs/x.yml"))) is None


def test_the_file_of_rules_is_no_spec() -> None:
    write("specs/trust.yml", "default: reject\n")
    assert Project(Path()).names() == ["x"] and trust_policy.FILE == RULES


def test_keys_lie_beside_the_file_or_in_the_project_and_are_inputs() -> None:
    write("specs/trust.yml", "rules:\n- {match: ['**'], signers: [{cosign: near.pub}, {cosign: trust/far.pub}]}\n")
    write("specs/near.pub", "near")
    write("trust/far.pub", "far")
    with tracked.record_inputs() as reads:
        [found] = requirements("a.io/x:1")
    assert found.parameter() == {
        "rule": "**", "need": 1, "signers": [{"kind": "cosign", "key": "near"}, {"kind": "cosign", "key": "far"}],
    }  # fmt: skip
    assert (str(found.place), found.titles) == ("specs/trust.yml:2:12", ("near.pub", "trust/far.pub"))
    files = {arguments[0] for name, arguments, _ in reads if name.endswith(":contents")}
    assert {"specs/trust.yml", "specs/near.pub", "trust/far.pub"} <= files
    assert tracked.unchanged(reads)
    write("trust/far.pub", "other")
    assert not tracked.unchanged(reads)


def test_identities_and_stores_are_parameters() -> None:
    signers = [
        "{keyless: {issuer: i, identity: me}, root: root.json}",
        "{keyless: {issuer: i, identity-pattern: 'x/*'}, root: root.json}",
        "{notation: store, subject: 'C=US,ST=WA,O=x'}",
    ]
    write("specs/trust.yml", f"rules: [{{match: ['a.io/*'], signers: [{', '.join(signers)}]}}]\n")
    write("root.json", "{}")
    write("store/x509/ca/acme/ca.pem", "pem")
    [found] = requirements("a.io/x:1")
    assert list(found.signers) == [
        {"kind": "keyless", "issuer": "i", "identity": "me", "root": "{}"},
        {"kind": "keyless", "issuer": "i", "pattern": "x/*", "root": "{}"},
        {"kind": "notation", "subject": "C=US,ST=WA,O=x", "store": {"x509/ca/acme/ca.pem": "cGVt"}},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{match: ['**'], signers: [{cosign: ../k.pub}]}]", "1:44: '../k.pub' lies outside the project"),
        ("rules: [{match: ['**'], signers: [{cosign: k.pub}]}]", "1:44: there is no file 'k.pub'"),
        ("rules: [{match: ['**'], signers: [{notation: n, subject: 'C=a,ST=b,O=c'}]}]",
         "1:46: there is no folder 'n'"),
        ("rules: [{match: ['**'], signers: [{keyless: {issuer: i, identity: j}, root: r}]}]",
         "1:77: there is no file 'r'"),
        ("rules: [{match: ['**'], signers: [{cosign: bad}]}]", "1:35: the files of a signer cannot be read"),
        ("rules: [{match: ['**'], signers: [{notation: sub, subject: 'C=a,ST=b,O=c'}]}]",
         "1:35: the files of a signer cannot be read"),
        ("rule: []", "1:1: unknown key 'rule' (did you mean 'rules'?)"),
        ("default: deny", "1:10: default: expected accept or reject, not the string 'deny'"),
        ("rules: [{match: [x], need: 0}]", "1:18: rules[0].match[0]: 'x' has no registry"),
        ("[]", "1:1: expected a mapping, not a list"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_problem_at_its_place(text: str, message: str) -> None:
    write("specs/trust.yml", text)
    write("../k.pub", "")
    Path("bad").write_bytes(b"\xff")
    write("sub/other", "")
    with pytest.raises(Problems, match="trust") as error:
        requirements("a.io/x:1")
    assert str(error.value).split("\n")[0].startswith(f"specs/trust.yml:{message}")


def test_a_file_of_rules_that_leads_outside_is_refused(tmp_path: Path) -> None:
    write("../rules.yml", "{}")
    Path("specs/trust.yml").symlink_to(tmp_path.parent / "rules.yml")
    with pytest.raises(Problems, match="leads outside the project"):
        trust_policy.read(load(Path("specs/x.yml")))


def test_both_files_hold_and_need_0_needs_nothing() -> None:
    write("k.pub", "k")
    write("specs/trust.yml", "rules: [{match: ['a.io/**'], signers: [{cosign: k.pub}]}, {match: ['**'], need: 0}]\n")
    write("specs/x.yml", "trust: {rules: [{match: ['a.io/x'], signers: [{cosign: k.pub}]}]}\nbuild: {formats: [tar]}\n")
    assert [each.rule for each in requirements("a.io/x:1")] == ["a.io/**", "a.io/x"]
    assert [each.rule for each in requirements("a.io/y:1")] == ["a.io/**"] and requirements("b.io/y:1") == ()


@pytest.mark.parametrize(
    ("project", "spec", "refused"),
    [
        ("default: reject", "rules: [{match: ['b.io/*'], need: 0}]", "no rule matches b.io/x"),
        ("default: accept", "default: reject", "no rule matches b.io/x"),
        ("rules: [{match: ['b.io/*'], need: 0}]", "default: reject", ""),
        ("default: accept", "image: [b.io/x]", "trust lists b.io/x, and no rule matches it"),
        ("default: accept", "image: ['b.io/x:1']", "trust lists b.io/x"),
        ("default: accept", "image: ['b.io/x:2']", ""),
        ("default: accept", "org: [x]", "trust lists b.io/x"),
        ("rules: [{match: ['b.io/*'], need: 0}]", "org: [x]", ""),
        ("rules: [{match: ['b.io/*'], need: 0}, {match: ['b.io/**'], need: 0}]", "org: []", "two rules for b.io/x"),
    ],
)
def test_images_that_are_not_accepted(project: str, spec: str, refused: str) -> None:
    write("specs/trust.yml", project)
    write("specs/x.yml", f"init: ['b.io/x:1']\ntrust: {{{spec}}}\nbuild: {{formats: [tar], arch: amd64}}\n")
    if not refused:
        assert requirements("b.io/x:1") == ()
        return
    with pytest.raises(Unacceptable, match=refused):
        requirements("b.io/x:1")
    with pytest.raises(Problems, match=rf"x.yml:1:8: {refused}"):
        plan(load(Path("specs/x.yml")), Lock(), "amd64")


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = trust_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {"default": "reject", "rules": [{"match": ["a.io/**"], "need": 2, "signers": [{"cosign": "a"}]}]}
    assert validator.is_valid(good)
    for bad in ({"default": "deny"}, {"rules": [{"need": 1}]}, {"rules": [{"match": ["a b"]}]}, {"x": 1}, []):
        assert not validator.is_valid(bad)
