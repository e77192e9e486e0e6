"""Writes an input bundle (pipeline.project.bundle_reader has its form): documents in the store, a layout, a tar of it.

The same inputs give the same bytes: everything is in order, and no time, host or user is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.engine.action import with_results
from pipeline.host import atomic
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.errors import BadInput
from pipeline.model.tree import EPOCH, Content, File, Tree, files
from pipeline.oci import image as images
from pipeline.oci import manifest as manifests
from pipeline.oci.error import ImageError
from pipeline.oci.layer import content_of
from pipeline.oci.layout import Layout
from pipeline.oci.manifest import INDEXES, MANIFESTS, REF_NAME
from pipeline.oci.push import EMPTY, TITLE
from pipeline.project import bundle_reader as form
from pipeline.project.inputs import Inputs
from pipeline.stages import pull
from pipeline.store import CHUNK, Store
from pipeline.writers import tar

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
"""Content of the file `oci-layout` (image-spec, image-layout.md)."""
WHEELS = "wheels"
"""Folder, beside those of the layout, with the wheels under their own names."""

Entry = dict[str, Any]


def make(store: Store, inputs: Inputs, wheels: Sequence[Path] = ()) -> Digest:
    """Stores the bundle of `inputs`, which are fetched if need be, and returns the digest of its index."""
    fetches = tuple({action.key: action for actions in inputs.fetches.values() for action in actions}.values())

    def documents(*_: Digest) -> Digest:
        entries = [
            _project(store, inputs),
            *(_packages(store, inputs, arch) for arch in sorted(inputs.fetches)),
            *([_wheels(store, wheels)] if wheels else []),
            *_images(store, inputs),
        ]
        index = _index(store, entries, artifactType=form.BUNDLE, annotations={TITLE: inputs.name})
        for blob in blobs(store, index):
            store.right(blob)
        return index

    return with_results(store, fetches, documents)


def blobs(store: Store, index: Digest) -> list[Digest]:
    """Returns the blobs of the bundle `index`, which is one of them, in order."""
    every = {index}
    for entry in manifests.decode(store.get(index), f"bundle {index}")["manifests"]:
        document = images.image_manifest(store, digest := Digest.parse(entry["digest"]))
        every |= {digest, document.config.digest, *(layer.digest for layer in document.layers)}
    return sorted(every)


def archive(store: Store, index: Digest) -> Content:
    """Returns the tar of the layout of the bundle `index`.

    Wheels have their own names, too; the blobs are hard links to them, so that `tar -xf FILE wheels` needs no blob.
    """
    listed, more = _listed(store, index)
    named = {digest: f"{WHEELS}/{name}" for name, digest in _named_wheels(store, index).items()}
    out = store.rope()
    first = {"oci-layout": store.content(LAYOUT), "index.json": store.content(listed)}
    for name, content in first.items():
        tar.write_members(files([(name, content)]), out)
    members = Tree((path, _file(store, digest, path)) for digest, path in named.items())
    for digest in sorted({*blobs(store, index), *more}):
        members[f"blobs/{digest.algorithm}/{digest.hex}"] = _file(store, digest, named.get(digest, ""))
    tar.write(members, out)
    return out.finish()


def write_folder(store: Store, index: Digest, folder: Path) -> None:
    """Writes the layout of the bundle `index` into `folder`, which is empty, missing, or an older bundle. BadInput."""
    listed, more = _listed(store, index)
    if folder.exists() and any(folder.iterdir()):
        try:
            Layout(folder, form.NAME).resolve(form.NAME)
        except ImageError:
            raise BadInput(f"{folder} is neither empty nor a bundle: name another folder, or a FILE.tar") from None
    wanted = {f"blobs/{each.algorithm}/{each.hex}": each for each in {*blobs(store, index), *more}}
    wanted |= {f"{WHEELS}/{name}": digest for name, digest in _named_wheels(store, index).items()}
    for name, digest in wanted.items():
        place = atomic.make_folder(folder, str(Path(name).parent)) / Path(name).name
        with atomic.recreate(place) as file:
            file.writelines(store.read(content_of(store, digest)))
    for name, data in (("oci-layout", LAYOUT), ("index.json", listed)):
        atomic.write(folder / name, data)
    for old in (*folder.glob("blobs/*/*"), *folder.glob(f"{WHEELS}/*")):
        if old.relative_to(folder).as_posix() not in wanted:
            old.unlink()


def _listed(store: Store, index: Digest) -> tuple[bytes, list[Digest]]:
    """Returns index.json of the bundle's layout, and the indexes that only this lists: images of several platforms."""
    data = store.get(index)
    bundle = {
        **_descriptor(store, INDEXES[0], index),
        "artifactType": form.BUNDLE,
        "annotations": {REF_NAME: form.NAME},
    }
    named: dict[str, list[Entry]] = {}
    for entry in manifests.decode(data, f"bundle {index}")["manifests"]:
        if name := entry.get("annotations", {}).get(REF_NAME):
            named.setdefault(name, []).append(entry)
    entries, more = [bundle], []
    for name, platforms in named.items():
        if len(platforms) == 1:
            entries.append(platforms[0])
        else:
            bare = [{key: value for key, value in each.items() if key != "annotations"} for each in platforms]
            more.append(_index(store, bare))
            entries.append(_descriptor(store, INDEXES[0], more[-1]) | {"annotations": {REF_NAME: name}})
    return canonical_json({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries}), more


def _project(store: Store, inputs: Inputs) -> Entry:
    """Stores the artifact of the project: a tar of its files, and the settings of the build as configuration."""
    members = [(path, _read(store, *source)) for path, source in inputs.files.items()]
    content = store.rope()
    tar.write(files(members), content)
    config = {
        "nodekiln": __version__,
        "node": inputs.name,
        "environment": dict(inputs.environment),
        "keys": {arch: dict(keys) for arch, keys in inputs.keys.items()},
    }
    described = _descriptor(store, form.CONFIG, store.put(canonical_json(config)))
    return _artifact(store, form.PROJECT, described, [(form.FILES, "project.tar", _blob(store, content.finish()))])


def _packages(store: Store, inputs: Inputs, arch: str) -> Entry:
    """Stores the artifact of the packages of an architecture, under the names of their files."""
    packages = [package for action in inputs.fetches[arch] for package in action.params.get("packages", ())]
    names = {Digest.parse(f"sha256:{package['sha256']}"): Path(package["filename"]).name for package in packages}
    layers = sorted((form.PACKAGE, name, digest) for digest, name in names.items())
    return _artifact(store, form.PACKAGES, _empty(store), layers) | {"platform": _platform(arch)}


def _wheels(store: Store, wheels: Sequence[Path]) -> Entry:
    layers = [(form.WHEEL, wheel.name, _blob(store, _chunks(wheel))) for wheel in sorted(wheels)]
    return _artifact(store, form.WHEELS, _empty(store), layers)


def _images(store: Store, inputs: Inputs) -> list[Entry]:
    """Returns the entries of the images, under their full names."""
    entries = {}
    for actions in inputs.fetches.values():
        for params in (action.params for action in actions if action.stage is pull.pull):
            name, digest = params["reference"], Digest.parse(params["manifest"])
            document = manifests.decode(store.get(digest), f"{name}: {digest}")
            config = manifests.decode(store.get(Digest.parse(document["config"]["digest"])), f"{name}: config")
            platform = {key: config[key] for key in ("os", "architecture", "variant") if config.get(key)}
            media_type = document.get("mediaType") or MANIFESTS[0]
            named = {"annotations": {REF_NAME: name}, "platform": platform}
            entries[name, digest] = _descriptor(store, media_type, digest) | named
    return [entries[key] for key in sorted(entries)]


def _artifact(store: Store, kind: str, config: Entry, layers: Iterable[tuple[str, str, Digest]]) -> Entry:
    """Stores the manifest of an artifact; returns its entry in the index. layers: media type, title, blob."""
    listed = [_descriptor(store, media, blob) | {"annotations": {TITLE: title}} for media, title, blob in layers]
    document = {"schemaVersion": 2, "mediaType": MANIFESTS[0], "artifactType": kind, "config": config, "layers": listed}
    digest = store.put(canonical_json(document))
    return _descriptor(store, MANIFESTS[0], digest) | {"artifactType": kind}


def _index(store: Store, entries: Sequence[Entry], **fields: Any) -> Digest:
    return store.put(canonical_json({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries, **fields}))


def _descriptor(store: Store, media_type: str, digest: Digest) -> Entry:
    return manifests.Descriptor(media_type, digest, store.size(digest)).document()


def _empty(store: Store) -> Entry:
    return _descriptor(store, EMPTY, store.put(b"{}"))


def _platform(arch: str) -> Mapping[str, str]:
    return {name: value for name, value in manifests.parse_platform(arch)._asdict().items() if value}


def _named_wheels(store: Store, index: Digest) -> dict[str, Digest]:
    """Returns the wheels of the bundle `index` by name."""
    for entry in manifests.decode(store.get(index), f"bundle {index}")["manifests"]:
        if entry.get("artifactType") == form.WHEELS:
            layers = manifests.decode(store.get(Digest.parse(entry["digest"])), entry["digest"])["layers"]
            return {layer["annotations"][TITLE]: Digest.parse(layer["digest"]) for layer in layers}
    return {}


def _file(store: Store, digest: Digest, inode: str) -> File:
    return File(0o644, 0, 0, EPOCH, (), content_of(store, digest), inode)


def _read(store: Store, path: Path, digest: str) -> Content:
    """Stores the file `path`. BadInput if its SHA-256 is not `digest`, if that is known."""
    blob = _blob(store, _chunks(path))
    if digest and blob.hex != digest:
        raise BadInput(f"{path} has changed while it was bundled: run it again")
    return content_of(store, blob) if store.size(blob) else ()


def _chunks(path: Path) -> Iterable[bytes]:
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            yield data


def _blob(store: Store, chunks: Iterable[bytes] | Content) -> Digest:
    """Stores bytes, or a content, as one blob."""
    if isinstance(chunks, tuple):
        chunks = store.read(chunks)
    with store.create() as blob:
        for chunk in chunks:
            blob.write(chunk)
        return blob.commit()
