"""The contract of a wire, against a real server of each: what is stored comes back, and every fault is one line."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pipeline.engine.action import closure
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.shared.protobuf import field
from pipeline.shared.transfer import PIECE, THREADS
from pipeline.shared.wire import Wire, WireError
from pipeline.shared.wires import folder, http, oci, s3
from pipeline.shared.wires import grpc as reapi
from pipeline.shared.wires.grpc import RECEIVE_LIMIT
from tests import patience
from tests.engine.graphs import graph
from tests.oci.servers import certificate
from tests.shared import servers
from tests.shared.machines import build, machine
from tests.shared.servers import Proxy, Server

SERVERS = {
    "folder": servers.plain_folder,
    "http": servers.nginx,
    "s3": servers.rclone,
    "grpc": servers.buildgrid,
    "oci": servers.registry,
}
NETWORKS = [name for name in SERVERS if name != "folder"]
HTTPS = [name for name in NETWORKS if name != "grpc"]
"""Wires over HTTP/1.1, whose answers a test can write by hand."""
SECONDS = 20
"""Time-out of a wire where none is expected, in seconds on a quiet machine."""
SHORT = 0.2
"""Time-out of a wire where one is expected, in seconds."""
LARGE = 100 << 20
MEMORY = 64 << 20
"""Memory that 100 MB may take on their way, in bytes."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """All servers, started side by side."""
    place = tmp_path_factory.mktemp("servers")
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(SERVERS)) as pool:
        starting = {name: pool.submit(_enter, start, place / name) for name, start in SERVERS.items()}
        ready = {}
        for name, future in starting.items():
            manager, ready[name] = future.result()
            stack.push(manager)
        yield ready


def _enter(start: object, place: Path) -> tuple[object, Server]:
    manager = start(place)
    return manager, manager.__enter__()


@pytest.fixture(autouse=True)
def keys(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.PASSWORD)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, running: dict[str, Server]) -> Server:
    return running[request.param]


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with contextlib.closing(server.wire(patience.seconds(SECONDS))) as found:
        yield found


def blob() -> tuple[Digest, bytes]:
    """Returns a blob that no server has."""
    data = os.urandom(1000)
    return Digest.of(data), data


def put(wire: Wire, data: bytes) -> Digest:
    digest = Digest.of(data)
    wire.put(digest, len(data), io.BytesIO(data))
    return digest


def remove(wire: Wire, server: Server, data: bytes) -> None:
    """Removes a blob from a server's folder; rclone, which remembers what is in its own, is asked to."""
    if isinstance(wire, s3.Bucket):
        wire._open().delete(f"cas/{Digest.of(data).hex}")
    else:
        server.file(data).unlink()


def fetched(wire: Wire, digest: Digest, size: int) -> bytes:
    return b"".join(wire.fetch(digest, size))


def result(*blobs: bytes) -> bytes:
    """An ActionResult with these output files (remote_execution.proto)."""
    digests = [field(1, Digest.of(data).hex) + field(2, len(data)) for data in blobs]
    files = [field(2, field(1, str(number)) + field(2, digest)) for number, digest in enumerate(digests)]
    return b"".join(files) + field(5, b'{"nodekiln": 1}')


def key() -> str:
    return os.urandom(32).hex()


def refused(call: object, wire: Wire) -> str:
    """Returns the message of the WireError that `call` raises: one line, which starts with the address."""
    with pytest.raises(WireError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{wire.address}: ") and message.isprintable() and message.isascii()
    assert servers.PASSWORD not in message
    return message


# what is stored comes back


def test_a_blob_comes_back(wire: Wire) -> None:
    digest, data = blob()
    assert wire.absent({digest: len(data)}) == {digest}
    with pytest.raises(KeyError):
        fetched(wire, digest, len(data))
    for _ in range(2):
        put(wire, data)
    other, _ = blob()
    assert wire.absent({digest: len(data), other: 1000}) == {other}
    assert fetched(wire, digest, len(data)) == data


def test_nothing_is_asked_for_nothing(wire: Wire) -> None:
    assert wire.absent({}) == set() and wire.statements([]) == {}


def test_the_empty_blob_comes_back(wire: Wire) -> None:
    digest = put(wire, b"")
    assert wire.absent({digest: 0}) == set() and fetched(wire, digest, 0) == b""


def test_a_statement_comes_back(wire: Wire) -> None:
    data, others = os.urandom(100), os.urandom(100)
    put(wire, data)
    put(wire, others)
    mine, missing = key(), key()
    wire.state(mine, result(data, others))
    assert wire.statements([mine, missing]) == {mine: result(data, others)}
    wire.state(mine, result(data, others))
    assert wire.statements([mine]) == {mine: result(data, others)}


def test_a_statement_without_its_blob_is_not_answered_by_a_server_that_checks(wire: Wire, server: Server) -> None:
    data = os.urandom(100)
    put(wire, data)
    mine = key()
    wire.state(mine, result(data))
    remove(wire, server, data)
    if wire.complete:
        assert wire.statements([mine]) == {}
    with contextlib.suppress(WireError), pytest.raises(KeyError):
        fetched(wire, Digest.of(data), len(data))


def test_a_thousand_small_blobs_from_many_threads(wire: Wire, request: pytest.FixtureRequest) -> None:
    count = 100 if request.node.callspec.params["server"] == "oci" else 1000
    blobs = [os.urandom(1000) for _ in range(count)]
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(lambda data: put(wire, data), blobs))
        assert wire.absent(dict.fromkeys(digests, 1000)) == set()
        assert list(pool.map(lambda digest: fetched(wire, digest, 1000), digests)) == blobs


def test_a_large_blob_comes_back_in_bounded_memory(wire: Wire, tmp_path: Path) -> None:
    unit = os.urandom(1 << 20)
    with open(tmp_path / "large", "wb") as file:
        file.writelines(number.to_bytes(4, "big") + unit[4:] for number in range(LARGE >> 20))
    with open(tmp_path / "large", "rb") as source:
        digest = Digest.of_chunks(iter(lambda: source.read(PIECE), b""))
        source.seek(0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wire.put(digest, LARGE, source)
    assert wire.absent({digest: LARGE}) == set()
    assert Digest.of_chunks(wire.fetch(digest, LARGE)) == digest
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < MEMORY


def test_a_build_on_one_machine_saves_another_its_stages(server: Server, tmp_path: Path) -> None:
    url, seconds, actions = server.address(server.port), patience.seconds(SECONDS), graph(4)
    expected = build(machine(tmp_path / "ci", url, sign="ci", timeout=seconds), actions)
    reader = machine(tmp_path / "laptop", url, timeout=seconds)
    assert build(reader, actions) == expected
    assert reader.beyond.counts.hits == len([*closure(*actions)])


# servers that fail


@pytest.mark.parametrize("change", ["other", "longer", "shorter"])
def test_damaged_bytes_come_as_they_are_and_never_many_more(wire: Wire, server: Server, change: str) -> None:
    digest, data = blob()
    put(wire, data)
    damaged = {"other": data[::-1], "longer": data * 5000, "shorter": data[:500]}[change]
    server.file(data).write_bytes(damaged)
    pieces = []
    with contextlib.suppress(WireError):
        pieces += wire.fetch(digest, len(data))
    assert damaged.startswith(b"".join(pieces))
    assert sum(map(len, pieces[:-1])) <= len(data) and all(len(piece) <= RECEIVE_LIMIT for piece in pieces)


def test_a_blob_that_goes_after_it_was_there_is_a_key_error(wire: Wire, server: Server) -> None:
    digest, data = blob()
    put(wire, data)
    assert wire.absent({digest: len(data)}) == set()
    remove(wire, server, data)
    with pytest.raises(KeyError):
        fetched(wire, digest, len(data))


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, running: dict[str, Server]) -> Server:
    return running[request.param]


@pytest.fixture
def proxy(network: Server) -> Iterator[Proxy]:
    proxy = Proxy(network.port)
    yield proxy
    proxy.close()


@pytest.fixture
def through(network: Server, proxy: Proxy) -> Iterator[Wire]:
    """A wire through the proxy."""
    with contextlib.closing(network.wire(patience.seconds(SECONDS), proxy.port)) as found:
        yield found


def test_half_a_body_is_an_error(through: Wire, proxy: Proxy) -> None:
    data = os.urandom(5 << 20)
    digest = put(through, data)
    proxy.reset()
    proxy.limit = 1 << 20
    refused(lambda: fetched(through, digest, len(data)), through)
    proxy.limit = None
    assert fetched(through, digest, len(data)) == data


def test_a_server_that_is_killed_between_blob_and_statement_leaves_no_statement(
    network: Server, through: Wire, proxy: Proxy
) -> None:
    digest, data = blob()
    put(through, data)
    proxy.close()
    mine = key()
    refused(lambda: through.state(mine, result(data)), through)
    with contextlib.closing(network.wire(patience.seconds(SECONDS))) as direct:
        assert direct.absent({digest: len(data)}) == set() and direct.statements([mine]) == {}


@pytest.mark.parametrize("call", ["statements", "absent", "fetch", "put", "state"])
def test_a_server_that_does_not_answer_costs_one_time_out(network: Server, proxy: Proxy, call: str) -> None:
    proxy.stalls = True
    data = os.urandom(1000)
    digest = Digest.of(data)
    calls = {
        "statements": lambda wire: wire.statements([key() for _ in range(THREADS)]),
        "absent": lambda wire: wire.absent({digest: 1000}),
        "fetch": lambda wire: fetched(wire, digest, 1000),
        "put": lambda wire: put(wire, data),
        "state": lambda wire: wire.state(key(), result()),
    }
    with contextlib.closing(network.wire(SHORT, proxy.port)) as wire:
        refused(lambda: calls[call](wire), wire)


def test_a_server_that_is_not_there_is_an_error(network: Server) -> None:
    (port,) = servers.free_ports(1)
    with contextlib.closing(network.wire(patience.seconds(SECONDS), port)) as wire:
        refused(lambda: wire.statements([key()]), wire)
        refused(lambda: put(wire, b"data"), wire)


@pytest.fixture(params=HTTPS)
def over_http(request: pytest.FixtureRequest, running: dict[str, Server]) -> Server:
    return running[request.param]


@pytest.mark.parametrize("status", [b"429 Too Many Requests", b"503 Service Unavailable"])
def test_a_busy_server_is_asked_once_more(over_http: Server, status: bytes) -> None:
    busy = b"HTTP/1.1 " + status + b"\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    seconds = patience.seconds(SECONDS)
    with servers.proxied(over_http) as proxy, contextlib.closing(over_http.wire(seconds, proxy.port)) as wire:
        proxy.answers = [busy]
        assert wire.statements([key()]) == {} and proxy.answers == []
        proxy.reset()
        proxy.answers = [busy] * 3
        refused(lambda: wire.statements([key()]), wire)
        assert proxy.answers == [busy]


def test_a_busy_server_is_not_waited_for_beyond_the_time_out(over_http: Server) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with servers.proxied(over_http) as proxy, contextlib.closing(over_http.wire(SHORT, proxy.port)) as wire:
        proxy.answers = [busy, busy]
        refused(lambda: wire.statements([key()]), wire)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"SSH-2.0-OpenSSH_9\r\n"])
def test_a_server_of_another_kind_is_a_miss_or_an_error(network: Server, answer: bytes) -> None:
    digest, _ = blob()
    with servers.proxied(network) as proxy, contextlib.closing(network.wire(SHORT, proxy.port)) as wire:
        proxy.answers = [answer] * 8
        with contextlib.suppress(WireError):
            assert wire.absent({digest: 1000}) == {digest}


def test_no_wire_opens_a_socket_offline(network: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    with servers.proxied(network) as proxy, contextlib.closing(network.wire(SHORT, proxy.port)) as wire:
        refused(lambda: wire.statements([key()]), wire)
        assert proxy.count == 0


# each on its own


def test_who_has_no_password_reads_and_does_not_write(running: dict[str, Server]) -> None:
    server, data = running["http"], os.urandom(1000)
    with contextlib.closing(server.wire(patience.seconds(SECONDS))) as writer:
        digest = put(writer, data)
    anonymous = http.connect(f"http://127.0.0.1:{server.port}/nodes", patience.seconds(SECONDS))
    with contextlib.closing(anonymous) as reader:
        assert fetched(reader, digest, len(data)) == data
        assert "answers 401" in refused(lambda: reader.state(key(), b"statement"), reader)


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    wire = folder.connect(str(tmp_path), patience.seconds(SECONDS))
    assert "any user may write into it: chmod o-w" in refused(lambda: wire.statements([key()]), wire)
    tmp_path.chmod(0o755)
    assert wire.statements([key()]) == {}


def test_a_folder_that_is_missing_or_full_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "missing", tmp_path / "file"):
        wire = folder.connect(str(place), patience.seconds(SECONDS))
        refused(lambda wire=wire: wire.absent({}), wire)
    (tmp_path / "cas").touch()
    wire = folder.connect(f"file://{tmp_path}", patience.seconds(SECONDS))
    refused(lambda: put(wire, b"data"), wire)


def test_what_is_no_file_in_a_folder_is_not_read(tmp_path: Path) -> None:
    wire = folder.connect(str(tmp_path), patience.seconds(SECONDS))
    digest, data = blob()
    place = tmp_path / "cas" / digest.hex[:2] / digest.hex
    place.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").write_bytes(data)
    for make in (lambda: os.mkfifo(place), lambda: place.symlink_to(tmp_path / "elsewhere"), lambda: place.mkdir()):
        make()
        assert wire.absent({digest: len(data)}) == {digest}
        with pytest.raises(KeyError):
            fetched(wire, digest, len(data))
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()


def test_a_writer_that_stops_leaves_no_file_behind(tmp_path: Path) -> None:
    wire = folder.connect(str(tmp_path), patience.seconds(SECONDS))
    source = io.BytesIO(b"data")
    source.close()
    with pytest.raises(ValueError, match="closed file"):
        wire.put(Digest.of(b"data"), 4, source)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class Instance(grpc.GenericRpcHandler):
    """A server of gRPC that is busy for some calls, and then has `data` for every question."""

    def __init__(self, busy: int, pause: str, data: bytes = b"") -> None:
        self.busy, self.pause, self.data = busy, pause, data
        self.authorizations: list[object] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.authorizations.append(dict(details.invocation_metadata).get("authorization"))
            if self.busy:
                self.busy -= 1
                context.set_trailing_metadata((("grpc-retry-pushback-ms", self.pause),))
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy\nwith other work")
            return self.data

        return grpc.unary_unary_rpc_method_handler(answer)

    @contextlib.contextmanager
    def wire(self, timeout: float, user: str = "") -> Iterator[Wire]:
        address = f"grpc://{user}127.0.0.1:"
        with self.port() as port, contextlib.closing(reapi.connect(f"{address}{port}/main", timeout)) as wire:
            yield wire

    @contextlib.contextmanager
    def port(self, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
        server = grpc.server(ThreadPoolExecutor(4), handlers=[self])
        address = "127.0.0.1:0"
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        server.start()
        try:
            yield port
        finally:
            server.stop(0)


def test_a_busy_instance_is_asked_once_more() -> None:
    digest, _ = blob()
    with Instance(1, "1", field(2, field(1, digest.hex) + field(2, 1000))).wire(patience.seconds(SECONDS)) as wire:
        assert wire.absent({digest: 1000}) == {digest}
    for instance in (Instance(3, "1"), Instance(1, "3600000")):
        with instance.wire(SHORT) as wire:
            assert "\\n" not in refused(lambda wire=wire: wire.absent({digest: 1000}), wire)


@pytest.mark.parametrize("data", [b"\xff", field(2, 5), field(1, b"\x1a\x02\x08\x0d"), field(1, field(3, 7))])
def test_answers_against_the_protocol_are_errors(data: bytes) -> None:
    digest, _ = blob()
    with Instance(0, "", data).wire(patience.seconds(SECONDS)) as wire:
        refused(lambda: (wire.absent({digest: 1000}), fetched(wire, digest, 1000)), wire)


def test_a_token_goes_to_its_host_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 password TOKEN\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    instance = Instance(0, "")
    seconds = patience.seconds(SECONDS)
    with instance.wire(seconds) as wire, instance.wire(seconds, "me:secret@") as own:
        assert wire.absent({Digest.of(b""): 0}) == own.absent({Digest.of(b""): 0}) == set()
        assert "secret" not in own.address
    assert instance.authorizations == ["Bearer TOKEN", "Basic bWU6c2VjcmV0"]
    elsewhere = reapi.connect("grpc://cache.example/main", SHORT)
    (tmp_path / "netrc").write_text("machine cache.example login me password TOKEN\n")
    assert "is not sent over http" in refused(lambda: elsewhere.absent({Digest.of(b""): 0}), elsewhere)


def test_a_certificate_is_verified_by_the_authority_of_its_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = certificate(tmp_path, "authority")
    stem = certificate(tmp_path, "server", authority)
    pair = Path(f"{stem}.key").read_bytes(), Path(f"{stem}.crt").read_bytes()
    instance = Instance(0, "")
    with instance.port(grpc.ssl_server_credentials([pair])) as port:
        url, nothing = f"grpcs://me:secret@127.0.0.1:{port}/main", {Digest.of(b""): 0}
        with contextlib.closing(reapi.connect(url, SHORT)) as wire:
            refused(lambda: wire.absent(nothing), wire)
        assert instance.authorizations == []
        folder = tmp_path / "certs" / f"127.0.0.1:{port}"
        folder.mkdir(parents=True)
        shutil.copy(f"{authority}.crt", folder)
        monkeypatch.setenv("NODEKILN_CERTS", str(tmp_path / "certs"))
        with contextlib.closing(reapi.connect(url, patience.seconds(SECONDS))) as wire:
            assert wire.absent(nothing) == set()
    assert instance.authorizations == ["Basic bWU6c2VjcmV0"]


@pytest.mark.parametrize(("name", "url"), [("grpc", "grpc://127.0.0.1:1/main"), ("obstore.store", "s3://bucket")])
def test_a_missing_library_is_named_with_its_extra(name: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (name, name.partition(".")[0], "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, module, None)
    wire = (s3 if url.startswith("s3") else reapi).connect(url, SHORT)
    extra = url.partition(":")[0]
    for call in (lambda: wire.statements([key()]), lambda: wire.state(key(), b""), lambda: put(wire, b"")):
        assert f"pip install 'nodekiln[{extra}]'" in refused(call, wire)


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.seaweedfs(tmp_path_factory.mktemp("weed") / "weed") as found:
        yield found


@pytest.mark.slow
def test_the_first_statement_in_a_bucket_stays(seaweedfs: Server) -> None:
    wire = seaweedfs.wire(patience.seconds(SECONDS))
    mine = key()
    wire.state(mine, b"first")
    wire.state(mine, b"second")
    assert wire.statements([mine]) == {mine: b"first"}
    large = os.urandom(6 << 20)
    digest = put(wire, large)
    assert fetched(wire, digest, len(large)) == large


def test_a_manifest_that_is_no_statement_is_a_miss(running: dict[str, Server]) -> None:
    wire = running["oci"].wire(patience.seconds(SECONDS))
    refused(lambda: wire.state(key(), b"\xff"), wire)
    refused(lambda: wire.state(key(), result(b"never pushed")), wire)
    mine = key()
    wire.state(mine, result())
    assert wire.statements([mine]) == {mine: result()}


@pytest.mark.parametrize(
    ("connect", "url"),
    [
        (reapi.connect, "http://cache.example"),
        (reapi.connect, "grpc://cache.example/main?instance=x"),
        (reapi.connect, "grpc://user:hunter2@/main"),
        (http.connect, "http:///nodes"),
        (http.connect, "https://me:hunter2@cache.example/nodes?x=y"),
        (s3.connect, "s3://"),
        (s3.connect, "s3://me:hunter2@bucket/prefix"),
        (s3.connect, "s3://bucket?endpiont=http://x"),
        (s3.connect, "s3://bucket?region=a&region=b"),
        (oci.connect, "oci://registry.example"),
        (oci.connect, "oci://registry.example/UPPER"),
        (oci.connect, "oci://registry/cache:tag"),
        (oci.connect, "oci://me:hunter2@registry.example/cache"),
        (folder.connect, "relative/path"),
        (folder.connect, "ftp://host/path"),
        (folder.connect, "file://host/path"),
        (folder.connect, "/a\0b"),
    ],
)
def test_a_wrong_address_is_one_line(connect: object, url: str) -> None:
    with pytest.raises(BadInput) as caught:
        connect(url, SHORT)
    message = str(caught.value)
    assert message.isprintable() and "hunter2" not in message
