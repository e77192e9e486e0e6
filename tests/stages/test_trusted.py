"""The stage that verifies signatures: refusals by rule, a result that is the same for the same signers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.stages import trusted
from pipeline.store import Store
from pipeline.trust import evidence
from pipeline.trust.evidence import Evidence
from tests.trust.signing import MANIFEST, Key

DOCUMENT = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST}).encode()
DIGEST = Digest.of(DOCUMENT)


def parameters(*keys: Key, need: int = 1) -> dict[str, Any]:
    """Parameters of the stage for an image that each of `keys` has signed."""
    signatures = [Evidence(evidence.BUNDLE, each.bundle(DIGEST)).document() for each in keys]
    return {
        "image": "a.io/x:1",
        "manifest": DIGEST,
        "rules": [{"rule": "a.io/*", "need": need, "signers": [{"kind": "cosign", "key": key.pem} for key in keys]}],
        "signatures": [{"subject": DIGEST, "time": 0, "evidence": each} for each in signatures],
        "documents": {DIGEST: base64.b64encode(DOCUMENT).decode()},
    }


def test_the_result_has_the_signers_of_each_rule(store: Store) -> None:
    one, other = Key(), Key()
    result = trusted.trusted(store, **parameters(one, other, need=2))
    [rule] = json.loads(store.bytes(store.tree(result).file(trusted.RESULT).content))
    assert rule["rule"] == "a.io/*" and [kind for kind, *_ in rule["signers"]] == ["key", "key"]
    signed_again = parameters(one, other, need=2)
    assert trusted.trusted(store, **signed_again) == result, "other signatures by the same keys"


def test_a_rule_that_does_not_hold_is_a_problem_of_that_rule(store: Store) -> None:
    given = parameters(key := Key())
    given["rules"].append({"rule": "a.io/x", "need": 2, "signers": [{"kind": "cosign", "key": key.pem}] * 2})
    with pytest.raises(
        StageProblem, match=r"a.io/x:1: signed by 1 of the 2 signers that the rule 'a.io/x' needs"
    ) as error:
        trusted.trusted(store, **given)
    assert error.value.path == (1,)


def test_a_key_that_cannot_be_read_is_a_problem(store: Store) -> None:
    given = parameters(Key())
    given["rules"][0]["signers"] = [{"kind": "cosign", "key": "x"}]
    with pytest.raises(StageProblem, match="not a public key"):
        trusted.trusted(store, **given)
