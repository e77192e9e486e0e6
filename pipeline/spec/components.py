"""The types that plan, sections and formats share: Image, Component, Context.

A section of a spec becomes components: trees that are laid over each other, in order, to make the root file system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pipeline.engine.action import Action
from pipeline.language.problem import KeyPath
from pipeline.model.tree import EPOCH
from pipeline.spec.spec import Spec
from pipeline.stages import origins

References = Iterable[tuple[KeyPath, str]]
"""Images that a section names: the path of each in the spec, and its reference."""


class Image(NamedTuple):
    """An image that a spec names, once it is in the store."""

    reference: str
    """Its full name, in LinuxKit's form: registry, repository, and the tag or digest of the spec."""
    manifest: Action
    """Gives the digest of the image's manifest (image-spec, manifest.md); config and layers are in the store."""
    tree: Action
    """Gives the Tree that its layers make."""
    origins: Action | None = None
    """Gives the origins of that tree's paths (pipeline.stages.origins)."""


class Component(NamedTuple):
    """A tree that one entry of a section adds to the root file system."""

    name: str
    """Name for people, unique in a spec: `kernel`, `init/runc`, `services/sshd`, `files`."""
    tree: Action
    """Gives a Tree whose paths are those of the root file system."""
    prefix: str = ""
    """Folder of all paths of the tree (`containers/services/sshd`), "" for any. Two prefixes never overlap."""
    running: Action | None = None
    """Gives the tree without boot/, which a running node does not have. None if it has all of it."""
    boot: Action | None = None
    """Gives a flat Tree {"kernel", "cmdline", "ucode.cpio"}, of the component with the kernel."""
    image: Action | None = None
    """Gives the Tree of the image that a container starts its program in."""
    program: tuple[str | int, ...] = ()
    """Path of that program in the container's entry of the spec."""
    inside: bool = False
    """True if it changes files of containers."""
    origins: Action | None = None
    """Gives the origins of the tree's paths (pipeline.stages.origins). None if nodekiln makes all of it."""


def placed(name: str, tree: Action, image: Image, *at: str) -> Action | None:
    """The action that gives the origins of a component's `tree`, which has `image` at one of the folders `at`."""
    if image.origins is None:
        return None
    return Action(f"origins/{name}", origins.placed, {"at": list(at)}, (tree, image.tree, image.origins))


class Context(NamedTuple):
    """The values and functions that a section plans with. None reads an image: planning is pure."""

    spec: Spec
    """The whole spec: volumes, container names and metadata cross sections."""
    image: Callable[..., Image]
    """The image of a reference (`alpine:3.20`, `@pkg:images/sshd`), for the architecture of the node or another
    (`image("alpine:3.20", "arm64")`)."""
    epoch: int = EPOCH
    """Time stamp of entries that nodekiln itself makes, in seconds since 1970."""
    arch: str = "amd64"
    """The node's architecture, in the words of image-spec."""
