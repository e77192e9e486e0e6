"""What `doit serve` does: files of one folder, and nothing else, over HTTP."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import netboot
from pipeline.language.problem import StageProblem
from pipeline.run import httpd
from tests import patience
from tests.project import ROOT, declare

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("serve")
    (place / "secret").write_text("not for others")
    served = place / "build"
    (served / "below").mkdir(parents=True)
    (served / "below" / "deep").write_text("a folder's")
    (served / "node.img").write_bytes(DATA)
    (served / "a b%41?#.img").write_bytes(b"odd")
    (served / "empty").write_bytes(b"")
    (served / ".partial").write_bytes(b"half")
    (served / "link").symlink_to("../secret")
    return served


@pytest.fixture(scope="module")
def server(folder):
    with httpd.Server(folder, ("127.0.0.1", 0), lambda line: None) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def asked(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection(*server.server_address, timeout=patience.seconds(30))
    try:
        connection.putrequest(method, path, skip_host=False, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        yield connection.getresponse()
    finally:
        connection.close()


def test_a_file_is_served_whole(server):
    with asked(server, "/node.img") as answer:
        assert (answer.status, answer.read()) == (200, DATA)
        assert answer.headers["Accept-Ranges"] == "bytes"
    with asked(server, "/node.img", "HEAD") as answer:
        assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, str(len(DATA)), b"")
    with asked(server, "/a%20b%2541%3F%23.img") as answer:
        assert (answer.status, answer.read()) == (200, b"odd")


def test_the_list_of_files(server):
    with asked(server, "/") as answer:
        assert answer.read().decode().split() == ["a%20b%2541%3F%23.img", "empty", "node.img"]


@pytest.mark.parametrize("path", [
    "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/below/../../secret", "//etc/passwd", "/etc/passwd", "/./node.img",
    "/below/deep", "/below", "/link", "/.partial", "/nothing", "/node.img/", "/node.img%00", "/%ff", "*",
    "http://other/secret",
    "/" + "x" * 5000,
])  # fmt: skip
def test_what_is_not_a_file_of_the_folder_is_not_there(server, path):
    with asked(server, path) as answer:
        assert answer.status == (421 if "://other" in path else 404)  # which http.client makes the Host, too
        assert b"not for others" not in answer.read()


def test_other_methods_are_refused(server):
    for method in ("PUT", "POST", "DELETE"):
        with asked(server, "/node.img", method) as answer:
            assert answer.status == 501


@given(first=st.integers(0, len(DATA) + 10), count=st.integers(1, len(DATA) + 10))
def test_a_range_is_that_part(server, first, count):
    with asked(server, "/node.img", Range=f"bytes={first}-{first + count - 1}") as answer:
        part = DATA[first : first + count]
        assert answer.status == (206 if part else 416)
        assert answer.read() == part
        last = f"{first}-{first + len(part) - 1}" if part else "*"
        assert answer.headers["Content-Range"] == f"bytes {last}/{len(DATA)}"


@pytest.mark.parametrize(("header", "size", "wanted"), [
    ("", 10, None), ("bytes=-", 10, None), ("bytes=0-1,4-5", 10, None), ("lines=1-2", 10, None),
    ("bytes=5-4", 10, None), ("bytes=1e3-", 10, None), ("bytes=" + "9" * 30 + "-", 10, None),
    ("bytes=0-0", 10, range(1)), ("bytes=7-", 10, range(7, 10)), ("bytes=-3", 10, range(7, 10)),
    ("bytes=-30", 10, range(10)), ("bytes=-0", 10, range(0)), ("bytes=10-", 10, range(0)), ("bytes=0-", 0, range(0)),
])  # fmt: skip
def test_range_headers(header, size, wanted):
    found = httpd.parse_range(header, size)
    assert found is None if wanted is None else found is not None and list(found) == list(wanted)


def test_a_connection_serves_several_requests(server):
    connection = http.client.HTTPConnection(*server.server_address, timeout=patience.seconds(30))
    for _ in range(3):
        connection.request("GET", "/node.img", headers={"Range": "bytes=0-3"})
        assert connection.getresponse().read() == DATA[:4]
    connection.close()


def spoken(server, text):
    """The status line of the answer to a request, as it is."""
    with socket.create_connection(server.server_address, patience.seconds(30)) as client:
        client.sendall(text.encode())
        return client.makefile("rb").readline().decode().strip()


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "LOCALHOST:1", "10.0.2.2:8080", "192.0.2.1", "[::1]:80", "[fe80::1%25eth0]", "node.lan",
    "Node.LAN.:8080", socket.gethostname(),
])  # fmt: skip
def test_who_asks_by_an_address_or_a_name_of_ours_is_served(server, host):
    server.names |= {"node.lan"}
    assert spoken(server, f"GET /node.img HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n") == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("host", [
    "evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost.evil.example", "", "a b", "127.0.0.1@x",
    "[::1", "é",
])  # fmt: skip
def test_a_page_from_elsewhere_is_not(server, host):
    """Its name may mean this machine by now, and its scripts would read what they get."""
    for method in ("GET", "HEAD"):
        said = spoken(server, f"{method} /node.img HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert said.split()[1] == "421"


def test_the_host_is_said_once(server):
    assert spoken(server, "GET /node.img HTTP/1.1\r\n\r\n").split()[1] == "400"
    assert spoken(server, "GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n").split()[1] == "400"
    assert spoken(server, "GET /node.img HTTP/1.0\r\n\r\n").split()[1] == "200"  # a ROM that never heard of it


def ended(client):
    """Whether the other side ended a connection."""
    client.settimeout(patience.seconds(30))
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_many_idle_connections_leave_room(server, monkeypatch):
    monkeypatch.setattr(httpd, "CONNECTIONS", 4)
    with contextlib.ExitStack() as stack:
        limit = patience.seconds(30)
        clients = [stack.enter_context(socket.create_connection(server.server_address, limit)) for _ in range(40)]
        with asked(server, "/node.img") as answer:
            assert answer.read() == DATA
        assert all(ended(client) for client in clients[:30])
        assert len(server._open) <= 4


def test_busy_connections_are_not_ended_for_new_ones(server, monkeypatch):
    monkeypatch.setattr(httpd, "CONNECTIONS", 2)
    with asked(server, "/node.img") as one, asked(server, "/node.img") as other:
        for connection in list(server._idle):
            server.busy(connection)
        with socket.create_connection(server.server_address, patience.seconds(30)) as client:
            assert ended(client)
        assert one.read() == other.read() == DATA


def test_who_asks_for_nothing_is_dropped(server, monkeypatch):
    """Also who sends a request a byte at a time: what counts is when it is whole."""
    with socket.create_connection(server.server_address, patience.seconds(30)) as silent, \
         socket.create_connection(server.server_address, patience.seconds(30)) as slow:  # fmt: skip
        slow.sendall(b"GET /node.img HT")
        monkeypatch.setattr(httpd, "IDLE", 0)
        assert ended(silent) and ended(slow)


def test_what_is_logged_has_no_control_characters(folder):
    lines = []
    with httpd.Server(folder, ("127.0.0.1", 0), lines.append) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        with socket.create_connection(server.server_address, patience.seconds(30)) as client:
            client.sendall("GET /\x1b[31m\x9b HTTP/1.0\r\n\r\n".encode("latin-1"))
            assert client.recv(64).startswith(b"HTTP/1.1 404")
        server.shutdown()
        thread.join()
    assert lines and all(line.isprintable() for line in lines)


# the command


@pytest.fixture
def project(tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "one.yml").write_text("build: {arch: amd64}\nfiles: [{path: a, contents: b}]\n")
    declare(tmp_path)
    (tmp_path / "build" / "one").mkdir(parents=True)
    (tmp_path / "build" / "one" / "one.ipxe").write_text("#!ipxe\n")
    return tmp_path


def serve(project, *words):
    command = [str(Path(sys.executable).with_name("doit")), "serve:one", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests may run where ^C is ignored
    return subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=heeding,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_ended(project, number):
    process = serve(project, "--port", "0")
    try:
        first = process.stdout.readline()
        port = int(re.fullmatch(r"build/one is at http://127\.0\.0\.1:(\d+)/\n", first)[1])
        assert process.stdout.readline() == f"iPXE:     chain http://127.0.0.1:{port}/one.ipxe\n"
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience.seconds(30))
        connection.request("GET", "/one.ipxe")
        assert connection.getresponse().read() == b"#!ipxe\n"
        connection.close()
        process.send_signal(number)
        rest, _ = process.communicate(timeout=patience.seconds(60))
        assert process.returncode == 128 + number
        assert "Traceback" not in rest and '"GET /one.ipxe HTTP/1.1" 200' in rest
    finally:
        process.kill()
        process.wait()


def test_a_port_that_is_taken_is_an_error(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said, _ = serve(project, "--port", str(port)).communicate(timeout=patience.seconds(60))
    assert f"cannot listen at 127.0.0.1, port {port}: " in said and "Traceback" not in said


def test_nothing_built_is_nothing_to_serve(project):
    shutil.rmtree(project / "build" / "one")
    said, _ = serve(project, "--port", "0").communicate(timeout=patience.seconds(60))
    assert "build/one is not there: `doit build:one` first" in said


# the iPXE script


def test_the_script():
    assert netboot.script("my node", "console=ttyS0  quiet\n").splitlines() == [
        "#!ipxe",
        "kernel my%20node-kernel initrd=initrd.img console=ttyS0 quiet",
        "initrd --name initrd.img my%20node-initrd.img",
        "boot",
    ]


@pytest.mark.parametrize("cmdline", ["a #b", "a || b", "x=${net0/mac}", "a ; b", "a initrd=b", "#", "&& a"])
def test_a_command_line_that_ipxe_would_read_otherwise_is_refused(cmdline):
    with pytest.raises(StageProblem, match="iPXE"):
        netboot.script("node", cmdline)
