"""Connect: the connections beneath `http`. A name is looked up once, and the connection goes to an address that was
checked; which one it was is remembered. Through a proxy none of this happens: there names are the proxy's to look up.
"""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any

from pipeline.oci import trust
from pipeline.oci.trust import Reach

if TYPE_CHECKING:
    from requests import Session

POOLS = 16
"""Hosts whose connections are kept open."""

SHORTEST = 2.0
"""Seconds that an address of a host with several is given at least; together they share the time for a connection."""


class ForbiddenAddress(Exception):
    """The host has an address that the connection may not go to."""


_peers: dict[tuple[str, int], str] = {}


def peer(url: str) -> str:
    """The address that the last connection to the host of `url` went to; "" if there was none."""
    _, host, port = trust.origin(url)
    return _peers.get((host, port), "")


@functools.cache
def session(reach: Reach, connections: int) -> Session:
    """Connections that go to addresses of `reach` alone, at most `connections` a host kept open.

    The environment's netrc and CA settings are not its business, and it keeps no cookies.
    """
    import http.cookiejar

    import requests

    found = requests.Session()
    found.trust_env = False
    found.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        found.mount(scheme, _adapter(reach, connections))
    return found


def _adapter(reach: Reach, connections: int) -> Any:
    """requests' adapter with `_new_conn` of urllib3's connections (1.26 and 2) replaced."""
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

    def pool(base: Any) -> Any:
        connect = functools.partialmethod(_connected, base.ConnectionCls._new_conn, reach)
        connection = type(base.ConnectionCls.__name__, (base.ConnectionCls,), {"_new_conn": connect})
        return type(base.__name__, (base,), {"ConnectionCls": connection})

    found = HTTPAdapter(pool_connections=POOLS, pool_maxsize=connections)
    found.poolmanager.pool_classes_by_scheme = {"http": pool(HTTPConnectionPool), "https": pool(HTTPSConnectionPool)}
    return found


def _connected(self: Any, connect: Any, reach: Reach) -> Any:
    """A socket to one of the addresses that the host has now, all of which must be within `reach`.

    `connect` looks up `_dns_host`: it is set to an address, for as long as that takes. The name in the request and in
    the check of the certificate stays.
    """
    from urllib3.exceptions import HTTPError

    name, limit = self._dns_host, self.timeout
    try:
        addresses = _looked_up(name, self.port)
    except OSError:
        return connect(self)  # which says so, in urllib3's words
    if not all(trust.within(trust.parsed(address), reach) for address in addresses):
        raise ForbiddenAddress
    for left in range(len(addresses) - 1, -1, -1):
        self._dns_host = address = addresses[-1 - left]
        self.timeout = max(limit / len(addresses), SHORTEST)
        try:
            found = connect(self)
        except HTTPError:
            if not left:
                raise
        else:
            _peers[name.strip("[]").rstrip("."), self.port] = address
            return found
        finally:
            self._dns_host, self.timeout = name, limit
    raise AssertionError("not reached")


def _looked_up(name: str, port: int) -> list[str]:
    found = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
