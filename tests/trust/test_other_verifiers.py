"""Verdicts of other verifiers on the conformance suite of sigstore: npm's @sigstore/verify and PyPI's sigstore."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.trust.error import SignatureRefusal
from tests import judges
from tests.trust import sigstore
from tests.trust.vectors import PYPI_SIGSTORE, cases, needs_vectors

NPM = ("@sigstore/verify@3.1.1", "@sigstore/bundle@4.0.0", "@sigstore/protobuf-specs@0.5.2")
NPM_DIFFERS = {
    "rekor2-dsse-happy-path": "it does not take an entry hashedrekord 0.0.2 for an envelope",
    "trust-root-tlog-missing-validity-start_fail": "it takes a validity without a start for one since ever",
}
PYPI_DIFFERS = {
    "intoto-with-custom-trust-root": "it knows no entry of kind intoto",
    "trust-root-tsa-validity-end-inclusive": "it takes the end of a validity for the first moment that is not in it",
}
"""Cases whose verdict is another than the suite's and ours -> why."""


def described(folder: Path) -> list[dict[str, Any]]:
    """Returns the cases for the judges' programs; files that they share are written into `folder`."""
    result = []
    for case in cases():
        root = folder / f"{case.name}.root.json"
        root.write_bytes(sigstore.root_file(case))
        artifact = folder / f"{case.name}.artifact"
        artifact.write_bytes(sigstore.artifact(case))
        identity, issuer = sigstore.expected(case)
        key = str(case / "key.pub") if (case / "key.pub").exists() else None
        paths = {"bundle": str(case / "bundle.sigstore.json"), "root": str(root), "artifact": str(artifact)}
        result.append({"name": case.name, **paths, "key": key, "identity": identity, "issuer": issuer})
    return result


def is_accepted(case: Path) -> bool:
    try:
        sigstore.verify(case)
    except SignatureRefusal:
        return False
    return True


def check(verdicts: dict[str, str | None], differs: dict[str, str]) -> None:
    """Compares the verdicts of a judge with ours: they differ where it is explained, and nowhere else."""
    ours = {case.name: is_accepted(case) for case in cases() if case.name in verdicts}
    assert all(is_right is not name.endswith("_fail") for name, is_right in ours.items())
    different = {name: error for name, error in verdicts.items() if (error is None) is not ours[name]}
    assert different.keys() == differs.keys(), different


@needs_vectors
@pytest.mark.slow
def test_npm_has_the_same_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(described(tmp_path)))
    modules = judges.npm_packages(*NPM)
    done = judges.run(judges.need("node", "nodejs"), Path(__file__).with_name("judge.mjs"), file, modules)
    verdicts = json.loads(done.stdout)
    assert len(verdicts) == len(cases())
    check(verdicts, NPM_DIFFERS)


@needs_vectors
@pytest.mark.slow
def test_pypi_has_the_same_verdicts(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(described(tmp_path)))
    done = judges.run(judges.python_with(PYPI_SIGSTORE), "-I", Path(__file__).with_name("judge_pypi.py"), file)
    verdicts = json.loads(done.stdout)
    assert len(verdicts) == len(cases()) - 3
    check(verdicts, PYPI_DIFFERS)
