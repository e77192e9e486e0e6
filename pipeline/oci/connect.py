"""The connections beneath `http`: each host name is looked up once, and the connection goes to a checked address.

Through a proxy none of this applies: there the proxy looks names up.
"""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, Any

from pipeline.oci import hosts
from pipeline.oci.hosts import Reach

if TYPE_CHECKING:
    from requests import Session

POOLS = 16
"""Hosts whose connections are kept open."""

MIN_SECONDS = 2.0
"""Minimum time for an address of a host with several, in seconds; together they share the time for a connection."""


class ForbiddenAddress(Exception):
    """The host has an address outside the connection's reach."""


_peers: dict[tuple[str, int], str] = {}


def peer(url: str) -> str:
    """Returns the address of the last connection to the host of `url`; "" if there was none."""
    _, host, port = hosts.origin(url)
    return _peers.get((host, port), "")


@functools.cache
def session(reach: Reach, connections: int) -> Session:
    """Returns a session that connects to addresses of `reach` alone and keeps `connections` a host open.

    It ignores the environment's netrc and CA settings, and keeps no cookies.
    """
    import http.cookiejar

    import requests

    result = requests.Session()
    result.trust_env = False
    result.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        result.mount(scheme, _adapter(reach, connections))
    return result


def _adapter(reach: Reach, connections: int) -> Any:
    """Returns requests' adapter with `_new_conn` of urllib3's connections (1.26 and 2) replaced."""
    from requests.adapters import HTTPAdapter
    from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

    def pool(base: Any) -> Any:
        connect = functools.partialmethod(_connect, base.ConnectionCls._new_conn, reach)
        connection = type(base.ConnectionCls.__name__, (base.ConnectionCls,), {"_new_conn": connect})
        return type(base.__name__, (base,), {"ConnectionCls": connection})

    adapter = HTTPAdapter(pool_connections=POOLS, pool_maxsize=connections)
    adapter.poolmanager.pool_classes_by_scheme = {"http": pool(HTTPConnectionPool), "https": pool(HTTPSConnectionPool)}
    return adapter


def _connect(self: Any, connect: Any, reach: Reach) -> Any:
    """Returns a socket to the first address of the host that answers; all addresses must be within `reach`.

    `connect` looks up `_dns_host`, which is set to an address meanwhile. The host's name stays in the request and in
    the check of the certificate.
    """
    from urllib3.exceptions import HTTPError

    name, limit = self._dns_host, self.timeout
    try:
        addresses = _look_up(name, self.port)
    except OSError:
        return connect(self)  # fails with urllib3's message
    if not all(hosts.within(hosts.parsed(address), reach) for address in addresses):
        raise ForbiddenAddress
    for address in addresses:
        self._dns_host = address
        self.timeout = max(limit / len(addresses), MIN_SECONDS)
        try:
            connection = connect(self)
        except HTTPError:
            if address == addresses[-1]:
                raise
        else:
            _peers[name.strip("[]").rstrip("."), self.port] = address
            return connection
        finally:
            self._dns_host, self.timeout = name, limit
    raise AssertionError("not reached")


def _look_up(name: str, port: int) -> list[str]:
    answers = socket.getaddrinfo(name.strip("[]"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))
