"""The registry client against Debian's docker-registry: plain, with TLS, with tokens, behind nginx."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.model.digest import Digest
from pipeline.oci.error import ImageError, NotFound, Unreachable
from pipeline.oci.resolve import resolve
from pipeline.recipe import tag
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


def test_plain(layout: Path, store: Store, tmp_path: Path) -> None:
    with servers.docker_registry(tmp_path / "registry") as host:
        push(layout, host, "--dest-tls-verify=false")
        check(f"{host}/team/node:1", layout, store)
        with pytest.raises(NotFound, match=rf"{host}/team/node:2: .* 404"):
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


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--format", "v2s2"], "application/vnd.docker.distribution.manifest.list.v2+json"),
        (["--dest-compress", "--dest-compress-format", "zstd"], "application/vnd.oci.image.index.v1+json"),
        (["--dest-decompress"], "application/vnd.oci.image.index.v1+json"),
    ],
    ids=["Docker's schema 2", "zstd", "not compressed"],
)
def test_whatever_skopeo_makes_of_it(layout: Path, store: Store, tmp_path: Path, options: list[str], kind: str) -> None:
    """Equal trees from other manifests and layers."""
    plain, changed = tmp_path / "plain", tmp_path / "changed"
    run(need("skopeo"), "copy", "--all", "--dest-decompress", f"oci:{layout}:both", f"dir:{plain}")
    run(need("skopeo"), "copy", "--all", *options, f"dir:{plain}", f"dir:{changed}")
    with servers.docker_registry(tmp_path / "registry") as host:
        target = f"docker://{host}/team/node:1"
        run(need("skopeo"), "copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"dir:{changed}", target)
        assert json.loads((changed / "manifest.json").read_text())["mediaType"] == kind
        resolved = resolve(f"{host}/team/node:1", ["amd64", "arm64"])
        for architecture, locked in resolved.platforms.items():
            image = pull(store, reference=f"{host}/team/node:1", manifest=locked.manifest)
            original = resolve(f"oci:{layout}:both", [architecture]).platforms[architecture].manifest
            pull(store, reference=f"oci:{layout}:both", manifest=original)
            assert image != original and unpack(store, image) == unpack(store, original)


def test_all_that_is_named_by_sha512(tmp_path: Path, store: Store) -> None:
    """Manifest, config and layer, in a layout and in a registry; the tar gets its own name."""
    blobs = {}

    def put(data: bytes) -> dict[str, object]:
        digest = "sha512:" + hashlib.sha512(data).hexdigest()
        blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    prefix, layer = "application/vnd.oci.image.", craft.archive(craft.entry("x"))
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [put(layer)["digest"]]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{prefix}manifest.v1+json",
        "config": {"mediaType": f"{prefix}config.v1+json", **put(json.dumps(config).encode())},
        "layers": [{"mediaType": f"{prefix}layer.v1.tar+gzip", **put(gzip.compress(layer))}],
    }
    described = {"mediaType": f"{prefix}manifest.v1+json", **put(json.dumps(manifest).encode())}
    folder, image = tmp_path / "layout", str(described["digest"])
    (folder / "blobs" / "sha512").mkdir(parents=True)
    for name, data in blobs.items():
        (folder / "blobs" / "sha512" / name[7:]).write_bytes(data)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
    with servers.server() as far:
        far.blobs, far.manifests[image] = blobs, (blobs[image], f"{prefix}manifest.v1+json")
        places = [f"oci:{folder}", f"{far.host}/a/b@{image}"]
        for number, reference in enumerate(places):
            assert resolve(reference, ["amd64"]).platforms["amd64"].manifest == image
            fresh = Store(tmp_path / f"store{number}")
            assert list(fresh.tree(unpack(fresh, pull(fresh, reference=reference, manifest=image)))) == ["x"]
            assert fresh.has(Digest.of(layer))
        far.blobs = {name: data + b"!" for name, data in blobs.items()}
        with pytest.raises(ImageError, match=r"sha512:"):
            pull(store, reference=places[1], manifest=image)


def test_a_diff_id_may_be_a_sha512(tmp_path: Path, store: Store) -> None:
    layer = craft.archive(craft.entry("x"))
    image = craft.image(tmp_path / "layout", [layer], diff_ids=["sha512:" + hashlib.sha512(layer).hexdigest()])
    pull(store, reference=f"oci:{tmp_path}/layout", manifest=image)
    assert list(store.tree(unpack(store, Digest(image)))) == ["x"]


def test_the_store_is_a_place_too(layout: Path, store: Store, tmp_path: Path) -> None:
    """It is an OCI layout: what it names can be asked for, by us and by skopeo, and it feeds another store."""
    digest = resolve(f"oci:{layout}:both", ["amd64"]).platforms["amd64"].manifest
    pull(store, reference=f"oci:{layout}:both", manifest=digest)
    kind = "application/vnd.oci.image.manifest.v1+json"
    tag.tag(store, "node:1", tag.describe(store, kind, digest, platform={"os": "linux", "architecture": "amd64"}))
    reference = f"oci:{store.root}:node:1"
    assert resolve(reference, ["amd64"]).platforms["amd64"].manifest == digest
    assert pull(store, reference=reference, manifest=digest) == digest
    other = Store(tmp_path / "other")
    assert unpack(other, pull(other, reference=reference, manifest=digest)) == unpack(store, digest)
    run(need("skopeo"), "inspect", f"oci:{store.root}:node:1")
