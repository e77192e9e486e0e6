"""doit build, as a person runs it: what runs, what does not, and what is said when something is wrong."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.model.tree import Directory, Entry, parent
from pipeline.planning.plan import plan
from pipeline.project.project import Project
from tests.oci import craft
from tests.oci.stacks import pax_sparse_1
from tests.project import ROOT, declare, doit, fleet, new_project

SPEC = """\
init: ["base:1"]
services:
  - {name: web, image: "web:1"}
  - {name: log, image: "log:1"}
build:
  formats: [kernel+initrd, tar]
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project with one spec, and an OCI layout for its registry."""
    root = new_project(tmp_path / "project", node=SPEC)
    for name in ("base", "web", "log"):
        programs = [f"bin-{name}"] + ["init", "usr/bin/containerd"] * (name == "base")
        layer = craft.archive(*(craft.entry(path, data=name.encode(), mode=0o755) for path in programs))
        config = {"config": {"Cmd": [f"/bin-{name}"]}}
        craft.image(tmp_path / "layout", [layer], name=f"docker.io/library/{name}:1", config=config)
    monkeypatch.chdir(root)
    monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=oci:{tmp_path}/layout")
    return root


def ran(output: str) -> set[str]:
    """The stages that ran, out of a build's lines."""
    return set(re.findall(r"^build:node:(\S+): ran", output, re.MULTILINE))


def edit(before: str, after: str) -> None:
    spec = Path("specs/node.yml")
    assert before in spec.read_text()
    spec.write_text(spec.read_text().replace(before, after))


def sums() -> str:
    return Path("build/node/SHA256SUMS").read_text()


def test_a_first_build_locks_and_builds_and_a_second_does_nothing() -> None:
    assert {"services/web", "initrd", "tar"} <= ran(doit("build:node"))
    assert Path("specs/node.lock").exists()
    for line in sums().splitlines():
        digest, name = line.split()
        assert hashlib.sha256(Path("build/node", name).read_bytes()).hexdigest() == digest
    second = doit("build:node")
    assert not ran(second) and re.search(r"0 ran, 0 restored, \d+ up to date", second)


def test_what_the_kernel_unpacks_is_the_root_file_system() -> None:
    edit(
        "services:",
        """volumes: [{name: data, image: "log:1"}]
onboot: [{name: first, image: "web:1", readonly: true}]
files:
  - {path: etc/motd, contents: hello}
  - {path: containers/services/web/lower/bin-web, contents: another, mode: "0755"}
  - {path: containers/services/log/lower/etc/log.conf, contents: new}
services:""",
    )
    edit('name: web, image: "web:1"', 'name: web, image: "base:1"')
    edit('init: ["base:1"]', 'init: ["base:1", "web:1"]')
    doit("build:node")
    project = Project(Path.cwd())
    loaded = project.load("node")
    made = plan(loaded, project.lock("node"), loaded.build.arch[0])
    fragments = [fragment.inputs[0] for fragment in made.products.initrd.inputs[1:]]
    unpacked: dict[str, Entry] = {}
    for tree in (project.store.tree(fragment.perform(project.store)[0]) for fragment in fragments):
        for path, entry in tree.items():
            assert not parent(path) or type(unpacked[parent(path)]) is Directory, f"{path} comes before its directory"
            assert (type(unpacked.get(path, entry)) is Directory) == (type(entry) is Directory)
            unpacked[path] = entry
    assert unpacked == project.store.tree(made.products.rootfs.perform(project.store)[0])


def test_a_changed_service_runs_alone_and_going_back_restores() -> None:
    doit("build:node")
    before = sums()
    edit('image: "web:1"', 'image: "web:1", env: ["A=1"]')
    changed = ran(doit("build:node"))
    assert "services/web" in changed and "fragment/services/web/frame" in changed
    assert not any("log" in stage or "unpack" in stage or stage.startswith("root") for stage in changed - {"rootfs"})
    assert "fragment/services/web/image" not in changed, "the image is as it was"
    assert sums() != before
    edit(', env: ["A=1"]', "")
    assert ran(doit("build:node")) <= {"kernel+initrd", "tar"}, "only the files are written again"
    assert sums() == before


def test_the_kernel_decides_the_compression_and_its_command_line_does_not(tmp_path: Path) -> None:
    files = {"kernel": b"", "kernel-config": b"CONFIG_RD_GZIP=y\n"}
    layer = craft.archive(*(craft.entry(name, data=data) for name, data in files.items()))
    craft.image(tmp_path / "layout", [layer], name="docker.io/library/kernel:1")
    edit("init:", 'kernel: {image: "kernel:1", cmdline: quiet, tar: none}\ninit:')
    assert {"compression", "fragment/init/base"} <= {each.replace(":1", "") for each in ran(doit("build:node"))}
    assert Path("build/node/node-initrd.img").read_bytes().startswith(b"\x1f\x8b")
    edit("quiet", "debug")
    changed = ran(doit("build:node"))
    assert "kernel" in changed and not any(stage.startswith(("fragment", "compression")) for stage in changed)


def test_what_was_deleted_comes_back_the_same() -> None:
    doit("build:node")
    before = sums()
    Path("build/node/node.tar").unlink()
    doit("build:node")
    assert sums() == before and Path("build/node/node.tar").exists()
    shutil.rmtree("cache")
    edit('image: "web:1"', 'image: "web:1", env: ["A=1"]')
    doit("build:node")
    edit(', env: ["A=1"]', "")
    doit("build:node")
    assert sums() == before


def test_a_format_that_nobody_asked_for_can_be_built_by_its_name() -> None:
    doit("build:node")
    assert ran(doit("build:node:tar-kernel-initrd")) == {"format/tar-kernel-initrd", "tar-kernel-initrd"}
    assert Path("build/node/node-initrd.tar").exists()


def test_compressed_disks_are_there_by_name_and_in_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEKILN_LOCKED", "1")
    listed = doit("list", "--all").split()
    assert "build:node:vhdx" in listed
    assert not any(word.endswith((".zst", ".gz")) for word in listed)
    assert "build:node:raw-bios.gz" in doit("info", "build:node:raw-bios.gz", code=1)
    assert "vhdx.zst needs a kernel to start" in doit("build:node:vhdx.zst", code=3)
    edit("init:", 'kernel: {image: "kernel:1"}\ninit:')
    assert "not locked" in doit("build:node:vhdx.zst", code=1)
    assert "build:node:tar.zst" in doit("build:node:tar.zst", code=3)


def test_a_wrong_spec_is_one_line_a_mistake_and_exit_code_3_and_leaves_others_alone() -> None:
    Path("specs/bad.yml").write_text("services:\n  - {name: x, imaeg: y}\n")
    told = doit("build:bad", code=3)
    assert "specs/bad.yml:2:15: services[0]: unknown key 'imaeg' (did you mean 'image'?)" in told
    assert "Traceback" not in told
    assert doit("build:bad:tar", code=3)
    doit("build:node")


def test_a_file_that_no_initrd_has_room_for_is_told_with_the_formats_that_have(tmp_path: Path) -> None:
    filler = craft.entry("var/filler", data=random.Random(1).randbytes(28 << 20))  # else the hole is taken for a bomb
    layer = craft.archive(pax_sparse_1(b"var/large", 5 << 30, [(0, b"some")]), filler)
    craft.image(tmp_path / "layout", [layer], name="docker.io/library/large:1")
    edit("base:1", "large:1")
    told = doit("build:node:kernel+initrd", code=3)
    assert "var/large: 5368709120 bytes; a cpio archive (initrd) holds files of at most 4294967295 (" in told
    assert re.search(r"\(docker, .*kernel\+squashfs, .*tar, verity-efi have room for it\)", told)


def test_what_only_an_image_can_tell_is_told_at_the_line_that_asked() -> None:
    edit('image: "web:1"', 'image: "web:1", uid: nobody-here')
    assert re.search(r"specs/node\.yml:3:\d+: .*nobody-here", doit("build:node", code=3))


def test_nothing_is_resolved_where_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODEKILN_LOCKED", "1")
    assert "not locked" in doit("build:node", code=1)
    assert not Path("specs/node.lock").exists()


def test_info_says_why() -> None:
    doit("build:node")
    edit('image: "web:1"', 'image: "web:1", env: ["A=1"]')
    assert "entry.env: (none) -> {'A': 'sha256:6b86b273ff34'}" in doit("info", "build:node:services/web", code=1)


@pytest.mark.parametrize(("words", "starts", "locked"), [
    (["build"], 2, {"node", "other", "third"}), ([], 2, {"node", "other", "third"}), (["build:other"], 2, {"other"}),
])  # fmt: skip
def test_what_is_not_locked_is_resolved_before_one_new_start(words: list[str], starts: int, locked: set[str]) -> None:
    for name in ("other", "third"):
        shutil.copy("specs/node.yml", f"specs/{name}.yml")
    Path("counting.py").write_text("from pipeline.tasks import Loader\nopen('starts', 'a').write('.')\n")
    declare(Path(), "counting")
    doit(*words)
    assert len(Path("starts").read_text()) == starts
    assert {path.stem for path in Path("specs").glob("*.lock")} == locked
    assert all(Path(f"build/{name}/{name}.tar").exists() for name in locked)


def test_specs_that_share_all_but_a_command_line_share_the_work(project: Path, tmp_path: Path) -> None:
    for number in range(3):
        text = SPEC.replace("init:", f"kernel: {{image: kernel:1, cmdline: host={number}}}\ninit:")
        Path(f"specs/n{number}.yml").write_text(text)
    Path("specs/node.yml").unlink()
    files = {"kernel": random.Random(1).randbytes(1 << 20), "kernel.tar": craft.archive()}
    layer = craft.archive(*(craft.entry(path, data=data) for path, data in files.items()))
    craft.image(tmp_path / "layout", [layer], name="docker.io/library/kernel:1", config={"config": {}})
    output = doit()
    stages = [set(re.findall(rf"^build:n{number}:(\S+): ran", output, re.MULTILINE)) for number in range(3)]
    own = {"kernel", "boot", "rootfs", "initrd", "format/kernel+initrd", "format/tar", "kernel+initrd", "tar"}
    assert stages[1] == stages[2] == own and own < stages[0]
    assert re.search(r"^0 ran, 0 restored, \d+ up to date", doit(), re.MULTILINE)
    made = {path.name: path.read_bytes() for path in Path("build").glob("n*/*")}
    for number in range(3):
        assert f"host={number}" in made[f"n{number}-cmdline"].decode()
        shutil.rmtree("build")
        doit(f"build:n{number}", NODEKILN_CACHE=str(tmp_path / f"cache{number}"))
        alone = {path.name: path.read_bytes() for path in Path("build").glob("n*/n*")}
        assert alone and alone.items() <= made.items()


@pytest.mark.slow
def test_a_fleet_with_nothing_to_do_takes_little_memory(tmp_path: Path) -> None:
    root = fleet.make(tmp_path / "fleet", size := 100)
    doit(cwd=root)
    script = "import doit.doit_cmd, pipeline.tasks; doit.doit_cmd.DoitMain(pipeline.tasks.Loader()).run([])"
    peak = "import re; print('peak', re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    command = [sys.executable, "-c", f"{script}\n{peak}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    summary, kib = re.search(r"^(0 ran, 0 restored, .*)\n(?:.*\n)*peak (\d+)$", done.stdout, re.MULTILINE).groups()
    assert int(kib) << 10 <= (30 << 20) + size * (300 << 20) // 1000, summary
