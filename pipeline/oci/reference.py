"""References: the names of images, checked when they are parsed.

    alpine:3.20                     docker.io/library/alpine:3.20, as LinuxKit expands it (no tag is ever added)
    linuxkit/init@sha256:…          docker.io/linuxkit/init@sha256:…
    registry.example:5000/a/b:tag   as it stands
    oci:DIR[:REF]                   an OCI image layout: a folder, or a tar of one (also oci-archive:FILE[:REF])
    docker-archive:FILE[:NAME:TAG]  an archive of `docker save`

The grammar of names is that of the distribution project (reference.go, "Grammar"); digests are those of
image-spec's descriptor.md.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.model.digest import Digest, InvalidDigest
from pipeline.model.errors import BadInput
from pipeline.oci.error import ImageError

DEFAULT_REGISTRY = "docker.io"
NAME_LENGTH = 255
"""Maximum length of registry/repository, in characters."""

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?")
_TRANSPORTS = ("oci", "oci-archive", "docker-archive")


class InvalidReference(ImageError, BadInput):
    """A text that is not the name of an image; the message has the right form."""


class Reference(NamedTuple):
    """An image's name. `transport` is "registry", "oci", "oci-archive" or "docker-archive"."""

    transport: str
    registry: str = ""
    repository: str = ""
    tag: str = ""
    digest: Digest | None = None
    path: str = ""
    """Folder or file on the host; "" for a registry."""
    inside: str = ""
    """Name of the image in that folder or file: the REF of `oci:DIR:REF`. "" for its only image."""

    def __str__(self) -> str:
        if self.transport != "registry":
            return f"{self.transport}:{self.path}" + (f":{self.inside}" if self.inside else "")
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Registry and repository: `docker.io/library/alpine`."""
        return f"{self.registry}/{self.repository}"

    @property
    def wanted(self) -> str:
        """The digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"


def parse(unsafe_text: str) -> Reference:
    """Parses the name of an image. InvalidReference. Nothing is looked up."""
    transport, colon, rest = unsafe_text.partition(":")
    if colon and transport in _TRANSPORTS:
        return _on_the_host(transport, rest)
    if not unsafe_text:
        raise InvalidReference("an image needs a name, such as alpine:3.20")
    unsafe_name, at, unsafe_digest = unsafe_text.partition("@")
    unsafe_name, unsafe_tag = _split_tag(unsafe_name)
    registry, repository = _expand(unsafe_name, unsafe_text)
    if unsafe_tag is not None and not _TAG.fullmatch(unsafe_tag):
        raise InvalidReference(f"{unsafe_text!r}: the tag {unsafe_tag[:140]!r} must be 1-128 of A-Z a-z 0-9 _ . -")
    digest = None
    if at:
        try:
            digest = Digest.parse(unsafe_digest)
        except InvalidDigest as error:
            raise InvalidReference(f"{unsafe_text!r}: {error}") from None
    return Reference("registry", registry, repository, unsafe_tag or "", digest)


def expand(text: str) -> str:
    """Returns `text` with its registry, as LinuxKit writes it: `alpine:3.20` -> `docker.io/library/alpine:3.20`."""
    return str(parse(text))


def _on_the_host(transport: str, rest: str) -> Reference:
    path, _, inside = rest.partition(":")
    if not path or "\0" in rest:
        form = f"{transport}:" + ("FILE" if transport.endswith("archive") else "DIR")
        raise InvalidReference(f"{transport}:{rest!r} names nothing on this host: write {form} or {form}:REF")
    return Reference(transport, path=path, inside=inside)


def _split_tag(name: str) -> tuple[str, str | None]:
    """Splits at the colon after the last slash; one before it starts the registry's port."""
    start = name.rfind(":")
    return (name[:start], name[start + 1 :]) if start > name.rfind("/") else (name, None)


def _expand(unsafe_name: str, whole: str) -> tuple[str, str]:
    first, slash, rest = unsafe_name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    elif "/" in rest:
        raise InvalidReference(f"{whole!r}: {first!r} is not a registry: write {DEFAULT_REGISTRY}/{unsafe_name}")
    else:
        registry, repository = DEFAULT_REGISTRY, unsafe_name if slash else f"library/{unsafe_name}"
    if not _HOST.fullmatch(registry):
        raise InvalidReference(
            f"{whole!r}: {registry!r} is not a host name, such as registry.example or 127.0.0.1:5000"
        )
    for component in repository.split("/"):
        if not _COMPONENT.fullmatch(component):
            right = component.lower() if _COMPONENT.fullmatch(component.lower()) else "name"
            raise InvalidReference(
                f"{whole!r}: {component[:140]!r} must be lower-case letters and digits, . _ - between, as in {right!r}"
            )
    if len(registry) + 1 + len(repository) > NAME_LENGTH:
        raise InvalidReference(f"{whole[:60]!r}…: registry and repository are longer than {NAME_LENGTH} characters")
    return registry, repository
