"""Connections go to the address that was checked."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.oci import connect, hosts, http
from pipeline.oci.error import Refusal, Unreachable
from pipeline.oci.registry import Registry
from tests import judges, patience
from tests.oci import servers
from tests.oci.servers import Server


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
        hosts.check("http://10.0.0.1/", "http://turns.example/", "8.8.8.8")
    with pytest.raises(Refusal, match=r"not public"):
        hosts.check("http://10.0.0.1/", "http://turns.example/")
    assert hosts.check("http://10.0.0.1/", "http://turns.example/", "10.0.0.7") == hosts.Reach.NETWORK
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
