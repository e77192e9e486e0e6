"""The registry client against Debian's docker-registry: plain, with TLS, with tokens, behind nginx."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.digest import Digest
from pipeline.oci.error import NotThere, Unreachable
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests.judges import need, run
from tests.oci import craft, servers

STACK = [
    craft.archive(craft.entry("hello", data=b"hello\n")),
    craft.archive(craft.entry("b/big", data=os.urandom(3 << 20))),
]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout with one image for two architectures, named `both`."""
    folder = tmp_path / "layout"
    entries = []
    for architecture in ("amd64", "arm64"):
        layers = [*STACK, craft.archive(craft.entry(architecture))]
        digest = craft.image(folder, layers, name=architecture, config={"architecture": architecture})
        size = (folder / "blobs" / "sha256" / digest[7:]).stat().st_size
        platform = {"os": "linux", "architecture": architecture}
        kind = "application/vnd.oci.image.manifest.v1+json"
        entries.append({"mediaType": kind, "digest": digest, "size": size, "platform": platform})
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()
    craft.tagged(folder, index, "both", kind)
    return folder


def push(layout: Path, host: str, *options: str, name: str = "team/node:1") -> None:
    source, target = f"oci:{layout}:both", f"docker://{host}/{name}"
    run(need("skopeo"), "copy", "--all", "--preserve-digests", *options, source, target)


def check(reference: str, layout: Path, store: Store) -> None:
    """Resolve, pull and unpack amd64; it must be what the layout holds, and nothing of arm64 must have come."""
    resolved = resolve(reference, ["amd64", "arm64"])
    expected = resolve(f"oci:{layout}:both", ["amd64", "arm64"])
    assert (resolved.index, resolved.platforms) == (expected.index, expected.platforms)
    locked = resolved.platforms["amd64"]
    image = pull(store, reference=reference, manifest=locked.manifest)
    assert list(store.tree(unpack(store, image))) == ["amd64", "b", "b/big", "hello"]
    other = resolved.platforms["arm64"]
    assert not any(map(store.has, [other.manifest, other.config.digest, other.layers[-1].digest]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield Store(tmp_path / "store")


def test_plain(layout: Path, store: Store, tmp_path: Path) -> None:
    with servers.docker_registry(tmp_path / "registry") as host:
        push(layout, host, "--dest-tls-verify=false")
        check(f"{host}/team/node:1", layout, store)
        with pytest.raises(NotThere, match=rf"{host}/team/node:2: .* 404"):
            resolve(f"{host}/team/node:2", ["amd64"])
    # by now nobody answers: what is in the store needs nobody
    digest = resolve(f"oci:{layout}:both", ["amd64"]).platforms["amd64"].manifest
    assert pull(store, reference=f"{host}/team/node:1", manifest=digest) == digest
    assert pull(store, reference="elsewhere.invalid/other:name", manifest=digest) == digest


def test_as_a_mirror(layout: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.docker_registry(tmp_path / "registry") as host:
        push(layout, host, "--dest-tls-verify=false", name="hub/library/node:1")
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=oci:{tmp_path}/nothing docker.io=http://{host}/hub")
        check("node:1", layout, store)


def test_tls_with_client_certificates(
    layout: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = servers.certificate(tmp_path / "certs", "authority")
    server = servers.certificate(tmp_path / "certs", "server", authority)
    client = servers.certificate(tmp_path / "certs", "client", authority)
    files = {"certificate": f"{server}.crt", "key": f"{server}.key", "clientcas": [f"{authority}.crt"]}
    with servers.docker_registry(tmp_path / "registry", http={"tls": files}) as host:
        folder = tmp_path / "certs.d" / host
        folder.mkdir(parents=True)
        shutil.copy(f"{authority}.crt", folder / "ca.crt")
        shutil.copy(f"{client}.crt", folder / "client.cert")
        shutil.copy(f"{client}.key", folder / "client.key")
        push(layout, host, f"--dest-cert-dir={folder}")
        monkeypatch.setenv("NODEKILN_MIRROR", f"{host}=https://{host}")
        with pytest.raises(Unreachable, match=r"TLS.*certificate verify failed"):
            resolve(f"{host}/team/node:1", ["amd64"])
        monkeypatch.setenv("NODEKILN_CERTS", str(tmp_path / "certs.d"))
        check(f"{host}/team/node:1", layout, store)
        (folder / "client.cert").unlink()
        with pytest.raises(Unreachable, match=r"TLS|broke|abort|reset"):
            resolve(f"{host}/team/node:1", ["arm64"])


def login(monkeypatch: pytest.MonkeyPatch, folder: Path, document: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(document))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def word(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_tokens(layout: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = servers.certificate(tmp_path / "certs", "signer")
    with servers.server() as tokens:
        realm = f"http://{tokens.host}/token"
        tokens.rules.append(servers.token_rule(signer, "issuer", {"kim": "pass:word"}, "refresh-me"))
        token = {"realm": realm, "service": "registry", "issuer": "issuer", "rootcertbundle": f"{signer}.crt"}
        with servers.docker_registry(tmp_path / "registry", auth={"token": token}) as host:
            push(layout, host, "--dest-tls-verify=false", "--dest-creds=kim:pass:word")
            reference = f"{host}/team/node:1"
            monkeypatch.setenv("NODEKILN_TRUSTED_HOSTS", tokens.host)
            with pytest.raises(Unreachable, match=r"docker login"):
                resolve(reference, ["amd64"])
            login(monkeypatch, tmp_path / "wrong", {"auths": {host: word("kim", "wrong")}})
            with pytest.raises(Unreachable, match=r"wrong password"):
                resolve(reference, ["amd64"])
            login(monkeypatch, tmp_path / "right", {"auths": {host: word("kim", "pass:word")}})
            check(reference, layout, store)


def test_refresh_token_from_a_credential_helper(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = servers.certificate(tmp_path / "certs", "signer")
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    helper.write_text('#!/bin/sh\nread host\necho "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"refresh-me\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    with servers.server() as tokens:
        tokens.rules.append(servers.token_rule(signer, "issuer", {"kim": "x"}, "refresh-me"))
        realm = f"http://{tokens.host}/token"
        token = {"realm": realm, "service": "registry", "issuer": "issuer", "rootcertbundle": f"{signer}.crt"}
        with servers.docker_registry(tmp_path / "registry", auth={"token": token}) as host:
            push(layout, host, "--dest-tls-verify=false", "--dest-creds=kim:x")
            monkeypatch.setenv("NODEKILN_TRUSTED_HOSTS", tokens.host)
            login(monkeypatch, tmp_path / "docker", {"credHelpers": {host: "test"}})
            check(f"{host}/team/node:1", layout, Store(tmp_path / "store"))
            assert any(request.command == "POST" for request in tokens.log)


def test_behind_nginx_with_a_password(
    layout: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = run(need("openssl"), "passwd", "-apr1", "secret").stdout.strip()
    (tmp_path / "users").write_text(f"kim:{hashed}\n")
    with (
        servers.docker_registry(tmp_path / "registry") as behind,
        servers.nginx(tmp_path / "nginx", behind, tmp_path / "users") as host,
    ):
        push(layout, behind, "--dest-tls-verify=false")
        with pytest.raises(Unreachable, match=r"401"):
            resolve(f"{host}/team/node:1", ["amd64"])
        login(monkeypatch, tmp_path / "docker", {"auths": {f"http://{host}/v1/": word("kim", "secret")}})
        check(f"{host}/team/node:1", layout, store)


def test_sha512_names_a_blob_too(tmp_path: Path, store: Store) -> None:
    import hashlib

    layer = craft.archive(craft.entry("x"))
    image = craft.image(tmp_path / "layout", [layer], diff_ids=["sha512:" + hashlib.sha512(layer).hexdigest()])
    pull(store, reference=f"oci:{tmp_path}/layout", manifest=image)
    assert list(store.tree(unpack(store, Digest(image)))) == ["x"]
