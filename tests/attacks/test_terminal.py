"""Sequences that a terminal would obey, in everything that strangers write: none reaches standard output or error."""

from __future__ import annotations

import ast
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.host.terminal import escaped, printable
from tests.attacks.conftest import SPEC, Project

ESCAPE = "\x1b]0;owned\x07"
EVIL = f"{ESCAPE}\x9b2J\u202e\r"
OBEYED = re.compile("[^\n\t -~\xa1-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\ud7ff\uf900-\ufffd\U00010000-\U0010ffff]")
"""Anything but printable characters (roughly), tabs and line breaks."""


def harmless(project: Project, *words: str, **environment: str) -> str:
    ended = project.doit(*words, **environment)
    said = ended.stdout + ended.stderr
    assert not (found := OBEYED.search(said)), f"{found} in {said!r}"
    assert "Traceback" not in said, said
    return said


@given(st.text())
def test_what_is_escaped_obeys_no_more_and_stays_so(text: str) -> None:
    shown = escaped(text)
    assert all(each.isprintable() or each in "\n\t" for each in shown)
    assert escaped(shown) == shown and printable(text).isprintable()
    assert shown.count("\n") == text.count("\n")


def test_nothing_prints_but_the_terminal() -> None:
    """One way to standard output and error; the progress line draws, and escapes what it is given."""
    found = set()
    for path in Path(pipeline.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.writelines", "sys.stderr.writelines",
            ):  # fmt: skip
                found.add(path.name)
    assert found == {"terminal.py"}


def test_a_lock(project: Project) -> None:
    package = {
        "name": "libc6", "version": f"1{EVIL}", "architecture": "amd64", "filename": f"pool/{EVIL}", "size": 1,
        "sha256": "0" * 64,
    }  # fmt: skip
    (project.root / "images/r").mkdir(parents=True)
    (project.root / "images/r/build.yml").write_text("image: r\npackages: [libc6]\n")
    request = '{"dependencies":true,"packages":["libc6"]}'
    for packages in ([package], [{**package, "name": EVIL}], [package | {EVIL: 1}], [{}]):
        lock = {"version": 1, "images": {}, "packages": {"r": {"amd64": {"request": request, "packages": packages}}}}
        project.spec('init: ["@pkg:images/r"]\nbuild: {formats: [tar], arch: amd64}\n', json.dumps(lock))
        assert re.search(r"not a package|\['name'\] is not a string", harmless(project, "build:x"))
        for command in ("why:x", "plan:x", "check:x", "list"):
            harmless(project, command)


def test_names_in_a_spec(project: Project) -> None:
    evil = json.dumps(EVIL)
    for text in (
        f"files: [{{path: {evil}, contents: b}}]\nbuild: {{formats: [tar]}}\n",
        f"files: [{{path: a, source: {evil}}}]\n",
        f"files: [{{path: a, contents: b, {evil}: c}}]\n",
        f"init: [{evil}]\n",
        f"init: [{json.dumps('oci:' + EVIL)}]\nbuild: {{formats: [tar]}}\n",
        f"init: [{json.dumps('@pkg:' + EVIL)}]\n",
        f"services: [{{name: {evil}, image: 'oci:x', command: [/x]}}]\n",
        f"services: [{{name: s, image: 'oci:x', command: [{evil}], env: [{evil}]}}]\n",
        f"build: {{formats: [{evil}], append: [{evil}]}}\n",
        f"kernel: {{image: {evil}, cmdline: {evil}}}\n",
    ):
        project.spec(text)
        for words in (("check:x",), ("build:x",), ("list", "--all", "build:x")):
            harmless(project, *words, NODEKILN_OFFLINE="1")


def test_names_of_files(project: Project) -> None:
    (project.root / "images/\x1b[2J").mkdir(parents=True)
    (project.root / "images/\x1b[2J/build.yml").write_text("image: r\n")
    harmless(project, "list", "--all", "image")
    (project.root / "specs/\x1b[2J.yml").write_text(SPEC)
    assert "the name of a spec must be printable: rename it" in harmless(project, "list")


def test_contents_of_an_image(project: Project) -> None:
    """File names and values, in what people ask about a node."""
    evil = json.dumps(EVIL + "name")
    text = "files: [{{path: {}, contents: {}, mode: '0644'}}]\nbuild: {{formats: [tar, docker]}}\n"
    project.spec(text.format(evil, '"a"'))
    harmless(project, "build:x")
    (project.root / "build/x").rename(project.root / "before")
    project.spec(text.format(evil, evil))
    harmless(project, "build:x")
    for words in (
        ("compare", "before", "build/x"), ("compare", "before", "build/x", "--form", "markdown"), ("size:x",),
        ("compare", "before", "build/x", "--form", "json"), ("why:x", "--all"), ("verify:x", "--against", "before"),
    ):  # fmt: skip
        harmless(project, *words)


class Evil(http.server.BaseHTTPRequestHandler):
    """A registry whose answers are for the terminal."""

    def do_GET(self) -> None:
        body = json.dumps({"errors": [{"code": EVIL, "message": EVIL, "detail": EVIL}]}, ensure_ascii=False).encode()
        self.send_response(404, "\x1b]0;owned\x07")
        self.send_header("Content-Type", "application/json\x1b[2J")
        self.send_header("WWW-Authenticate", 'Bearer realm="http://127.0.0.1:1/\x1b[2J",service="\x1b[2J"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_what_a_server_answers(registry: str, project: Project) -> None:
    project.spec(f'init: ["{registry}/a/b:1"]\nbuild: {{formats: [tar], arch: amd64}}\n')
    for command in ("lock:x", "build:x"):
        assert f"{registry}/a/b:1" in harmless(project, command)


def test_a_layout(project: Project) -> None:
    """What manifests, indexes and configs of an image say."""
    layout = project.root / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    for digest, media in ((EVIL, "x"), ("sha256:" + "0" * 64, EVIL)):
        entry = {"mediaType": media, "digest": digest, "size": 1, "annotations": {EVIL: EVIL}}
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry, entry], EVIL: EVIL}))
        project.spec('init: ["oci:layout"]\nbuild: {formats: [tar], arch: amd64}\n')
        harmless(project, "lock:x")


def test_what_a_build_left(project: Project) -> None:
    """A record of a build by somebody else."""
    folder = project.root / "theirs"
    folder.mkdir()
    entry = {
        "key": EVIL,
        "files": {EVIL: {"sha256": EVIL, "size": 1}},
        "stages": {EVIL: {"key": EVIL, "version": EVIL, "result": EVIL}},
    }
    record = {"nodekiln": EVIL, "arch": EVIL, "spec": {EVIL: EVIL}, "lock": None, "formats": {"tar": entry}}
    (folder / "manifest.json").write_text(json.dumps(record))
    project.builds("build:x")
    for words in (("compare", "theirs", "build/x"), ("verify:x", "--against", "theirs")):
        harmless(project, *words)
