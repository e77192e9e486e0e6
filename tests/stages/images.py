"""Images for tests: a tree and a config, without layers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from pipeline.model.digest import Digest
from pipeline.model.tree import Device, Directory, Entry, File, Symlink, Tree, complete
from pipeline.store import Store

STAMP = 1_600_000_000
"""Time stamp of everything in these images."""


class Made(NamedTuple):
    manifest: Digest
    tree: Digest


def tree_of(store: Store, *paths: str, **modes: int) -> Tree:
    """A tree out of words: `bin/sh` a file that holds its own path, `dev/` a directory, `a -> b` a symlink, `x c 5 1` a
    device, `etc/passwd = root:x:0:0` a file with this content. Files have mode 0755."""
    found: dict[str, Entry] = {}
    for text in paths:
        path, _, rest = text.partition(" ")
        if rest.startswith("-> "):
            found[path] = Symlink(0o777, 0, 0, STAMP, (), rest[3:])
        elif rest.startswith("= "):
            found[path] = File(0o644, 0, 0, STAMP, (), store.content(rest[2:].encode()))
        elif rest:
            kind, major, minor = rest.split()
            found[path] = Device(0o600, 0, 0, STAMP, (), kind, int(major), int(minor))
        elif path.endswith("/"):
            found[path.rstrip("/")] = Directory(0o700, 3, 4, STAMP)
        else:
            found[path] = File(0o755, 0, 0, STAMP, (), store.content(path.encode()))
    return complete(found, mtime=STAMP).ordered()


def image(store: Store, tree: Tree, label: str | dict[str, Any] = "", **config: Any) -> Made:
    """An image with this tree; `config` is that of its config (image-spec, config.md), `label` LinuxKit's."""
    if label:
        text = label if isinstance(label, str) else json.dumps(label)
        config["Labels"] = {"org.mobyproject.config": text}
    document = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": []}}
    data = json.dumps(document).encode()
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": store.put(data), "size": len(data)}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described,
        "layers": [],
    }
    return Made(store.put(json.dumps(manifest).encode()), store.put_tree(tree))


def text(store: Store, tree: Tree, path: str) -> str:
    """The text of the file `path`."""
    entry = tree.file(path)
    return store.bytes(entry.content).decode()
