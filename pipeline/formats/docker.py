"""docker: the root file system as a container image: an archive that Docker, Podman and skopeo load, and LinuxKit's.

Source: image-spec 1.1 (image-layout.md, manifest.md, config.md); the archive also has the `manifest.json` of
`docker save`. LinuxKit's form is the root file system with a Dockerfile in it.
"""

from __future__ import annotations

from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.tree import EPOCH, Content, File, Tree, cut, files, length
from pipeline.stages import archive
from pipeline.store import Store
from pipeline.writers import tar

VERSION = f"2 tar-{tar.VERSION}"
DOCKERFILE = "Dockerfile"
REFERENCE = "nodekiln/node:latest"
CREATED = "1980-01-01T00:00:00Z"
STARTS = ("bin/rc.init", "init", "sbin/init")
"""Programs that a container starts: the first that there is."""
MACHINES = {62: "amd64", 183: "arm64", 243: "riscv64"}
"""ELF's e_machine -> image-spec's architecture."""
TYPE = "application/vnd.oci.image."


def build(store: Store, rootfs: Digest) -> Digest:
    """Tree {".docker" (LinuxKit's), "-oci.tar"}; the layer's bytes are read once, for its digest."""
    tree = store.tree(rootfs)
    start = next((path for path in STARTS if path in tree), STARTS[0])
    text = f'FROM scratch\nCOPY . ./\nENTRYPOINT ["/{start}"]\n'.encode()
    layer, linuxkit = _archives(store, tree, File(0o644, 0, 0, EPOCH, (), store.content(text)))
    oci = _oci(store, layer, start, _architecture(store, tree))
    return store.put_tree(files([(".docker", linuxkit), ("-oci.tar", oci)]))


def _archives(store: Store, tree: Tree, dockerfile: File) -> tuple[Content, Content]:
    """`tree` as an archive, and with a Dockerfile: the same one with a member more, or instead of one."""
    if DOCKERFILE in tree:  # it may be the one that carries the data of other names
        return _archive(store, tree), _archive(store, Tree({**tree, DOCKERFILE: dockerfile}).relinked())
    out, more = store.rope(), store.rope()
    archive.write_members(store, {path: tree[path] for path in tree if path < DOCKERFILE}, out)
    place = out.tell()
    archive.write(store, {path: tree[path] for path in tree if path > DOCKERFILE}, out)
    layer = out.finish()
    more.extend(cut(layer, 0, place))
    tar.write_members({DOCKERFILE: dockerfile}, more)
    more.extend(cut(layer, place, length(layer) - place))
    return layer, more.finish()


def _oci(store: Store, layer: Content, start: str, architecture: str) -> Content:
    layer_digest = Digest.of_chunks(store.read(layer))
    config = canonical_json({
        "architecture": architecture, "os": "linux", "created": CREATED, "config": {"Entrypoint": ["/" + start]},
        "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        "history": [{"created": CREATED, "created_by": "nodekiln"}],
    })  # fmt: skip
    manifest = canonical_json({
        "schemaVersion": 2, "mediaType": TYPE + "manifest.v1+json", "config": _named("config.v1+json", config),
        "layers": [{"mediaType": TYPE + "layer.v1.tar", "digest": layer_digest, "size": length(layer)}],
    })  # fmt: skip
    names = {"io.containerd.image.name": f"docker.io/{REFERENCE}", "org.opencontainers.image.ref.name": "latest"}
    index = {"schemaVersion": 2, "manifests": [_named("manifest.v1+json", manifest) | {"annotations": names}]}
    blobs = [_blob(config), _blob(manifest), f"blobs/sha256/{layer_digest.hex}"]
    legacy = [{"Config": blobs[0], "RepoTags": [REFERENCE], "Layers": [blobs[2]]}]
    members = {
        blobs[0]: store.content(config), blobs[1]: store.content(manifest),
        "index.json": store.content(canonical_json(index)), "manifest.json": store.content(canonical_json(legacy)),
        "oci-layout": store.content(b'{"imageLayoutVersion":"1.0.0"}'),
    }  # fmt: skip
    out = store.rope()
    tar.write_members(files(members.items()), out)
    tar.write(files([(blobs[2], layer)]), out)  # the last: it stays in its place whatever its digest is
    return out.finish()


def _named(kind: str, document: bytes) -> dict[str, object]:
    """A descriptor of `document`."""
    return {"mediaType": TYPE + kind, "digest": str(Digest.of(document)), "size": len(document)}


def _blob(document: bytes) -> str:
    return f"blobs/sha256/{Digest.of(document).hex}"


def _archive(store: Store, tree: Tree) -> Content:
    out = store.rope()
    tar.write(tree, out)
    return out.finish()


def _architecture(store: Store, tree: Tree) -> str:
    """The architecture of the programs: that of the first one."""
    for file in tree.files().values():
        if file.mode & 0o111 and file.size > 20:
            head = store.bytes(cut(file.content, 0, 20))
            if head.startswith(b"\x7fELF"):
                return MACHINES.get(int.from_bytes(head[18:20], "little"), "amd64")
    return "amd64"


FORMAT = Format(
    "docker", build, needs=("rootfs",), options=(), produces=(".docker", "-oci.tar"), firmware=Firmware.NONE,
    carried=tar.CARRIED,
)  # fmt: skip
