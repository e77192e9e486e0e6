"""Packages by hash: wherever they are, only what was locked gets into the store."""

from __future__ import annotations

import functools
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BadInput
from pipeline.offline import VARIABLE
from pipeline.recipe import apt, debian, fetch
from pipeline.recipe.apt import PackageError
from pipeline.store import Store
from tests import judges
from tests.recipe.repository import Repository

Host = Callable[..., None]


@pytest.fixture(autouse=True)
def needs_apt() -> None:
    judges.need("apt-get", "apt")


def locked(distribution: Repository, *names: str, arch: str = "amd64") -> list[dict[str, Any]]:
    """The packages as a lock has them."""
    records = map(debian._package, distribution.records[arch])
    return [package._asdict() for package in records if package and package.name in names]


def get(store: Store, packages: list[dict[str, Any]]) -> dict[str, bytes]:
    tree = store.tree(fetch.fetch(store, recipe="x", arch="amd64", packages=packages))
    return {path: store.bytes(entry.content) for path, entry in tree.items()}  # type: ignore[union-attr]


@pytest.fixture
def served(distribution: Repository) -> Iterator[str]:
    """The distribution as a mirror on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(distribution.folder))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        distribution.publish()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_packages_are_found_in_whichever_repository_has_them(
    tmp_path: Path, store: Store, host: Host, distribution: Repository, served: str
) -> None:
    other = Repository(tmp_path / "other")
    other.add("tool", version="7")
    host("deb http://127.0.0.1:9/nowhere x main", other, f"deb {served} test main")
    wanted = locked(distribution, "tool", "libc")
    assert get(store, wanted) == {
        f"{each['name']}.deb": (distribution.folder / each["filename"]).read_bytes() for each in wanted
    }


def test_what_the_store_has_is_not_asked_for(
    store: Store, host: Host, distribution: Repository, no_sockets: None
) -> None:
    host(distribution)
    wanted = locked(distribution, "tool")
    first = get(store, wanted)
    (distribution.folder / wanted[0]["filename"]).unlink()
    assert get(store, wanted) == first


def test_a_package_that_is_gone_is_an_error_that_says_what_helps(
    store: Store, host: Host, distribution: Repository, served: str
) -> None:
    for source in (distribution, f"deb [trusted=yes] {served} test main"):
        host(source)
        wanted = locked(distribution, "tool")
        wanted[0] |= {"version": "1.4", "filename": "pool/main/t/tool/tool_1.4_amd64.deb", "sha256": "0" * 64}
        with pytest.raises(PackageError) as error:
            get(store, wanted)
        assert str(error.value) == (
            "x (amd64) needs the package tool 1.4, which no mirror has any more:"
            " `doit lock --update x` moves it to the version of today"
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [({"sha256": "1" * 64}, "is not what was locked, but sha256:"), ({"size": 5}, "is more than 5 bytes long")],
)
def test_nothing_but_what_was_locked_is_taken(
    store: Store, host: Host, distribution: Repository, served: str, change: dict[str, Any], message: str
) -> None:
    host(f"deb [trusted=yes] {served} test main")
    wanted = locked(distribution, "tool")
    with pytest.raises(
        PackageError, match=rf"needs the package tool 2:1.5\S*, which cannot be fetched:\n  .*{message}"
    ):
        get(store, [wanted[0] | {"sha256": "2" * 64} | change])


def test_a_body_that_ends_early_is_no_package(store: Store, host: Host, distribution: Repository) -> None:
    host(distribution)
    wanted = locked(distribution, "tool")
    path = distribution.folder / wanted[0]["filename"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackageError, match=r"cannot be fetched:\n(.|\n)*ended after"):
        get(store, wanted)
    assert not store.has(fetch.Digest("sha256:" + wanted[0]["sha256"]))


@judges.needs_root
def test_what_only_apt_speaks_is_left_to_apt(
    tmp_path: Path, store: Store, host: Host, distribution: Repository
) -> None:
    distribution.publish()
    (tmp_path / "mirrors").write_text(f"file:{distribution.folder}\n")
    host(f"deb [trusted=yes] mirror+file:{tmp_path}/mirrors test main")
    wanted = locked(distribution, "tool", "libc")
    assert get(store, wanted).keys() == {"tool.deb", "libc.deb"}


def test_offline_no_socket_is_used(
    store: Store, host: Host, distribution: Repository, served: str, no_sockets: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    host(f"deb [trusted=yes] {served} test main")
    with pytest.raises(
        PackageError, match=r"needs the package tool .*, which is not in the store, and NODEKILN_OFFLINE is set"
    ):
        get(store, locked(distribution, "tool"))
    host(distribution)
    assert get(store, locked(distribution, "tool")).keys() == {"tool.deb"}


def test_without_apt_the_error_says_so(store: Store, distribution: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PackageError, match=r"cannot be fetched:\n  apt-config is missing"):
        get(store, locked(distribution, "tool"))


def test_the_hosts_proxy_is_used(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host()
    with open(tmp_path / "apt.conf", "a") as config:
        config.write('Acquire::http::Proxy "http://127.0.0.1:3128/";\nAcquire::https::Proxy "DIRECT";\n')
    assert apt.proxies() == {"http": "http://127.0.0.1:3128/"}


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "x"},
        {"sha256": "../" * 20 + "1234"},
        {"size": -1},
        {"size": "1"},
        {"name": "../x"},
        {"name": 1},
        {"more": 1},
    ],
)
def test_a_lock_that_holds_no_packages_is_bad_input(
    store: Store, distribution: Repository, change: dict[str, Any]
) -> None:
    [package] = locked(distribution, "tool")
    with pytest.raises(BadInput, match=r"not a package: .*`doit lock --update NAME`"):
        get(store, [package | change])
    with pytest.raises(BadInput):
        get(store, ["tool"])  # type: ignore[list-item]
