"""A registry as a shared cache, for those who have nothing else: it takes several requests for each blob.

    oci://registry.example/team/cache

A blob is a blob of the repository. A statement is the manifest with the tag ac-<key>: its annotation STATEMENT has the
bytes, and its layers are the blobs that it needs, so that a registry refuses it without them and keeps them with it.

Source: distribution-spec v1.1 ("Pull", "Push"); image-spec v1.1, manifest.md ("Guidelines for Artifact Usage").
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlencode, urljoin

from pipeline.model.digest import Digest, InvalidDigest, canonical_json
from pipeline.model.errors import BadInput
from pipeline.oci import http, manifest, reference
from pipeline.oci.error import ImageError, NotFound, Refusal, Unreachable
from pipeline.oci.registry import Registry
from pipeline.shared.address import Address
from pipeline.shared.protobuf import MalformedMessage, Message
from pipeline.shared.transfer import RETRY_SECONDS, failure, limited, side_by_side

if TYPE_CHECKING:
    from requests import Response

SCHEME = "oci"
EXAMPLE = "oci://registry.example/team/cache"
STATEMENT = "vnd.nodekiln.action-result"
"""Annotation: an ActionResult, in base64."""
ARTIFACT = "application/vnd.nodekiln.action-result.v1"
EMPTY, EMPTY_TYPE = b"{}", "application/vnd.oci.empty.v1+json"
"""The empty config, and its media type (image-spec)."""
BLOB = "application/octet-stream"

_OUTPUT_FILES, _FILE_DIGEST, _HASH, _SIZE = 2, 2, 1, 2
"""Fields of ActionResult, OutputFile and Digest (Remote Execution API v2)."""


def connect(url: str, timeout: float) -> Repository:
    """Returns the repository at `url`, oci://HOST/NAME. BadInput."""
    address = Address.parse(url, (SCHEME,), EXAMPLE)
    if address.user or address.password:
        raise BadInput(f"{address.public}: a password in the address: use `docker login {address.netloc}` instead")
    name = reference.parse(f"{address.netloc}/{address.path}")
    if name.registry != address.netloc or name.tag:
        raise BadInput(f"{address.public}: not the name of a repository: write {EXAMPLE}")
    return Repository(address, timeout)


class Repository:
    complete = False

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address.public
        self._timeout = timeout
        self._reader = _Registry(address, timeout, "pull")
        self._writer = _Registry(address, timeout, "pull,push")
        self._has_empty = False
        self._guard = threading.Lock()

    def statements(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = side_by_side(lambda key: (key, self._statement(key)), keys)
        return {key: statement for key, statement in found if statement is not None}

    def absent(self, blobs: Mapping[Digest, int]) -> set[Digest]:
        present = side_by_side(lambda blob: (blob, self._has(self._reader, blob, blobs[blob])), blobs)
        return {blob for blob, is_present in present if not is_present}

    def fetch(self, blob: Digest, size: int) -> Iterator[bytes]:
        try:
            with self._errors():
                yield from limited(self._reader.body(blob), size, self._timeout, self.address)
        except NotFound:
            raise KeyError(blob) from None

    def put(self, blob: Digest, size: int, source: BinaryIO) -> None:
        if self._has(self._writer, blob, size):
            return
        with self._errors():
            upload = self._writer.request("POST", "blobs/uploads/", {})
            self._writer.expect(upload, (202,), f"upload of {blob}")
            upload.close()
            place = urljoin(upload.url, upload.headers.get("Location", ""))
            place += ("&" if "?" in place else "?") + urlencode({"digest": blob})
            headers = {"Content-Type": BLOB, "Content-Length": str(size)}
            response = self._writer.request("PUT", place, headers, source if size else b"", once=True)
            self._writer.expect(response, (201,), f"upload of {blob}")
            response.close()

    def state(self, key: str, result: bytes) -> None:
        self._put_empty()
        data = self._manifest(result)
        with self._errors():
            headers = {"Content-Type": manifest.MANIFESTS[0]}
            response = self._writer.request("PUT", f"manifests/{_tag(key)}", headers, data)
            self._writer.expect(response, (201,), _tag(key))
            response.close()

    def close(self) -> None:
        """Does nothing: the connections are those of all registries."""

    def _statement(self, key: str) -> bytes | None:
        """Returns the statement of `key`; None for a manifest without one."""
        try:
            with self._errors():
                data = self._reader.manifest_once(_tag(key))
        except NotFound:
            return None
        try:
            annotations = manifest.decode(data, _tag(key)).get("annotations")
            return base64.b64decode(annotations[STATEMENT], validate=True) if annotations else None
        except (Refusal, KeyError, TypeError, binascii.Error, ValueError):
            return None

    def _has(self, registry: _Registry, blob: Digest, size: int) -> bool:
        """Returns whether the repository has `blob`. Another size than `size` is a damaged blob, and no blob."""
        with self._errors():
            response = registry.request("HEAD", f"blobs/{blob}", {})
            if response.status_code == 404:
                response.close()
                return False
            registry.expect(response, (200,), blob)
            response.close()
        return response.headers.get("Content-Length", str(size)) == str(size)

    def _put_empty(self) -> None:
        with self._guard:
            if not self._has_empty:
                self.put(Digest.of(EMPTY), len(EMPTY), io.BytesIO(EMPTY))
                self._has_empty = True

    def _manifest(self, result: bytes) -> bytes:
        """Returns the manifest of an ActionResult. WireError if `result` is not one."""
        empty = {"mediaType": EMPTY_TYPE, "digest": Digest.of(EMPTY), "size": len(EMPTY)}
        try:
            digests = [file.message(_FILE_DIGEST) for file in Message.parse(result).messages(_OUTPUT_FILES)]
            sizes = {Digest.parse(f"sha256:{digest.text(_HASH)}"): digest.integer(_SIZE) for digest in digests}
        except (MalformedMessage, InvalidDigest) as error:
            raise failure(self.address, f"not an ActionResult: {error}") from None
        layers = [{"mediaType": BLOB, "digest": blob, "size": size} for blob, size in sizes.items()]
        document = {"schemaVersion": 2, "mediaType": manifest.MANIFESTS[0], "artifactType": ARTIFACT, "config": empty}
        document |= {"layers": layers or [empty], "annotations": {STATEMENT: base64.b64encode(result).decode()}}
        return canonical_json(document)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Gives the errors of registries, but NotFound, the form of a WireError."""
        try:
            yield
        except NotFound:
            raise
        except ImageError as error:
            raise failure(self.address, error) from None


class _Registry(Registry):
    """A registry that is asked at most twice within `timeout` seconds, and whose silence is not remembered."""

    def __init__(self, address: Address, timeout: float, actions: str) -> None:
        super().__init__(address.netloc, address.path)
        self.actions = actions
        self._timeout = timeout

    def body(self, blob: Digest) -> Iterator[bytes]:
        return self._body(blob, 0)

    def manifest_once(self, tag: str) -> bytes:
        return self._manifest(tag)[0]

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
        timeouts = (self._timeout, self._timeout)
        end = time.monotonic() + self._timeout
        for is_last in (once, True):
            try:
                return http.send_once(method, url, headers, body, sender, timeouts=timeouts)
            except http.TransientError as error:
                wait = RETRY_SECONDS if error.wait is None else error.wait
                if is_last or error.lasting or time.monotonic() + wait > end:
                    raise Unreachable(str(error)) from None
                self.sleep(wait)
        raise AssertionError("not reached")


def _tag(key: str) -> str:
    return f"ac-{key}"
