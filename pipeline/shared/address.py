"""Addresses of shared caches: their parts, the address without its password, and the credentials for it.

Credentials stand in the URL, or in a netrc file (GNU inetutils, ".netrc"; $NETRC, ~/.netrc) under the host's name.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.model.errors import BadInput
from pipeline.oci import hosts
from pipeline.oci.error import Refusal
from pipeline.shared.wire import WireError


class Address(NamedTuple):
    """The parts of a URL. path: without slashes around it. public: the URL without user, password and query."""

    scheme: str
    netloc: str
    """HOST:PORT, or HOST."""
    path: str
    query: dict[str, str]
    public: str
    user: str = ""
    password: str = ""

    @classmethod
    def parse(cls, unsafe_url: str, schemes: tuple[str, ...], example: str, parameters: tuple[str, ...] = ()) -> Self:
        """Parses a URL of one of `schemes` with a query of `parameters`. example: for the message. BadInput."""
        try:
            parts = urlsplit(unsafe_url)
            _ = parts.port
            query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise BadInput(f"a shared cache's address is not a URL: write {example}") from None
        netloc, path = parts.netloc.rpartition("@")[2], parts.path.strip("/")
        public = f"{parts.scheme}://{netloc}/{path}".rstrip("/")
        if parts.scheme not in schemes or not parts.hostname or parts.fragment or not public.isprintable():
            raise BadInput(f"{ascii(public)[1:-1]}: not the address of a shared cache: write {example}")
        for name, values in query.items():
            if name not in parameters or len(values) != 1:
                right = f"the query may have {', '.join(parameters)}, once each" if parameters else "it takes no query"
                raise BadInput(f"{public}: {name!a} in the query: {right}")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        single = {name: value for name, (value,) in query.items()}
        return cls(parts.scheme, netloc, path, single, public, user, password)

    def authorization(self) -> str:
        """Returns the Authorization header: Basic, or Bearer for a password without a user; "" for anonymous access.

        WireError for a password that would be sent in the clear, and for a netrc file that cannot be read.
        """
        user, password = self.user, self.password
        if not password:
            user, password = self._netrc()
        if not password:
            return ""
        secure = self.scheme.endswith("s")
        try:
            hosts.check_secret(f"http{'s' * secure}://{self.netloc}")
        except Refusal as error:
            raise WireError(f"{self.public}: {error}") from None
        if not user:
            return f"Bearer {password}"
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _netrc(self) -> tuple[str, str]:
        """Returns user and password of the host in the netrc file; empty ones if it has none. WireError."""
        import netrc

        file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
        try:
            entry = netrc.netrc(str(file)).authenticators(urlsplit(f"//{self.netloc}").hostname or "")
        except FileNotFoundError:
            return "", ""
        except netrc.NetrcParseError as error:
            raise WireError(f"{file}:{error.lineno}: not a netrc file: {error.msg}") from None
        except (OSError, ValueError) as error:
            raise WireError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
        return (entry[0], entry[2] or "") if entry else ("", "")
