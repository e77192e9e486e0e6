"""Policy of connections: the addresses that a server may redirect to, and certificates. Sends no request."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from pipeline.oci.error import Refusal

Address = IPv4Address | IPv6Address

INSECURE = "NODEKILN_INSECURE"
"""Environment: hosts (HOST:PORT, separated by spaces) whose registries speak http."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052, 2.1."""
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: translators of a local network."""
_COMPATIBLE = IPv6Network("::/96")
"""RFC 4291, 2.5.5.1; `::` and `::1` are in it, and are not IPv4 addresses."""


class Reach(enum.IntEnum):
    """The addresses that a connection may go to: any; public and private ones; public ones."""

    ANY = 0
    NETWORK = 1
    PUBLIC = 2


def origin(url: str) -> tuple[str, str, int]:
    """Returns scheme, host and port, which must be equal for a credential to be sent."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def host(url: str) -> str:
    """Returns HOST:PORT for a message, without user and query, which may be secret."""
    return split(url).netloc.rpartition("@")[2]


def split(url: str) -> SplitResult:
    """Splits `url`. Refusal if it is malformed."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        return parts
    except ValueError:
        raise Refusal(f"{url[:100]!a} is not a URL") from None


def check(url: str, sender: str, sender_address: str = "") -> Reach:
    """Checks a `url` that the server at `sender` names: a redirect, a token realm, the place of an upload.

    sender_address: address of the connection to `sender`, "" if unknown. Returns the addresses that the connection may
    have: any for the origin of `sender` and for hosts in NODEKILN_TRUSTED_HOSTS; else public ones, and private ones if
    `sender` has a private address. Refusal for a step from https to http, and for loopback, link-local and similar
    addresses. Names are looked up when the connection is made.
    """
    target, source = split(url), split(sender)
    if target.scheme not in ("http", "https") or not target.hostname or "@" in target.netloc:
        raise Refusal(f"{host(sender)} points to {url[:100]!a}, which is not an http address")
    if source.scheme == "https" and target.scheme == "http":
        raise Refusal(f"{host(sender)} points from https to http://{host(url)}")
    if origin(url) == origin(sender) or target.netloc in os.environ.get("NODEKILN_TRUSTED_HOSTS", "").split():
        return Reach.ANY
    address = literal(sender_address or source.hostname or "")
    reach = Reach.NETWORK if address and _is_private(address) else Reach.PUBLIC
    is_local = target.hostname == "localhost" or target.hostname.endswith(".localhost")
    address = literal(target.hostname)
    if is_local or (address and not within(address, reach)):
        raise Refusal(outside(host(url), host(sender)))
    return reach


def outside(target: str, sender: str = "a redirect") -> str:
    """Returns the message about a host whose address is not allowed."""
    return f"{sender} points to {target}, an address that is not public; NODEKILN_TRUSTED_HOSTS={target} would allow it"


def literal(name: str) -> Address | None:
    """Parses an address in any form that the system accepts (127.1, 0x7f.1, 2130706433); None for a name."""
    import socket

    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return parsed(str(answers[0][4][0])) if name else None


def parsed(text: str) -> Address:
    """Parses an address in the system's form, without its zone."""
    return ip_address(text.partition("%")[0])


def within(address: Address, reach: Reach) -> bool:
    """Returns whether a connection of this reach may go to `address`, and to every address embedded in it."""
    return reach == Reach.ANY or all(
        _is_public(each) or (reach == Reach.NETWORK and _is_private(each)) for each in _destinations(address)
    )


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not getattr(address, "is_site_local", False)


def _is_private(address: Address) -> bool:
    """Returns whether an address is of a network like 10.0.0.0/8; not loopback, link-local or 0.0.0.0."""
    special = address.is_loopback or address.is_link_local or address.is_unspecified
    return bool(address.is_private and not special)


def _destinations(address: Address) -> Iterator[Address]:
    """Yields the addresses that packets for `address` may reach: those embedded in a gateway's IPv6 address, else it.

    IPv4-mapped and IPv4-compatible (RFC 4291), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380: its
    server and its client).
    """
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped or address.sixtofour:
        yield address.ipv4_mapped or address.sixtofour  # type: ignore[misc]
    elif address.teredo:
        yield from address.teredo
    elif address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    elif address in _LOCAL_NAT64:
        yield from _embedded(int(address)) or (IPv4Address(0),)
    else:
        yield address


def _embedded(value: int) -> tuple[IPv4Address, ...]:
    """Returns the IPv4 addresses that may be embedded for a local NAT64, whose prefix length is unknown.

    RFC 6052, 2.2: the address follows a prefix of 48, 56, 64 or 96 bits, passes over bits 64 to 71, and zeros follow.
    """
    without_u = (value >> 64 << 56) | (value & (1 << 56) - 1)
    embedded = [without_u >> shift & 0xFFFFFFFF for shift in (40, 32, 24) if not without_u & (1 << shift) - 1]
    return tuple(map(IPv4Address, {*embedded, value & 0xFFFFFFFF} - {0}))


def allows_http(netloc: str) -> bool:
    """Returns whether HOST:PORT may use http, passwords included: loopback, and hosts in NODEKILN_INSECURE."""
    name = netloc.rpartition(":")[0] if netloc.rpartition(":")[2].isdigit() and ":" in netloc else netloc
    loopback = name in ("localhost", "[::1]") or (name.startswith("127.") and name.replace(".", "").isdigit())
    return loopback or netloc in os.environ.get(INSECURE, "").split()


def check_secret(url: str) -> None:
    """Refuses a password for `url` that would be sent in the clear."""
    if split(url).scheme != "https" and not allows_http(host(url)):
        raise Refusal(f"a password for {host(url)} is not sent over http: use https, or set {INSECURE}={host(url)}")


def certificates(netloc: str) -> tuple[str | bool, tuple[str, str] | None]:
    """Returns the CA file and client certificate of a host, in certs.d/HOST:PORT/*.{crt,cert,key} as for Docker."""
    from pathlib import Path

    folders = [os.environ.get("NODEKILN_CERTS", ""), "~/.config/containers/certs.d"]
    folders += ["/etc/containers/certs.d", "/etc/docker/certs.d"]
    variables = map(os.environ.get, ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    authorities: str | bool = next(filter(None, variables), True)
    for folder in filter(None, folders):
        place = Path(folder).expanduser() / netloc
        if place.is_dir():
            own = sorted(map(str, place.glob("*.crt")))
            pairs = [(str(file), str(file.with_suffix(".key"))) for file in sorted(place.glob("*.cert"))]
            return own[0] if own else authorities, pairs[0] if pairs else None
    return authorities, None
