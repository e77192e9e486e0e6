"""Packages by hash: wherever they are, only what was locked gets into the store."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from pipeline.host.offline import VARIABLE
from pipeline.model.errors import BadInput
from pipeline.packages import apt, debian, fetch, snapshot
from pipeline.packages.error import PackageError, PackagesUnavailable
from pipeline.packages.unavailable import missing
from pipeline.store import Store
from tests import judges
from tests.oci import servers
from tests.oci.servers import Request, Server
from tests.packages.repository import Repository

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
        assert str(error.value).splitlines() == [
            "x (amd64) needs the package tool 1.4, which no mirror has any more (NODEKILN_SNAPSHOT is off)",
            "`doit lock --update x` locks the versions that there are today",
        ]


# the archive of old packages


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that speaks as Debian's archive does: `blobs` by SHA-1, `manifests` the lists of a package's files."""
    with servers.server() as found:
        found.blobs = {}

        def answer(request: Request) -> bool:
            kind, *words = unquote(request.path).strip("/").split("/")
            if kind == "file" and words[0] in found.blobs:
                return request.answer(200, found.blobs[words[0]])
            name = "/".join(words)
            return name in found.manifests and request.answer(200, found.manifests[name][0])

        found.rules.append(answer)
        monkeypatch.setenv(snapshot.VARIABLE, f"http://{found.host}/")
        yield found


def keep(archive: Server, package: dict[str, Any], *contents: bytes, architecture: str = "") -> None:
    """Have `contents` as the files of `package` in the archive."""
    names = [hashlib.sha1(data).hexdigest() for data in contents]
    archive.blobs |= dict(zip(names, contents, strict=True))
    files = [{"architecture": architecture or package["architecture"], "hash": name} for name in names]
    text = json.dumps({"_comment": "foo", "binary": package["name"], "result": files})
    archive.manifests[f"binary/{package['name']}/{package['version']}/binfiles"] = text.encode(), ""


def replaced(distribution: Repository, name: str = "tool") -> tuple[dict[str, Any], bytes]:
    """A package that the repository had, and has no more."""
    [package] = locked(distribution, name)
    path = distribution.folder / package["filename"]
    data = path.read_bytes()
    path.unlink()
    return package, data


def test_what_the_mirrors_have_replaced_comes_from_the_archive(
    store: Store, host: Host, distribution: Repository, archive: Server
) -> None:
    host(distribution)
    (tool, data), (all_suits, other) = replaced(distribution), replaced(distribution, "data")
    keep(archive, tool, b"a build of another archive", data)
    keep(archive, all_suits, other)
    assert get(store, [tool, all_suits]) == {"tool.deb": data, "data.deb": other}
    assert "/mr/binary/tool/2%3A1.5%2Bb1~x/binfiles" in archive.paths
    assert [asked.path for asked in archive.log if "/file/" in asked.path and "Authorization" in asked.headers] == []


def test_it_does_without_apt(
    store: Store, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, data = replaced(distribution)
    keep(archive, tool, data)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert get(store, [tool]) == {"tool.deb": data}


def test_the_archive_is_not_believed(store: Store, host: Host, distribution: Repository, archive: Server) -> None:
    host(distribution)
    tool, data = replaced(distribution)
    for wrong in (data[:-1], data + b"x", data[:-1] + b"x"):
        keep(archive, tool, wrong)
        told = r"cannot be fetched:(.|\n)*(ended after|more than|is not what was locked)"
        with pytest.raises(PackageError, match=told):
            get(store, [tool])
        assert not store.has(fetch.Digest("sha256:" + tool["sha256"]))


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b'{"result": 5}', b'{"result": [{}]}', b'{"result": [{"architecture": "amd64", "hash": 5}]}',
     b"[" * 100_000],
)  # fmt: skip
def test_nonsense_from_the_archive_is_an_error(
    store: Store, host: Host, distribution: Repository, archive: Server, text: bytes
) -> None:
    host(distribution)
    tool, _ = replaced(distribution)
    archive.manifests["binary/tool/2:1.5+b1~x/binfiles"] = text, ""
    with pytest.raises(PackageError, match=r"snapshot archive http://127\S+, which cannot be asked"):
        get(store, [tool])


@pytest.mark.parametrize("name", ["../../etc/passwd", "x" * 40, "A" * 40, ""])
def test_a_name_that_is_no_hash_is_not_asked_for(
    store: Store, host: Host, distribution: Repository, archive: Server, name: str
) -> None:
    host(distribution)
    tool, _ = replaced(distribution)
    text = json.dumps({"result": [{"architecture": "amd64", "hash": name}]})
    archive.manifests["binary/tool/2:1.5+b1~x/binfiles"] = text.encode(), ""
    with pytest.raises(PackagesUnavailable):
        get(store, [tool])
    assert len(archive.log) == 1


def test_another_architectures_files_are_no_use(
    store: Store, host: Host, distribution: Repository, archive: Server
) -> None:
    host(distribution)
    tool, data = replaced(distribution)
    keep(archive, tool, data, architecture="arm64")
    with pytest.raises(
        PackagesUnavailable, match=r"no mirror has any more, nor is it in the snapshot archive http://127"
    ):
        get(store, [tool])


def test_all_that_is_gone_is_named_at_once(
    store: Store, host: Host, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEKILN_COMMAND", "./kiln")
    host(distribution)
    packages = [replaced(distribution, name)[0] for name in ("tool", "libc", "data")]
    keep(archive, packages[2], b"?")
    with pytest.raises(PackagesUnavailable) as error:
        get(store, packages[:2])
    assert [line.split()[5] for line in str(error.value).splitlines()[:-1]] == ["libc", "tool"]
    assert str(error.value).splitlines()[-1].startswith("`./kiln lock --update x` ")
    found = missing(store, recipe="y", arch="amd64", packages=[*packages, *locked(distribution, "either")])
    assert [each.line.split()[5] for each in found] == ["tool", "libc"]
    assert (
        str(PackagesUnavailable([*error.value.packages, *found]))
        .splitlines()[-1]
        .startswith("`./kiln lock --update x,y` ")
    )


@pytest.mark.parametrize(
    ("suite", "filename", "told"),
    [("bookworm-security", "pool/main/t.deb", "from bookworm-security, which is not in the host's apt sources"),
     ("", "pool/updates/main/t.deb", "from a security suite, which is not in the host's apt sources"),
     ("test", "pool/main/t.deb", "tool 9, which no mirror has any more"),
     ("", "pool/main/t.deb", "tool 9, which no mirror has any more")],
)  # fmt: skip
def test_a_suite_that_the_host_lacks_is_said(
    store: Store, host: Host, distribution: Repository, suite: str, filename: str, told: str
) -> None:
    host(distribution)
    [package] = locked(distribution, "tool")
    package |= {"version": "9", "filename": filename, "suite": suite, "sha256": "0" * 64}
    with pytest.raises(PackagesUnavailable) as error:
        get(store, [package])
    assert told in str(error.value)


def test_which_archive_is_asked(tmp_path: Path) -> None:
    assert snapshot.service({}, tmp_path) == snapshot.SERVICE
    assert snapshot.service({snapshot.VARIABLE: "http://127.0.0.1:5/"}, tmp_path) == "http://127.0.0.1:5"
    for off in ("off", "0", ""):
        assert snapshot.service({snapshot.VARIABLE: off}, tmp_path) == ""
    with pytest.raises(BadInput, match=r"is not a URL"):
        snapshot.service({snapshot.VARIABLE: "ftp://x"}, tmp_path)
    for word, meant in (('"https://x.example/y"', "https://x.example/y"), ("false", "")):
        (tmp_path / "pyproject.toml").write_text(f"[tool.nodekiln]\nsnapshot = {word}\n")
        assert snapshot.service({}, tmp_path) == meant
        assert snapshot.service({snapshot.VARIABLE: "https://z.example"}, tmp_path) == "https://z.example"


# by hash


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
    with pytest.raises(PackageError, match=r"cannot be fetched:\n  apt-config is not installed"):
        get(store, locked(distribution, "tool"))


def test_offline_the_archive_is_not_asked(
    store: Store, host: Host, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    host(distribution)
    tool, _ = replaced(distribution)
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(PackageError, match=r"not in the store, and NODEKILN_OFFLINE is set"):
        get(store, [tool])
    assert not archive.log


@pytest.mark.parametrize("setting", ["Acquire::http::Proxy", "http_proxy"])
def test_a_dead_proxy_is_named(
    store: Store, host: Host, distribution: Repository, tmp_path: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When packages are resolved, and when they are fetched."""
    host("deb [trusted=yes] http://mirror.invalid/debian test main")
    if setting.islower():
        monkeypatch.setenv(setting, "http://127.0.0.1:9")
    else:
        with open(tmp_path / "apt.conf", "a") as config:
            config.write(f'{setting} "http://127.0.0.1:9/";\n')
    told = rf"the proxy 127.0.0.1:9 \({setting}\)"
    with pytest.raises(PackageError, match=told):
        apt.open_archive(tmp_path / "state", "amd64")
    with pytest.raises(PackageError, match=told):
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
