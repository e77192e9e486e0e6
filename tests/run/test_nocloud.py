"""The volume by which a machine that is started here gets its keys."""

import json

import pytest

from pipeline import readers
from pipeline.model.errors import BadInput
from pipeline.readers.view import HostFile
from pipeline.run import nocloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me"


def test_the_volume_has_the_keys(tmp_path):
    opened = readers.look_into(HostFile(nocloud.write(tmp_path, [KEY])))
    data = opened.listing["meta-data"].content
    assert json.loads(data.read(0, data.size))["public-keys"] == [KEY] and "user-data" in opened.listing


@pytest.mark.parametrize("text", [KEY, f"# comment\n\n{KEY}\n", f"{KEY}\r\n"])
def test_public_keys_are_lines(tmp_path, text):
    (tmp_path / "key").write_text(text)
    assert nocloud.public_keys(tmp_path / "key") == [KEY]


@pytest.mark.parametrize("text", ["", "# none\n", f"no-pty {KEY}", "ssh-ed25519", f"{KEY}\x1b[2J", "x" * (1 << 17)])
def test_what_is_no_public_key_is_refused_with_its_place(tmp_path, text):
    (tmp_path / "key").write_text(text)
    with pytest.raises(BadInput, match=str(tmp_path)):
        nocloud.public_keys(tmp_path / "key")


def test_a_private_key_stays_here(tmp_path):
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(BadInput, match="a private key, which stays here"):
        nocloud.public_file(tmp_path / "id")
    (tmp_path / "id.pub").write_text(KEY)
    assert nocloud.public_file(tmp_path / "id") == tmp_path / "id.pub" == nocloud.public_file(tmp_path / "id.pub")


def test_the_best_of_the_user_s_own_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert nocloud.own_keys() is None
    (tmp_path / ".ssh").mkdir()
    for name in ("id_rsa.pub", "id_ed25519.pub"):
        (tmp_path / ".ssh" / name).write_text(KEY)
    assert nocloud.own_keys() == tmp_path / ".ssh/id_ed25519.pub"
