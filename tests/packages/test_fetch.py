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
from pipeline.packages import fetch, snapshot
from pipeline.packages.error import PackageError, PackagesUnavailable
from pipeline.packages.unavailable import missing
from pipeline.store import Store
from tests.oci import servers
from tests.oci.servers import Request, Server
from tests.packages.repository import Repository

Mirror = Callable[..., None]


def locked(distribution: Repository, *names: str) -> list[dict[str, Any]]:
    return distribution.locked(*names)


def local(distribution: Repository) -> str:
    """The setting for a mirror that has the distribution as `debian`."""
    return f"file:{distribution.folder.parent}"


def get(store: Store, packages: list[dict[str, Any]]) -> dict[str, bytes]:
    tree = store.tree(fetch.fetch(store, recipe="x", arch="amd64", packages=packages))
    return {path: store.bytes(entry.content) for path, entry in tree.items()}  # type: ignore[union-attr]


@pytest.fixture
def served(distribution: Repository) -> Iterator[str]:
    """The distribution as a mirror on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None: ...

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(distribution.folder.parent))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_packages_are_found_in_whichever_repository_has_them(
    tmp_path: Path, store: Store, mirror: Mirror, distribution: Repository, served: str
) -> None:
    (tmp_path / "other/debian").mkdir(parents=True)
    mirror("http://127.0.0.1:9/nowhere", f"file:{tmp_path}/other", served)
    wanted = locked(distribution, "tool", "libc")
    assert get(store, wanted) == {
        f"{each['name']}.deb": (distribution.folder / each["filename"]).read_bytes() for each in wanted
    }


def test_what_the_store_has_is_not_asked_for(
    store: Store, mirror: Mirror, distribution: Repository, no_sockets: None
) -> None:
    mirror(local(distribution))
    wanted = locked(distribution, "tool")
    first = get(store, wanted)
    (distribution.folder / wanted[0]["filename"]).unlink()
    assert get(store, wanted) == first


def test_a_package_that_is_gone_is_an_error_that_says_what_helps(
    store: Store, mirror: Mirror, distribution: Repository, served: str
) -> None:
    for place in (local(distribution), served):
        mirror(place)
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
    store: Store, mirror: Mirror, distribution: Repository, archive: Server
) -> None:
    mirror(local(distribution))
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


def test_the_archive_is_not_believed(store: Store, mirror: Mirror, distribution: Repository, archive: Server) -> None:
    mirror(local(distribution))
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
    store: Store, mirror: Mirror, distribution: Repository, archive: Server, text: bytes
) -> None:
    mirror(local(distribution))
    tool, _ = replaced(distribution)
    archive.manifests["binary/tool/2:1.5+b1~x/binfiles"] = text, ""
    with pytest.raises(PackageError, match=r"snapshot archive http://127\S+, which cannot be asked"):
        get(store, [tool])


@pytest.mark.parametrize("name", ["../../etc/passwd", "x" * 40, "A" * 40, ""])
def test_a_name_that_is_no_hash_is_not_asked_for(
    store: Store, mirror: Mirror, distribution: Repository, archive: Server, name: str
) -> None:
    mirror(local(distribution))
    tool, _ = replaced(distribution)
    text = json.dumps({"result": [{"architecture": "amd64", "hash": name}]})
    archive.manifests["binary/tool/2:1.5+b1~x/binfiles"] = text.encode(), ""
    with pytest.raises(PackagesUnavailable):
        get(store, [tool])
    assert len(archive.log) == 1


def test_another_architectures_files_are_no_use(
    store: Store, mirror: Mirror, distribution: Repository, archive: Server
) -> None:
    mirror(local(distribution))
    tool, data = replaced(distribution)
    keep(archive, tool, data, architecture="arm64")
    with pytest.raises(
        PackagesUnavailable, match=r"no mirror has any more, nor is it in the snapshot archive http://127"
    ):
        get(store, [tool])


def test_all_that_is_gone_is_named_at_once(
    store: Store, mirror: Mirror, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEKILN_COMMAND", "./kiln")
    mirror(local(distribution))
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


def test_which_archive_is_asked(tmp_path: Path) -> None:
    assert snapshot.service("", {}, tmp_path) == snapshot.SERVICE
    assert snapshot.service("", {snapshot.VARIABLE: "http://127.0.0.1:5/"}, tmp_path) == "http://127.0.0.1:5"
    for off in ("off", "0", ""):
        assert snapshot.service("", {snapshot.VARIABLE: off}, tmp_path) == ""
    with pytest.raises(BadInput, match=r"is not a URL"):
        snapshot.service("", {snapshot.VARIABLE: "ftp://x"}, tmp_path)
    for word, meant in (('"https://x.example/y"', "https://x.example/y"), ("false", "")):
        (tmp_path / "pyproject.toml").write_text(f"[tool.nodekiln]\nsnapshot = {word}\n")
        assert snapshot.service("", {}, tmp_path) == meant
        assert snapshot.service("", {snapshot.VARIABLE: "https://z.example"}, tmp_path) == "https://z.example"


def test_an_archive_of_dates_serves_too(
    store: Store, mirror: Mirror, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the date of the index that the package was chosen from; in any layout."""
    mirror(local(distribution))
    tool, data = replaced(distribution)
    dated = tool | {"archive": "debian", "date": "2026-01-01T00:00:00Z"}
    moment = "20260101T120000Z"
    archive.rules.insert(0, lambda asked: asked.path.startswith(("/archive/", "/own/")) and asked.answer(200, data))
    assert get(store, [dated]) == {"tool.deb": data}
    assert archive.paths[-1].startswith(f"/archive/debian/{moment}/pool/main/t/tool/tool_1.5")


def test_an_archive_of_any_layout_serves(
    store: Store, mirror: Mirror, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(local(distribution))
    tool, data = replaced(distribution)
    monkeypatch.setenv(snapshot.VARIABLE, f"http://{archive.host}/old/{{date}}/{{archive}}")
    archive.rules.insert(0, lambda asked: asked.answer(200, data))
    assert get(store, [tool | {"archive": "debian", "date": "2026-01-01T00:00:00Z"}]) == {"tool.deb": data}
    [path] = archive.paths
    assert path.startswith("/old/20260101T120000Z/debian/pool/main/t/tool/")


def test_a_date_that_is_none_is_named(store: Store, mirror: Mirror, distribution: Repository, archive: Server) -> None:
    mirror(local(distribution))
    tool, _ = replaced(distribution)
    with pytest.raises(PackageError, match="the date of its index is 'yesterday'"):
        get(store, [tool | {"archive": "debian", "date": "yesterday"}])


# by hash


@pytest.mark.parametrize(
    ("change", "message"),
    [({"sha256": "1" * 64}, "is not what was locked, but sha256:"), ({"size": 5}, "is more than 5 bytes long")],
)
def test_nothing_but_what_was_locked_is_taken(
    store: Store, mirror: Mirror, distribution: Repository, served: str, change: dict[str, Any], message: str
) -> None:
    mirror(served)
    wanted = locked(distribution, "tool")
    with pytest.raises(
        PackageError, match=rf"needs the package tool 2:1.5\S*, which cannot be fetched:\n  .*{message}"
    ):
        get(store, [wanted[0] | {"sha256": "2" * 64} | change])


def test_a_body_that_ends_early_is_no_package(store: Store, mirror: Mirror, distribution: Repository) -> None:
    mirror(local(distribution))
    wanted = locked(distribution, "tool")
    path = distribution.folder / wanted[0]["filename"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackageError, match=r"cannot be fetched:\n(.|\n)*ended after"):
        get(store, wanted)
    assert not store.has(fetch.Digest("sha256:" + wanted[0]["sha256"]))


def test_offline_no_socket_is_used(
    store: Store,
    mirror: Mirror,
    distribution: Repository,
    served: str,
    no_sockets: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    mirror(served)
    with pytest.raises(
        PackageError, match=r"needs the package tool .*, which is not in the store, and NODEKILN_OFFLINE is set"
    ):
        get(store, locked(distribution, "tool"))
    mirror(local(distribution))
    assert get(store, locked(distribution, "tool")).keys() == {"tool.deb"}


def test_offline_the_archive_is_not_asked(
    store: Store, mirror: Mirror, distribution: Repository, archive: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(local(distribution))
    tool, _ = replaced(distribution)
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(PackageError, match=r"not in the store, and NODEKILN_OFFLINE is set"):
        get(store, [tool])
    assert not archive.log


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "x"},
        {"sha256": "../" * 20 + "1234"},
        {"size": -1},
        {"size": "1"},
        {"name": "../x"},
        {"filename": "/etc/passwd"},
        {"filename": "pool/../../etc/passwd"},
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


def test_a_package_comes_from_its_own_archive(
    store: Store, mirror: Mirror, distribution: Repository, tmp_path: Path
) -> None:
    """An old lock does not record it: of Debian's, that of security updates has its own pool."""
    (tmp_path / "debian-security/pool/updates").mkdir(parents=True)
    [tool] = locked(distribution, "tool")
    (distribution.folder / tool["filename"]).rename(tmp_path / "debian-security/pool/updates/tool.deb")
    mirror(f"file:{tmp_path}")
    tool["filename"] = "pool/updates/tool.deb"
    assert get(store, [tool]).keys() == {"tool.deb"}
    [data] = locked(distribution, "data")
    with pytest.raises(PackagesUnavailable):
        get(store, [data | {"archive": "debian-security"}])
    assert get(store, [data | {"archive": f"file:{distribution.folder}"}]).keys() == {"data.deb"}


def test_without_a_mirror_the_error_names_the_setting(
    store: Store, distribution: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PackageError, match=r"^no mirror of debian is known: set NODEKILN_PACKAGES[^\n]*$"):
        get(store, locked(distribution, "tool"))


def test_a_dead_proxy_is_named(
    store: Store, mirror: Mirror, distribution: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror("http://mirror.invalid")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(PackageError, match=r"the proxy 127.0.0.1:9 \(http_proxy\) does not answer") as error:
        get(store, locked(distribution, "tool"))
    with pytest.raises(PackageError) as error:  # the same reason for all
        get(store, locked(distribution, "tool", "libc", "data", "extra"))
    first, *reasons = str(error.value).splitlines()
    assert (
        "needs the packages " in first and first.endswith(" and 1 more, which cannot be fetched:") and len(reasons) == 1
    )
