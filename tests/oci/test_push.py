"""Pushing: to Debian's docker-registry, read back by skopeo; and what is sent, to a server of our own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Slice
from pipeline.oci import http, push
from pipeline.oci.error import ImageError, Unreachable
from pipeline.oci.registry import Registry
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests.judges import need, run
from tests.oci import craft, servers
from tests.oci.servers import Request
from tests.oci.test_registry import login, word


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Digest:
    layers = [craft.archive(craft.entry("x", data=os.urandom(3 << 20))), craft.archive(craft.entry("y"))]
    craft.image(tmp_path / "layout", layers)
    digest = resolve(f"oci:{tmp_path}/layout", ["amd64"]).platforms["amd64"].manifest
    return pull(store, reference=f"oci:{tmp_path}/layout", manifest=digest)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    with servers.docker_registry(tmp_path / "registry") as found:
        yield found


def test_an_image_comes_back_as_it_was(store: Store, image: Digest, host: str, tmp_path: Path) -> None:
    assert push.push_image(store, image, f"{host}/team/node:1") == image
    run(need("skopeo"), "copy", "--src-tls-verify=false", f"docker://{host}/team/node:1", f"oci:{tmp_path}/back:x")
    other = Store(tmp_path / "other")
    assert pull(other, reference=f"{host}/team/node:1", manifest=image) == image
    assert list(other.tree(unpack(other, image))) == ["x", "y"]


def test_what_is_there_is_not_sent_again(store: Store, image: Digest, host: str) -> None:
    sent: list[int] = []
    target = push.Target(store, f"{host}/a:1", progress=sent.append)
    blob = store.put(b"blob" * 1000)
    target.blob(blob, (Slice(blob, 0, 4000),))
    assert sum(sent) == 4000
    target.blob(blob, (Slice(blob, 0, 4000),))
    assert sum(sent) == 4000
    push.Target(store, f"{host}/b:1", ["a"], sent.append).blob(blob, (Slice(blob, 0, 4000),))
    assert sum(sent) == 4000
    assert b"".join(Registry(host, "b").blob(blob, 4000)) == b"blob" * 1000


def test_a_node_is_an_artifact(store: Store, host: str, tmp_path: Path) -> None:
    kernel, disk = store.put(b"kernel"), store.put(os.urandom(2 << 20))
    rope: Content = (Slice(disk, 5, 1 << 20), Slice(None, 0, 3 << 20), Slice(kernel, 0, 6))
    files = {"amd64": {"node-kernel": (Slice(kernel, 0, 6),), "node.img": rope}, "arm/v7": {"node-kernel": ()}}
    described = push.describe_files(store, files, {"org.opencontainers.image.revision": "abc"})
    digest = push.send(store, described, f"{host}/nodes/node:v1")
    assert digest == Digest.of(described.index_bytes), "known before it is pushed"
    index = json.loads(Registry(host, "nodes/node").manifest("v1")[0])
    assert Digest.of(Registry(host, "nodes/node").manifest(digest)[0]) == digest
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
    ]
    manifest = json.loads(Registry(host, "nodes/node").manifest(index["manifests"][0]["digest"])[0])
    titles = {layer["annotations"]["org.opencontainers.image.title"]: layer for layer in manifest["layers"]}
    got = b"".join(Registry(host, "nodes/node").blob(Digest(titles["node.img"]["digest"]), titles["node.img"]["size"]))
    assert hashlib.sha256(got).digest() == hashlib.sha256(b"".join(store.read(rope))).digest()
    assert push.send(store, described, f"{host}/nodes/node:v1") == digest
    source = f"docker://{host}/nodes/node@{digest}"
    run(need("skopeo"), "copy", "--all", "--src-tls-verify=false", source, f"oci:{tmp_path}/back:x")


def test_with_a_password(store: Store, image: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = run(need("openssl"), "passwd", "-apr1", "secret").stdout.strip()
    (tmp_path / "users").write_text(f"kim:{hashed}\n")
    with (
        servers.docker_registry(tmp_path / "registry") as behind,
        servers.nginx(tmp_path / "nginx", behind, tmp_path / "users") as host,
    ):
        with pytest.raises(Unreachable, match=r"docker login"):
            push.push_image(store, image, f"{host}/a:1")
        login(monkeypatch, tmp_path / "docker", {"auths": {host: word("kim", "secret")}})
        assert push.push_image(store, image, f"{host}/a:1") == image


def test_with_tokens(store: Store, image: Digest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = servers.certificate(tmp_path / "certs", "signer")
    with servers.server() as tokens:
        tokens.rules.append(servers.token_rule(signer, "issuer", {"kim": "x"}))
        realm = f"http://{tokens.host}/token"
        token = {"realm": realm, "service": "registry", "issuer": "issuer", "rootcertbundle": f"{signer}.crt"}
        with servers.docker_registry(tmp_path / "registry", auth={"token": token}) as host:
            monkeypatch.setenv("NODEKILN_TRUSTED_HOSTS", tokens.host)
            login(monkeypatch, tmp_path / "docker", {"auths": {host: word("kim", "x")}})
            assert push.push_image(store, image, f"{host}/a:1") == image
            assert push.push_image(store, image, f"{host}/b:1", ["a"]) == image


def test_an_upload_that_breaks_is_begun_again(store: Store) -> None:
    blob = store.put(os.urandom(5 << 20))
    got: list[int] = []

    def accept(request: Request) -> bool:
        if request.command == "POST":
            return request.answer(202, Location=f"/upload/{len(got)}?state=a")
        if request.command == "PUT":
            got.append(len(request.body))
            if len(got) < 3:
                return request.answer(503)
            return request.answer(201)
        return False

    with servers.server() as far:
        far.rules.append(accept)
        target = push.Target(store, f"{far.host}/a:1")
        target.registry.sleep = lambda _: None
        target.blob(blob, (Slice(blob, 0, 5 << 20),))
        assert got == [5 << 20] * 3
        puts = [path for path in far.paths if path.startswith("/upload/")]
        assert [path.partition("&")[0] for path in puts] == [f"/upload/{n}?state=a" for n in range(3)]
        assert http.ATTEMPTS > 3


def test_an_upload_to_the_inside_is_refused(store: Store) -> None:
    blob = store.put(b"x")

    def away(request: Request) -> bool:
        return request.command == "POST" and request.answer(202, Location="http://169.254.169.254/upload")

    with servers.server() as far:
        far.rules.append(away)
        with pytest.raises(ImageError, match=r"not public"):
            push.Target(store, f"{far.host}/a:1").blob(blob, (Slice(blob, 0, 1),))


def test_only_registries_are_pushed_to(store: Store, image: Digest) -> None:
    with pytest.raises(ImageError, match=r"only a registry"):
        push.push_image(store, image, "oci:x")
