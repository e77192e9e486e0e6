"""Signatures of what was pushed, in Debian's docker-registry, found and verified again."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pipeline.model.errors import BadInput
from pipeline.oci import push, reference, referrers
from pipeline.project import attestations
from pipeline.store import Store
from pipeline.trust import bundle, keys
from tests.oci import servers
from tests.trust.test_signing import KEYS, pem


@pytest.mark.parametrize("kind", KEYS)
def test_a_signature_is_of_what_was_pushed(store: Store, tmp_path: Path, kind: str) -> None:
    (tmp_path / "key.pem").write_bytes(pem(KEYS[kind]))
    key = attestations.signer(str(tmp_path / "key.pem"))
    assert key is not None
    with servers.docker_registry(tmp_path / "registry") as host:
        pushed = push.send(store, push.describe_files(store, {"amd64": {"x": store.content(b"x")}}), f"{host}/a:1")
        signature = attestations.sign(store, key, pushed, f"{host}/a:1")
        assert attestations.sign(store, key, pushed, f"{host}/a:1") == signature
        (found,) = referrers.find(reference.parse(f"{host}/a:1"), [pushed]).signatures
    public = keys.load(KEYS[kind].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert bundle.verify(found.evidence.data, None, key=public).digests == {pushed}


def test_an_option_without_the_other_and_files_that_are_no_keys(tmp_path: Path) -> None:
    assert attestations.signer("") is None
    with pytest.raises(BadInput, match="add --sign KEY"):
        attestations.signer("", legacy=True)
    with pytest.raises(BadInput, match=r"key\.pem: No such file"):
        attestations.signer(str(tmp_path / "key.pem"))
    (tmp_path / "key.pem").write_text("-----BEGIN")
    with pytest.raises(BadInput, match=r"key\.pem: not a private key"):
        attestations.signer(str(tmp_path / "key.pem"))
