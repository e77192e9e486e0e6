"""Software: what a root file system says of itself: containers, installed packages, bytes by where they belong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.readers import Listing, Node

CONFIG = re.compile(r"containers/((?:onboot|onshutdown|services)/[^/]+)/config\.json")
CONTAINER = re.compile(r"containers/(?:onboot|onshutdown|services)/[^/]+")
DATABASE = re.compile(r"(?:(.*)/)?(?:var/lib/dpkg/status(?:\.d/[^/]+)?|(?:usr/)?lib/apk/db/installed)")
"""Debian's list of installed packages (one file, or a folder of them), and Alpine's."""
LARGEST = 64 << 20
"""Bytes of a text that is parsed: ten times the list of packages of a full desktop."""


def containers(root: Listing) -> dict[str, Any]:
    """`services/sshd` -> its config.json."""
    found = {}
    for path, node in root.items():
        if match := CONFIG.fullmatch(path):
            try:
                found[match[1]] = json.loads(_text(node))
            except ValueError:
                found[match[1]] = None
    return found


def packages(root: Listing) -> dict[str, str]:
    """`services/sshd: libc6` -> version, of everything whose package database is in the file system."""
    found: dict[str, str] = {}
    for path, node in root.items():
        if DATABASE.fullmatch(path) and not path.endswith(".md5sums"):
            container = CONTAINER.match(path)
            where = container[0].removeprefix("containers/") + ": " if container else ""
            found |= {where + name: version for name, version in _installed(_text(node))}
    return found


def _installed(database: str) -> Iterator[tuple[str, str]]:
    """Name and version of every paragraph, in Debian's words or Alpine's (P:, V:)."""
    for paragraph in database.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status|P|V): ?(.*)$", paragraph, re.MULTILINE))
        name, version = fields.get("Package", fields.get("P")), fields.get("Version", fields.get("V"))
        if name and version and fields.get("Status", "installed").endswith("installed"):
            yield name, version


def sizes(root: Listing) -> dict[str, int]:
    """`services/sshd`, `usr`, … -> bytes of the files in it."""
    found: dict[str, int] = {}
    for path, node in root.items():
        if node.content is not None:
            name = section(path)
            found[name] = found.get(name, 0) + node.content.size
    return found


def section(path: str) -> str:
    """What a path belongs to: a container, else the topmost folder."""
    container = CONTAINER.match(path)
    return container[0].removeprefix("containers/") if container else path.partition("/")[0]


def _text(node: Node) -> str:
    return node.content.read(0, LARGEST).decode("utf-8", "replace") if node.content is not None else ""
