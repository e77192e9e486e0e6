"""A repository of an OCI registry as a source (distribution-spec v1.1; Docker's token authentication)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from pipeline.model.digest import Digest
from pipeline.oci import auth, hosts, http
from pipeline.oci.error import NotFound, Refusal, Unreachable
from pipeline.oci.http import TransientError
from pipeline.oci.manifest import INDEXES, MANIFEST_LIMIT, MANIFESTS

if TYPE_CHECKING:
    from requests import Response

TOKEN_LIMIT = 1 << 20
"""Maximum size of a token server's answer, in bytes; tokens with many scopes reach some tens of KiB."""
RESUMPTIONS = 20
"""Maximum number of requests for one blob, however far each gets."""
HUB = "https://registry-1.docker.io"

_tokens: dict[tuple[str, str], str] = {}
_guard = threading.Lock()


class Registry:
    """`repository` of `registry`, asked at `place`: the URL of a mirror, "" for the registry itself.

    attempts: at a request before its failure counts; 1 if there is another place to ask.
    """

    def __init__(
        self,
        registry: str,
        repository: str,
        place: str = "",
        sleep: Callable[[float], object] = time.sleep,
        attempts: int = http.ATTEMPTS,
    ) -> None:
        self.place = place or address(registry)
        scheme, _, rest = self.place.partition("://")
        self.host, _, prefix = rest.partition("/")
        self.base = f"{scheme}://{self.host}"
        self.repository = f"{prefix}/{repository}" if prefix else repository
        self.actions = "pull"
        self.more_scopes: tuple[str, ...] = ()
        self.sleep = sleep
        self.attempts = attempts

    def __str__(self) -> str:
        return f"{self.base}/{self.repository}"

    def resolve(self, wanted: str) -> str:
        return wanted

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        return http.retry(lambda: self._manifest(wanted), self.sleep)

    def _manifest(self, wanted: str) -> tuple[bytes, str]:
        response = self.request("GET", f"manifests/{wanted}", {"Accept": ", ".join(MANIFESTS + INDEXES)})
        self.expect(response, (200,), wanted)
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return http.small(response, MANIFEST_LIMIT, f"{self}: manifest {wanted}"), media_type

    def referrers(self, digest: Digest) -> Iterator[bytes]:
        """Yields the pages that list the referrers of `digest`, without a limit. NotFound if there is no such API.

        Refusal for a next page in another place.
        """
        folder = f"{self.base}/v2/{self.repository}/referrers/"
        url = f"{folder}{digest}"
        while url:
            page, following = http.retry(partial(self._page, url, digest), self.sleep)
            yield page
            url = urljoin(url, following) if following else ""
            if url and not url.startswith(folder):
                raise Refusal(f"{self}: the next page of referrers is in another place: {url[:100]!a}")

    def _page(self, url: str, digest: Digest) -> tuple[bytes, str]:
        """Returns a page of referrers, and the URL of the next one ("" for the last; RFC 8288)."""
        response = self.request("GET", url, {"Accept": INDEXES[0]})
        self.expect(response, (200,), f"referrers of {digest}")
        if response.headers.get("Content-Type", "").partition(";")[0].strip() != INDEXES[0]:
            response.close()
            raise NotFound(f"{self}: the referrers of {digest} are not an index")
        following = str(response.links.get("next", {}).get("url", ""))
        return http.small(response, MANIFEST_LIMIT, f"{self}: referrers of {digest}"), following

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        """Yields the blob from `start` on; resumes after a connection breaks (RFC 9110, 14)."""
        idle = 0
        with http.slots:
            for _ in range(RESUMPTIONS):
                before = start
                try:
                    for chunk in self._body(digest, start):
                        yield chunk
                        start += len(chunk)
                    if start >= size:
                        return
                    raise TransientError(f"{self}: {digest} ended at byte {start} of {size}")
                except TransientError as error:
                    if start >= size > 0:
                        return
                    idle = idle + 1 if start == before else 0
                    if idle == http.ATTEMPTS:
                        raise Unreachable(f"{error} ({idle} attempts)") from None
                    self.sleep(http.pause(idle, error))
        raise Unreachable(f"{self}: {digest} broke off {RESUMPTIONS} times, the last at byte {start} of {size}")

    def _body(self, digest: Digest, start: int) -> Iterator[bytes]:
        response = self.request("GET", f"blobs/{digest}", {"Range": f"bytes={start}-"} if start else {})
        self.expect(response, (200, 206), digest)
        skip = start
        if response.status_code == 206:
            content_range = response.headers.get("Content-Range", "")
            if content_range.partition("-")[0].strip() != f"bytes {start}":
                response.close()
                raise Refusal(f"{self}: {digest}: requested from byte {start}, received {content_range!r}")
            skip = 0
        for chunk in http.chunks(response):
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def expect(self, response: Response, statuses: tuple[int, ...], subject: str) -> None:
        """Raises the error of any status that is not in `statuses`: NotFound; Unreachable."""
        if response.status_code in statuses:
            return
        message = f"{self}: {subject}: {http.complaint(response)}"
        if response.status_code == 404:
            raise NotFound(message)
        if response.status_code in (401, 403):
            raise Unreachable(f"{message}; is `docker login {self.host}` needed?")
        raise Unreachable(message)

    # authorization

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None, once: bool = False
    ) -> Response:
        """Sends a request to the repository (`path` below it, or a URL), with a token if the registry demands one.

        Returns any status; 401 only if no credentials help. once: the body cannot be repeated, so an earlier request
        must have brought the token. TransientError then.
        """
        url = path if "://" in path else f"{self.base}/v2/{self.repository}/{path}"
        is_ours = hosts.origin(url) == hosts.origin(self.base)
        sender = "" if is_ours else self.base
        for is_last in (False, True):
            token = _tokens.get(self._key) if is_ours else None
            allowed = {**headers, "Authorization": token} if token else dict(headers)
            response = self.send(method, url, allowed, body, sender, self.place, once)
            if once:
                return response
            answered_here = hosts.origin(response.url) == hosts.origin(self.base)
            if response.status_code != 401 or is_last or not answered_here:
                return response
            challenges = auth.challenges(response.headers.get("WWW-Authenticate", ""))
            if not (token := self._authorization(challenges)):
                return response
            response.close()
            with _guard:
                _tokens[self._key] = token
        raise AssertionError("not reached")

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        sender: str = "",
        place: str = "",
        once: bool = False,
    ) -> Response:
        """Sends a request to the registry or its token server, as `http.send`; `once` as `http.send_once`."""
        if once:
            return http.send_once(method, url, headers, body, sender)
        return http.send(method, url, headers, body, self.sleep, self.attempts, sender, place=place)

    @property
    def _key(self) -> tuple[str, str]:
        return self.base, self._scope

    @property
    def _scope(self) -> str:
        return " ".join((f"repository:{self.repository}:{self.actions}", *self.more_scopes))

    def _authorization(self, challenges: list[auth.Challenge]) -> str | None:
        """Returns an Authorization header for one of `challenges`, Bearer before Basic; None if there is none."""
        credentials = auth.credentials(self.host, self.repository)
        if credentials:
            hosts.check_secret(self.base)
        by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
        if bearer := by_scheme.get("bearer"):
            return "Bearer " + self._token(bearer.parameters, credentials)
        if "basic" in by_scheme and credentials and not credentials.refresh_token:
            return credentials.basic
        return None

    def _token(self, parameters: Mapping[str, str], credentials: auth.Credentials | None) -> str:
        """Requests a token for `self.actions` from the token server that a challenge names (its `realm`)."""
        realm, service = parameters.get("realm", ""), parameters.get("service", "")
        url, body, headers = realm, None, {}
        if credentials and credentials.refresh_token:
            body = {"grant_type": "refresh_token", "refresh_token": credentials.refresh_token, "client_id": "nodekiln"}
            body |= {"service": service, "scope": self._scope}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            hosts.check_secret(realm)
        else:
            query = [("service", service)] if service else []
            query += [("scope", scope) for scope in self._scope.split()]
            url += ("&" if "?" in realm else "?") + urlencode(query)
            headers = {"Authorization": credentials.basic} if credentials else {}
        method, data = ("POST", urlencode(body)) if body else ("GET", None)
        response = self.send(method, url, headers, data, self.base)
        if response.status_code != 200:
            raise Unreachable(f"{self}: no token: {http.complaint(response)}; is `docker login {self.host}` needed?")
        return self._parse_token(http.small(response, TOKEN_LIMIT, f"{self}: token from {hosts.host(realm)}"))

    def _parse_token(self, data: bytes) -> str:
        try:
            document = json.loads(data)
            unsafe_token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            unsafe_token = None
        if not isinstance(unsafe_token, str) or not unsafe_token.isascii() or not unsafe_token.isprintable():
            raise Refusal(f"{self}: the token server's answer holds no token")
        return unsafe_token


def forget_tokens() -> None:
    with _guard:
        _tokens.clear()


def address(registry: str) -> str:
    """Returns the URL of a registry: https, but http on this machine's loopback and for hosts in NODEKILN_INSECURE."""
    if registry == "docker.io":
        return HUB
    return f"{'http' if hosts.allows_http(registry) else 'https'}://{registry}"
