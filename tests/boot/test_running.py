"""A running node and its record: with Secure Boot, a TPM and a verified root, and another version without them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline import formats
from pipeline.inspect import node_report, quote
from pipeline.ondisk import tpm2, x509
from pipeline.run import qemu, ssh, tpm
from tests.boot.machine import once, running
from tests.boot.secure_boot import enrolled, kept_keys
from tests.judges import need
from tests.project import ROOT, declare, doit, run_doit
from tests.run import sshd

pytestmark = [pytest.mark.boot, pytest.mark.network]
FORMAT = "qcow2-verity-efi"
NONCE = b"a nonce of the test's own"
OVER = "on-node mount -o bind /run/config /etc/ssl"


@pytest.fixture(scope="module")
def project(key, tmp_path_factory):
    """A project with two versions of a signed node, built."""
    root = tmp_path_factory.mktemp("running") / "p"
    (root / "specs").mkdir(parents=True)
    declare(root)
    (root / "images").symlink_to(ROOT / "images")
    shutil.copytree(kept_keys(), root / "keys")
    spec = yaml.safe_load((ROOT / "specs" / "node.yml").read_text())
    spec["build"] = {"formats": [FORMAT], "sign": {"certificate": "keys/db.pem", "key": "keys/db.key"}}
    public = key.with_suffix(".pub").read_text()
    for name in ("node", "next"):
        spec["files"] = [
            {"path": "etc/ssh/authorized_keys", "contents": public},
            {"path": "etc/issue", "contents": name},
        ]
        (root / "specs" / f"{name}.yml").write_text(yaml.safe_dump(spec))
        shutil.copy(ROOT / "specs" / "node.lock", root / "specs" / f"{name}.lock")
        for task in ("lock", "sign", "build"):
            doit(f"{task}:{name}", cwd=root, NODEKILN_CACHE=str(ROOT / "cache"))
    return root


@pytest.fixture
def node(project, key, tmp_path):
    """A function: title, version, whether it has Secure Boot, and a function of the machine -> what that returns."""
    need("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "ovmf")
    need(tpm.PROGRAM)

    def boot(title, version, secure, session):
        certificate = x509.from_file((project / "keys" / "db.cer").read_bytes()).encoding
        variables = tmp_path / "variables"
        variables.write_bytes(enrolled(Path(qemu.EMULATORS["amd64"].variables).read_bytes(), certificate))
        base = project / "build" / version / version
        words = qemu.start(formats.find(FORMAT), base, "amd64", enrolled=variables if secure else None)

        def whole():
            with (
                tpm.running("amd64") as chip,
                running(tmp_path, "-nodefaults", *words, *chip.words, inherited=chip.inherited) as machine,
            ):
                machine.wait_for("services are up")
                machine.wait_for_ssh()
                return session(machine)

        return once(f"running {title}", [Path(f"{base}-verity-efi.qcow2"), variables], whole)

    return boot


@pytest.fixture
def verify(project, tmp_path):
    """A function: what a node reported, and options -> `doit verify:node --running` of a server that reports that."""
    place = tmp_path / "sshd"
    place.mkdir()
    with sshd.running(place) as server:

        def run(report, *options):
            (server.programs / "report").write_text(report)
            server.program("on-node", f"cat {server.programs / 'report'}")
            words = ["verify:node", "--running", f"ssh://127.0.0.1:{server.port}", *options]
            return run_doit(*words, cwd=project, NODEKILN_SSH=server.client, NODEKILN_CACHE=str(ROOT / "cache"))

        yield run


def differing(done):
    return {
        line[len("differs") :].strip().partition("  ")[0]
        for line in done.stdout.splitlines()
        if line.startswith("differs")
    }


def test_a_node_is_what_was_built_until_something_is_mounted_over_it(project, node, key, verify, tmp_path):
    attest = "on-node /usr/lib/nodekiln/attest"

    def session(machine):
        client = tmp_path / "own"
        client.write_text(
            f"IdentityFile {key}\nStrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
        )
        words = [
            "verify:node",
            "--running",
            f"ssh://root@127.0.0.1:{machine.port}",
            "--quote",
            str(tmp_path / "ak.pem"),
        ]
        own = {ssh.VARIABLE: f"ssh -F {client}", "NODEKILN_CACHE": str(ROOT / "cache")}
        done = run_doit(*words, cwd=project, **own)
        signed = " ".join(quote.arguments(NONCE))
        equal = machine.ssh(key, f"{attest} --files {signed}")
        machine.ssh(key, OVER)
        return {
            "verify": f"{done.returncode}\n{done.stdout}{done.stderr}", "equal": equal,
            "mounted": machine.ssh(key, f"{attest} {signed}"),
        }  # fmt: skip

    seen = node("signed", "node", True, session)
    assert seen["verify"].startswith("0\n") and "0 differ" in seen["verify"] and "ak.pem is new" in seen["verify"]
    done = verify(seen["equal"], "--files")
    assert done.returncode == 0 and "entries" in done.stdout and not differing(done), done.stdout + done.stderr
    reports = [node_report.parse(seen[each].encode(), "node") for each in ("equal", "mounted")]
    first, second = (quote.verify(each, NONCE, "node") for each in reports)
    assert first == second and reports[0].quote[0] == reports[1].quote[0] and tpm2.read(*reports[0].quote).point
    done = verify(seen["mounted"])
    assert done.returncode == 1 and differing(done) == {"mount /etc/ssl"}, done.stdout + done.stderr


def test_another_version_without_secure_boot_is_named(node, key, verify):
    def session(machine):
        return {"report": machine.ssh(key, "on-node /usr/lib/nodekiln/attest --files")}

    done = verify(node("plain", "next", False, session)["report"], "--files")
    assert done.returncode == 1
    registers, state = {"PCR 4", "PCR 7", "PCR 11"}, {"Secure Boot", "command line", "root hash"}
    assert differing(done) == registers | state | {"program", "file etc/issue"}, done.stdout
    assert "build/next: qcow2-verity-efi" in done.stdout and "expected section .cmdline" in done.stdout
