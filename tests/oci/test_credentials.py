"""Credentials go where they belong, and nowhere else; a registry sends us only where it may."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci import auth, connect, http, trust
from pipeline.oci import mirror as mirrors
from pipeline.oci.auth import Challenge, Credentials
from pipeline.oci.error import ImageError, Refusal, Unreachable
from pipeline.oci.registry import Registry, address
from tests import judges, patience
from tests.oci import craft, servers
from tests.oci.servers import Request, Server

SECRET = "Basic " + base64.b64encode(b"kim:secret").decode()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    craft.image(tmp_path / "layout", [craft.archive(craft.entry("x"))], name="1")
    return tmp_path / "layout"


@pytest.fixture
def far(layout: Path) -> Iterator[Server]:
    with servers.server(layout) as found:
        yield found


@pytest.fixture
def other(layout: Path) -> Iterator[Server]:
    with servers.server(layout) as found:
        yield found


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


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://0.0.0.0/",
        "http://[::ffff:169.254.169.254]/",
        "http://localhost:1/",
        "http://2130706433/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "//10.0.0.1/x",
        "http://user@10.0.0.1/",
        "http://[broken",
        "http://127.0.0.1:99999/",
    ],
)
def test_a_redirect_or_realm_to_the_inside_is_refused(far: Server, url: str) -> None:
    far.rules.append(lambda request: request.answer(302, Location=url))
    with pytest.raises(ImageError):
        Registry(far.host, "a/b").manifest("1")
    far.rules[:] = [challenge(f'Bearer realm="{url}"')]
    with pytest.raises(ImageError):
        Registry(far.host, "a/b").manifest("1")


def test_another_port_of_the_same_host_is_another_place(far: Server, other: Server) -> None:
    far.rules.append(challenge(f'Bearer realm="http://{other.host}/token"'))
    with pytest.raises(Refusal, match=r"NODEKILN_TRUSTED_HOSTS"):
        Registry(far.host, "a/b").manifest("1")
    assert not other.log


def test_never_from_https_to_http() -> None:
    with pytest.raises(Refusal, match=r"from https to http"):
        trust.check("http://8.8.8.8/", "https://8.8.4.4/")


def test_private_hosts_may_send_to_private_hosts_and_public_ones_may_not() -> None:
    trust.check("https://10.0.0.2/", "https://10.0.0.1/")
    trust.check("https://8.8.8.8/", "https://8.8.4.4/")
    for sender, target in (("8.8.8.8", "10.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("10.0.0.1", "169.254.0.1")):
        with pytest.raises(Refusal, match=r"not public"):
            trust.check(f"https://{target}/", f"https://{sender}/")


PUBLIC = IPv4Network("8.0.0.0/8")
INSIDE = [IPv4Network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16", "0.0.0.0/32")]
CARRIERS = {
    "mapped": lambda v4: f"::ffff:{v4}",
    "compatible": lambda v4: f"::{v4}" if int(v4) > 1 else "::",
    "NAT64": lambda v4: f"64:ff9b::{v4}",
    "local NAT64": lambda v4: f"64:ff9b:1::{v4}",
    "local NAT64 of 48 bits": lambda v4: str(IPv6Address((0x64FF9B0001 << 80) + placed(v4))),
    "6to4": lambda v4: str(IPv6Address((0x2002 << 112) + (int(v4) << 80) + 1)),
    "Teredo client": lambda v4: str(IPv6Address((0x20010000 << 96) + (0x08080808 << 64) + (int(v4) ^ 0xFFFFFFFF))),
    "Teredo server": lambda v4: str(IPv6Address((0x20010000 << 96) + (int(v4) << 64) + (0x08080808 ^ 0xFFFFFFFF))),
}


def placed(v4: IPv4Address) -> int:
    """An IPv4 address after a prefix of 48 bits, around bits 64 to 71 (RFC 6052, 2.2)."""
    return (int(v4) >> 16 << 64) + ((int(v4) & 0xFFFF) << 40)


def inside(network: IPv4Network) -> st.SearchStrategy[IPv4Address]:
    return st.integers(int(network[0]), int(network[-1])).map(IPv4Address)


@pytest.mark.parametrize("carrier", CARRIERS)
@given(data=st.data())
def test_an_address_inside_an_address_is_what_counts(carrier: str, data: st.DataObject) -> None:
    address = data.draw(st.sampled_from(INSIDE).flatmap(inside))
    with pytest.raises(Refusal, match=r"not public"):
        trust.check(f"https://[{CARRIERS[carrier](address)}]/", "https://8.8.8.8/")
    if "local" not in carrier:  # where it stands in these is not known, so some are refused for what others would mean
        trust.check(f"https://[{CARRIERS[carrier](data.draw(inside(PUBLIC)))}]/", "https://8.8.8.8/")
    trust.check(f"https://[{CARRIERS[carrier](IPv4Address('8.8.8.8'))}]/", "https://8.8.8.8/")


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what a name's look-ups give, one after another; the last for ever."""
    names: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(name: Any, *words: Any, **more: Any) -> Any:
        if name not in names:
            return real(name, *words, **more)
        if more.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME)
        answers = names[name]
        return real(answers.pop(0) if len(answers) > 1 else answers[0], *words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def answers(name: str, *addresses: str) -> None:
        names[name] = list(addresses)

    return answers


@pytest.mark.parametrize("answers", [["127.0.0.1"], ["192.0.2.1", "127.0.0.1"], ["8.8.8.8", "127.0.0.1"]])
def test_a_name_that_turns_inside_is_not_connected_to(
    far: Server, other: Server, resolver: Callable[..., None], answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address that is looked up for the connection is the one that counts, whatever it was a moment before."""
    monkeypatch.setattr(http, "TIMEOUTS", (0.2, patience.seconds(5)))
    port = other.server_address[1]
    far.rules.append(lambda request: request.answer(307, Location=f"http://turns.example:{port}{request.path}"))
    for _ in range(3):
        resolver("turns.example", *answers)
        with pytest.raises((Refusal, Unreachable)):
            Registry(far.host, "a/b", sleep=lambda _: None).manifest("1")
        http.silent.clear()
        socket.getaddrinfo("turns.example", port)  # as an earlier check may have done
        with pytest.raises((Refusal, Unreachable)):
            Registry(far.host, "a/b", sleep=lambda _: None).manifest("1")
        http.silent.clear()
    assert not other.log
    monkeypatch.setenv("NODEKILN_TRUSTED_HOSTS", f"turns.example:{port}")
    resolver("turns.example", "127.0.0.1")
    assert Registry(far.host, "a/b").manifest("1")[0] == other.manifests["1"][0]


def test_a_host_is_private_by_the_address_that_answered(far: Server, resolver: Callable[..., None]) -> None:
    """A public host's name that means a private address a moment later does not open the private network."""
    with pytest.raises(Refusal, match=r"not public"):
        trust.check("http://10.0.0.1/", "http://turns.example/", "8.8.8.8")
    with pytest.raises(Refusal, match=r"not public"):
        trust.check("http://10.0.0.1/", "http://turns.example/")
    assert trust.check("http://10.0.0.1/", "http://turns.example/", "10.0.0.7") == trust.Reach.NETWORK
    resolver("here.example", "127.0.0.1")
    port = far.server_address[1]
    http.send("GET", f"http://here.example:{port}/v2/", {})
    assert connect.peer(f"http://here.example:{port}/other") == "127.0.0.1"


def test_the_certificate_is_that_of_the_name(
    layout: Path, tmp_path: Path, resolver: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, pem = tmp_path / "key", tmp_path / "pem"
    judges.run(
        judges.need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem,
        "-subj", "/CN=registry.example", "-addext", "subjectAltName=DNS:registry.example", "-days", "30",
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    for name in ("registry.example", "another.example"):
        resolver(name, "127.0.0.1")
    with servers.server(layout, context=context) as far:
        port = far.server_address[1]
        assert Registry(f"registry.example:{port}", "a/b").manifest("1")[0] == far.manifests["1"][0]
        assert far.log[0].headers["Host"] == f"registry.example:{port}"
        with pytest.raises(Unreachable, match=r"TLS: .*another.example"):
            Registry(f"another.example:{port}", "a/b").manifest("1")


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


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/b,c",service="x y"', [("bearer", {"realm": "https://a/b,c", "service": "x y"})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Basic realm=plain", [("basic", {"realm": "plain"})]),
        ('BEARER Realm="q\\"uote"', [("bearer", {"realm": 'q"uote'})]),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('NTLM abc==, Bearer realm="x" , scope="a,b"', [("ntlm", {}), ("bearer", {"realm": "x", "scope": "a,b"})]),
        ('Bearer realm="x",realm="y"', [("bearer", {"realm": "x"})]),
        ("", []),
        (",,,", []),
        ('Bearer realm="unclosed', [("bearer", {})]),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert auth.challenges(header) == [Challenge(*pair) for pair in expected]


PIECES = [*'",=\\ \t/', "Bearer ", "Basic", "realm=", '="', '\\"', "a", "é", "\0", "\n"]
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TOKENS = st.from_regex(TOKEN, fullmatch=True)
PARAMETER = st.tuples(TOKENS, TOKENS | st.text(max_size=20))
PARAMETERS = st.lists(PARAMETER, max_size=3, unique_by=lambda pair: pair[0].lower())


@given(said=st.lists(st.tuples(TOKENS, PARAMETERS), max_size=4), comma=st.sampled_from([",", ", ", " , ,\t"]))
def test_challenges_come_back_as_they_were_written(said: list[tuple[str, list[tuple[str, str]]]], comma: str) -> None:
    """Written by the grammar of RFC 9110, 11.6.1: values as tokens or quoted, empty elements between commas."""

    def written(value: str) -> str:
        bare = value.isascii() and re.fullmatch(r"[A-Za-z0-9._-]+", value)
        return value if bare else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

    header = comma.join(
        f"{scheme} " + comma.join(f"{name}={written(value)}" for name, value in parameters)
        for scheme, parameters in said
    )
    expected = [
        Challenge(scheme.lower(), {name.lower(): value for name, value in parameters}) for scheme, parameters in said
    ]
    assert auth.challenges(header) == expected


@given(header=st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_is_challenges_or_none(header: str) -> None:
    for scheme, parameters in auth.challenges(header):
        assert TOKEN.fullmatch(scheme) and scheme == scheme.lower()
        for name, value in parameters.items():
            assert TOKEN.fullmatch(name) and len(name) + len(value) < len(header)


def test_where_credentials_are_kept(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".config" / "containers").mkdir(parents=True)
    word = base64.b64encode(b"u:p:q").decode()
    (tmp_path / ".docker" / "config.json").write_text(
        json.dumps(
            {"auths": {"https://index.docker.io/v1/": {"auth": word}, "https://old.example/v2/": {"auth": word}}}
        )
    )
    (tmp_path / ".config" / "containers" / "auth.json").write_text(
        json.dumps({"auths": {"quay.io/team": {"auth": word}, "quay.io": {"identitytoken": "t", "auth": word}}})
    )
    assert auth.credentials("registry-1.docker.io", "library/x", home) == Credentials("u", "p:q")
    assert auth.credentials("old.example", "x", home) == Credentials("u", "p:q")
    assert auth.credentials("quay.io", "team/x", home) == Credentials("u", "p:q")
    assert auth.credentials("quay.io", "other/x", home) == Credentials("u", "", "t")
    assert auth.credentials("example.com", "x", home) is None
    alone = {**home, "REGISTRY_AUTH_FILE": str(tmp_path / "none")}
    assert auth.credentials("quay.io", "team/x", alone) is None


HUB = ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/", "http://index.docker.io"]


@pytest.mark.parametrize("key", HUB)
@pytest.mark.parametrize("host", ["docker.io", "registry-1.docker.io", "index.docker.io"])
def test_every_name_of_the_hub_is_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, host: str) -> None:
    """A helper is found by the rule that finds an entry of `auths`; it is asked for Docker's name and the file's."""
    helper = tmp_path / "docker-credential-hub"
    helper.write_text('#!/bin/sh\nread host; echo "$host" >>"$LOG"\n[ "$host" = "$KNOWN" ] || exit 1\n'
                      'echo \'{"Username":"team","Secret":"s"}\'\n')  # fmt: skip
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {key: "hub"}}))
    for known in ("https://index.docker.io/v1/", key):
        monkeypatch.setenv("KNOWN", known)
        assert auth.credentials(host, "team/app", environ) == Credentials("team", "s")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {key: {"auth": base64.b64encode(b"a:b").decode()}}}))
    assert auth.credentials(host, "team/app", environ) == Credentials("a", "b")


@pytest.mark.parametrize("table", [{"credHelpers": {"quay.io": "gone"}}, {"credsStore": "gone"}])
def test_a_missing_helper_is_named_with_its_file_and_passed_over(
    tmp_path: Path, table: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    file, environ = tmp_path / "config.json", {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}
    file.write_text(json.dumps(table))
    assert auth.credentials("quay.io", "x", environ) is None
    file.write_text(json.dumps({**table, "auths": {"quay.io": {"auth": base64.b64encode(b"a:b").decode()}}}))
    assert auth.credentials("quay.io", "x", environ) == Credentials("a", "b")
    said = f"warning: {file}: there is no program docker-credential-gone on PATH; continuing without it\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("helper", ["../../bin/sh", "-x", "a b", "", "x" * 100])
def test_a_helper_is_a_name(tmp_path: Path, helper: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"h": helper}}))
    try:
        assert auth.credentials("h", "x", {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}) is None and not helper
    except Refusal:
        assert helper


def test_http_is_for_loopback_and_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert address("docker.io") == "https://registry-1.docker.io"
    assert address("quay.io") == "https://quay.io"
    assert address("127.evil.example") == "https://127.evil.example"
    for host in ("localhost:5000", "127.0.0.1", "127.8.8.8:1", "[::1]:5000"):
        assert address(host) == f"http://{host}"
    monkeypatch.setenv("NODEKILN_INSECURE", "lab:5000 other")
    assert (address("lab:5000"), address("lab")) == ("http://lab:5000", "https://lab")


def test_certificates_of_a_host_stand_before_those_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/all.pem")
    monkeypatch.setenv("NODEKILN_CERTS", str(tmp_path))
    folder = tmp_path / "host:5000"
    folder.mkdir()
    for name in ("ca.crt", "client.cert", "client.key"):
        (folder / name).touch()
    pair = (f"{folder}/client.cert", f"{folder}/client.key")
    assert trust.certificates("host:5000") == (f"{folder}/ca.crt", pair)
    assert trust.certificates("host") == ("/all.pem", None)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert trust.certificates("host") == (True, None)


def test_a_store_of_credentials_knows_all_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-all"
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username":"%s","Secret":"s"}\' "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "config.json").write_text('{"credsStore": "all"}')
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}
    assert auth.credentials("quay.io", "x", environ) == Credentials("quay.io", "s")
    assert auth.credentials("registry-1.docker.io", "x", environ) == Credentials("https://index.docker.io/v1/", "s")
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
    assert auth.credentials("quay.io", "x", environ) is None
    helper.write_text("#!/bin/sh\necho nonsense\n")
    with pytest.raises(Unreachable, match="docker-credential-all"):
        auth.credentials("quay.io", "x", environ)
