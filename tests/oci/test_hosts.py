"""Addresses, redirects and certificates that a registry may make us use."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci import hosts
from pipeline.oci.error import ImageError, Refusal
from pipeline.oci.registry import Registry, address
from tests.oci.servers import Server
from tests.oci.test_credentials import challenge


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
        hosts.check("http://8.8.8.8/", "https://8.8.4.4/")


def test_private_hosts_may_send_to_private_hosts_and_public_ones_may_not() -> None:
    hosts.check("https://10.0.0.2/", "https://10.0.0.1/")
    hosts.check("https://8.8.8.8/", "https://8.8.4.4/")
    for sender, target in (("8.8.8.8", "10.0.0.1"), ("10.0.0.1", "127.0.0.1"), ("10.0.0.1", "169.254.0.1")):
        with pytest.raises(Refusal, match=r"not public"):
            hosts.check(f"https://{target}/", f"https://{sender}/")


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
        hosts.check(f"https://[{CARRIERS[carrier](address)}]/", "https://8.8.8.8/")
    if "local" not in carrier:  # where it stands in these is not known, so some are refused for what others would mean
        hosts.check(f"https://[{CARRIERS[carrier](data.draw(inside(PUBLIC)))}]/", "https://8.8.8.8/")
    hosts.check(f"https://[{CARRIERS[carrier](IPv4Address('8.8.8.8'))}]/", "https://8.8.8.8/")


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
    assert hosts.certificates("host:5000") == (f"{folder}/ca.crt", pair)
    assert hosts.certificates("host") == ("/all.pem", None)
    monkeypatch.delenv("SSL_CERT_FILE")
    assert hosts.certificates("host") == (True, None)
