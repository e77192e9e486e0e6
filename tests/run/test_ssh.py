"""Commands on a node by ssh: addresses, and what a node that is not well-meaning answers."""

from __future__ import annotations

import re

import pytest

from pipeline.model.errors import BadInput
from pipeline.run import ssh
from pipeline.run.ssh import Address, NotReached
from tests.run import sshd

GOOD = {
    "ssh://root@host": Address("host", "root"), "ssh://host": Address("host"), "ssh://host/": Address("host"),
    "ssh://root@10.0.2.15:2222": Address("10.0.2.15", "root", 2222), "ssh://[::1]:22": Address("::1", "", 22),
    "ssh://root@[fe80::1%eth0]": Address("fe80::1%eth0", "root"),
    "ssh://my-node_1.example": Address("my-node_1.example"),
}  # fmt: skip
BAD = [
    "", "host", "root@host", "http://host", "ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://root@-host",
    "ssh://root@", "ssh://host:0", "ssh://host:65536", "ssh://host:-1", "ssh://host:", "ssh://host:22x", "ssh://host;reboot",
    "ssh://host/path", "ssh://user:password@host", "ssh://ho st", "ssh://host\n", "ssh://host:22\n", "ssh://[-x]", "ssh://a@b@c",
    "ssh://$(reboot)", "ssh://[::1", "SSH://host", "ssh://\x1b[31mhost", f"ssh://{'h' * 300}",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_user_host_and_port(text):
    address = ssh.parse(text)
    assert address == GOOD[text] and ssh.parse(str(address)) == address
    assert address.words()[-2:] == ["--", address.host]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_one_line(text):
    with pytest.raises(BadInput, match=re.escape("use ssh://root@HOST")) as found:
        ssh.parse(text)
    assert str(found.value).isprintable()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd.running(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture
def node(server, monkeypatch):
    """A function: a program's text -> its output, run by ssh under the name `attest`."""
    monkeypatch.setenv(ssh.VARIABLE, server.client)

    def run(text, *words, **limits):
        server.program("attest", text)
        return ssh.run(Address("127.0.0.1", port=server.port), ["attest", *words], **limits)

    return run


def test_output_comes_as_it_is(node):
    assert node(r"printf 'a\000b\377'; echo noise >&2") == b"a\0b\xff"


def test_words_are_no_shell_s(node):
    words = ["a b", "$(echo x)", "'; echo y; '", "*", ""]
    assert node("""printf '%s|' "$@" """, *words) == "".join(f"{word}|" for word in words).encode()


@pytest.mark.parametrize(("text", "why"), [
    ("exit 1", "exit code 1"), ("echo no >&2; exit 3", "exit code 3: no"),
    (r"printf 'first\n\033[31mred\007\n' >&2; exit 1", r"exit code 1: \x1b[31mred\x07"),
    ("yes | head -c 300000 >&2; echo end >&2; exit 1", "exit code 1: end"),
    ("exit 127", "attest is not there: the node is older, or not nodekiln's"),
])  # fmt: skip
def test_a_program_that_fails_is_one_printable_line(node, text, why):
    with pytest.raises(NotReached) as found:
        node(text)
    assert str(found.value).endswith(why) and str(found.value).isprintable() and len(str(found.value)) < 500


def test_output_without_an_end_is_cut_off(node):
    with pytest.raises(NotReached, match="larger than 1000 bytes"):
        node("yes", largest=1000)


def test_a_program_without_an_end_is_given_up(node):
    with pytest.raises(NotReached, match="no answer in time"):
        node("sleep 600", seconds=1)
    with pytest.raises(NotReached, match="no answer in time"):
        node("while :; do echo x; done", seconds=1, largest=1 << 40)


def test_who_is_not_reached_or_not_let_in_is_named(server, node, monkeypatch, tmp_path):
    with pytest.raises(NotReached, match="port 1: Connection refused"):
        ssh.run(Address("127.0.0.1", port=1), ["attest"])
    monkeypatch.setenv(ssh.VARIABLE, f"ssh -F none -o UserKnownHostsFile={tmp_path / 'none'}")
    with pytest.raises(NotReached, match="Host key verification failed"):
        ssh.run(Address("127.0.0.1", port=server.port), ["attest"])
    monkeypatch.setenv(ssh.VARIABLE, "no-such-client")
    with pytest.raises(NotReached, match="install an ssh client, or name it in NODEKILN_SSH"):
        ssh.run(Address("127.0.0.1"), ["attest"])
