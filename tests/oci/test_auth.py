"""Challenges and stored credentials."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.oci import auth
from pipeline.oci.auth import Challenge, Credentials
from pipeline.oci.error import Refusal, Unreachable


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Bearer realm="https://a/b,c",service="x y"', [("bearer", {"realm": "https://a/b,c", "service": "x y"})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ("Basic realm=plain", [("basic", {"realm": "plain"})]),
        ('BEARER Realm="q\\"uote"', [("bearer", {"realm": 'q"uote'})]),
        ('Negotiate, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('NTLM abc==, Bearer realm="x" , scope="a,b"', [("ntlm", {}), ("bearer", {"realm": "x", "scope": "a,b"})]),
        ('Bearer realm="x",realm="y"', [("bearer", {"realm": "x"})]),
        ("", []),
        (",,,", []),
        ('Bearer realm="unclosed', [("bearer", {})]),
    ],
)
def test_challenges(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert auth.challenges(header) == [Challenge(*pair) for pair in expected]


PIECES = [*'",=\\ \t/', "Bearer ", "Basic", "realm=", '="', '\\"', "a", "é", "\0", "\n"]


TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


TOKENS = st.from_regex(TOKEN, fullmatch=True)


PARAMETER = st.tuples(TOKENS, TOKENS | st.text(max_size=20))


PARAMETERS = st.lists(PARAMETER, max_size=3, unique_by=lambda pair: pair[0].lower())


@given(said=st.lists(st.tuples(TOKENS, PARAMETERS), max_size=4), comma=st.sampled_from([",", ", ", " , ,\t"]))
def test_challenges_come_back_as_they_were_written(said: list[tuple[str, list[tuple[str, str]]]], comma: str) -> None:
    """Written by the grammar of RFC 9110, 11.6.1: values as tokens or quoted, empty elements between commas."""

    def written(value: str) -> str:
        bare = value.isascii() and re.fullmatch(r"[A-Za-z0-9._-]+", value)
        return value if bare else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'

    header = comma.join(
        f"{scheme} " + comma.join(f"{name}={written(value)}" for name, value in parameters)
        for scheme, parameters in said
    )
    expected = [
        Challenge(scheme.lower(), {name.lower(): value for name, value in parameters}) for scheme, parameters in said
    ]
    assert auth.challenges(header) == expected


@given(header=st.text(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_is_challenges_or_none(header: str) -> None:
    for scheme, parameters in auth.challenges(header):
        assert TOKEN.fullmatch(scheme) and scheme == scheme.lower()
        for name, value in parameters.items():
            assert TOKEN.fullmatch(name) and len(name) + len(value) < len(header)


def test_where_credentials_are_kept(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".config" / "containers").mkdir(parents=True)
    word = base64.b64encode(b"u:p:q").decode()
    (tmp_path / ".docker" / "config.json").write_text(
        json.dumps(
            {"auths": {"https://index.docker.io/v1/": {"auth": word}, "https://old.example/v2/": {"auth": word}}}
        )
    )
    (tmp_path / ".config" / "containers" / "auth.json").write_text(
        json.dumps({"auths": {"quay.io/team": {"auth": word}, "quay.io": {"identitytoken": "t", "auth": word}}})
    )
    assert auth.credentials("registry-1.docker.io", "library/x", home) == Credentials("u", "p:q")
    assert auth.credentials("old.example", "x", home) == Credentials("u", "p:q")
    assert auth.credentials("quay.io", "team/x", home) == Credentials("u", "p:q")
    assert auth.credentials("quay.io", "other/x", home) == Credentials("u", "", "t")
    assert auth.credentials("example.com", "x", home) is None
    alone = {**home, "REGISTRY_AUTH_FILE": str(tmp_path / "none")}
    assert auth.credentials("quay.io", "team/x", alone) is None


HUB = ["docker.io", "index.docker.io", "registry-1.docker.io", "https://index.docker.io/v1/", "http://index.docker.io"]


@pytest.mark.parametrize("key", HUB)
@pytest.mark.parametrize("host", ["docker.io", "registry-1.docker.io", "index.docker.io"])
def test_every_name_of_the_hub_is_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, host: str) -> None:
    """A helper is found by the rule that finds an entry of `auths`; it is asked for Docker's name and the file's."""
    helper = tmp_path / "docker-credential-hub"
    helper.write_text('#!/bin/sh\nread host; echo "$host" >>"$LOG"\n[ "$host" = "$KNOWN" ] || exit 1\n'
                      'echo \'{"Username":"team","Secret":"s"}\'\n')  # fmt: skip
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {key: "hub"}}))
    for known in ("https://index.docker.io/v1/", key):
        monkeypatch.setenv("KNOWN", known)
        assert auth.credentials(host, "team/app", environ) == Credentials("team", "s")
    (tmp_path / "config.json").write_text(json.dumps({"auths": {key: {"auth": base64.b64encode(b"a:b").decode()}}}))
    assert auth.credentials(host, "team/app", environ) == Credentials("a", "b")


@pytest.mark.parametrize("table", [{"credHelpers": {"quay.io": "gone"}}, {"credsStore": "gone"}])
def test_a_missing_helper_is_named_with_its_file_and_passed_over(
    tmp_path: Path, table: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    file, environ = tmp_path / "config.json", {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}
    file.write_text(json.dumps(table))
    assert auth.credentials("quay.io", "x", environ) is None
    file.write_text(json.dumps({**table, "auths": {"quay.io": {"auth": base64.b64encode(b"a:b").decode()}}}))
    assert auth.credentials("quay.io", "x", environ) == Credentials("a", "b")
    said = f"warning: {file}: there is no program docker-credential-gone on PATH; continuing without it\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("helper", ["../../bin/sh", "-x", "a b", "", "x" * 100])
def test_a_helper_is_a_name(tmp_path: Path, helper: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"h": helper}}))
    try:
        assert auth.credentials("h", "x", {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}) is None and not helper
    except Refusal:
        assert helper


def test_a_store_of_credentials_knows_all_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-all"
    helper.write_text('#!/bin/sh\nread host\nprintf \'{"Username":"%s","Secret":"s"}\' "$host"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    (tmp_path / "config.json").write_text('{"credsStore": "all"}')
    environ = {"DOCKER_CONFIG": str(tmp_path), "HOME": "/none"}
    assert auth.credentials("quay.io", "x", environ) == Credentials("quay.io", "s")
    assert auth.credentials("registry-1.docker.io", "x", environ) == Credentials("https://index.docker.io/v1/", "s")
    helper.write_text("#!/bin/sh\necho credentials not found in native keychain\nexit 1\n")
    assert auth.credentials("quay.io", "x", environ) is None
    helper.write_text("#!/bin/sh\necho nonsense\n")
    with pytest.raises(Unreachable, match="docker-credential-all"):
        auth.credentials("quay.io", "x", environ)
