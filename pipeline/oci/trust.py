"""Trust: where a registry may send us, and whose certificates count. Policy alone: no request is made here."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pipeline.oci.error import Refused, Unreachable


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what must be equal for a credential to be sent."""
    parts = split(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def host(url: str) -> str:
    """For messages: never a query, where tokens stand."""
    return split(url).netloc.rpartition("@")[2]


def split(url: str) -> SplitResult:
    """The parts of `url`; Refused if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        return parts
    except ValueError:
        raise Refused(f"{url[:100]!a} is no address") from None


def check(url: str, sender: str) -> None:
    """Refuse to go to `url` on the word of `sender` (a redirect, a token realm, an upload's place).

    Allowed: the same origin; hosts in NODEKILN_TRUSTED_HOSTS; public addresses; from a host with a private address,
    others with a private one. Never from https to http, nor to loopback, link-local and the like.
    """
    there, here = split(url), split(sender)
    if there.scheme not in ("http", "https") or not there.hostname or "@" in there.netloc:
        raise Refused(f"{host(sender)} points to {url[:100]!a}, which is no http address")
    if here.scheme == "https" and there.scheme == "http":
        raise Refused(f"{host(sender)} points from https to http://{host(url)}")
    if origin(url) == origin(sender) or there.netloc in os.environ.get("NODEKILN_TRUSTED_HOSTS", "").split():
        return
    for address in _addresses(there):
        public = address.is_global and not address.is_multicast
        if not public and not (_private(address) and any(map(_private, _addresses(here)))):
            raise Refused(
                f"{host(sender)} points to {host(url)}, an address that is not public;"
                f" NODEKILN_TRUSTED_HOSTS={there.netloc} would allow it"
            )


def _private(address: Any) -> bool:
    """Whether an address is one of a network like 10.0.0.0/8; loopback, link-local and 0.0.0.0 are something else."""
    special = address.is_loopback or address.is_link_local or address.is_unspecified
    return bool(address.is_private and not special)


def _addresses(url: SplitResult) -> list[Any]:
    """The IP addresses behind a URL's host. Behind a proxy names are the proxy's to resolve."""
    import ipaddress
    import socket

    import requests

    name = url.hostname or ""
    try:
        return [_plain(ipaddress.ip_address(name))]
    except ValueError:
        pass
    if requests.utils.select_proxy(url.geturl(), requests.utils.get_environ_proxies(url.geturl(), no_proxy=None)):
        return []
    try:
        found = socket.getaddrinfo(name, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(f"{name[:100]} has no address") from None
    return [_plain(ipaddress.ip_address(str(entry[4][0]).partition("%")[0])) for entry in found]


def _plain(address: Any) -> Any:
    """An IPv4 address in IPv6's clothes is that IPv4 address."""
    return getattr(address, "ipv4_mapped", None) or address


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
