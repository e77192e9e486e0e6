"""Software in a root file system: containers, installed packages, bytes by owner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.model import size
from pipeline.readers import Listing, Node

CONFIG = re.compile(r"containers/((?:onboot|onshutdown|services)/[^/]+)/config\.json")
CONTAINER = re.compile(r"containers/(?:onboot|onshutdown|services)/[^/]+")
DATABASE = re.compile(r"(?:(.*)/)?(?:var/lib/dpkg/status(?:\.d/[^/]+)?|(?:usr/)?lib/apk/db/installed)")
"""Paths of Debian's list of installed packages (one file, or a folder of them), and of Alpine's."""
LARGEST = 64 << 20
"""Maximum size of a text that is parsed, in bytes: ten times the list of packages of a full desktop."""


def containers(root: Listing) -> dict[str, Any]:
    """`services/sshd` -> its config.json; None if that is not JSON."""
    configs = {}
    for path, node in root.items():
        if match := CONFIG.fullmatch(path):
            try:
                configs[match[1]] = json.loads(text(node))
            except ValueError:
                configs[match[1]] = None
    return configs


def packages(root: Listing) -> dict[str, str]:
    """`services/sshd: libc6` -> version, for every package database in the file system."""
    versions: dict[str, str] = {}
    for path, node in root.items():
        if DATABASE.fullmatch(path) and not path.endswith(".md5sums"):
            container = CONTAINER.match(path)
            prefix = container[0].removeprefix("containers/") + ": " if container else ""
            versions |= {prefix + name: version for name, version in _installed(text(node))}
    return versions


def _installed(database: str) -> Iterator[tuple[str, str]]:
    """Yields name and version of every paragraph; the keys are Debian's or Alpine's (P:, V:)."""
    for paragraph in database.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status|P|V): ?(.*)$", paragraph, re.MULTILINE))
        name, version = fields.get("Package", fields.get("P")), fields.get("Version", fields.get("V"))
        if name and version and fields.get("Status", "installed").endswith("installed"):
            yield name, version


def sizes(root: Listing) -> dict[str, int]:
    """Owner (`services/sshd`, `usr`, …) -> bytes of its files."""
    return size.by_owner((owner(path), node.content.size) for path, node in root.items() if node.content is not None)


def owner(path: str) -> str:
    """The container of a path, else its topmost folder."""
    container = CONTAINER.match(path)
    return container[0].removeprefix("containers/") if container else path.partition("/")[0]


def text(node: Node) -> str:
    """The beginning of a file; "" for a node without content."""
    return node.content.read(0, LARGEST).decode("utf-8", "replace") if node.content is not None else ""
