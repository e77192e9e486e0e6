"""Credentials go where they belong, and nowhere else; a registry sends us only where it may."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.oci import http
from pipeline.oci import mirror as mirrors
from pipeline.oci.error import ImageError, Refusal, Unreachable
from pipeline.oci.registry import Registry
from tests.oci import servers
from tests.oci.servers import Request, Server

SECRET = "Basic " + base64.b64encode(b"kim:secret").decode()


def login(monkeypatch: pytest.MonkeyPatch, folder: Path, *hosts: str) -> None:
    auths = {host: {"auth": base64.b64encode(b"kim:secret").decode()} for host in hosts}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


def challenge(text: str, word: str = "") -> servers.Rule:
    """401 with the challenge `text` for whoever does not send `word`."""

    def rule(request: Request) -> bool:
        if word and request.headers.get("Authorization") == word:
            return False
        return request.answer(401, WWW_Authenticate=text)

    return rule


def sent(server: Server) -> set[str | None]:
    return {request.headers.get("Authorization") for request in server.log}


# whose credentials


def test_basic_only_after_a_challenge(far: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login(monkeypatch, tmp_path, far.host)
    Registry(far.host, "a/b").manifest("1")
    assert sent(far) == {None}
    far.rules.append(challenge('Basic realm="x"', SECRET))
    Registry(far.host, "a/b").manifest("1")
    assert [request.headers.get("Authorization") for request in far.log] == [None, None, SECRET]


def test_a_mirror_does_not_get_the_credentials_of_what_it_mirrors(
    far: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(monkeypatch, tmp_path, "docker.io", "https://index.docker.io/v1/", "registry-1.docker.io")
    far.rules.append(challenge('Basic realm="x"', SECRET))
    with pytest.raises(Unreachable, match=r"401"):
        Registry("docker.io", "library/node", f"http://{far.host}").manifest("1")
    assert sent(far) == {None}


def test_a_redirect_to_another_host_carries_no_credentials(
    far: Server, other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(monkeypatch, tmp_path, far.host, other.host)
    monkeypatch.setenv("NODEKILN_TRUSTED_HOSTS", other.host)

    def away(request: Request) -> bool:
        return request.answer(307, Location=f"http://{other.host}{request.path}")

    far.rules += [challenge('Basic realm="x"', SECRET), away]
    Registry(far.host, "a/b").manifest("1")
    assert sent(far) == {None, SECRET} and sent(other) == {None} and len(other.log) == 1
    # and a challenge there is not answered: neither with a password nor by visiting its realm
    other.rules.append(challenge(f'Bearer realm="http://{other.host}/token"'))
    with pytest.raises(Unreachable, match=r"401"):
        Registry(far.host, "a/b").manifest("1")
    assert sent(other) == {None} and not any("token" in path for path in other.paths)


def test_an_expired_token_is_replaced(far: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["one", "two"])

    def token(request: Request) -> bool:
        return request.path.startswith("/token") and request.answer(
            200, json.dumps({"access_token": next(tokens)}).encode()
        )

    valid = ["Bearer one"]
    realm = f'Bearer realm="http://{far.host}/token",service="s"'
    far.rules += [token, lambda request: challenge(realm, valid[0])(request)]
    client = Registry(far.host, "a/b")
    client.manifest("1")
    valid[0] = "Bearer two"
    client.manifest("1")
    assert [path.partition("?")[0].rpartition("/")[2] for path in far.paths] == ["1", "token", "1", "1", "token", "1"]
    assert "scope=repository%3Aa%2Fb%3Apull" in far.paths[1]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}', b'{"token": "\xc3\xa9"}', b"[" * 100_000]
)
def test_what_is_no_token_is_refused(far: Server, body: bytes) -> None:
    far.rules += [
        lambda request: request.path.startswith("/token") and request.answer(200, body),
        challenge(f'Bearer realm="http://{far.host}/token"'),
    ]
    with pytest.raises(Refusal, match=r"no token"):
        Registry(far.host, "a/b").manifest("1")


def test_an_endless_token_ends(far: Server) -> None:
    def endless(request: Request) -> bool:
        if not request.path.startswith("/token"):
            return False
        request.send_response(200)
        request.end_headers()
        for _ in range(512):
            request.wfile.write(bytes(1 << 16))
        request.close_connection = True
        return True

    far.rules += [endless, challenge(f'Bearer realm="http://{far.host}/token"')]
    with pytest.raises(Refusal, match=r"more than"):
        Registry(far.host, "a/b").manifest("1")


def test_endless_challenges_end(far: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login(monkeypatch, tmp_path, far.host)
    far.rules.append(challenge('Basic realm="x"'))
    with pytest.raises(Unreachable, match=r"docker login"):
        Registry(far.host, "a/b").manifest("1")
    assert len(far.log) == 2


# where to


# never in the clear


@pytest.fixture
def plain(far: Server, resolver: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`far` under a name that is not loopback, where the user has a password for it."""
    resolver("plain.example", "127.0.0.1")
    netloc = f"plain.example:{far.server_address[1]}"
    login(monkeypatch, tmp_path, netloc, "registry.example")
    return netloc


def secrets(server: Server) -> set[str | None]:
    return {word for word in sent(server) if word and word.startswith("Basic")}


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_password_for_a_mirror_goes_over_http_only_if_that_was_asked_for(
    far: Server, plain: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = lambda request: request.path.startswith("/token") and request.answer(200, b'{"token": "t"}')  # noqa: E731
    said = f'{scheme} realm="http://{plain}/token"'
    far.rules += [token, challenge(said, SECRET if scheme == "Basic" else "Bearer t")]
    mirror = Registry("registry.example", "a/b", f"http://{plain}")
    with pytest.raises(Refusal, match=rf"not sent over http: use https, or set NODEKILN_INSECURE={plain}"):
        mirror.manifest("1")
    assert not secrets(far)
    monkeypatch.setenv("NODEKILN_INSECURE", plain)
    assert mirror.manifest("1")[0] == far.manifests["1"][0]
    assert secrets(far) == {SECRET}


@pytest.mark.parametrize("refresh", [False, True])
def test_a_password_for_a_token_server_stays_here(
    far: Server, other: Server, plain: str, refresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry on loopback, whose token server is another host that speaks http."""
    login(monkeypatch, tmp_path, other.host)
    if refresh:
        (tmp_path / "config.json").write_text(json.dumps({"auths": {other.host: {"identitytoken": "secret"}}}))
    monkeypatch.setenv("NODEKILN_TRUSTED_HOSTS", plain)
    other.rules.append(challenge(f'Bearer realm="http://{plain}/token"'))
    with pytest.raises(Refusal, match=r"not sent over http"):
        Registry(other.host, "a/b").manifest("1")
    assert not far.log


def test_a_push_gives_no_password_away(far: Server, plain: str, tmp_path: Path) -> None:
    far.rules.append(challenge('Basic realm="r"', SECRET))
    registry = Registry("registry.example", "a/b", f"http://{plain}")
    registry.actions = "pull,push"
    with pytest.raises(Refusal, match=r"not sent over http"):
        registry.request("POST", "blobs/uploads/", {})
    assert not secrets(far)


def test_no_password_in_an_address(far: Server, plain: str) -> None:
    with pytest.raises(Refusal, match=r"not sent over http"):
        http.send("GET", f"http://kim:secret@{plain}/x", {})
    with pytest.raises(ImageError, match=r"docker login") as error:
        mirrors.parse([f"registry.example=https://kim:secret@{plain}"])
    assert "secret" not in str(error.value) and not far.log


def test_redirects_are_counted(far: Server) -> None:
    far.rules.append(lambda request: request.answer(302, Location=request.path + "x"))
    with pytest.raises(Refusal, match=r"more than 5 redirects"):
        Registry(far.host, "a/b").manifest("1")
    assert len(far.log) == 6


# challenges and files
