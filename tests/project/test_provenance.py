"""Provenance: a statement of SLSA from manifest.json and the lock, the same for whoever builds the same."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from pipeline.model.digest import Digest
from pipeline.planning.lock import Lock
from pipeline.project import provenance
from pipeline.trust import statement
from tests.judges import python_with
from tests.project import doit, new_project

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
PACKAGE = {
    "name": "busybox", "version": "1:1.37.0-6+b9", "architecture": "amd64", "archive": "debian", "suite": "trixie",
    "sha256": ONE.hex, "size": 1, "filename": "pool/busybox.deb",
}  # fmt: skip
LOCK = Lock(
    {"ghcr.io/acme/app:1": {"platforms": {"amd64": {"manifest": TWO}, "arm64": {"manifest": ONE}}}},
    {"a": {"amd64": {"packages": [PACKAGE]}}, "b": {"amd64": {"packages": [PACKAGE]}, "arm64": {"packages": []}}},
)
MANIFEST: dict[str, Any] = {
    "nodekiln": "1.2.3", "arch": "amd64", "spec": {"specs/node.yml": ONE}, "lock": TWO,
    "formats": {
        "tar": {"files": {"node.tar": {"sha256": TWO.hex, "size": 3}}},
        "iso": {"files": {"node.iso": {"sha256": ONE.hex, "size": 3}}},
    },
}  # fmt: skip
SPEC = """\
files: [{path: etc/secret, contents: hunter2}]
build: {formats: [tar, kernel+initrd], arch: amd64}
"""


def test_dependencies_are_those_of_the_architecture_each_once() -> None:
    assert provenance.dependencies(LOCK, "amd64") == [
        {"uri": "docker://ghcr.io/acme/app:1", "digest": {"sha256": TWO.hex}},
        {
            "uri": "pkg:deb/debian/busybox@1%3A1.37.0-6%2Bb9?arch=amd64&distro=trixie",
            "digest": {"sha256": ONE.hex},
        },
    ]
    assert [each["digest"] for each in provenance.dependencies(LOCK, "arm64")] == [{"sha256": ONE.hex}]


def test_the_statement_is_one_of_slsa_without_time_and_invocation() -> None:
    inputs = provenance.dependencies(LOCK, "amd64")
    data = provenance.statement_of(MANIFEST, inputs, {"example.com/node": ONE})
    assert provenance.dependencies_of(data) == inputs
    parsed = statement.parse(data)
    assert parsed.predicate_type == "https://slsa.dev/provenance/v1" and parsed.digests == {ONE, TWO}
    fields = json.loads(data)
    assert [each["name"] for each in fields["subject"]] == ["node.iso", "node.tar", "example.com/node"]
    assert fields["predicate"].keys() == {"buildDefinition", "runDetails"}
    assert fields["predicate"]["runDetails"] == {"builder": {"id": "urn:nodekiln", "version": {"nodekiln": "1.2.3"}}}
    assert fields["predicate"]["buildDefinition"]["externalParameters"] == {
        "arch": "amd64", "formats": ["iso", "tar"], "spec": {"specs/node.yml": ONE}, "lock": TWO,
    }  # fmt: skip


JUDGE = """
import sys
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
for path in sys.argv[1:]:
    try:
        found = json_format.Parse(open(path).read(), statement_pb2.Statement())
        Statement.copy_from_pb(found).validate()
        predicate = json_format.MessageToDict(found.predicate)
        made = json_format.ParseDict(predicate, provenance_pb2.Provenance())
        for each in made.build_definition.resolved_dependencies:
            ResourceDescriptor.copy_from_pb(each).validate()
        assert made.build_definition.build_type and made.run_details.builder.id, "a required field is empty"
        assert made.build_definition.HasField("external_parameters"), "a required field is empty"
        assert not made.run_details.HasField("metadata"), "it has a time or an invocation"
    except Exception as error:
        print("refused", type(error).__name__)
    else:
        print("valid", len(found.subject), len(made.build_definition.resolved_dependencies))
"""
"""Reads statements by in-toto's own definitions (protobuf), which refuse unknown fields and other types."""


def test_the_statement_is_valid_for_in_toto(tmp_path: Path) -> None:
    """And each of some faults in it is found, so the judge is known to look."""
    data = provenance.statement_of(MANIFEST, provenance.dependencies(LOCK, "amd64"), {"": ONE})
    right = json.loads(data)
    predicate, definition = right["predicate"], right["predicate"]["buildDefinition"]
    broken: list[dict[str, Any]] = [
        right,
        right | {"_type": "https://example.com"},
        right | {"subject": [{"name": "x", "digest": {}}]},
        right | {"subjects": []},
        right | {"predicateType": ""},
        right | {"predicate": predicate | {"builder": {}}},
        right | {"predicate": predicate | {"buildDefinition": definition | {"buildType": ""}}},
        right | {"predicate": predicate | {"buildDefinition": definition | {"resolvedDependencies": [{}]}}},
        right | {"predicate": predicate | {"runDetails": {"builder": {"id": ["x"]}}}},
    ]
    paths = [tmp_path / f"{number}.json" for number in range(len(broken))]
    for path, document in zip(paths, broken, strict=True):
        path.write_text(json.dumps(document))
    paths[0].write_bytes(data)
    done = subprocess.run(
        [python_with("in-toto-attestation==0.9.3"), "-c", JUDGE, *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    verdicts = done.stdout.splitlines()
    assert verdicts[0] == "valid 3 2" and {each.split()[0] for each in verdicts[1:]} == {"refused"}, verdicts


def test_two_builders_make_the_same_statement(tmp_path: Path) -> None:
    """In other folders, with another umask, time zone and order of formats; no content of the spec is in it."""
    first = new_project(tmp_path / "first", node=SPEC)
    second = tmp_path / "a" / "much longer" / "second"
    second.parent.mkdir(parents=True)
    doit("build", cwd=first)
    shutil.copytree(first, second, ignore=shutil.ignore_patterns("build", "cache", ".doit*"))
    doit("build:node:kernel+initrd", cwd=second, TZ="Asia/Tokyo", LC_ALL="C")
    doit("build:node:tar", cwd=second, TZ="America/Lima")
    data = (first / "build/node/provenance.json").read_bytes()
    assert (second / "build/node/provenance.json").read_bytes() == data and b"hunter2" not in data
    sums = dict(reversed(line.split()) for line in (first / "build/node/SHA256SUMS").read_text().splitlines())
    assert {each["name"]: each["digest"]["sha256"] for each in json.loads(data)["subject"]} == sums

    doit("clean", "build:node:tar", cwd=first)
    names = [each["name"] for each in json.loads((first / "build/node/provenance.json").read_bytes())["subject"]]
    assert names and "node.tar" not in names
    doit("clean", cwd=first)
    assert not (first / "build/node").exists()
