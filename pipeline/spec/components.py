"""The words that plan, sections and formats share: Image, Component, Context.

A section of a spec turns into **parts**: trees that are laid over each other, in order, to make the root file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pipeline.engine.action import Action
from pipeline.language.problem import KeyPath
from pipeline.model.tree import EPOCH
from pipeline.spec.spec import Spec

References = Iterable[tuple[KeyPath, str]]
"""Images that a section names: the path of each in the spec, and its reference."""


class Image(NamedTuple):
    """An image that a spec names, once it is in the store."""

    reference: str
    """As LinuxKit writes it: with its registry, and the tag or digest that the spec gave."""
    manifest: Action
    """Gives the digest of the image's manifest (image-spec, manifest.md); config and layers are in the store."""
    tree: Action
    """Gives the Tree that its layers make."""


class Component(NamedTuple):
    """What one entry of a section puts into the root file system."""

    name: str
    """For people, and unique in a spec: `kernel`, `init/runc`, `services/sshd`, `files`."""
    tree: Action
    """Gives a Tree whose paths are those of the root file system."""
    prefix: str = ""
    """Where every path of the tree lies (`containers/services/sshd`), "" for anywhere. Two prefixes never overlap."""
    running: Action | None = None
    """Gives what a running node has of the tree, where that is not all of it: what is below boot/ is left out."""
    boot: Action | None = None
    """Gives what boots, of the part that has it: a flat Tree {"kernel", "cmdline", "ucode.cpio"}."""
    image: Action | None = None
    """Gives the Tree of the image that a container starts its program in."""
    program: tuple[str | int, ...] = ()
    """Where in its entry the spec names that program."""
    inside: bool = False
    """Whether it lays something over what containers have."""


class Context(NamedTuple):
    """What a section may ask while it plans. Nothing here reads an image: planning is pure."""

    spec: Spec
    """The whole spec, for what crosses sections: volumes, container names, metadata."""
    image: Callable[..., Image]
    """The image behind a reference that the spec wrote (`alpine:3.20`, `@pkg:images/sshd`): for the architecture of the
    node, or for another (`image("alpine:3.20", "arm64")`)."""
    epoch: int = EPOCH
    """Seconds since 1970 that entries of our own making are stamped with."""
    arch: str = "amd64"
    """The node's architecture, as images name it."""
