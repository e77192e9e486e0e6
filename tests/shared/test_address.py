"""address: what an address may be, what is shown of it, and the credentials for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.model.errors import BadInput
from pipeline.shared.address import Address
from pipeline.shared.wire import WireError

SCHEMES = ("http", "https")
EXAMPLE = "https://cache.example/nodes"


def parse(url: str) -> Address:
    return Address.parse(url, SCHEMES, EXAMPLE, ("region",))


@pytest.fixture(autouse=True)
def netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    file = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.delenv("NODEKILN_INSECURE", raising=False)
    return file


def test_an_address_has_parts_and_shows_no_secret() -> None:
    address = parse("https://me:hunter2@cache.example:8443/a/b/?region=x")
    assert (address.netloc, address.path, address.query) == ("cache.example:8443", "a/b", {"region": "x"})
    assert address.public == "https://cache.example:8443/a/b"
    assert address.authorization() == "Basic bWU6aHVudGVyMg=="


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache.example",
        "ftp://cache.example",
        "https://",
        "https://:8080/a",
        "https://cache.example:port",
        "https://[::1",
        "https://me:hunter2@cache.example/a#b",
        "https://me:hunter2@cache.example/a?colour=x",
        "https://me:hunter2@cache.example/a?region=x&region=y",
        "https://me:hunter2@cache.example/a?region",
        "https://me:hunter2@cache.example/\x1b[0m",
    ],
)
def test_a_wrong_address_is_one_line_without_its_password(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(url)
    assert str(caught.value).isprintable() and "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("machine cache.example login me password hunter2", "Basic bWU6aHVudGVyMg=="),
        ("machine cache.example password TOKEN", "Bearer TOKEN"),
        ("machine other.example login me password hunter2", ""),
        ("", ""),
    ],
)
def test_credentials_of_a_netrc_file(netrc: Path, text: str, header: str) -> None:
    netrc.write_text(text)
    assert parse("https://cache.example/a").authorization() == header


def test_anonymous_access_needs_no_netrc_file() -> None:
    assert parse("https://cache.example").authorization() == ""


def test_a_password_is_not_sent_in_the_clear_to_another_machine() -> None:
    with pytest.raises(WireError, match="is not sent over http"):
        parse("http://me:hunter2@cache.example").authorization()
    assert parse("http://me:hunter2@127.0.0.1:8080").authorization().startswith("Basic ")


def test_a_netrc_file_that_cannot_be_read_is_one_line(netrc: Path) -> None:
    for make in (lambda: netrc.write_text("machine"), lambda: netrc.write_text("pass word"), netrc.unlink, netrc.mkdir):
        make()
        if netrc.exists():
            with pytest.raises(WireError) as caught:
                parse("https://cache.example").authorization()
            assert str(caught.value).isprintable() and str(netrc) in str(caught.value)
