"""docker save's archives, old and new, and layouts in a tar; skopeo writes them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from pipeline.model.tree import Tree
from pipeline.oci.error import ImageError, NotFound, Refusal
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests.judges import need, run
from tests.oci import craft

LAYERS = [craft.archive(craft.entry("a", data=b"A" * 5000)), craft.archive(craft.entry("b"), craft.entry(".wh.a"))]


def unpacked(reference: str, folder: Path) -> Tree:
    store = Store(folder / "store")
    locked = resolve(reference, ["amd64"]).platforms["amd64"]
    return store.tree(unpack(store, pull(store, reference=reference, manifest=locked.manifest)))


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    craft.image(tmp_path / "layout", LAYERS)
    return tmp_path / "layout"


@pytest.mark.parametrize("inside", ["", ":docker.io/team/node:1"])
def test_docker_archive_by_skopeo(layout: Path, tmp_path: Path, inside: str) -> None:
    file = tmp_path / "saved.tar"
    run(need("skopeo"), "copy", f"oci:{layout}:x", f"docker-archive:{file}:docker.io/team/node:1")
    reference = f"docker-archive:{file}" + inside.replace("docker.io/", "")
    assert list(unpacked(reference, tmp_path)) == ["b"]
    assert resolve(reference, ["amd64"]).document() == resolve(reference, ["amd64"]).document()
    with pytest.raises(ImageError, match=r"team/node:1"):
        resolve(f"docker-archive:{file}:other:1", ["amd64"])


def test_oci_archive_by_skopeo(layout: Path, tmp_path: Path) -> None:
    file = tmp_path / "layout.tar"
    run(need("skopeo"), "copy", f"oci:{layout}:x", f"oci-archive:{file}:x")
    for reference in (f"oci-archive:{file}:x", f"oci-archive:{file}", f"oci:{file}:x"):
        assert list(unpacked(reference, tmp_path)) == ["b"]


def saved(file: Path, tmp_path: Path, new: bool) -> None:
    """An archive as Docker writes it: folders and symlinks (before 25), or a layout with manifest.json beside it."""
    root = tmp_path / "save"
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": list(map(craft.digest, LAYERS))}}
    )
    names = []
    if new:
        craft.image(root, LAYERS, compress=lambda data: data)
        names = [f"blobs/sha256/{craft.digest(layer)[7:]}" for layer in LAYERS]
        place = f"blobs/sha256/{craft.put(root, config.encode())[7:]}"
    else:
        place = "config.json"
        for number, layer in enumerate(LAYERS):
            (root / str(number)).mkdir(parents=True)
            (root / str(number) / "layer.tar").write_bytes(layer)
            names.append(f"{number}/layer.tar")
        (root / "2").mkdir()
        (root / "2" / "layer.tar").symlink_to("../0/layer.tar")
        names[0] = "2/layer.tar"
        (root / place).write_text(config)
    (root / "manifest.json").write_text(json.dumps([{"Config": place, "RepoTags": ["x:1"], "Layers": names}]))
    with tarfile.open(file, "w") as tar:
        tar.add(root, ".")


@pytest.mark.parametrize("new", [False, True])
def test_docker_s_own(tmp_path: Path, new: bool) -> None:
    saved(tmp_path / "x.tar", tmp_path, new)
    assert list(unpacked(f"docker-archive:{tmp_path}/x.tar", tmp_path)) == ["b"]


def test_old_and_new_are_the_same_image(tmp_path: Path) -> None:
    digests = set()
    for new in (False, True):
        folder = tmp_path / str(new)
        folder.mkdir()
        saved(folder / "x.tar", folder, new)
        digests.add(resolve(f"docker-archive:{folder}/x.tar", ["amd64"]).platforms["amd64"].manifest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("{", "not JSON"),
        ("{}", "not a list"),
        ("[]", "0 images"),
        ('[{"Config": "../../../../etc/passwd", "Layers": []}]', "no file"),
        ('[{"Config": "manifest.json", "Layers": ["/etc/passwd"]}]', "no file"),
        ('[{"Config": "manifest.json", "Layers": 5}]', "Layers"),
        ('[{"Config": 5, "Layers": []}]', "file name"),
        ('[{"Config": "loop", "Layers": []}]', "no file"),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, manifest: str, words: str) -> None:
    entries = [craft.entry("manifest.json", data=manifest.encode()), craft.entry("loop", "l", target="loop")]
    (tmp_path / "x.tar").write_bytes(craft.archive(*entries))
    with pytest.raises(ImageError, match=words):
        resolve(f"docker-archive:{tmp_path}/x.tar", ["amd64"])


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no such file"):
        resolve(f"docker-archive:{tmp_path}/none.tar", ["amd64"])
    (tmp_path / "x.tar").write_bytes(b"x" * 1000)
    with pytest.raises(Refusal, match=r"no tar header"):
        resolve(f"oci:{tmp_path}/x.tar", ["amd64"])
    (tmp_path / "empty.tar").write_bytes(b"")
    with pytest.raises(ImageError):
        resolve(f"oci:{tmp_path}/empty.tar", ["amd64"])
