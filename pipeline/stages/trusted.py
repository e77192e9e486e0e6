"""Stage that verifies the signatures of an image, as of the times that its lock has, before the image is fetched.

Evidence, rules and roots are parameters, so its key has their digests, and it runs again if one of them is another. It
reads no clock and opens no socket.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.host.user_command import user_command
from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import files
from pipeline.store import Store

VERSION = 1
RESULT = "signers.json"
"""File of the result: the signers of each rule."""


def trusted(
    store: Store,
    *,
    image: str,
    manifest: str,
    rules: Sequence[Mapping[str, Any]],
    signatures: Sequence[Mapping[str, Any]],
    documents: Mapping[str, str],
) -> Digest:
    """Returns Tree {RESULT} if as many different signers signed `manifest` as each of `rules` needs; else StageProblem.

    image: its reference, for messages. rules: as planning.trust_policy gives them. signatures: subject, time and
    evidence of each. documents: digest -> base64 of what was signed, and of the indexes that lead to the manifest.
    """
    from pipeline.trust import verification
    from pipeline.trust.evidence import parse_entry

    claims = [verification.Claim(each["subject"], parse_entry(each["evidence"]), each["time"]) for each in signatures]
    data = {digest: base64.b64decode(text) for digest, text in documents.items()}
    result = []
    for number, rule in enumerate(rules):
        outcome = verification.verify(rule, claims, manifest, data)
        if outcome.signers < rule["need"]:
            raise StageProblem((number,), f"{image}: {verification.lacking(rule, outcome)}", user_command("lock"))
        signers = sorted({each.signer.principal for each in outcome.verified})
        result.append({"rule": rule["rule"], "signers": [list(each) for each in signers]})
    content = store.content(canonical_json(result))
    return store.put_tree(files([(RESULT, content)]))
