"""Signing of a node: with a key, or by somebody else, the same bytes; without signatures, the unsigned node."""

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.model.errors import BadInput
from pipeline.ondisk import efivars as firmware
from pipeline.ondisk import measured_boot, x509
from pipeline.project import signing, signing_keys
from pipeline.project.project import Project
from pipeline.writers import efivars
from tests.judges import need, run
from tests.project import doit, signed
from tests.writers.signing import make_chain, make_key, openssl_signature

pytestmark = pytest.mark.network
FORMATS = "uki, qcow2-efi, raw-efi, iso-efi, ext4-efi, vhdx"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A project that signs nothing, built."""
    root = signed.project(tmp_path_factory.mktemp("plain") / "p", FORMATS, sign="")
    doit("build:node", cwd=root)
    return root


@pytest.fixture(scope="module")
def base(plain, tmp_path_factory):
    """The same project with keys, signed and built."""
    root = tmp_path_factory.mktemp("base") / "p"
    shutil.copytree(plain, root, ignore=shutil.ignore_patterns("build"))
    doit("keys:node", cwd=root)
    signed.set_sign(root, signed.SIGN)
    assert "is not signed" in doit("build:node", cwd=root)
    assert sums(root) == sums(plain), "without signatures it is the unsigned node"
    doit("sign:node", cwd=root)
    assert "is not signed" not in doit("build:node", cwd=root)
    return root


@pytest.fixture
def root(base, tmp_path):
    shutil.copytree(base, tmp_path / "p", ignore=shutil.ignore_patterns("build"))
    return tmp_path / "p"


def sums(root: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "build" / "node").glob("node*"))
    }


def on_disk(image: Path, offset: int, path: Path) -> Path:
    need("mcopy", "mtools")
    run("mcopy", "-n", "-i", f"{image}@@{offset}", "::EFI/BOOT/BOOTX64.EFI", path)
    return path


def test_every_output_holds_a_program_that_sbverify_takes(base, tmp_path):
    results, tool, certificate = base / "build" / "node", need("sbverify", "sbsigntool"), base / "keys" / "db.pem"
    uki = results / "node.efi"
    copies = [on_disk(results / f"node{name}.img", 1 << 20, tmp_path / name) for name in ("-efi", "-ext4-efi")]
    for suffix, kind in (("-efi.qcow2", "qcow2"), (".vhdx", "vhdx")):
        run(need("qemu-img", "qemu-utils"), "convert", "-f", kind, "-O", "raw", results / f"node{suffix}",
            tmp_path / "raw")  # fmt: skip
        assert on_disk(tmp_path / "raw", 1 << 20, tmp_path / suffix).read_bytes() == uki.read_bytes()
    run(need("xorriso"), "-osirrox", "on", "-indev", results / "node-efi.iso", "-extract", "/boot/efi.img",
        tmp_path / "fat")  # fmt: skip
    assert on_disk(tmp_path / "fat", 0, tmp_path / "iso").read_bytes() == uki.read_bytes()
    assert copies[0].read_bytes() == uki.read_bytes()
    for program in (uki, *copies):
        assert "Signature verification OK" in run(tool, "--cert", certificate, program).stdout


def test_the_manifest_has_digests_signer_and_registers(base, plain):
    formats = json.loads((base / "build" / "node" / "manifest.json").read_text())["formats"]
    facts = formats["raw-efi"]["programs"]["uki"]
    assert facts == formats["uki"]["programs"]["uki"] == formats["vhdx"]["programs"]["uki"]
    assert facts["unsigned"] == f"sha256:{sums(plain)['node.efi']}"
    text = run(need("osslsigncode"), "verify", "-CAfile", base / "keys" / "db.pem", base / "build/node/node.efi").stdout
    assert facts["authenticode"].partition(":")[2].upper() in text
    certificate = x509.from_file((base / "keys" / "db.cer").read_bytes())
    assert facts["signer"] == {"subject": "CN=node db", "certificate": f"sha256:{certificate.fingerprint}"}
    assert sorted(facts["pcrs"]) == ["11", "4", "7"]
    assert list(formats["ext4-efi"]["programs"]) == ["ext4-efi"]
    plainly = json.loads((plain / "build" / "node" / "manifest.json").read_text())["formats"]
    assert not any("programs" in entry for entry in plainly.values())


def test_signatures_made_elsewhere_give_the_same_bytes(base, root):
    before = (root / "specs" / "node.signatures").read_text()
    (root / "specs" / "node.signatures").unlink()
    signed.set_sign(root, "  sign: {certificate: keys/db.pem}\n")
    assert "names no key" in doit("sign:node", cwd=root, code=3)
    text = doit("sign:node", "--request", "wanted", cwd=root)
    requests = sorted((root / "wanted").glob("*.tbs"))
    assert len(requests) == 2 and all(path.stem in text for path in requests), "uki, and ext4-efi"
    shutil.move(root / "keys" / "db.key", root.parent / "db.key")
    for path in requests:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        path.with_suffix(".sig").write_bytes(openssl_signature(root.parent / "db.key", path.read_bytes()))
    doit("sign:node", "--attach", "wanted", cwd=root)
    assert (root / "specs" / "node.signatures").read_text() == before
    doit("build:node", cwd=root)
    assert sums(root) == sums(base)
    doit("sign:node", "--attach", "specs/node.signatures", cwd=root)
    assert (root / "specs" / "node.signatures").read_text() == before


def test_what_is_pushed_is_signed_after_the_programs_in_it_and_changes_no_build(base, root):
    make_key(root / "keys", "push", kind="ec -pkeyopt ec_paramgen_curve:P-256")
    run(need("openssl"), "pkey", "-in", root / "keys" / "push.key", "-pubout", "-out", root / "keys" / "push.pub")
    signed.set_sign(root, sign_with(push="keys/push.pub"))
    before = (root / "specs" / "node.signatures").read_text()
    (root / "specs" / "node.signatures").unlink()
    assert "what is pushed has these programs" in doit("sign:node", "--request", "wanted", cwd=root)
    assert {path.suffix for path in (root / "wanted").iterdir()} == {".tbs"}
    (root / "specs" / "node.signatures").write_text(before)
    doit("sign:node", "--request", "wanted", cwd=root)
    requests = sorted((root / "wanted").glob("*.pae"))
    for path in requests:
        path.with_suffix(".sig").write_bytes(openssl_signature(root / "keys" / "push.key", path.read_bytes()))
    doit("build:node", cwd=root)
    record = (root / "build" / "node" / "manifest.json").read_bytes()
    doit("sign:node", "--attach", "wanted", cwd=root)
    table = json.loads((root / "specs" / "node.signatures").read_text())
    assert table["signatures"] == json.loads(before)["signatures"]
    assert sorted(table["pushes"]) == [f"sha256:{path.stem}" for path in requests] and len(requests) == 2
    doit("build:node", cwd=root)
    assert sums(root) == sums(base) and (root / "build" / "node" / "manifest.json").read_bytes() == record
    doit("sign:node", "--attach", "specs/node.signatures", cwd=root)
    assert json.loads((root / "specs" / "node.signatures").read_text()) == table


def test_a_rebuild_needs_neither_key_nor_store(base, root):
    shutil.rmtree(root / "cache")
    (root / "keys" / "db.key").unlink()
    doit("build:node", cwd=root)
    assert sums(root) == sums(base)


def test_no_private_key_leaves_its_folder(base):
    secret = (base / "keys" / "db.key").read_bytes().splitlines()[1]
    assert (base / "keys" / "db.key").stat().st_mode & 0o777 == 0o600
    assert (base / "keys" / ".gitignore").read_text() == "*.key\n"
    holders = [path for path in base.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert holders == [base / "keys" / "db.key"]


def sign_with(**more: str) -> str:
    """The line `build.sign` with more keys."""
    words = ", ".join(f"{name}: {value}" for name, value in more.items())
    return f"  sign: {{certificate: keys/db.pem, key: keys/db.key, {words}}}\n"


def test_the_firmware_s_variables_decide_its_register_and_no_output(base, root):
    manifest = root / "build" / "node" / "manifest.json"
    own = {name: efivars.certificate_list((root / "keys" / f"{name}.cer").read_bytes()) for name in ("PK", "KEK", "db")}
    (root / "keys" / "all.esl").write_bytes(own["KEK"] + own["db"])
    for sign, contents in (
        (sign_with(pk="keys/PK.pem", kek="keys/KEK.cer"), own),
        (sign_with(db="keys/all.esl", dbx="keys/all.esl"), {
            "PK": own["db"], "KEK": own["db"], "db": own["KEK"] + own["db"], "dbx": own["KEK"] + own["db"],
        }),
    ):  # fmt: skip
        signed.set_sign(root, sign)
        doit("build:node", cwd=root)
        (facts,) = json.loads(manifest.read_text())["formats"]["uki"]["programs"].values()
        entry = efivars.OWNER.bytes_le + (root / "keys" / "db.cer").read_bytes()
        assert facts["pcrs"]["7"] == measured_boot.pcr7(contents, entry).hex()
        assert sums(root) == sums(base)


def test_a_signer_of_an_authority_in_db(root):
    """What is in db is the authority; the signature brings the certificate between."""
    key, chain, authority = make_chain(root / "keys")
    line = f"  sign: {{certificate: keys/{chain.name}, key: keys/{key.name}, db: keys/{authority.name}}}\n"
    signed.set_sign(root, line)
    doit("sign:node", cwd=root)
    assert "is not signed" not in doit("build:node", cwd=root)
    tool, results = need("sbverify", "sbsigntool"), root / "build" / "node"
    assert "Signature verification OK" in run(tool, "--cert", authority, results / "node.efi").stdout
    (facts,) = json.loads((results / "manifest.json").read_text())["formats"]["uki"]["programs"].values()
    content, last = (efivars.certificate_list(each.encoding) for each in (
        x509.from_file(authority.read_bytes()), x509.chain_from_file(chain.read_bytes())[-1]
    ))  # fmt: skip
    (entry,) = firmware.signatures(content)
    expected = measured_boot.pcr7({"PK": last, "KEK": last, "db": content}, entry.data)
    assert facts["signer"]["subject"] == "CN=leaf" and facts["pcrs"]["7"] == expected.hex()


def changed_file(change):
    """A change of the file of signatures."""

    def apply(root):
        path = root / "specs" / "node.signatures"
        path.write_text(change(path.read_text()))

    return apply


def swapped(text):
    table = json.loads(text)
    table["signatures"] = dict(zip(table["signatures"], reversed(table["signatures"].values()), strict=True))
    return json.dumps(table)


def other_certificate(root):
    make_key(root / "keys", "other")
    signed.set_sign(root, "  sign: {certificate: keys/other.pem, key: keys/db.key}\n")


@pytest.mark.parametrize(("change", "why"), [
    (changed_file(lambda text: text[:-20]), "node.signatures:1:1: not a file of signatures"),
    (changed_file(lambda text: ""), "not a file of signatures"),
    (changed_file(lambda text: text.replace("version", "revision")), "an object with signatures and version"),
    (changed_file(lambda text: text.replace('": "', '": "!', 1)), "is not base64"),
    (changed_file(lambda text: text.replace("sha256:", "md5:")), "is not sha256"),
    (changed_file(lambda text: text.replace("{", '{"version": 1, ', 1)), "a key comes twice"),
    (changed_file(swapped), "cannot be attached: the signature is not one of"),
    (other_certificate, "cannot be attached: the signature is not one of"),
    (lambda root: (root / "keys" / "db.pem").write_text("nothing"), "not a certificate that can sign"),
    (lambda root: (root / "keys" / "db.pem").unlink(), "there is no file 'keys/db.pem'"),
    (lambda root: signed.set_sign(root, "  sign: {certificate: /etc/hostname}\n"), "lies outside the project"),
    (lambda root: signed.set_sign(root, sign_with(db="keys/KEK.pem")), "does not have the signer's certificate"),
    (lambda root: signed.set_sign(root, sign_with(pk="keys/none")), "there is no file 'keys/none'"),
    (lambda root: signed.set_sign(root, sign_with(dbx="specs/node.yml")), "neither lists of signatures nor a cert"),
    (lambda root: signed.set_sign(root, sign_with(kek="/etc/hostname")), "lies outside the project"),
])  # fmt: skip
def test_what_is_wrong_is_one_line_and_nothing_is_written(root, change, why):
    change(root)
    text = doit("build:node:uki", cwd=root, code=3)
    assert why in text and "Traceback" not in text and "specs/node." in text
    assert not (root / "build" / "node" / "node.efi").exists()


@pytest.mark.parametrize(("change", "words", "why"), [
    (lambda root: other_certificate(root), [], "db.key: not the key of the certificate CN=other"),
    (lambda root: (root / "keys" / "db.key").write_text("x"), [], "no private key in PEM"),
    (lambda root: (root / "keys" / "db.key").unlink(), [], "No such file"),
    (lambda root: (root / "x.sig").write_bytes(bytes(256)), ["--attach", "x.sig"], "no signature by CN=node db"),
    (lambda root: None, ["--attach", "keys"], "there is no *.sig"),
    (lambda root: None, ["--attach", "keys", "--request", "x"], "two steps"),
    (lambda root: signed.set_sign(root, ""), [], "nobody signs"),
])  # fmt: skip
def test_what_cannot_be_signed_is_one_line_and_leaves_the_signatures(root, change, words, why):
    before = (root / "specs" / "node.signatures").read_text()
    change(root)
    text = doit("sign:node", *words, cwd=root, code=3)
    assert why in text and "Traceback" not in text
    assert (root / "specs" / "node.signatures").read_text() == before


def test_an_expired_certificate_signs_nothing(root, monkeypatch):
    monkeypatch.chdir(root)
    project, late = Project(root), datetime(2050, 1, 1, tzinfo=UTC)
    assert signing.signer(project, "node").certificate.subject == "CN=node db"
    for now in (late, datetime(2019, 12, 31, tzinfo=UTC)):
        with pytest.raises(BadInput, match="is valid from 2020-01-01 to 2049-12-31, not now"):
            signing.signer(project, "node", now)


def test_keys_are_never_replaced(root):
    before = (root / "keys" / "db.key").read_bytes()
    (root / "keys" / "PK.key").unlink()
    assert "is there already" in doit("keys:node", cwd=root, code=3)
    assert (root / "keys" / "db.key").read_bytes() == before and not (root / "keys" / "PK.key").exists()


def test_a_key_of_another_kind_or_an_encrypted_one_is_refused(tmp_path):
    pair = make_key(tmp_path, "rsa")
    certificate = x509.from_file(pair[1].read_bytes())
    run(need("openssl"), "pkcs8", "-topk8", "-in", pair[0], "-out", tmp_path / "locked", "-passout", "pass:x")
    other, _ = make_key(tmp_path, "ec", kind="ec -pkeyopt ec_paramgen_curve:P-256")
    for path, why in ((tmp_path / "locked", "encrypted"), (other, "not an RSA key")):
        with pytest.raises(BadInput, match=why):
            signing_keys.sign(path, certificate, b"data")
    assert signing_keys.sign(pair[0], certificate, b"data") == openssl_signature(pair[0], b"data")


def test_a_gitignore_that_is_there_stays(tmp_path):
    (tmp_path / ".gitignore").write_text("*.key\nmine\n")
    signing_keys.create_all(tmp_path, "test")
    assert (tmp_path / ".gitignore").read_text() == "*.key\nmine\n"


def test_the_signed_changes_are_those_of_efitools(tmp_path):
    files = signing_keys.create_all(tmp_path, "test")
    owner, zone = str(efivars.OWNER), {"env": {"TZ": "UTC"}}
    for name, signer in signing_keys.SIGNERS.items():
        content, theirs = tmp_path / f"{name}.esl", tmp_path / f"{name}.theirs"
        run(need("cert-to-efi-sig-list", "efitools"), "-g", owner, files[name].certificate, content)
        assert content.read_bytes() == efivars.certificate_list(files[name].der.read_bytes())
        keys = ("-k", files[signer].key, "-c", files[signer].certificate)
        run(need("sign-efi-sig-list", "efitools"), "-t", "2020-01-01 00:00:00", *keys, name, content, theirs, **zone)
        assert files[name].update.read_bytes() == theirs.read_bytes()
