"""Wire: HTTP to registries, the only module that opens a socket to one. requests does the protocol; this is the policy.

Never here: credentials to another host than theirs, a step down from https to http, an address inside the machine or
the network that a registry outside points to, a body without a limit, waiting without an end.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pipeline.oci import trust
from pipeline.oci.error import ImageError, Offline, Refused, Unreachable
from pipeline.oci.trust import host, origin, split
from pipeline.offline import VARIABLE, is_offline

if TYPE_CHECKING:
    from requests import Response, Session

CHUNK = 1 << 20
"""Bytes that are read at most at a time."""
TIMEOUTS = (10, 60)
"""Seconds to wait for a connection, and for the next bytes on it."""
ATTEMPTS = 5
"""Times that a request is made before its failure counts."""
LONGEST_WAIT = 120.0
"""Seconds of a Retry-After that are waited; who asks for more is not there today."""
REDIRECTS = 5
"""Hops; registries need one, to where the blobs are."""
WINDOW = 60.0
"""Seconds in which a body must bring LEAST bytes: a drip must not hold a build for ever."""
LEAST = 64 << 10
ERROR_LIMIT = 2048
"""Bytes of an error's body that are read."""
CONNECTIONS = 8
"""Bodies that are read at a time, by all threads together."""

slots = threading.BoundedSemaphore(CONNECTIONS)


class Weather(ImageError):
    """A failure that may be gone on the next try. `wait`: seconds that the server asked for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any = None,
    sleep: Callable[[float], object] = time.sleep,
    attempts: int = ATTEMPTS,
) -> Response:
    """One request, tried again in bad weather, redirects followed. The answer's body is not read yet.

    `headers` may hold Authorization: it goes to the origin of `url` alone. Any status comes back but 408, 429 and 5xx,
    which are tried again. Offline, Refused (a redirect that is not allowed), Unreachable; Weather if `attempts` is 1.
    """
    for attempt in range(attempts):
        try:
            return _follow(method, url, headers, body)
        except Weather as error:
            if attempts == 1:
                raise
            if attempt == attempts - 1 or (error.wait or 0) > LONGEST_WAIT:
                raise Unreachable(f"{error} ({attempt + 1} attempts)") from None
            sleep(pause(attempt, error.wait))
    raise AssertionError("not reached")


def pause(attempt: int, asked: float | None) -> float:
    """Seconds before the next try: what the server asked for, else 0.5, 1, 2, 4 …"""
    return 0.5 * 2**attempt if asked is None else asked


def chunks(response: Response, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """The body as it came over the wire; Weather if it breaks off or only drips."""
    import requests
    import urllib3

    since, count = clock(), 0
    try:
        while data := response.raw.read1(CHUNK, decode_content=False):
            yield data
            count += len(data)
            if (now := clock()) - since > WINDOW:
                if count < LEAST:
                    raise Weather(f"{host(response.url)}: {count} bytes in {now - since:.0f} seconds")
                since, count = now, 0
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Weather(f"{host(response.url)}: the connection broke: {_short(error)}") from None
    finally:
        response.close()


def small(response: Response, limit: int, what: str) -> bytes:
    """The whole body, if it has at most `limit` bytes; Refused otherwise."""
    data = bytearray()
    for chunk in chunks(response):
        data += chunk
        if len(data) > limit:
            response.close()
            raise Refused(f"{what}: an answer of more than {limit} bytes")
    return bytes(data)


def complaint(response: Response) -> str:
    """An unwelcome answer in words: its status, and the start of what the server says."""
    try:
        said = next(chunks(response), b"")[:ERROR_LIMIT]
    except Weather:
        said = b""
    finally:
        response.close()
    text = " ".join(said.decode("utf-8", "replace").split())
    return f"{host(response.url)} answers {response.status_code}" + (f": {ascii(text)[1:-1][:300]}" if text else "")


# one try


def _follow(method: str, url: str, headers: Mapping[str, str], body: Any) -> Response:
    first = here = url
    for _ in range(REDIRECTS + 1):
        same = origin(here) == origin(first)
        allowed = headers if same else {name: value for name, value in headers.items() if name != "Authorization"}
        response = _once(method, here, allowed, body)
        moved = response.status_code in (301, 302, 303, 307, 308) and "Location" in response.headers
        if not moved or method not in ("GET", "HEAD"):
            return response
        response.close()
        there = urljoin(here, response.headers["Location"])
        trust.check(there, here)
        here = there
    raise Refused(f"{host(first)}: more than {REDIRECTS} redirects")


def _once(method: str, url: str, headers: Mapping[str, str], body: Any) -> Response:
    import requests

    if is_offline():
        raise Offline(f"{VARIABLE} is set, and {host(url)}{split(url).path} is needed")
    verify, certificate = trust.certificates(split(url).netloc)
    try:
        response = session().request(
            method,
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "nodekiln", **headers},
            data=body,
            stream=True,
            allow_redirects=False,
            timeout=TIMEOUTS,
            verify=verify,
            cert=certificate,
            proxies=requests.utils.get_environ_proxies(url, no_proxy=None),
        )
    except requests.exceptions.SSLError as error:
        raise Unreachable(f"{host(url)}: TLS: {_short(error)}") from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Weather(f"{host(url)}: {_short(error)}") from None
    except (requests.RequestException, ValueError, OSError) as error:
        raise Unreachable(f"{host(url)}: {_short(error)}") from None
    if response.status_code in (408, 429, 500, 502, 503, 504):
        wait = _retry_after(response.headers.get("Retry-After", ""))
        raise Weather(complaint(response), wait)
    return response


@functools.cache
def session() -> Session:
    """One pool of connections for the process. The environment's netrc and CA settings are not its business."""
    import http.cookiejar

    import requests
    from requests.adapters import HTTPAdapter

    found = requests.Session()
    found.trust_env = False
    found.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        found.mount(scheme, HTTPAdapter(pool_connections=16, pool_maxsize=CONNECTIONS))
    return found


def _retry_after(text: str) -> float | None:
    """Retry-After in seconds; it may be a date (RFC 9110, 10.2.3)."""
    import email.utils

    if text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _short(error: Exception) -> str:
    """requests wraps causes in causes; the last one says it."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    return ascii(str(reason or error))[1:-1][:300]
