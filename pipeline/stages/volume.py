"""A volume: an image, or nothing, that containers mount (LinuxKit, docs/yaml.md, "volumes").

    lower/     initial contents
    tmp/       upper and work directories of an overlay
    merged/    the overlay, which containers mount

A read-only volume has all three, too: LinuxKit's init cannot mount one without `tmp` (it asks the kernel for a file
system of type "bind"). It is read-only in containers because the spec has to mount it with `ro`.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, Directory, File, Slice, Tree, below, complete
from pipeline.oci.image import image_config
from pipeline.stages.root_image import RESOLVER, root_image
from pipeline.store import Store

VERSION = 1


def volume(store: Store, *image: Digest, prefix: str, epoch: int) -> Digest:
    """Returns the tree of the volume at `prefix`, with the contents of the tree `image`, or empty."""
    tree = Tree()
    for given in image:
        tree = root_image(store, store.tree(given), epoch, RESOLVER)
    return store.put_tree(_volume(tree, prefix, epoch))


def layout(store: Store, *manifests: Digest, prefix: str, reference: str, platforms: list[str], epoch: int) -> Digest:
    """Returns the tree of a volume with an image itself, as an OCI image layout (image-spec, image-layout.md).

    manifests: of the image, one for each of `platforms`; only the node's if the spec names none. StageProblem.
    """
    tree = Tree({"oci-layout": _file(store.content(b'{"imageLayoutVersion":"1.0.0"}'), epoch)})
    entries = []
    for index, manifest in enumerate(manifests):
        document, platform = json.loads(store.get(manifest)), _platform(store, manifest)
        if platforms and not f"{platforms[index]}/".startswith(f"{platform['os']}/{platform['architecture']}/"):
            platform_name = f"{platform['os']}/{platform['architecture']}"
            message = f"{reference} has nothing for {platforms[index]}"
            raise StageProblem(("platforms", index), message, f"it has {platform_name}")
        for blob in (manifest, *(Digest.parse(item["digest"]) for item in (document["config"], *document["layers"]))):
            tree[f"blobs/{blob.algorithm}/{blob.hex}"] = _file((Slice(blob, 0, store.size(blob)),), epoch)
        entries.append({
            "mediaType": document.get("mediaType", "application/vnd.oci.image.manifest.v1+json"),
            "digest": manifest,
            "size": store.size(manifest),
            "annotations": {"org.opencontainers.image.ref.name": reference},
            "platform": platform,
        })  # fmt: skip
    index_json = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    tree["index.json"] = _file(store.content(_json(index_json)), epoch)
    return store.put_tree(_volume(complete(tree, mtime=epoch), prefix, epoch))


def _platform(store: Store, manifest: Digest) -> dict[str, str]:
    config = image_config(store, manifest)
    return {"architecture": config["architecture"], "os": config["os"] or "linux"}


def _volume(lower: Tree, prefix: str, epoch: int) -> Tree:
    tree = Tree((path, Directory(0o755, 0, 0, epoch)) for path in (prefix, f"{prefix}/lower"))
    tree.update(below(f"{prefix}/lower", lower))
    for name in ("merged", "tmp"):
        tree[f"{prefix}/{name}"] = Directory(0o755, 0, 0, epoch)
    return complete(tree, mtime=epoch).ordered()


def _file(content: Content, epoch: int) -> File:
    return File(0o644, 0, 0, epoch, (), content)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
