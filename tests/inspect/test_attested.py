"""`doit verify:NODE --running`: a record here, and a node behind a real ssh server whose report is a booted node's."""

from __future__ import annotations

import json
import shutil

import pytest

from pipeline.inspect import attested
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.run import ssh
from tests.inspect import reports
from tests.project import EMPTY_LOCK, new_project, run_doit
from tests.run import sshd

SPEC = "files: [{path: etc/motd, contents: hello}]\nbuild: {formats: [tar]}\n"
DIGEST = "0" * 64


def record(**programs):
    """A manifest.json with the program of each format."""
    formats = {
        name.replace("_", "-"): {"key": "", "files": {}, "stages": {}, "programs": {"verity-efi": facts}}
        for name, facts in programs.items()
    }
    return {"arch": "amd64", "nodekiln": "0", "spec": {}, "lock": None, "formats": formats}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd.running(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture
def root(tmp_path, monkeypatch, server):
    """A project with a record of the node in build/, and another version's in build/old."""
    root = new_project(tmp_path / "p", node=SPEC)
    (root / "specs" / "node.lock").write_text(EMPTY_LOCK)
    monkeypatch.chdir(root)
    monkeypatch.setenv(ssh.VARIABLE, server.client)
    write(root, "node", record(verity_efi=reports.facts()))
    return root


def write(root, name, manifest):
    (root / "build" / name).mkdir(parents=True, exist_ok=True)
    (root / "build" / name / "manifest.json").write_text(json.dumps(manifest))


def node(server, change=lambda document: None):
    """Makes the server a node that reports what the booted one did, after `change`; returns its address."""
    document = reports.document()
    change(document)
    report = server.programs / "report.json"
    report.write_text(json.dumps(document))
    server.program("on-node", f'echo "$*" > {server.programs}/words; cat {report}')
    return f"ssh://127.0.0.1:{server.port}"


def check(root, address, **options):
    return attested.check(Project(root), "node", address, **options).document


def test_a_node_that_is_as_recorded_ends_with_0_and_a_table(root, server):
    done = run_doit("verify:node", "--running", node(server), cwd=root)
    assert done.returncode == 0, done.stderr
    assert "node: 12 equal, 0 differ, 2 not proved" in done.stdout and "verity-efi, Linux 6.12.118" in done.stdout
    assert (
        "not proved  PCR 7" in done.stdout and (server.programs / "words").read_text() == "/usr/lib/nodekiln/attest\n"
    )


def test_a_node_that_differs_ends_with_1_and_the_table_names_it(root, server):
    address = node(server, reports.mounted("90 27 0:23 /x /etc/ssh rw - tmpfs tmpfs rw"))
    done = run_doit("verify:node", "--running", address, "--json", "found.json", cwd=root)
    assert done.returncode == 1 and "differs     mount /etc/ssh" in done.stdout
    assert f"node at {address} differs from its record: 11 equal, 1 differ, 2 not proved" in done.stderr
    document = json.loads((root / "found.json").read_text())
    (row,) = (each for each in document["findings"] if each["result"] == "differs")
    assert (document["differs"], row["what"]) == (1, "mount /etc/ssh")


@pytest.mark.parametrize(("text", "why"), [
    ("hello", "not a node report"), ("", "not a node report"),
    ('{"version": "\x1b[31m\n"}', "Invalid control character"),
])  # fmt: skip
def test_a_reply_that_is_no_report_is_one_line(root, server, text, why):
    address = node(server)
    (server.programs / "report.json").write_text(text)
    done = run_doit("verify:node", "--running", address, cwd=root)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 3 and why in line and line.isprintable() and not done.stdout


def test_names_in_a_report_steer_no_terminal(root, server):
    place = "/etc/\\033[31m\\012equal"
    done = run_doit(
        "verify:node", "--running", node(server, reports.mounted(f"90 27 0:9 / {place} rw - t\x1b t rw")), cwd=root
    )
    assert r"mount /etc/\x1b[31m\nequal" in done.stdout and "\x1b" not in done.stdout + done.stderr


def test_another_version_is_named_by_its_record(root, server):
    mine = {**reports.facts(), "authenticode": f"sha256:{DIGEST}", "pcrs": {"4": DIGEST}, "root-hash": DIGEST}
    write(root, "old", record(qcow2_verity_efi=reports.facts()))
    write(root, "node", record(verity_efi=mine))
    write(root, "damaged", {"arch": "amd64", "formats": {"x": {"files": {}, "stages": {}, "programs": {"x": 1}}}})
    found = {each["what"]: each for each in check(root, node(server))["findings"]}
    assert found["program"]["had"].startswith("build/old: qcow2-verity-efi ")
    assert {name for name, each in found.items() if each["result"] == "differs"} == {"PCR 4", "program", "root hash"}


def test_the_format_that_fits_is_found_or_named(root, server):
    other = {**reports.facts(), "root-hash": DIGEST}
    write(root, "node", record(uki=other, verity_efi=reports.facts()))
    assert "verity-efi" in check(root, node(server))["title"]
    assert check(root, node(server), formats="uki")["differs"] == 1
    with pytest.raises(BadInput, match="--formats tar: the record has uki, verity-efi"):
        check(root, node(server), formats="tar")


def test_another_record_is_compared_with(root, server):
    other = root / "record.json"
    other.write_text(json.dumps(record(verity_efi={**reports.facts(), "root-hash": DIGEST})))
    assert check(root, node(server), against=str(other))["differs"] == 1
    shutil.rmtree(root / "build")
    with pytest.raises(NodekilnError, match="there is no record to compare with"):
        check(root, node(server))


def test_files_that_are_not_in_the_cache_are_not_proved(root, server):
    address = node(server, lambda document: document.update(files=[["etc/motd", "f", 420, 0, 0, DIGEST]]))
    found = {each["what"]: each for each in check(root, address, files=True)["findings"]}
    assert found["files"]["result"] == "not proved" and found["files"]["had"] == "1 entries"
    assert (server.programs / "words").read_text() == "/usr/lib/nodekiln/attest --files\n"


def test_a_replayed_quote_is_refused(root, server):
    """The report has the quote of another question."""
    done = run_doit("verify:node", "--running", node(server), "--quote", "ak.pem", cwd=root)
    assert done.returncode == 3 and "its nonce is another one" in done.stderr and not (root / "ak.pem").exists()


def test_options_about_a_running_node_need_one(root):
    for option in (["--files"], ["--quote", "ak.pem"]):
        done = run_doit("verify:node", *option, cwd=root)
        assert done.returncode == 3 and "add --running ssh://root@HOST" in done.stderr
    done = run_doit("verify:node", "--running", "host", cwd=root)
    assert done.returncode == 3 and "'host' is not the address of a node" in done.stderr
