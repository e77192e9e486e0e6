"""The client's behaviour when networks fail, and when registries fail or lie."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.model.digest import Digest
from pipeline.oci import fetch, http
from pipeline.oci.error import ImageError, NotFound, Offline, Refusal, Unreachable
from pipeline.oci.manifest import Descriptor, Manifest
from pipeline.oci.pull import CONNECTIONS
from pipeline.oci.registry import Registry
from pipeline.oci.resolve import resolve
from pipeline.stages.pull import pull, unpack
from pipeline.store import Store
from tests import patience
from tests.oci import craft, servers
from tests.oci.servers import Request, Rule, Server

LAYER = craft.archive(craft.entry("big", data=os.urandom(5 << 20)), craft.entry("small", data=b"x"))
ENDLESS = 64 << 20
"""Bytes that an endless body sends before it gives up."""


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    craft.image(tmp_path / "layout", [LAYER], name="1")
    return tmp_path / "layout"


@pytest.fixture
def far(layout: Path) -> Iterator[Server]:
    with servers.server(layout) as found:
        yield found


def manifest_of(server: Server) -> tuple[Digest, Manifest]:
    fetched = fetch.manifest([Registry(server.host, "a/b", sleep=lambda _: None)], "1", "a/b:1")
    assert isinstance(fetched.document, Manifest)
    return fetched.digest, fetched.document


def layer_of(server: Server) -> Descriptor:
    data, _ = server.manifests["1"]
    layer = json.loads(data)["layers"][0]
    return Descriptor(layer["mediaType"], Digest(layer["digest"]), layer["size"])


def times(count: int, rule: Rule) -> Rule:
    """`rule`, but only for the first `count` requests that it takes."""
    left = [count]

    def limited(request: Request) -> bool:
        if left[0] > 0 and rule(request):
            left[0] -= 1
            return True
        return False

    return limited


def on(part: str, answer: Callable[[Request], bool]) -> Rule:
    return lambda request: part in request.path and answer(request)


def contents(store: Store) -> set[str]:
    """Every file in the store but its locks."""
    return {str(path) for path in store.root.rglob("*") if path.is_file() and path.parent.name != "locks"}


# transient errors


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_it_is_tried_again_as_the_server_asks(far: Server, status: int) -> None:
    far.rules.append(times(2, on("manifests", lambda request: request.answer(status, Retry_After="7"))))
    waits: list[float] = []
    Registry(far.host, "a/b", sleep=waits.append).manifest("1")
    assert waits == [7, 7]


def test_without_a_word_from_the_server_the_pauses_grow(far: Server) -> None:
    far.rules.append(times(3, on("manifests", lambda request: request.answer(503))))
    waits: list[float] = []
    Registry(far.host, "a/b", sleep=waits.append).manifest("1")
    assert waits == [0.5, 1, 2]


def test_a_server_that_asks_for_hours_is_given_up(far: Server) -> None:
    far.rules.append(on("manifests", lambda request: request.answer(429, b"too many", Retry_After="86400")))
    waits: list[float] = []
    with pytest.raises(Unreachable, match=r"429: too many"):
        Registry(far.host, "a/b", sleep=waits.append).manifest("1")
    assert waits == []


def test_a_server_that_never_recovers_is_given_up(far: Server) -> None:
    far.rules.append(on("", lambda request: request.answer(500)))
    with pytest.raises(Unreachable, match=rf"{http.ATTEMPTS} attempts"):
        Registry(far.host, "a/b", sleep=lambda _: None).manifest("1")
    assert len(far.log) == http.ATTEMPTS


def cut_at(size: int) -> Callable[[Request], bool]:
    """Promise the whole blob, send `size` bytes of it from where it is asked, and break the connection."""

    def answer(request: Request) -> bool:
        data = request.server.blobs[request.path.rpartition("/")[2]]
        start = int((request.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        request.wfile.write(data[start : start + size])
        return request.reset()

    return answer


def test_a_download_that_breaks_goes_on_where_it_broke(far: Server, store: Store) -> None:
    layer = layer_of(far)
    far.rules.append(times(3, on("blobs", cut_at(1 << 20))))
    waits: list[float] = []
    fetch.blob(store, [Registry(far.host, "a/b", sleep=waits.append)], layer, "a/b:1")
    asked = [int(request.headers.get("Range", "bytes=0-")[6:-1]) for request in far.log]
    assert asked == sorted(asked) and len(asked) == 4 and asked[-1] > 0
    assert store.get(layer.digest) == far.blobs[layer.digest]


def test_a_server_without_ranges_starts_again_and_nothing_is_lost(far: Server, store: Store) -> None:
    layer = layer_of(far)
    far.rules += [
        times(1, on("blobs", cut_at(3 << 20))),
        on("blobs", lambda request: request.answer(200, far.blobs[layer.digest])),
    ]
    fetch.blob(store, [Registry(far.host, "a/b", sleep=lambda _: None)], layer, "a/b:1")
    assert store.get(layer.digest) == far.blobs[layer.digest]


def test_layers_come_side_by_side_and_no_more_than_the_limit(tmp_path: Path, store: Store) -> None:
    """Nobody is answered before as many have asked as may; of those that wait for an answer there are never more."""
    layers = [craft.archive(craft.entry(f"{n}")) for n in range(3 * CONNECTIONS - 1)]
    image = craft.image(tmp_path / "many", layers, name="1")
    together, guard, asking, most = threading.Barrier(CONNECTIONS), threading.Lock(), [0], [0]

    def wait(request: Request) -> bool:
        with guard:
            asking[0] += 1
            most[0] = max(most[0], asking[0])
        together.wait(60)
        with guard:
            asking[0] -= 1
        return False

    with servers.server(tmp_path / "many") as far:
        far.rules.append(on("blobs", wait))
        assert pull(store, reference=f"{far.host}/a/b:1", manifest=image) == image
    assert most[0] == CONNECTIONS


def test_a_run_that_was_killed_is_gone_on_with(far: Server, store: Store) -> None:
    layer = layer_of(far)
    partial = store.scratch().with_name(f"partial-sha256-{layer.digest.hex}")
    partial.write_bytes(far.blobs[layer.digest][:4_000_000])
    seen: list[int] = []
    fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1", seen.append)
    assert [request.headers["Range"] for request in far.log] == ["bytes=4000000-"]
    assert sum(seen) == layer.size and not partial.exists()


@pytest.mark.parametrize("left", [b"\0" * 1000, b"\0" * (6 << 20)])
def test_a_damaged_rest_is_thrown_away(far: Server, store: Store, left: bytes) -> None:
    layer = layer_of(far)
    store.scratch().with_name(f"partial-sha256-{layer.digest.hex}").write_bytes(left)
    fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1")
    assert store.get(layer.digest) == far.blobs[layer.digest]


def test_a_blob_that_always_breaks_is_given_up(far: Server, store: Store) -> None:
    far.rules.append(on("blobs", cut_at(1)))
    with pytest.raises(Unreachable, match=r"broke off 20 times"):
        fetch.blob(store, [Registry(far.host, "a/b", sleep=lambda _: None)], layer_of(far), "a/b:1")


def test_a_drip_is_weather(far: Server) -> None:
    enough = threading.Event()

    def drip(request: Request) -> bool:
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        request.wfile.write(b"x")
        request.wfile.flush()
        enough.wait(30)
        request.close_connection = True
        return True

    far.rules.append(drip)
    minutes = itertools.count(0, http.WINDOW + 1)
    try:
        with pytest.raises(http.TransientError, match="1 bytes in 61 seconds"):
            list(http.chunks(http.send("GET", f"http://{far.host}/x", {}), lambda: next(minutes)))
    finally:
        enough.set()


def test_http_1_0_and_no_length(far: Server, store: Store) -> None:
    layer = layer_of(far)

    def old(request: Request) -> bool:
        request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + far.blobs[layer.digest])
        request.close_connection = True
        return True

    far.rules.append(on("blobs", old))
    fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1")
    assert store.has(layer.digest)


def test_chunked(far: Server, store: Store) -> None:
    layer = layer_of(far)

    def chunked(request: Request) -> bool:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        data = far.blobs[layer.digest]
        for at in range(0, len(data), 100_000):
            piece = data[at : at + 100_000]
            request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        request.wfile.write(b"0\r\n\r\n")
        return True

    far.rules.append(on("blobs", chunked))
    fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1")
    assert store.has(layer.digest)


def test_a_blob_that_is_stored_with_a_content_encoding_is_taken_as_it_is(far: Server, store: Store) -> None:
    layer = layer_of(far)
    far.rules.append(on("blobs", lambda request: request.answer(200, far.blobs[layer.digest], Content_Encoding="gzip")))
    fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1")
    assert store.get(layer.digest) == far.blobs[layer.digest]


def test_ipv6(layout: Path, store: Store) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with servers.server(layout, socket.AF_INET6) as far:
        digest, _ = manifest_of(far)
        assert list(store.tree(unpack(store, pull(store, reference=f"{far.host}/a/b:1", manifest=digest)))) == [
            "big",
            "small",
        ]


def test_mirrors_are_tried_in_order(far: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.server() as empty:
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://{empty.host} docker.io=http://{far.host}/proxy")
        locked = resolve("node:1", ["amd64"]).platforms["amd64"]
        pull(store, reference="node:1", manifest=locked.manifest)
        assert empty.paths[0] == "/v2/library/node/manifests/1"
        assert far.paths[0] == "/v2/proxy/library/node/manifests/1"
        with pytest.raises(NotFound, match=rf"library/node:2.*{empty.host}.*{far.host}"):
            resolve("node:2", ["amd64"])


@pytest.fixture
def nobody() -> Iterator[str]:
    """HOST:PORT where a connection is not answered: its queue is full, and nobody takes from it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("dead", ["refuses", "is silent", "fails"])
def test_a_dead_mirror_is_asked_once_and_the_next_one_at_once(
    far: Server, layout: Path, store: Store, nobody: str, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUTS", (0.3, patience.seconds(10)))
    asked: list[str] = []
    once = http._request
    monkeypatch.setattr(http, "_request", lambda method, url, *rest: asked.append(url) or once(method, url, *rest))
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail(f"a pause of {seconds} s"))
    with servers.server() as failing:
        failing.rules.append(lambda request: request.answer(503))
        place = {"refuses": "127.0.0.1:9", "is silent": nobody, "fails": failing.host}[dead]
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://{place} docker.io=http://{far.host}")
        for _ in range(3):
            locked = resolve("node:1", ["amd64"]).platforms["amd64"]
        pull(store, reference="node:1", manifest=locked.manifest)
        assert store.has(locked.layers[0].digest)
        assert len(failing.log) == (dead == "fails")
    assert list(http.silent) == [f"http://{place}"]


def test_a_mirror_that_fails_says_nothing_of_its_neighbour(far: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mirrors on one host, by different paths."""
    far.rules.append(on("/first/", lambda request: request.answer(503)))
    places = [f"docker.io=http://{far.host}/{name}" for name in ("first", "second")]
    monkeypatch.setenv("NODEKILN_MIRROR", " ".join(places))
    for _ in range(2):
        resolve("node:1", ["amd64"])
    assert sum("/first/" in path for path in far.paths) == 1


def test_what_did_not_answer_before_a_build_went_on_is_not_asked_again(
    far: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEKILN_SILENT", f"http://{far.host}")
    with pytest.raises(Unreachable, match=r"not asked again in this build"):
        Registry(far.host, "a/b").manifest("1")
    assert not far.log


def test_the_only_place_is_tried_again(far: Server) -> None:
    far.rules.append(times(2, on("", lambda request: request.reset())))
    assert Registry(far.host, "a/b", sleep=lambda _: None).manifest("1")[0] == far.manifests["1"][0]


def test_a_mirror_that_lies_is_passed_over(
    far: Server, store: Store, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.server(layout) as liar:
        liar.blobs = {name: data[:-1] + b"!" for name, data in liar.blobs.items()}
        monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=http://{liar.host} docker.io=http://{far.host}")
        digest, manifest = manifest_of(far)
        pull(store, reference="node:1", manifest=digest)
        assert store.get(manifest.layers[0].digest) == far.blobs[manifest.layers[0].digest]


# offline


def test_offline_opens_no_socket_and_says_what_is_missing(
    far: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, _manifest = manifest_of(far)
    before = len(far.log)
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    with pytest.raises(Offline, match=rf"{far.host}/v2/a/b/manifests/{digest}"):
        pull(store, reference=f"{far.host}/a/b:1", manifest=digest)
    assert len(far.log) == before
    monkeypatch.setenv("NODEKILN_OFFLINE", "0")
    pull(store, reference=f"{far.host}/a/b:1", manifest=digest)
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    assert pull(store, reference=f"{far.host}/a/b:1", manifest=digest) == digest


# lies


def test_a_lying_manifest_is_refused_before_it_is_used(far: Server, store: Store) -> None:
    digest, _ = manifest_of(far)
    data, media_type = far.manifests[digest]
    far.manifests[digest] = data + b" ", media_type
    with pytest.raises(Refusal, match=rf"a/b:1.*its digest is .* not {digest}"):
        pull(store, reference=f"{far.host}/a/b:1", manifest=digest)
    assert all("/manifests/" in path for path in far.paths)
    assert not store.has(digest)


def test_docker_content_digest_is_not_believed(far: Server) -> None:
    data, media_type = far.manifests["1"]
    other = "sha256:" + "0" * 64
    far.rules.append(
        on("manifests/1", lambda r: r.answer(200, data, Content_Type=media_type, Docker_Content_Digest=other))
    )
    assert manifest_of(far)[0] == Digest.of(data)


def test_a_tag_that_moves_between_resolving_and_pulling_changes_nothing(far: Server, store: Store) -> None:
    digest, _ = manifest_of(far)
    far.manifests["1"] = (b"{}", far.manifests["1"][1])
    assert pull(store, reference=f"{far.host}/a/b:1", manifest=digest) == digest


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    ],
    ids=["short", "long", "empty", "flipped"],
)
def test_a_wrong_blob_is_refused_and_leaves_nothing(
    far: Server, store: Store, change: Callable[[bytes], bytes]
) -> None:
    layer = layer_of(far)
    fetch.blob(store, [Registry(far.host, "a/b")], Descriptor("a/b", *small_blob(far)), "other")
    before = contents(store)
    wrong = change(far.blobs[layer.digest])
    far.rules.append(on("blobs", lambda request: request.answer(200, wrong)))
    with pytest.raises(ImageError, match=rf"a/b:1.*{layer.digest}"):
        fetch.blob(store, [Registry(far.host, "a/b", sleep=lambda _: None)], layer, "a/b:1")
    assert not store.has(layer.digest)
    assert {path for path in contents(store) if "partial" not in path} == before


def small_blob(far: Server) -> tuple[Digest, int]:
    data = b"{}"
    far.blobs[Digest.of(data)] = data
    return Digest.of(data), len(data)


def endless(request: Request) -> bool:
    request.send_response(200 if "status" not in request.path else 500)
    request.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
    request.end_headers()
    for _ in range(ENDLESS >> 16):
        request.wfile.write(bytes(1 << 16))
    request.close_connection = True
    return True


def test_endless_bodies_end(far: Server, store: Store) -> None:
    layer = layer_of(far)
    far.rules.append(endless)
    with pytest.raises(Refusal, match=r"more than 4194304 bytes"):
        Registry(far.host, "a/b").manifest("1")
    with pytest.raises(Refusal, match=r"has more bytes, not"):
        fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1")
    assert not [path for path in contents(store) if "partial" in path]


def test_endless_errors_end(far: Server) -> None:
    def error(request: Request) -> bool:
        request.send_response(400)
        request.end_headers()
        for _ in range(ENDLESS >> 16):
            request.wfile.write(b"x" * (1 << 16))
        request.close_connection = True
        return True

    far.rules.append(error)
    with pytest.raises(Unreachable) as caught:
        Registry(far.host, "a/b").manifest("1")
    assert len(str(caught.value)) < 1000


def test_a_wrong_range_is_refused(far: Server, store: Store) -> None:
    layer = layer_of(far)
    store.scratch().with_name(f"partial-sha256-{layer.digest.hex}").write_bytes(far.blobs[layer.digest][:1000])
    far.rules.append(on("blobs", lambda request: request.answer(206, b"x", Content_Range="bytes 5-9/10")))
    with pytest.raises(Refusal, match=r"requested from byte 1000"):
        fetch.blob(store, [Registry(far.host, "a/b")], layer, "a/b:1")


def test_a_manifest_of_another_type_than_said_is_refused(far: Server) -> None:
    data, _ = far.manifests["1"]
    far.manifests["1"] = data, "application/vnd.oci.image.index.v1+json"
    with pytest.raises(Refusal, match=r"it came as"):
        manifest_of(far)


def test_a_compressed_manifest_is_not_inflated(far: Server) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    far.rules.append(on("manifests", lambda request: request.answer(200, bomb, Content_Encoding="gzip")))
    with pytest.raises(Refusal, match=r"not JSON"):
        manifest_of(far)


def test_proxies_of_the_environment_are_asked(far: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://{far.host}")
    monkeypatch.setenv("NODEKILN_INSECURE", "registry.invalid")
    data, _ = Registry("registry.invalid", "a/b").manifest("1")
    assert data == far.manifests["1"][0]
    assert far.paths == ["http://registry.invalid/v2/a/b/manifests/1"]
    monkeypatch.setenv("no_proxy", "registry.invalid")
    with pytest.raises(Unreachable):
        Registry("registry.invalid", "a/b", sleep=lambda _: None).manifest("1")
    assert len(far.paths) == 1


@pytest.mark.parametrize(
    ("variable", "url"), [("https_proxy", "https://registry.invalid"), ("ALL_PROXY", "http://registry.invalid")]
)
@pytest.mark.parametrize("silent", [False, True])
def test_a_dead_proxy_is_named_with_its_variable_and_waited_for_once(
    nobody: str, variable: str, url: str, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUTS", (0.3, patience.seconds(10)))
    proxy = nobody if silent else "127.0.0.1:9"
    monkeypatch.setenv(variable, f"http://kim:secret@{proxy}")
    slept: list[float] = []
    for name in ("a", "b"):
        with pytest.raises(Unreachable, match=rf"the proxy {proxy} \({variable}\) does not answer: \w") as error:
            http.send("GET", f"{url}/{name}", {}, None, slept.append)
        assert not re.search("secret|HTTPConnection|Errno", str(error.value))
    assert "not asked again" in str(error.value) and not slept


def test_the_time_for_a_proxy_is_less_than_ten_seconds() -> None:
    assert http.TIMEOUTS[0] < 10


@pytest.mark.parametrize("more", [-1000, 1000])
def test_a_wrong_content_length_does_no_harm(far: Server, store: Store, more: int) -> None:
    layer = layer_of(far)

    def wrong(request: Request) -> bool:
        data = far.blobs[layer.digest]
        request.send_response(200)
        request.send_header("Content-Length", str(len(data) + more))
        request.end_headers()
        request.wfile.write(data)
        request.close_connection = True
        return True

    far.rules.append(times(1, on("blobs", wrong)))
    fetch.blob(store, [Registry(far.host, "a/b", sleep=lambda _: None)], layer, "a/b:1")
    assert store.get(layer.digest) == far.blobs[layer.digest]


def test_retry_after_may_be_a_date(far: Server) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    far.rules.append(times(1, on("manifests", lambda request: request.answer(503, Retry_After=past))))
    waits: list[float] = []
    Registry(far.host, "a/b", sleep=waits.append).manifest("1")
    assert waits == [0]


def test_nonsense_in_retry_after_is_passed_over(far: Server) -> None:
    far.rules.append(times(1, on("manifests", lambda request: request.answer(503, Retry_After="soon"))))
    waits: list[float] = []
    Registry(far.host, "a/b", sleep=waits.append).manifest("1")
    assert waits == [0.5]
