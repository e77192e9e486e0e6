"""Wire: HTTP to registries, mirrors and archives. requests does the protocol; this is the policy.

Never here: credentials to another host than theirs, a password in the clear, a step down from https to http, an address
inside the machine or the network that a registry outside points to, a body without a limit, waiting without an end.
A host that does not answer is remembered for the rest of the build (`silent`), so that it is waited for once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pipeline.host.offline import VARIABLE, is_offline
from pipeline.oci import connect, trust
from pipeline.oci.error import ImageError, Offline, Refusal, Unreachable
from pipeline.oci.trust import Reach, host, origin, split

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 20
"""Bytes that are read at most at a time."""
TIMEOUTS = (8, 60)
"""Seconds to wait for a connection, and for the next bytes on it. A connection that takes longer is not tried again."""
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

SILENT = "NODEKILN_SILENT"
"""Environment: sites that did not answer, for a doit that goes on with a build in a new process."""

_NO_TUNNEL = "Tunnel connection failed"
"""How http.client says that a proxy answered, and refused."""

slots = threading.BoundedSemaphore(CONNECTIONS)
silent: dict[str, str] = {}
"""Site (`https://host:port`, of a server or proxy), or place (a mirror's URL) -> why it is not asked again."""


class TransientError(ImageError):
    """A failure that may be gone on the next try.

    wait: seconds that the server asked for.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class NoAnswer(TransientError):
    """Nothing came back from `site`. lasting: the wait was long enough, there is no use in a next try."""

    def __init__(self, message: str, site: str, lasting: bool = False) -> None:
        super().__init__(message)
        self.site = site
        self.lasting = lasting


def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any = None,
    sleep: Callable[[float], object] = time.sleep,
    attempts: int = ATTEMPTS,
    sender: str = "",
    proxies: Mapping[str, str] | None = None,
    place: str = "",
) -> Response:
    """One request, tried again in bad weather, redirects followed. The answer's body is not read yet.

    `headers` may hold Authorization: it goes to the origin of `url` alone. sender: the URL whose word it is that `url`
    is asked, "" if it is the user's. proxies: scheme -> URL, in place of the environment's. Any status comes back but
    408, 429 and 5xx, which are tried again. Offline, Refusal (a redirect that is not allowed), Unreachable.

    A site that does not answer at all is not asked again in this build; nor is `place` (the URL of a mirror) if its one
    attempt fails.
    """
    _check_silent(place)
    reach = trust.check(url, sender, connect.peer(sender)) if sender else Reach.ANY
    for attempt in range(attempts):
        try:
            return _follow(method, url, headers, body, reach, proxies)
        except TransientError as error:
            lasting = isinstance(error, NoAnswer) and error.lasting
            if lasting or attempt == attempts - 1 or (error.wait or 0) > LONGEST_WAIT:
                if isinstance(error, NoAnswer):
                    silent[error.site] = str(error)
                elif attempts == 1:
                    silent[place] = str(error)
                raise Unreachable(f"{error} ({attempt + 1} attempts)" if attempt else str(error)) from None
            sleep(pause(attempt, error.wait))
    raise AssertionError("not reached")


def send_once(method: str, url: str, headers: Mapping[str, str], body: Any, sender: str = "") -> Response:
    """`send` for a body that can be sent but once: TransientError if that did not work."""
    reach = trust.check(url, sender, connect.peer(sender)) if sender else Reach.ANY
    return _follow(method, url, headers, body, reach, None)


def pause(attempt: int, asked: float | None) -> float:
    """Seconds before the next try: what the server asked for, else 0.5, 1, 2, 4 …"""
    return 0.5 * 2**attempt if asked is None else asked


def chunks(response: Response, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """The body as it came over the wire; TransientError if it breaks off or only drips."""
    import requests
    import urllib3

    since, count = clock(), 0
    try:
        while data := response.raw.read1(CHUNK, decode_content=False):
            yield data
            count += len(data)
            if (now := clock()) - since > WINDOW:
                if count < LEAST:
                    raise TransientError(f"{host(response.url)}: {count} bytes in {now - since:.0f} seconds")
                since, count = now, 0
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(f"{host(response.url)}: the connection broke: {_short(error)}") from None
    finally:
        response.close()


def small(response: Response, limit: int, what: str) -> bytes:
    """The whole body, if it has at most `limit` bytes; Refusal otherwise."""
    data = bytearray()
    for chunk in chunks(response):
        data += chunk
        if len(data) > limit:
            response.close()
            raise Refusal(f"{what}: an answer of more than {limit} bytes")
    return bytes(data)


def complaint(response: Response) -> str:
    """An unwelcome answer in words: its status, and the start of what the server says."""
    try:
        said = next(chunks(response), b"")[:ERROR_LIMIT]
    except TransientError:
        said = b""
    finally:
        response.close()
    text = " ".join(said.decode("utf-8", "replace").split())
    return f"{host(response.url)} answers {response.status_code}" + (f": {ascii(text)[1:-1][:300]}" if text else "")


# one try


def _follow(
    method: str, url: str, headers: Mapping[str, str], body: Any, reach: Reach, proxies: Mapping[str, str] | None
) -> Response:
    first = here = url
    for _ in range(REDIRECTS + 1):
        same = origin(here) == origin(first)
        allowed = headers if same else {name: value for name, value in headers.items() if name != "Authorization"}
        response = _once(method, here, allowed, body, reach, proxies)
        moved = response.status_code in (301, 302, 303, 307, 308) and "Location" in response.headers
        if not moved or method not in ("GET", "HEAD"):
            return response
        response.close()
        there = urljoin(here, response.headers["Location"])
        reach = trust.check(there, here, connect.peer(here))
        here = there
    raise Refusal(f"{host(first)}: more than {REDIRECTS} redirects")


def _once(
    method: str, url: str, headers: Mapping[str, str], body: Any, reach: Reach, proxies: Mapping[str, str] | None
) -> Response:
    import requests

    if is_offline():
        raise Offline(f"{VARIABLE} is set, and {host(url)}{split(url).path} is needed")
    if headers.get("Authorization", "").startswith("Basic ") or "@" in split(url).netloc:
        trust.check_secret(url)
    verify, certificate = trust.certificates(host(url))
    through = requests.utils.get_environ_proxies(url, no_proxy=None) if proxies is None else dict(proxies)
    proxy = requests.utils.select_proxy(url, through) or ""
    proxy = proxy if "://" in proxy or not proxy else f"http://{proxy}"
    _check_silent(*(site(each) for each in (proxy, url) if each))
    try:
        response = connect.session(reach, CONNECTIONS).request(
            method,
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "nodekiln", **headers},
            data=body,
            stream=True,
            allow_redirects=False,
            timeout=TIMEOUTS,
            verify=verify,
            cert=certificate,
            proxies=through,
        )
    except connect.ForbiddenAddress:
        raise Refusal(trust.outside(host(url))) from None
    except requests.exceptions.ProxyError as error:
        raise _proxy_failure(url, proxy, _short(error)) from None
    except requests.exceptions.SSLError as error:
        raise Unreachable(f"{host(url)}: TLS: {_short(error)}") from None
    except requests.exceptions.ConnectTimeout:
        raise NoAnswer(f"{host(url)}: no answer in {TIMEOUTS[0]} seconds", site(url), lasting=True) from None
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise NoAnswer(f"{host(url)}: {_short(error)}", site(url)) from None
    except (requests.RequestException, ValueError, OSError) as error:
        raise Unreachable(f"{host(url)}: {_short(error)}") from None
    if response.status_code in (408, 429, 500, 502, 503, 504):
        wait = _retry_after(response.headers.get("Retry-After", ""))
        raise TransientError(complaint(response), wait)
    return response


def _proxy_failure(url: str, proxy: str, reason: str) -> NoAnswer:
    """A proxy that cannot be reached, or does not reach the host of `url`, with the setting that names the proxy."""
    named = f"the proxy {host(proxy)} ({setting(url, proxy)})"
    if reason.startswith(_NO_TUNNEL):
        return NoAnswer(f"{host(url)}: {named} does not connect to it: {reason}", site(url), lasting=True)
    return NoAnswer(f"{host(url)}: {named} does not answer: {reason}", site(proxy), lasting=True)


def setting(url: str, proxy: str) -> str:
    """The environment variable that names `proxy`, else apt's setting."""
    scheme = split(url).scheme
    names = [form(name) for name in (f"{scheme}_proxy", "all_proxy") for form in (str.lower, str.upper)]
    found = (name for name in names if (value := os.environ.get(name)) and value.rpartition("://")[2] in proxy)
    return next(found, f"Acquire::{scheme}::Proxy")


def site(url: str) -> str:
    """Scheme, host and port of `url`, spelled out."""
    scheme, name, port = origin(url)
    return f"{scheme}://{name}:{port}"


def _check_silent(*places: str) -> None:
    """Unreachable if one of the sites or places is known not to answer."""
    before = dict.fromkeys(os.environ.get(SILENT, "").split(), "no answer")
    for each in filter(None, places):
        if reason := silent.get(each) or before.get(each):
            raise Unreachable(f"{each}: {reason} (not asked again in this build)")


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
