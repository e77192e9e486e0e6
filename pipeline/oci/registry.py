"""Registry: a repository of an OCI registry as a source (distribution-spec v1.1; Docker's token authentication)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pipeline.model.digest import Digest
from pipeline.oci import auth, http, trust
from pipeline.oci.error import NotFound, Refusal, Unreachable
from pipeline.oci.http import TransientError
from pipeline.oci.manifest import INDEXES, MANIFEST_LIMIT, MANIFESTS

if TYPE_CHECKING:
    from requests import Response

TOKEN_LIMIT = 1 << 20
"""Bytes of a token server's answer; tokens with many scopes reach some tens of KiB."""
RESUMPTIONS = 20
"""Times that one blob's download is taken up again, however far it got."""
HUB = "https://registry-1.docker.io"

_tokens: dict[tuple[str, str], str] = {}
_guard = threading.Lock()


class Registry:
    """`repository` of `registry`, asked at `place`: the URL of a mirror, "" for the registry itself.

    attempts: times that a request is made before its failure counts; 1 where there is another place to ask.
    """

    def __init__(
        self,
        registry: str,
        repository: str,
        place: str = "",
        sleep: Callable[[float], object] = time.sleep,
        attempts: int = http.ATTEMPTS,
    ) -> None:
        base = place or address(registry)
        scheme, _, rest = base.partition("://")
        self.place = base
        self.host, _, prefix = rest.partition("/")
        self.base = f"{scheme}://{self.host}"
        self.repository = f"{prefix}/{repository}" if prefix else repository
        self.actions = "pull"
        self.more_scopes: tuple[str, ...] = ()
        self.sleep = sleep
        self.attempts = attempts

    def __str__(self) -> str:
        return f"{self.base}/{self.repository}"

    def named(self, wanted: str) -> str:
        return wanted

    def manifest(self, wanted: str) -> tuple[bytes, str]:
        accept = {"Accept": ", ".join(MANIFESTS + INDEXES)}
        for attempt in range(http.ATTEMPTS):
            response = self.request("GET", f"manifests/{wanted}", accept)
            self.expect(response, (200,), wanted)
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            try:
                return http.small(response, MANIFEST_LIMIT, f"{self}: manifest {wanted}"), media_type
            except TransientError as error:
                self.sleep(http.pause(attempt, error.wait))
        raise Unreachable(f"{self}: manifest {wanted}: the connection breaks again and again")

    def blob(self, digest: Digest, size: int, start: int = 0) -> Iterator[bytes]:
        """The blob from `start` on; a connection that breaks is taken up where it broke (RFC 9110, 14)."""
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
                    self.sleep(http.pause(idle, error.wait))
        raise Unreachable(f"{self}: {digest} broke off {RESUMPTIONS} times, the last at byte {start} of {size}")

    def _body(self, digest: Digest, start: int) -> Iterator[bytes]:
        response = self.request("GET", f"blobs/{digest}", {"Range": f"bytes={start}-"} if start else {})
        self.expect(response, (200, 206), digest)
        skip = start
        if response.status_code == 206:
            if response.headers.get("Content-Range", "").partition("-")[0].strip() != f"bytes {start}":
                response.close()
                got = response.headers.get("Content-Range")
                raise Refusal(f"{self}: {digest}: asked from byte {start}, got {got!r}")
            skip = 0
        for chunk in http.chunks(response):
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def expect(self, response: Response, statuses: tuple[int, ...], what: str) -> None:
        """Turn any other status into the error that it means."""
        if response.status_code in statuses:
            return
        said = f"{self}: {what}: {http.complaint(response)}"
        if response.status_code == 404:
            raise NotFound(said)
        if response.status_code in (401, 403):
            raise Unreachable(f"{said}; is `docker login {self.host}` needed?")
        raise Unreachable(said)

    # authorization

    def request(
        self, method: str, path: str, headers: Mapping[str, str], body: Any = None, once: bool = False
    ) -> Response:
        """A request to the repository (`path` below it, or a whole URL), authorized if it must be.

        Any status comes back, 401 only if no credentials help. `once`: the body can be sent but once, so what was asked
        for before must have brought the authorization, and bad weather comes out as http.TransientError.
        """
        url = path if "://" in path else f"{self.base}/v2/{self.repository}/{path}"
        ours = trust.origin(url) == trust.origin(self.base)
        for last in (False, True):
            token = _tokens.get(self._key) if ours else None
            allowed = {**headers, "Authorization": token} if token else dict(headers)
            sender = "" if ours else self.base
            if once:
                response = http.send_once(method, url, allowed, body, sender)
            else:
                response = http.send(method, url, allowed, body, self.sleep, self.attempts, sender, place=self.place)
            mine = trust.origin(response.url) == trust.origin(self.base)
            if response.status_code != 401 or last or once or not mine:
                return response
            challenges = auth.challenges(response.headers.get("WWW-Authenticate", ""))
            if not (token := self._answer(challenges)):
                return response
            response.close()
            with _guard:
                _tokens[self._key] = token
        raise AssertionError("not reached")

    @property
    def _key(self) -> tuple[str, str]:
        return self.base, self._scope

    @property
    def _scope(self) -> str:
        return " ".join((f"repository:{self.repository}:{self.actions}", *self.more_scopes))

    def _answer(self, challenges: list[auth.Challenge]) -> str | None:
        """An Authorization header that answers one of `challenges`, Bearer before Basic; None if nothing does."""
        known = auth.credentials(self.host, self.repository)
        if known:
            trust.check_secret(self.base)
        by_scheme = {challenge.scheme: challenge for challenge in reversed(challenges)}
        if bearer := by_scheme.get("bearer"):
            return "Bearer " + self._token(bearer.parameters, known)
        if "basic" in by_scheme and known and not known.refresh_token:
            return known.basic
        return None

    def _token(self, parameters: Mapping[str, str], known: auth.Credentials | None) -> str:
        """Ask the token server that a challenge names (its `realm`) for leave to do `self.actions`."""
        realm, service = parameters.get("realm", ""), parameters.get("service", "")
        asked = [("service", service)] if service else []
        scopes = self._scope.split()
        if known and known.refresh_token:
            form = {"grant_type": "refresh_token", "refresh_token": known.refresh_token, "client_id": "nodekiln"}
            form |= {"service": service, "scope": " ".join(scopes)}
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            trust.check_secret(realm)
            response = http.send("POST", realm, headers, urlencode(form), self.sleep, self.attempts, self.base)
        else:
            asked += [("scope", scope) for scope in scopes]
            url = realm + ("&" if "?" in realm else "?") + urlencode(asked)
            headers = {"Authorization": known.basic} if known else {}
            response = http.send("GET", url, headers, None, self.sleep, self.attempts, self.base)
        if response.status_code != 200:
            raise Unreachable(f"{self}: no token: {http.complaint(response)}; is `docker login {self.host}` needed?")
        return self._checked_token(http.small(response, TOKEN_LIMIT, f"{self}: token from {trust.host(realm)}"))

    def _checked_token(self, data: bytes) -> str:
        try:
            document = json.loads(data)
            unsafe_token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            unsafe_token = None
        if not isinstance(unsafe_token, str) or not unsafe_token.isascii() or not unsafe_token.isprintable():
            raise Refusal(f"{self}: the token server's answer holds no token")
        return unsafe_token


def forget_tokens() -> None:
    """Every registry is asked anew for leave."""
    with _guard:
        _tokens.clear()


def address(registry: str) -> str:
    """The URL of a registry: https, but http on this machine's loopback and for hosts in NODEKILN_INSECURE."""
    if registry == "docker.io":
        return HUB
    return f"{'http' if trust.speaks_plainly(registry) else 'https'}://{registry}"
