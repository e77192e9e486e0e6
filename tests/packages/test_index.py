"""Indexes of suites: what is signed, whole and not older than before is read; everything else is one line."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import lzma
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.host.offline import VARIABLE as OFFLINE
from pipeline.model.errors import NodekilnError
from pipeline.packages import index, mirrors, openpgp, snapshot, sources, state, suite
from pipeline.packages import release as releases
from pipeline.packages.error import PackageError
from pipeline.packages.mirrors import VARIABLE
from pipeline.packages.universe import Index
from tests.oci import servers
from tests.oci.servers import Server
from tests.packages.repository import Repository, certificate, key, sign, write_sources

pytestmark = pytest.mark.usefixtures("project")

DAY = datetime.timedelta(days=1)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An archive with one package."""
    found = Repository(tmp_path / "debian")
    found.add("tool", Note="long " * 1000)  # compressed forms are smaller
    return found


def opened(*wanted: Repository | dict[str, Any], architectures: tuple[str, ...] = ("amd64",)) -> dict[str, list[Index]]:
    write_sources(Path(), *wanted)
    return index.open_all(sources.load()(""), architectures)


def refused(*wanted: Repository | dict[str, Any], architectures: tuple[str, ...] = ("amd64",)) -> str:
    """The only line of the error."""
    with pytest.raises(NodekilnError) as error:
        opened(*wanted, architectures=architectures)
    [line] = str(error.value).splitlines()
    return line


def names(indexes: list[Index]) -> list[str]:
    return [name for each in indexes for name in re.findall(r"^Package: (.*)$", each.data.decode(), re.MULTILINE)]


@pytest.mark.parametrize("forms", [(".xz",), (".gz",), (".zst",), ("",), (".xz", ".gz", "")])
@pytest.mark.parametrize("by_hash", [True, False])
def test_an_index_is_read_in_every_form(repository: Repository, forms: tuple[str, ...], by_hash: bool) -> None:
    repository.forms, repository.by_hash = forms, by_hash
    for _ in range(2):  # from the archive, and from what was kept
        [found] = opened(repository)["amd64"]
        assert names([found]) == ["tool"]
        assert found[1:5] == ("test", "main", "2026-01-01T00:00:00Z", 500)
        assert found.archive == f"file:{repository.folder}"


def test_an_uncompressed_form_may_be_listed_without_being_there(tmp_path: Path) -> None:
    empty = Repository(tmp_path / "empty")
    empty.forms = (".xz", "")
    empty.by_hash = False
    write_sources(Path(), empty)
    for path in empty.folder.rglob("Packages"):
        path.unlink()
    [found] = index.open_all(sources.load()(""), ("amd64",))["amd64"]
    assert found.data == b""


def test_a_release_file_with_a_signature_beside_it_serves(repository: Repository) -> None:
    repository.is_inline = False
    assert names(opened(repository)["amd64"]) == ["tool"]
    (repository.folder / "dists/test/Release.gpg").write_bytes(sign(b"other", detached=True))
    write_sources(Path(), repository.source())
    with pytest.raises(PackageError, match=r"dists/test is not signed by a key of archive.asc"):
        index.open_all(sources.load()(""), ["amd64"])


@pytest.mark.parametrize(
    ("fields", "priority"),
    [({"NotAutomatic": "yes"}, 1), ({"NotAutomatic": "yes", "ButAutomaticUpgrades": "yes"}, 100), ({}, 500)],
)
def test_priorities_are_those_of_apt(repository: Repository, fields: dict[str, str], priority: int) -> None:
    repository.fields = fields
    [found] = opened(repository)["amd64"]
    assert found.priority == priority


def test_architectures_and_sources_keep_their_order(tmp_path: Path, repository: Repository) -> None:
    repository.add("arm", arch="arm64")
    other = Repository(tmp_path / "other", suite="more")
    other.add("extra")
    found = opened(other, repository, architectures=("amd64", "arm64"))
    assert names(found["amd64"]) == ["extra", "tool"] and names(found["arm64"]) == ["arm"]
    only = opened(other.source(architectures=["amd64"]), repository, architectures=("amd64", "arm64"))
    assert [each.suite for each in only["arm64"]] == ["test"]


def test_the_index_of_all_is_read_if_it_is_separate(repository: Repository) -> None:
    repository.publish()
    text = (repository.folder / "dists/test/Release").read_bytes()
    data = b"Package: common\n"
    (repository.folder / "dists/test/main/binary-all").mkdir()
    (repository.folder / "dists/test/main/binary-all/Packages").write_bytes(data)
    line = f" {hashlib.sha256(data).hexdigest()} {len(data)} main/binary-all/Packages\n".encode()
    own = repository.source()
    for fields, expected in ((b"", ["tool", "common"]), (b"No-Support-for-Architecture-all: Packages\n", ["tool"])):
        changed = fields + text.replace(b"amd64 arm64", b"amd64 arm64 all") + line
        (repository.folder / "dists/test/InRelease").write_bytes(sign(changed))
        assert names(opened(own)["amd64"]) == expected


# whom to believe


def test_another_key_is_refused(repository: Repository) -> None:
    repository.signed_by = "stranger"
    assert "dists/test is not signed by a key of archive.asc (" in refused(repository)


def test_a_changed_release_file_is_refused(repository: Repository) -> None:
    repository.publish()
    path = repository.folder / "dists/test/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Dubian"))
    assert "is not signed by a key of archive.asc" in refused(repository.source())


def test_text_around_the_signed_one_does_not_count(repository: Repository) -> None:
    repository.publish()
    path = repository.folder / "dists/test/InRelease"
    path.write_bytes(b"Suite: other\n\n" + path.read_bytes() + b"Suite: other\n")
    assert names(opened(repository.source())["amd64"]) == ["tool"]


def test_an_expired_key_is_refused(repository: Repository) -> None:
    repository.publish()
    write_sources(Path(), repository.source())
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)
    Path("archive.asc").write_text(
        str(key("archive").extract_certificate().set_expiration(past, key("archive").certifier()))
    )
    with pytest.raises(PackageError, match="is not signed by a key"):
        index.open_all(sources.load()(""), ["amd64"])


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"])
def test_a_file_without_keys_is_named(repository: Repository, text: str) -> None:
    repository.publish()
    write_sources(Path(), repository.source())
    Path("archive.asc").write_text(text)
    with pytest.raises(PackageError, match=r"archive.asc: (no OpenPGP certificate|not OpenPGP certificates)"):
        index.open_all(sources.load()(""), ["amd64"])


def test_several_certificates_in_one_file_serve(repository: Repository, tmp_path: Path) -> None:
    both = bytes(key("stranger").extract_certificate()) + bytes(key("archive").extract_certificate())
    (tmp_path / "both.pgp").write_bytes(both)
    assert len(openpgp.certificates(tmp_path / "both.pgp")) == 2
    (tmp_path / "two.asc").write_text(certificate("stranger") + certificate())
    signed = openpgp.verified(sign(b"text\n"), openpgp.certificates(tmp_path / "both.pgp"))
    fingerprint = key("archive").extract_certificate().fingerprint
    assert signed == (b"text\n", ((fingerprint, "archive <archive@example.org>"),))


# what it is


def test_another_suite_is_refused(repository: Repository) -> None:
    repository.fields = {"Suite": "stable", "Codename": "other"}
    assert "dists/test is the suite stable or other, not test" in refused(repository)


def test_a_suite_never_goes_back(repository: Repository) -> None:
    repository.date += DAY
    opened(repository)
    repository.date -= DAY
    told = refused(repository)
    assert "is of 2026-01-01T00:00:00Z, older than the 2026-01-02T00:00:00Z that was read before" in told


def test_an_expired_release_file_is_a_warning_or_refused(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.fields = {"Valid-Until": "Fri, 02 Jan 2026 00:00:00 UTC"}
    assert names(opened(repository)["amd64"]) == ["tool"]
    assert "test: expired at 2026-01-02T00:00:00Z (Valid-Until)" in capsys.readouterr().err
    monkeypatch.setenv(suite.EXPIRED, "refuse")
    assert "NODEKILN_EXPIRED=refuse is set" in refused(repository)
    monkeypatch.setenv(suite.EXPIRED, "perhaps")
    assert refused(repository) == "NODEKILN_EXPIRED: 'perhaps' is neither refuse nor warn"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Date": "yesterday"}, "malformed: its Date is 'yesterday'"),
        ({"Valid-Until": "x"}, "malformed: its Valid-Until is 'x'"),
    ],
)
def test_a_malformed_release_file_is_named(repository: Repository, fields: dict[str, str], message: str) -> None:
    repository.fields = fields
    assert message in refused(repository)


def test_hashes_that_are_none_are_refused() -> None:
    head = b"Suite: x\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
    for line in (b" abc 1 x\n", b" " + b"0" * 64 + b" -1 x\n", b" " + b"0" * 64 + b" 1\n"):
        with pytest.raises(PackageError, match=r"malformed: .* is not a SHA-256, a size and a path"):
            releases.parse(head + line)


@given(text=st.text(st.sampled_from("SHA256: 01af\n\tDateSuiteYes"), max_size=200) | st.binary(max_size=200).map(repr))
@example(text=" continued\nSHA256:\n")
def test_any_text_is_a_release_file_or_an_error(text: str) -> None:
    head = "Suite: x\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
    for whole in (text, head + text, text + head):
        with contextlib.suppress(PackageError):
            releases.parse(whole.encode())


@given(message=st.binary(max_size=300), signatures=st.binary(max_size=300))
def test_any_bytes_are_no_signature(message: bytes, signatures: bytes) -> None:
    trusted = [key("archive").extract_certificate()]
    with pytest.raises(openpgp.BadSignature):
        openpgp.verified(message, trusted)
    with pytest.raises(openpgp.BadSignature):
        openpgp.verified_detached(message, signatures, trusted)


def test_what_is_not_there_is_named(repository: Repository) -> None:
    repository.publish()
    assert "has no component man (did you mean 'main'?)" in refused(repository.source(components=["man"]))
    assert "has no packages for riscv64, but for amd64, arm64" in refused(repository, architectures=("riscv64",))
    assert "no such suite" in refused(repository.source(suites=["tset"]))


# lies of a mirror


def lie(repository: Repository, change: Callable[[bytes], bytes]) -> str:
    repository.forms = (".xz", "")
    repository.publish()
    path = repository.folder / "dists/test/main/binary-amd64/Packages.xz"
    path.write_bytes(change(path.read_bytes()))
    return refused(repository.source())


def test_sizes_and_hashes_are_checked(repository: Repository) -> None:
    assert "has more than the " in lie(repository, lambda data: data + b"x")
    assert " ended after " in lie(repository, lambda data: data[:-1])
    assert "its SHA-256 differs" in lie(repository, lambda data: data[:-1] + b"x")
    assert "is not there: try again when the mirror is complete" in refused_without_file(repository)


def refused_without_file(repository: Repository) -> str:
    repository.forms = (".xz",)
    repository.publish()
    (repository.folder / "dists/test/main/binary-amd64/Packages.xz").unlink()
    return refused(repository.source())


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (lzma.compress(b"other"), "holds another file than the Release file lists"),
        (lzma.compress(b"x" * 10_000_000), "unpacks to more than "),
        (lzma.compress(b"x" * 100)[:-20], "cannot be unpacked"),
        (b"x", "cannot be unpacked"),
    ],
)
def test_what_a_listed_file_unpacks_to_is_checked(repository: Repository, packed: bytes, message: str) -> None:
    """The Release file is signed and lists it so: it is the archive that errs."""
    repository.publish()
    place = repository.folder / "dists/test"
    (place / "main/binary-amd64/Packages.xz").write_bytes(packed)
    lines = (place / "Release").read_text().splitlines(True)
    line = f" {hashlib.sha256(packed).hexdigest()} 1 main/binary-amd64/Packages.xz\n".replace(" 1 ", f" {len(packed)} ")
    text = "".join(line if each.endswith("amd64/Packages.xz\n") else each for each in lines)
    (place / "InRelease").write_bytes(sign(text.encode()))
    assert message in refused(repository.source())


def test_a_size_beyond_the_limit_is_refused(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "INDEX_LIMIT", 10)
    assert "bytes, more than 10" in refused(repository)
    monkeypatch.setattr(suite, "RELEASE_LIMIT", 10)
    assert "InRelease has more than" in refused(repository)


def test_a_form_that_the_mirror_lacks_is_passed_over(repository: Repository) -> None:
    repository.forms = (".xz", ".gz")
    repository.publish()
    (repository.folder / "dists/test/main/binary-amd64/Packages.xz").unlink()
    for _ in range(2):
        assert names(opened(repository.source())["amd64"]) == ["tool"]


def test_a_mirror_that_does_not_answer_is_one_line_for_all_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "http://127.0.0.1:9")
    monkeypatch.setattr(mirrors, "ATTEMPTS", 1)
    own = {"archive": "debian", "suites": ["a", "b"], "signed-by": "archive.asc"}
    other = {"archive": "debian-security", "suites": ["c"], "signed-by": "archive.asc"}
    told = refused(own, other)
    assert "Connection refused" in told and told.startswith("debian")


# what is kept


@pytest.fixture
def served(repository: Repository) -> Any:
    """The archive over HTTP, with ETags."""
    with servers.server() as found:

        def answer(request: Any) -> bool:
            path = repository.folder / request.path.split("?")[0].strip("/")
            if not path.is_file():
                return request.answer(404)
            data = path.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:8]}"'
            if request.headers.get("If-None-Match") == tag:
                return request.answer(304)
            return request.answer(200, data, ETag=tag)

        found.rules.append(answer)
        yield found


def test_an_unchanged_suite_costs_one_conditional_request(repository: Repository, served: Server) -> None:
    repository.by_hash = True
    repository.publish()
    own = repository.source(f"http://{served.host}")
    first = opened(own)
    count = len(served.log)
    assert opened(own) == first
    assert [each.path for each in served.log[count:]] == ["/dists/test/InRelease"]
    repository.add("other")
    repository.date += DAY
    repository.publish()
    assert names(opened(own)["amd64"]) == ["tool", "other"]
    [folder] = [each for each in state.state_folder().iterdir() if served.host.replace(":", "%3A") in each.name]
    assert len([each for each in folder.iterdir() if len(each.name) == 64]) == 1


def test_offline_what_was_read_serves(repository: Repository, served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.publish()
    own = repository.source(f"http://{served.host}")
    monkeypatch.setenv(OFFLINE, "1")
    assert f"http://{served.host} test: not in the cache, and NODEKILN_OFFLINE is set" == refused(own)
    monkeypatch.delenv(OFFLINE)
    first = opened(own)
    monkeypatch.setenv(OFFLINE, "1")
    count = len(served.log)
    assert opened(own) == first and len(served.log) == count
    assert "main/binary-arm64/Packages is not in the cache, and NODEKILN_OFFLINE is set" in refused(
        own, architectures=("arm64",)
    )


def test_a_damaged_index_is_fetched_again(repository: Repository) -> None:
    first = opened(repository)
    for path in state.state_folder().glob("*/" + "?" * 64):
        path.write_bytes(b"damaged")
    assert opened(repository) == first


def test_a_snapshot_is_requested_once(
    repository: Repository, served: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repository.fields = {"Valid-Until": "Fri, 02 Jan 2026 00:00:00 UTC"}
    repository.publish()
    monkeypatch.setenv(suite.EXPIRED, "refuse")  # an expiry then is none now
    (repository.folder / "archive/debian").mkdir(parents=True)
    (repository.folder / "archive/debian/20260102T000000Z").symlink_to(repository.folder)
    own = {"archive": "debian", "suites": ["test"], "signed-by": "archive.asc", "snapshot": "2026-01-02"}
    monkeypatch.setenv(snapshot.VARIABLE, "off")
    assert "debian of 20260102: no archive of old versions (NODEKILN_SNAPSHOT names one)" in refused(own)
    monkeypatch.setenv(snapshot.VARIABLE, f"http://{served.host}")
    first = opened(own)
    assert {each.path.split("/dists")[0] for each in served.log} == {"/archive/debian/20260102T000000Z"}
    count = len(served.log)
    assert opened(own) == first and len(served.log) == count


def test_what_is_kept_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A co-user of the cache cannot change what was read: it is not there."""

    def folder(place: Path) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
        state.state_folder.cache_clear()
        return state.state_folder()

    mine = folder(tmp_path / "mine")
    assert mine == tmp_path / "mine/nodekiln/packages" and stat.S_IMODE(mine.stat().st_mode) == 0o700
    for name, spoil in {
        "writable": lambda place: place.mkdir() or place.chmod(0o777),
        "symlink": lambda place: place.symlink_to(mine),
        "file": lambda place: place.write_text(""),
    }.items():
        (tmp_path / name).mkdir()
        spoil(tmp_path / name / "nodekiln")
        other = folder(tmp_path / name)
        assert tmp_path not in other.parents and stat.S_IMODE(other.stat().st_mode) == 0o700
