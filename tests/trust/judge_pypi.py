"""Verifies bundles by PyPI's sigstore: reads cases from a file (JSON), prints verdicts (name -> error or null).

It runs in an environment that has sigstore, which has no verification by a managed key: such cases are left out.
"""

import hashlib
import json
import sys
from pathlib import Path

from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy


def verify(case):
    bundle = Bundle.from_json(Path(case["bundle"]).read_bytes())
    verifier = Verifier(trusted_root=TrustedRoot.from_file(case["root"]))
    identity = policy.Identity(identity=case["identity"], issuer=case["issuer"])
    artifact = Path(case["artifact"]).read_bytes()
    if "dsseEnvelope" not in json.loads(Path(case["bundle"]).read_bytes()):
        verifier.verify_artifact(artifact, bundle, identity)
        return
    _, payload = verifier.verify_dsse(bundle, identity)
    digests = [subject["digest"]["sha256"] for subject in json.loads(payload)["subject"]]
    if hashlib.sha256(artifact).hexdigest() not in digests:
        raise ValueError("another subject")


verdicts = {}
for case in json.loads(Path(sys.argv[1]).read_text()):
    if not case["key"] and "managed-key" not in case["name"]:
        try:
            verify(case)
            verdicts[case["name"]] = None
        except Exception as error:
            verdicts[case["name"]] = f"{type(error).__name__}: {error}"
print(json.dumps(verdicts))
