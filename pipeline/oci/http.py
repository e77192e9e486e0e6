"""HTTP to registries, mirrors and archives. requests is the protocol; this module is the policy.

Never: credentials sent to another origin than their own, a password in the clear, a redirect from https to http, an
address of this machine or network on the word of a registry outside, a body without a limit, a wait without an end.
A host that does not answer is recorded in `silent` for the rest of the build, so that it is waited for once.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from pipeline.host import log
from pipeline.host.offline import VARIABLE, is_offline
from pipeline.oci import connect, hosts
from pipeline.oci.error import ImageError, Offline, Refusal, Unreachable
from pipeline.oci.hosts import Reach, host, origin, split
from pipeline.store import CHUNK

if TYPE_CHECKING:
    from requests import Response

T = TypeVar("T")

TIMEOUTS = (8, 60)
"""Seconds to wait for a connection (which is not repeated), and for the next bytes on it."""
ATTEMPTS = 5
"""Attempts at a request before its failure counts."""
MAX_WAIT = 120.0
"""Longest Retry-After that is waited for, in seconds."""
REDIRECTS = 5
"""Maximum number of redirects; registries need one, to where the blobs are."""
WINDOW = 60.0
"""Seconds in which a body must bring MIN_BYTES: a slow server must not block a build for ever."""
MIN_BYTES = 64 << 10
ERROR_LIMIT = 2048
"""Bytes of an error's body that are read."""
CONNECTIONS = 8
"""Bodies that all threads together read at once."""

REPEATED = "(not asked again in this build)"
"""End of the message about a site that did not answer before."""
SILENT = "NODEKILN_SILENT"
"""Environment: sites that did not answer, for a doit that continues a build in a new process."""

_CONNECTION = re.compile(r"^(?:<[^>]*>|\w+\(.*?\)): (?:Failed to establish a new connection: )?(?:\[Errno \d+\] )?")
"""Start of a message of urllib3: the object that failed."""
_NO_TUNNEL = "Tunnel connection failed"
"""Message of http.client for a proxy that answers and refuses."""

slots = threading.BoundedSemaphore(CONNECTIONS)
silent: dict[str, str] = {}
"""Site (`https://host:port`, of a server or proxy) or place (a mirror's URL) -> the reason not to ask it again."""


class TransientError(ImageError):
    """A failure that the next attempt may not have.

    wait: seconds that the server asked for. site: the site that sent nothing, if that is the failure. lasting: the wait
    was long enough, another attempt is of no use.
    """

    def __init__(self, message: str, wait: float | None = None, site: str = "", lasting: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
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
    """Sends a request, up to `attempts` times, and follows redirects. The body of the response is not read yet.

    headers: Authorization goes to the origin of `url` alone. sender: URL of the server that named `url`; "" for the
    user. proxies: scheme -> URL, instead of the environment's. place: URL of a mirror. Returns any status but 408, 429
    and 5xx, which are transient. Offline; Refusal for a forbidden redirect; Unreachable.

    A site that does not answer is not asked again in this build; nor is `place` if its only attempt fails.
    """
    _check_silent(place)
    only = place if attempts == 1 else ""
    return retry(lambda: send_once(method, url, headers, body, sender, proxies), sleep, attempts, only)


def retry(call: Callable[[], T], sleep: Callable[[float], object], attempts: int = ATTEMPTS, place: str = "") -> T:
    """Returns `call()`, repeated after a TransientError. Unreachable; the silent site, or `place`, is recorded then."""
    for attempt in range(attempts):
        try:
            return call()
        except TransientError as error:
            if error.lasting or attempt == attempts - 1 or (error.wait or 0) > MAX_WAIT:
                if silent_place := error.site or place:
                    silent[silent_place] = str(error)
                raise Unreachable(f"{error} ({attempt + 1} attempts)" if attempt else str(error)) from None
            sleep(pause(attempt, error))
    raise AssertionError("not reached")


def send_once(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any,
    sender: str = "",
    proxies: Mapping[str, str] | None = None,
    timeouts: tuple[float, float] | None = None,
) -> Response:
    """Sends a request once, as for a body that cannot be repeated. As `send`; TransientError.

    timeouts: instead of TIMEOUTS.
    """
    reach = hosts.check(url, sender, connect.peer(sender)) if sender else Reach.ANY
    current = url
    for _ in range(REDIRECTS + 1):
        same = origin(current) == origin(url)
        allowed = headers if same else {name: value for name, value in headers.items() if name != "Authorization"}
        response = _request(method, current, allowed, body, reach, proxies, timeouts or TIMEOUTS)
        redirect = response.status_code in (301, 302, 303, 307, 308) and "Location" in response.headers
        if not redirect or method not in ("GET", "HEAD"):
            return response
        response.close()
        target = urljoin(current, response.headers["Location"])
        reach = hosts.check(target, current, connect.peer(current))
        current = target
    raise Refusal(f"{host(url)}: more than {REDIRECTS} redirects")


def pause(attempt: int, error: TransientError) -> float:
    """Returns the seconds before the next attempt: what the server asked for, else 0.5, 1, 2, 4 … Logs the error."""
    seconds = 0.5 * 2**attempt if error.wait is None else error.wait
    log.info("retry in %.1f s: %s", seconds, error)
    return seconds


def chunks(response: Response, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """Yields the body without decoding it. TransientError if it breaks off or is too slow."""
    import requests
    import urllib3

    since, count = clock(), 0
    try:
        while data := response.raw.read1(CHUNK, decode_content=False):
            yield data
            count += len(data)
            if (now := clock()) - since > WINDOW:
                if count < MIN_BYTES:
                    raise TransientError(f"{host(response.url)}: {count} bytes in {now - since:.0f} seconds")
                since, count = now, 0
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise TransientError(f"{host(response.url)}: the connection broke: {_reason(error)}") from None
    finally:
        response.close()


def small(response: Response, limit: int, subject: str) -> bytes:
    """Returns a body of at most `limit` bytes. Refusal; TransientError."""
    data = bytearray()
    for chunk in chunks(response):
        data += chunk
        if len(data) > limit:
            response.close()
            raise Refusal(f"{subject}: an answer of more than {limit} bytes")
    return bytes(data)


def complaint(response: Response) -> str:
    """Returns a message about an error response: its status, and the start of its body."""
    try:
        body = next(chunks(response), b"")[:ERROR_LIMIT]
    except TransientError:
        body = b""
    finally:
        response.close()
    text = " ".join(body.decode("utf-8", "replace").split())
    return f"{host(response.url)} answers {response.status_code}" + (f": {ascii(text)[1:-1][:300]}" if text else "")


# one request


def _request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any,
    reach: Reach,
    proxies: Mapping[str, str] | None,
    timeouts: tuple[float, float],
) -> Response:
    import requests

    if is_offline():
        raise Offline(f"{VARIABLE} is set, and {host(url)}{split(url).path} is needed")
    if headers.get("Authorization", "").startswith("Basic ") or "@" in split(url).netloc:
        hosts.check_secret(url)
    verify, certificate = hosts.certificates(host(url))
    proxies, proxy = _proxies(url, proxies)
    _check_silent(*(site(server) for server in (proxy, url) if server))
    log.info("request: %s %s%s", method, url, f" through the proxy {host(proxy)}" * bool(proxy))
    try:
        response = connect.session(reach, CONNECTIONS).request(
            method,
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "nodekiln", **headers},
            data=body,
            stream=True,
            allow_redirects=False,
            timeout=timeouts,
            verify=verify,
            cert=certificate,
            proxies=proxies,
        )
    except (connect.ForbiddenAddress, requests.RequestException, ValueError, OSError) as error:
        raise _failure(error, url, proxy, timeouts) from None
    log.info("answer: %d to %s %s", response.status_code, method, url)
    if response.status_code in (408, 429, 500, 502, 503, 504):
        raise TransientError(complaint(response), retry_after(response.headers.get("Retry-After", "")))
    return response


def _proxies(url: str, proxies: Mapping[str, str] | None) -> tuple[dict[str, str], str]:
    """Returns the proxies by scheme, by default the environment's, and the URL of the one for `url` ("" for none)."""
    import requests

    by_scheme = requests.utils.get_environ_proxies(url, no_proxy=None) if proxies is None else dict(proxies)
    proxy = requests.utils.select_proxy(url, by_scheme) or ""
    return by_scheme, proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _failure(error: Exception, url: str, proxy: str, timeouts: tuple[float, float]) -> ImageError:
    """Returns the error for an exception of requests."""
    from requests import ConnectionError, Timeout, exceptions

    if isinstance(error, connect.ForbiddenAddress):
        return Refusal(hosts.outside(host(url)))
    if isinstance(error, exceptions.ProxyError):
        return _proxy_failure(url, proxy, _reason(error))
    if isinstance(error, exceptions.SSLError):
        return Unreachable(f"{host(url)}: TLS: {_reason(error)}")
    if isinstance(error, exceptions.ConnectTimeout):
        return TransientError(f"{host(url)}: no answer in {timeouts[0]:g} seconds", site=site(url), lasting=True)
    if isinstance(error, (ConnectionError, Timeout, exceptions.ChunkedEncodingError)):
        return TransientError(f"{host(url)}: {_reason(error)}", site=site(url))
    return Unreachable(f"{host(url)}: {_reason(error)}")


def _proxy_failure(url: str, proxy: str, reason: str) -> TransientError:
    """Returns the error for a proxy that does not answer, or does not connect; it names the proxy's setting."""
    fault, silent_url = ("does not connect to it", url) if reason.startswith(_NO_TUNNEL) else ("does not answer", proxy)
    message = f"{host(url)}: the proxy {host(proxy)} ({setting(url, proxy)}) {fault}: {reason}"
    return TransientError(message, site=site(silent_url), lasting=True)


def setting(url: str, proxy: str) -> str:
    """Returns the environment variable that names `proxy`, else apt's setting."""
    scheme = split(url).scheme
    names = [form(name) for name in (f"{scheme}_proxy", "all_proxy") for form in (str.lower, str.upper)]
    matches = (name for name in names if (value := os.environ.get(name)) and value.rpartition("://")[2] in proxy)
    return next(matches, f"Acquire::{scheme}::Proxy")


def site(url: str) -> str:
    """Returns the scheme, host and port of `url`, spelled out."""
    scheme, name, port = origin(url)
    return f"{scheme}://{name}:{port}"


def _check_silent(*places: str) -> None:
    """Raises Unreachable if one of the sites or places did not answer before."""
    before = dict.fromkeys(os.environ.get(SILENT, "").split(), "no answer")
    for place in filter(None, places):
        if reason := silent.get(place) or before.get(place):
            raise Unreachable(f"{place}: {reason} {REPEATED}")


def retry_after(text: str) -> float | None:
    """Parses Retry-After, a number or a date (RFC 9110, 10.2.3), to seconds."""
    import email.utils

    if text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    """Returns the message of the innermost cause; requests nests them as arguments."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    reason = getattr(error, "reason", None) or error
    reason = getattr(reason, "original_error", None) or reason
    words = [word for word in reason.args if isinstance(word, str)] if isinstance(reason, Exception) else []
    return ascii(_CONNECTION.sub("", words[-1] if words else str(reason)))[1:-1][:300]
