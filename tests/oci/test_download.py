"""Layers are uncompressed while they arrive; what comes of it is only seen once the whole download was verified."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.digest import Digest
from pipeline.oci import fetch, http
from pipeline.oci.decompress import Budget
from pipeline.oci.download import Download, DownloadFailed
from pipeline.oci.error import ImageError, Refusal
from pipeline.oci.image import image_manifest
from pipeline.oci.layer import decompressed
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests.oci import craft, servers
from tests.oci.servers import Request, Server
from tests.oci.test_http import on

LAYERS = [craft.archive(craft.entry(f"file{n}", data=os.urandom(3 << 20))) for n in range(3)]
TARS = [Digest(craft.digest(layer)) for layer in LAYERS]


@pytest.fixture
def image(tmp_path: Path) -> str:
    return craft.image(tmp_path / "layout", LAYERS, name="1")


@pytest.fixture
def far(tmp_path: Path, image: str) -> Iterator[Server]:
    with servers.server(tmp_path / "layout") as found:
        yield found


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between attempts are left out."""
    monkeypatch.setattr(http, "pause", lambda attempt, asked: 0)


def in_progress(store: Store) -> list[str]:
    return [path.name for path in (store.root / "tmp").iterdir() if path.suffix != ".lock"]


# the file


@given(data=st.binary(max_size=5000), pieces=st.lists(st.integers(1, 2000), max_size=9), size=st.integers(1, 3000))
def test_what_is_written_is_read(
    data: bytes, pieces: list[int], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("arriving")
    found, rest = Download(folder / "partial", folder / "whole"), data

    def read() -> bytes:
        with found as file:
            assert file.read(4) == data[:4]
            file.seek(0)
            return b"".join(iter(lambda: file.read(size), b""))

    with ThreadPoolExecutor(1) as pool, open(folder / "partial", "wb", buffering=0) as out:
        reader = pool.submit(read)
        with found.writing() as wrote:
            for piece in (*pieces, len(data)):
                out.write(rest[:piece])
                wrote(len(rest[:piece]))
                rest = rest[piece:]
            os.rename(folder / "partial", folder / "whole")
        assert reader.result() == data


def test_it_is_read_before_it_is_all_there_but_does_not_end(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(b"12345")
    found = Download(tmp_path / "partial", tmp_path / "whole")
    with found as file, ThreadPoolExecutor(1) as pool, found.writing() as wrote:
        wrote(5)
        assert file.read(2) == b"12" and file.read(3) == b"345"
        end = pool.submit(file.read, 1)
        assert not end.done()
    assert end.result() == b""


@pytest.mark.parametrize("trouble", [-1, None])
def test_what_turns_out_wrong_is_no_end(tmp_path: Path, trouble: int | None) -> None:
    (tmp_path / "partial").write_bytes(b"12345")
    found = Download(tmp_path / "partial", tmp_path / "whole")
    with pytest.raises(DownloadFailed), found as file, ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyError), found.writing() as wrote:
            wrote(5)
            assert file.read(5) == b"12345"
            end = pool.submit(file.read, 1)
            if trouble:
                wrote(trouble)
            raise KeyError
        end.result()


# the stage


def test_layers_are_uncompressed_when_an_image_is_there(far: Server, store: Store, image: str) -> None:
    pull(store, reference=f"{far.host}/a:1", manifest=image)
    assert all(store.has(tar) for tar in TARS) and not in_progress(store)
    for layer in image_manifest(store, Digest(image)).layers:
        store.path(layer.digest).unlink()
    assert list(store.tree(unpack(store, Digest(image)))) == ["file0", "file1", "file2"], "from the tars alone"


def first_half(request: Request) -> bool:
    """Promise a whole layer and send a part; the rest comes if it is asked for."""
    data = request.server.blobs[request.path.rpartition("/")[2]]
    if "Range" in request.headers or len(data) < 1 << 20:
        return False
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: 1 << 20])
    request.close_connection = True
    return True


def test_a_download_that_breaks_and_goes_on(far: Server, store: Store, image: str, patient: None) -> None:
    far.rules.append(on("blobs", first_half))
    pull(store, reference=f"{far.host}/a:1", manifest=image)
    assert [request.headers["Range"] for request in far.log if "Range" in request.headers] == ["bytes=1048576-"] * 3
    assert all(store.has(tar) for tar in TARS)


@pytest.mark.parametrize("right", [True, False])
def test_what_an_earlier_run_left_is_uncompressed_too(far: Server, store: Store, image: str, right: bool) -> None:
    data = gzip.compress(LAYERS[0], 1, mtime=0)
    name = Digest.of(data)
    fetch.partial_path(store, name).write_bytes(data[:1_000_000] if right else bytes(1_000_000))
    pull(store, reference=f"{far.host}/a:1", manifest=image)
    assert store.has(TARS[0]) == right, "after wrong bytes it is left to `unpack`"
    assert list(store.tree(unpack(store, Digest(image)))) == ["file0", "file1", "file2"]


@pytest.mark.parametrize(
    "packed",
    [
        lambda data: gzip.compress(data, 2, mtime=0),
        lambda data: gzip.compress(data, 1, mtime=1),
        lambda data: zstandard.compress(data),
        lambda data: data,
        lambda data: gzip.compress(data, 1, mtime=0)[:-1] + b"!",
        lambda data: b"",
    ],
)
def test_the_right_tar_in_the_wrong_blob_is_not_seen(
    far: Server, store: Store, image: str, packed: Callable[[bytes], bytes], patient: None
) -> None:
    """Its diff id says that it is right, but nobody vouches for that but what was not verified."""
    blob = Digest.of(gzip.compress(LAYERS[1], 1, mtime=0))
    far.blobs[blob] = packed(LAYERS[1])
    with pytest.raises(ImageError, match=str(blob)):
        pull(store, reference=f"{far.host}/a:1", manifest=image)
    assert not store.has(blob) and not store.has(TARS[1])
    assert store.has(TARS[0]) and store.has(TARS[2]), "the others are good"
    assert [name for name in in_progress(store) if not name.startswith("partial-")] == []


@pytest.mark.parametrize("diff_ids", [TARS[:2], [*TARS, TARS[0]], [TARS[0], TARS[0], TARS[0]]])
def test_wrong_diff_ids_are_refused_when_all_is_verified(tmp_path: Path, store: Store, diff_ids: list[Digest]) -> None:
    image = craft.image(tmp_path / "liar", LAYERS, diff_ids=diff_ids)
    assert pull(store, reference=f"oci:{tmp_path}/liar", manifest=image) == image
    with pytest.raises(Refusal, match=r"diff id"):
        unpack(store, Digest(image))


def test_a_layer_that_comes_twice(tmp_path: Path, store: Store) -> None:
    image = craft.image(tmp_path / "twice", [LAYERS[0], LAYERS[1], LAYERS[0]])
    pull(store, reference=f"oci:{tmp_path}/twice", manifest=image)
    assert list(store.tree(unpack(store, Digest(image)))) == ["file0", "file1"]


def test_pulls_at_once_share_what_comes(far: Server, tmp_path: Path, image: str) -> None:
    """Two stores' objects on one folder stand for two processes."""
    with ThreadPoolExecutor(4) as pool:
        stores = [Store(tmp_path / "store") for _ in range(4)]
        jobs = [pool.submit(pull, store, reference=f"{far.host}/a:1", manifest=image) for store in stores]
        assert [job.result() for job in jobs] == [image] * 4
    assert all(stores[0].has(tar) for tar in TARS) and not in_progress(stores[0])
    assert len([path for path in far.paths if "/blobs/" in path]) == 4, "each blob once"


def test_layers_that_are_known_count_against_an_image_s_limit(store: Store) -> None:
    """Otherwise a bomb in many layers would come a layer further with every run."""
    layer = store.put(gzip.compress(LAYERS[0], 1))
    decompressed(store, layer, TARS[0], Budget(100))
    assert decompressed(store, layer, TARS[0], Budget(100)) == TARS[0]
    with pytest.raises(Refusal, match=r"grow beyond 1000000"):
        decompressed(store, layer, TARS[0], Budget(100, free=1_000_000))
