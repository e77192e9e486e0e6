"""Trust: where a registry may send us, and whose certificates count. Policy alone: no request is made here."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from pipeline.oci.error import Refusal

Address = IPv4Address | IPv6Address

INSECURE = "NODEKILN_INSECURE"
"""Environment: hosts (HOST:PORT, spaces between) that are spoken to over http."""

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052, 2.1."""
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: for translators of a network's own."""
_COMPATIBLE = IPv6Network("::/96")
"""RFC 4291, 2.5.5.1; `::` and `::1` are in it, and stand for themselves."""


class Reach(enum.IntEnum):
    """Addresses that connections may go to: any; public and private ones; public ones."""

    ANY = 0
    NETWORK = 1
    PUBLIC = 2


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what must be equal for a credential to be sent."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def host(url: str) -> str:
    """For messages: never a query, where tokens stand."""
    return split(url).netloc.rpartition("@")[2]


def split(url: str) -> SplitResult:
    """The parts of `url`; Refusal if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        return parts
    except ValueError:
        raise Refusal(f"{url[:100]!a} is no address") from None


def check(url: str, sender: str, sender_address: str = "") -> Reach:
    """Refuse to go to `url` on the word of `sender` (a redirect, a token realm, an upload's place).

    Returns the addresses that the connection may have. Any for the origin of `sender` and for hosts in
    NODEKILN_TRUSTED_HOSTS; else public ones, and private ones too if `sender` has a private address (the one it was
    connected at, if that is known). Never from https to http, nor to loopback, link-local and the like. Names are
    looked up when the connection is made; a host that is an address is refused here.
    """
    there, here = split(url), split(sender)
    if there.scheme not in ("http", "https") or not there.hostname or "@" in there.netloc:
        raise Refusal(f"{host(sender)} points to {url[:100]!a}, which is no http address")
    if here.scheme == "https" and there.scheme == "http":
        raise Refusal(f"{host(sender)} points from https to http://{host(url)}")
    if origin(url) == origin(sender) or there.netloc in os.environ.get("NODEKILN_TRUSTED_HOSTS", "").split():
        return Reach.ANY
    at = literal(sender_address or here.hostname or "")
    reach = Reach.NETWORK if at and _private(at) else Reach.PUBLIC
    named_local = there.hostname == "localhost" or there.hostname.endswith(".localhost")
    address = literal(there.hostname)
    if named_local or (address and not within(address, reach)):
        raise Refusal(outside(host(url), host(sender)))
    return reach


def outside(there: str, sender: str = "") -> str:
    """The message about a host whose address is not allowed."""
    pointed = f"{sender} points to {there}" if sender else f"a redirect points to {there}"
    return f"{pointed}, an address that is not public; NODEKILN_TRUSTED_HOSTS={there} would allow it"


def literal(name: str) -> Address | None:
    """The address that `name` spells in any form that the system takes (127.1, 0x7f.1, 2130706433); None for a name."""
    import socket

    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return parsed(str(found[0][4][0])) if name else None


def parsed(text: str) -> Address:
    """An address as the system spells it, without its zone."""
    return ip_address(text.partition("%")[0])


def within(address: Address, reach: Reach) -> bool:
    """Whether a connection of this reach may go to `address`, and to every address that it stands for."""
    return reach == Reach.ANY or all(
        _public(each) or (reach == Reach.NETWORK and _private(each)) for each in _meant(address)
    )


def _public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and not getattr(address, "is_site_local", False)


def _private(address: Address) -> bool:
    """Whether an address is one of a network like 10.0.0.0/8; loopback, link-local and 0.0.0.0 are something else."""
    special = address.is_loopback or address.is_link_local or address.is_unspecified
    return bool(address.is_private and not special)


def _meant(address: Address) -> Iterator[Address]:
    """The addresses that packets for `address` may end at: those inside an IPv6 address that is a gateway's, else it.

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
        yield from _translated(int(address)) or (IPv4Address(0),)
    else:
        yield address


def _translated(value: int) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an address of a local NAT64 may hold: the translator's prefix length is not known.

    RFC 6052, 2.2: the address follows a prefix of 48, 56, 64 or 96 bits, passes over bits 64 to 71, and zeros follow.
    """
    without_u = (value >> 64 << 56) | (value & (1 << 56) - 1)
    embedded = [without_u >> shift & 0xFFFFFFFF for shift in (40, 32, 24) if not without_u & (1 << shift) - 1]
    return tuple(map(IPv4Address, {*embedded, value & 0xFFFFFFFF} - {0}))


def speaks_plainly(netloc: str) -> bool:
    """Whether HOST:PORT may be spoken to over http, passwords included: loopback, and hosts in NODEKILN_INSECURE."""
    name = netloc.rpartition(":")[0] if netloc.rpartition(":")[2].isdigit() and ":" in netloc else netloc
    loopback = name in ("localhost", "[::1]") or (name.startswith("127.") and name.replace(".", "").isdigit())
    return loopback or netloc in os.environ.get(INSECURE, "").split()


def check_secret(url: str) -> None:
    """Refuse to send a password to `url` in the clear."""
    if split(url).scheme != "https" and not speaks_plainly(host(url)):
        raise Refusal(f"a password for {host(url)} is not sent over http: use https, or set {INSECURE}={host(url)}")


def certificates(netloc: str) -> tuple[str | bool, tuple[str, str] | None]:
    """CA file and client certificate for a host, from certs.d/HOST:PORT/*.{crt,cert,key}, as Docker and podman."""
    from pathlib import Path

    folders = [os.environ.get("NODEKILN_CERTS", ""), "~/.config/containers/certs.d"]
    folders += ["/etc/containers/certs.d", "/etc/docker/certs.d"]
    named = map(os.environ.get, ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
    authorities: str | bool = next(filter(None, named), True)
    for folder in filter(None, folders):
        place = Path(folder).expanduser() / netloc
        if place.is_dir():
            own = sorted(map(str, place.glob("*.crt")))
            pairs = [(str(file), str(file.with_suffix(".key"))) for file in sorted(place.glob("*.cert"))]
            return own[0] if own else authorities, pairs[0] if pairs else None
    return authorities, None
