"""Node reports: those of a booted node, of this machine, and hostile ones, which are one line each."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inspect import node_report
from pipeline.inspect.node_report import LOG, BadReport, NodeReport
from tests.inspect import reports
from tests.judges import need, run
from tests.project import ROOT

ATTEST = ROOT / "images/init/attest"


def attest(*words):
    """What the node's program prints on this machine."""
    lua = need("lua5.3")
    need("/usr/share/lua/5.3/posix/init.lua", "lua-posix")
    done = run(lua, ATTEST, *words, env={"LUA_PATH": f"{ROOT}/images/init/lua/?.lua;;"}, text=False, errors=None)
    return done.stdout


def test_the_program_reports_of_any_machine():
    report = node_report.parse(attest(), "here")
    assert report.release == os.uname().release and report.command_line == Path("/proc/cmdline").read_text().strip()
    assert report.uptime > 0 and report.root.place == "/" and report.files is None and report.quote is None


NAMES = [b"a", b"b\nc", b"d'e", b"-f", b"\xff\xfe", b'g"h\\i', b"sub/j k", b"$(touch x)"]


def test_the_program_lists_any_names(tmp_path):
    for name in NAMES:
        path = os.fsencode(tmp_path) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name)
    os.symlink("a'b", tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").chmod(0o4755)
    entries = json.loads(attest("--tree", tmp_path).decode("utf-8", "surrogateescape"))
    document = {**reports.document(), "files": entries}
    text = json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
    files = node_report.parse(text, "here").files
    assert {os.fsencode(path) for path in files} == {*NAMES, b"sub", b"link", b"pipe"}
    assert files["a"].mode == 0o4755 and files["link"].value == "a'b" and files["pipe"].kind == "p"
    for name in NAMES:
        assert files[os.fsdecode(name)].value == hashlib.sha256(name).hexdigest()


def test_a_report_has_what_the_node_runs():
    report = reports.report()
    assert report.release == "6.12.118+deb13-cloud-amd64" and report.lockdown == "integrity" and report.uefi
    assert report.secure_boot == "on" and report.taint == [] and report.unsigned_modules == []
    assert len(report.registers["sha256"]) == 24 and report.root.kind == "erofs"
    assert report.root_mapping == f"CRYPT-VERITY-{reports.facts()['root-hash']}-root"


def test_the_mode_of_a_symbolic_link_does_not_count():
    """Linux gives it none in an initramfs; a file system on a disk keeps what its writer was given."""
    found = [reports.report(changed(files=[["a", "l", mode, 0, 0, "b"]])).files for mode in (0o777, 0o755)]
    assert found[0] == found[1]


def changed(**changes):
    return lambda document: document.update(changes)


def text(path, value):
    return reports.with_text(path, value)


HOSTILE = {
    "version": changed(version=2), "no version": lambda document: document.pop("version"), "texts": changed(texts=[]),
    "text": changed(texts={"/proc/cmdline": 1}), "data": changed(data={"x": "zz"}),
    "data type": changed(data={"x": None}),
    "efi": changed(efi="yes"), "no command line": lambda document: document["texts"].pop("/proc/cmdline"),
    "uptime": text("/proc/uptime", "soon"), "empty uptime": text("/proc/uptime", ""),
    "taint": text("/proc/sys/kernel/tainted", "x"),
    "huge taint": text("/proc/sys/kernel/tainted", "9" * 5000), "mounts": text(reports.MOUNTS, "1 2 3"),
    "no mounts": text(reports.MOUNTS, ""), "no separator": text(reports.MOUNTS, "1 0 0:1 / / rw erofs x"),
    "modules": text("/proc/modules", " \n"), "empty log": lambda document: document["data"].update({LOG: ""}),
    "cut log": lambda document: document["data"].update({LOG: document["data"][LOG][:-2]}),
    "files": changed(files={}), "file": changed(files=[["a", "f"]]), "sum": changed(files=[["a", "f", 420, 0, 0, "x"]]),
    "kind": changed(files=[["a", "x", 420, 0, 0, ""]]), "kind type": changed(files=[["a", [], 420, 0, 0, ""]]),
    "mode": changed(files=[["a", "d", "420", 0, 0, ""]]), "mode bool": changed(files=[["a", "d", True, 0, 0, ""]]),
    "path": changed(files=[[1, "d", 420, 0, 0, ""]]), "quote": changed(quote=[]),
    "quote hex": changed(quote=["zz", ""]),
    "control characters": changed(version="\x1b[31m\n\x07"), "long": changed(version="x" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_report_is_one_printable_line(name):
    with pytest.raises(BadReport) as found:
        reports.report(HOSTILE[name])
    message = str(found.value)
    assert message.startswith("node: not a node report: ") and message.isprintable() and len(message) < 300


TEXTS = {
    "empty": b"", "no JSON": b"hello", "another type": b"[]", "number": b"1", "deep": b"[" * 200_000, "NaN": b"NaN",
    "twice": b'{"version": 1, "version": 1}', "binary": bytes(range(256)), "lone surrogate": b'{"version": "\\ud800"}',
    "digits": b"1" * 100_000, "cut off": b'{"version": 1, "texts": {',
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_document_is_one_printable_line(name):
    with pytest.raises(BadReport) as found:
        node_report.parse(TEXTS[name], "node")
    assert str(found.value).isprintable() and len(str(found.value)) < 300


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: (
    st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=4)), max_leaves=8)  # fmt: skip


@settings(max_examples=40)
@given(st.sampled_from(["version", "texts", "data", "efi", "files", "quote"]), JSON)
def test_any_value_is_read_or_one_line(key, value):
    read_or_refused(json.dumps({**reports.document(), key: value}).encode())


@given(st.sampled_from(sorted(reports.document()["texts"])), st.text(max_size=60))
def test_any_text_is_read_or_one_line(path, value):
    document = reports.document()
    document["texts"][path] = value
    read_or_refused(json.dumps(document).encode())


def read_or_refused(data: bytes) -> None:
    try:
        assert isinstance(node_report.parse(data, "node"), NodeReport)
    except BadReport as error:
        assert str(error).isprintable()
