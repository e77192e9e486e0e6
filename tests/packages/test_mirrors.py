"""Mirrors: the setting goes first, else those of the host's apt, whose suites and keys do not count."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from pipeline.host.offline import VARIABLE as OFFLINE
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.oci import http
from pipeline.packages import host_apt, mirrors
from pipeline.packages.error import PackageError
from pipeline.packages.mirrors import Mirrors
from tests import judges
from tests.oci import servers
from tests.packages.repository import configure


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, without settings; the host has no apt, unless a test configures it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(mirrors.VARIABLE, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


@pytest.fixture
def no_apt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def apt(folder: Path, monkeypatch: pytest.MonkeyPatch, *sources: str, **settings: str) -> None:
    """Configure the host's apt."""
    judges.need("apt-get", "apt")
    config = configure(folder, *sources)
    with open(config, "a") as file:
        file.writelines(f'{name.replace("__", "::")} "{value}";\n' for name, value in settings.items())
    monkeypatch.setenv("APT_CONFIG", str(config))


def test_the_setting_goes_before_the_host(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt(folder, monkeypatch, "deb http://host.example/debian x main")
    assert Mirrors().bases("debian") == ("http://host.example/debian",)
    (folder / "pyproject.toml").write_text('[tool.nodekiln]\npackages = ["https://a.example/", "file:/srv"]\n')
    assert Mirrors().bases("debian-security") == ("https://a.example/debian-security", "file:/srv/debian-security")
    monkeypatch.setenv(mirrors.VARIABLE, "https://b.example, http://c.example/x/")
    assert Mirrors().bases("debian") == ("https://b.example/debian", "http://c.example/x/debian")
    assert Mirrors().bases("https://own.example/apt/") == ("https://own.example/apt",)


@pytest.mark.parametrize("value", ["mirror.example", "ftp://x", "https://user:secret@x.example"])
def test_a_setting_that_is_no_url_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mirrors.VARIABLE, value)
    with pytest.raises(BadInput, match=r"^NODEKILN_PACKAGES: ") as error:
        Mirrors().bases("debian")
    assert "secret" not in str(error.value)


def test_without_apt_and_setting_the_error_names_the_setting(no_apt: None) -> None:
    with pytest.raises(PackageError) as error:
        Mirrors().require("debian")
    assert str(error.value) == (
        "no mirror of debian is known: set NODEKILN_PACKAGES (or packages under [tool.nodekiln] in pyproject.toml) to"
        " the URL above it: the mirror https://HOST has debian at https://HOST/debian"
    )


def test_mirrors_of_the_host_end_in_the_archives_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "list").write_text("http://one.example/debian\tpriority:1\n# none\nhttp://two.example/debian/\n")
    apt(
        folder,
        monkeypatch,
        "deb http://host.example/debian-security x main",
        f"deb mirror+file:{folder}/list x main",
        "deb https://vendor.example/apt x main",
        "deb tor+http://onion.example/debian x main",
        f"deb file:{folder}/debian/ x main",
    )
    *own, beside = Mirrors().bases("debian")
    assert sorted(own) == [f"file:{folder}/debian", "http://one.example/debian", "http://two.example/debian"]
    assert beside == "http://host.example/debian"
    assert "http://host.example/ubuntu" in Mirrors().bases("ubuntu")


def test_proxies_are_those_of_apt_and_then_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://x.example/debian"
    monkeypatch.setenv("http_proxy", "http://environment:1")
    assert Mirrors().proxies(url)["http"] == "http://environment:1"
    own = {"Acquire__http__Proxy": "http://apt:2", "Acquire__http__Proxy__direct.example": "DIRECT"}
    apt(folder, monkeypatch, **own)
    assert Mirrors().proxies(url) == {"http": "http://apt:2"}
    assert Mirrors().proxies("http://direct.example/debian") == {}
    assert "http" not in Mirrors().proxies("https://x.example") or "apt" not in str(
        Mirrors().proxies("https://x.example")
    )


@pytest.mark.parametrize("setting", ["Acquire::http::Proxy", "http_proxy"])
def test_a_dead_proxy_is_named(folder: Path, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if setting.islower():
        apt(folder, monkeypatch)
        monkeypatch.setenv(setting, "http://127.0.0.1:9")
    else:
        apt(folder, monkeypatch, **{setting.replace("::", "__"): "http://127.0.0.1:9/"})
    http.silent.clear()
    with pytest.raises(NodekilnError, match=rf"the proxy 127.0.0.1:9 \({setting}\) does not answer"):
        Mirrors().open("http://mirror.invalid/debian")


def test_passwords_of_apt_go_to_their_host_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.server() as found:
        found.rules.append(lambda request: request.answer(200, b"x"))
        (folder / "auth.conf").write_text(
            f"machine http://{found.host}/private login me password open\nmachine other.example login you password 2\n"
        )
        apt(folder, monkeypatch, Dir__Etc__netrc=f"{folder}/auth.conf")
        for path in ("private/x", "public"):
            assert b"".join(Mirrors().chunks(f"http://{found.host}/{path}")) == b"x"
        basic = "Basic " + base64.b64encode(b"me:open").decode()
        assert [asked.headers.get("Authorization") for asked in found.log] == [basic, None]


def test_a_password_is_for_https_unless_it_names_another_scheme() -> None:
    words = "machine a.example login x password y machine a.example:8443/p login z"
    [entry, other] = host_apt.netrc(words.split(" "))
    assert entry.fits("https://a.example/any") and not entry.fits("http://a.example/any")
    assert other.fits("https://a.example:8443/path") and not other.fits("https://a.example/path")


def test_offline_a_local_mirror_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x y").write_text("local")
    monkeypatch.setenv(OFFLINE, "1")
    assert b"".join(Mirrors().chunks(f"file:{folder}/x%20y")) == b"local"
    with pytest.raises(OSError, match=r"127.0.0.1:9: NODEKILN_OFFLINE is set"):
        Mirrors().open("http://127.0.0.1:9/")


def test_a_project_names_no_folder_outside_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs nodekiln may: it is in the setting."""
    monkeypatch.delenv("NODEKILN_OUTSIDE")
    assert Mirrors().bases(f"file:{folder}/apt") == (f"file:{folder}/apt",)
    for outside in ("file:/etc", f"file:{folder}/../x", "copy:/etc"):
        with pytest.raises(PackageError, match=r"lies outside the project \(NODEKILN_OUTSIDE=1"):
            Mirrors().bases(outside)
    monkeypatch.setenv(mirrors.VARIABLE, "file:/srv")
    assert Mirrors().bases("debian") == ("file:/srv/debian",)
