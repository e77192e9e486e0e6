"""A node that cannot start is no success: check and build say so, at the same lines, and what can start is built."""

# ruff: noqa: E501  # tables are read row by row

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.oci import craft
from tests.programs.craft import GLIBC, library, program
from tests.project import doit, new_project

STATIC = program((), "")
INIT = {"init": b"#!/bin/sh\n", "bin/sh": STATIC, "bin/rc.init": b"#!/bin/sh\n"}
SPEC = """\
kernel: {image: "kernel:1", tar: none}
init: ["init:1", "runc:1", "containerd:1"]
onboot:
  - {name: first, image: "app:1", command: [/bin/app, x]}
services:
  - {name: web, image: "app:1"}
build: {arch: amd64, formats: [kernel+initrd]}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project with a spec all of whose programs can start."""
    root = new_project(tmp_path / "project", node=SPEC)
    monkeypatch.chdir(root)
    monkeypatch.setenv("NODEKILN_MIRROR", f"docker.io=oci:{tmp_path}/layout")
    image("kernel", {"kernel": b"kernel"})
    image("init", INIT)
    image("runc", {"usr/bin/runc": STATIC, "etc/init.d/010-onboot": b"no shebang, which a shell runs\n"})
    image("containerd", {"usr/bin/containerd": STATIC})
    image("app", {"bin/app": b"#!/bin/sh\n", "bin/sh": STATIC})
    return root


def image(name: str, files: Mapping[str, bytes], **config: object) -> None:
    layer = craft.archive(*(craft.entry(path, data=data, mode=0o755) for path, data in sorted(files.items())))
    index = Path.cwd().parent / "layout/index.json"
    if index.exists():
        known = json.loads(index.read_text())
        known["manifests"] = [each for each in known["manifests"] if f"/{name}:1" not in str(each["annotations"])]
        index.write_text(json.dumps(known))
    said = {"Cmd": ["/bin/app"], "Env": ["PATH=/bin"], **config}
    craft.image(Path.cwd().parent / "layout", [layer], name=f"docker.io/library/{name}:1", config={"config": said})


def edit(before: str, after: str) -> None:
    spec = Path("specs/node.yml")
    assert before in spec.read_text()
    spec.write_text(spec.read_text().replace(before, after))


def wrong(lock: bool = True) -> list[str]:
    """The errors that check and build have, which have to be the same; first the lock is made, where it can be."""
    doit("lock:node", code=0 if lock else 3)
    found = json.loads(doit("check:node", "--json", code=3).partition("\n]")[0] + "\n]")
    errors = [each for each in found if each["severity"] == "error"]
    lines = [f"{each['line']}:{each['column']}: {each['message']}" for each in errors]
    built = doit("run", "--continue", "build:node", code=3)
    assert set(re.findall(r"^specs/node\.yml:(\d+:\d+: .*?)(?: \((?!for ).*\))?$", built, re.MULTILINE)) == set(lines)
    assert not Path("build/node/node-initrd.img").exists()
    return lines


def test_what_can_start_is_right_and_built() -> None:
    doit("build:node")
    assert "right, 0 warnings" in doit("check:node")
    again = doit("build:node")
    assert "0 ran" in again and Path("build/node/node-initrd.img").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"bin/app": b"#!/usr/bin/python3\n"}, "'/bin/app' needs the interpreter '/usr/bin/python3', which is not in its image"),
        ({"bin/app": program(["libc.so.6"])}, f"'/bin/app' needs '{GLIBC}', which is not in its image"),
        ({"bin/app": program(["libfoo.so.6"]), GLIBC[1:]: STATIC}, "'/bin/app' needs libfoo.so.6, which no folder of its image has"),
        ({"bin/app": program((), "", machine=183)}, "'/bin/app' is a program for arm64, not for amd64"),
        ({"bin/x": STATIC}, "the image has no '/bin/app'"),
    ],
)  # fmt: skip
def test_a_container_that_cannot_start_is_an_error_at_its_program(files: dict[str, bytes], message: str) -> None:
    image("app", files)
    assert wrong() == [f"4:45: {message}", f"6:24: {message}"]


def test_a_file_of_the_spec_counts_as_part_of_the_image() -> None:
    image("app", {"bin/app": b"#!/bin/sh\n"})
    edit(
        "build:",
        'files: [{path: containers/onboot/000-first/lower/bin/sh, contents: "#!/bin/app", mode: "0755"}]\nbuild:',
    )
    assert all("nested scripts" in each for each in wrong())


@pytest.mark.parametrize(
    ("name", "files", "errors"),
    [
        ("init", {"bin/sh": STATIC}, ["2:7: nothing brings '/init', which the kernel starts"]),
        ("init", {**INIT, "bin/sh": program([])}, [f"2:8: '/init' needs the interpreter '/bin/sh', which needs '{GLIBC}', which is not in the root file system"]),
        ("init", {"init": b"#!/bin/bash\n"}, ["2:8: '/init' needs the interpreter '/bin/bash', which is not in the root file system"]),
        ("init", {"init": b"echo\n"}, ["2:8: '/init' is a text file without '#!', which the kernel does not start"]),
        ("containerd", {"x": b""}, ["6:3: no image under init: brings a runtime for services"]),
        ("containerd", {"usr/bin/containerd": program(["libc.so.6"]), GLIBC[1:]: STATIC},
         ["2:28: '/usr/bin/containerd' needs libc.so.6, which no folder of the root file system has"]),
        ("runc", {"x": b"", "etc/init.d/0": b"#!/bin/lua\n"}, ["2:18: '/etc/init.d/0' needs the interpreter '/bin/lua', which is not in the root file system"]),
    ],
)  # fmt: skip
def test_a_node_whose_boot_code_cannot_start_is_an_error_at_what_brings_it(
    name: str, files: dict[str, bytes], errors: list[str]
) -> None:
    image(name, files)
    assert wrong() == errors


def test_libraries_of_one_image_serve_the_programs_of_another() -> None:
    image("containerd", {"usr/bin/containerd": program(["libc.so.6"])})
    image("init", {**INIT, GLIBC[1:]: STATIC, "lib/libc.so.6": library(soname="libc.so.6")})
    doit("build:node")


def test_onboot_needs_a_runtime() -> None:
    edit('"runc:1", "containerd:1"', '"init:1"')
    edit('services:\n  - {name: web, image: "app:1"}\n', "")
    assert wrong() == ["4:3: no image under init: brings a runtime for containers"]


def test_what_starts_no_machine_is_built_all_the_same_and_warned_of() -> None:
    image("app", {"bin/app": b"#!/usr/bin/python3\n"})
    edit("kernel+initrd", "tar")
    edit('kernel: {image: "kernel:1", tar: none}\n', "")
    doit("build:node")
    assert doit("check:node").count("which is not in its image") == 2
    assert Path("build/node/node.tar").exists()


def test_without_a_kernel_of_its_own_a_node_may_lack_what_another_brings() -> None:
    edit('kernel: {image: "kernel:1", tar: none}\n', "")
    image("init", {"bin/sh": STATIC})
    built = doit("build:node")
    assert re.search(r"\d+ up to date, 1 warning in ", built), "warnings are counted at the end"
    assert "warning: specs/node.yml:1:7: nothing brings '/init'" in built


def test_formats_that_need_what_is_not_there_are_errors_where_they_are_asked_for() -> None:
    edit('kernel: {image: "kernel:1", tar: none}\n', "")
    edit("kernel+initrd", "tar, qcow2-bios")
    assert wrong(lock=False) == ["6:37: qcow2-bios needs a kernel to start, and the spec names none"]
    edit("tar, qcow2-bios", "tar")
    assert "raw-bios needs a kernel" in doit("build:node:raw-bios", code=3)


def test_a_bootloaders_recipe_that_is_not_there_is_said_by_check_and_by_build() -> None:
    edit("formats: [kernel+initrd]", "formats: [raw-bios], bootloader: '@pkg:images/syslinx'")
    assert wrong(lock=False) == [
        "7:32: there is no recipe @pkg:images/syslinx: no build.yml in images/syslinx or specs/images/syslinx"
    ]
    edit("raw-bios", "tar")
    doit("build:node")
    message = "raw-bios needs it; did you mean '@pkg:images/syslinux'?"
    assert message in doit("build:node:raw-bios", code=3)


def test_all_recipes_that_are_not_there_are_said_at_their_lines() -> None:
    edit('"init:1", "runc:1"', '"@pkg:images/intit", "@pkg:none/x"')
    edit('image: "app:1"}', 'image: "@pkg:images/ssh"}')
    found = doit("check:node", code=3)
    assert re.findall(r"yml:(\d+:\d+): there is no recipe (\S+):", found) == [
        ("2:8", "@pkg:images/intit"), ("2:29", "@pkg:none/x"), ("6:24", "@pkg:images/ssh")
    ]  # fmt: skip
    assert "did you mean '@pkg:images/init'?" in found and "did you mean '@pkg:images/sshd'?" in found
    assert doit("build:node", code=3).strip().splitlines() == found.strip().splitlines()[1:]
    listed = doit("list")
    assert "build:node   wrong: specs/node.yml:2:8: there is no recipe @pkg:images/intit" in listed


def test_words_that_name_no_namespace_are_refused(project: Path) -> None:
    edit('image: "app:1"}', 'image: "app:1", net: bridge, pid: hots, ipc: /run/ipc}')
    found = doit("check:node", "--alone", code=3)
    assert "6:38: 'bridge' is not a namespace (host, root, new, none, or a path" in found
    assert "did you mean 'host'?" in found and "ipc" not in found
    edit("net: bridge, pid: hots", "pid: 'container:x'")
    assert wrong() == ["6:38: 'container:x' is no namespace: the runtime wants an absolute path"]


def test_check_of_a_project_says_what_is_wrong_with_every_spec() -> None:
    doit("lock")
    Path("specs/a.yml").write_text("init: [x\n")
    Path("specs/b.yml").write_text("inti: [x]\nservices: [{nam: x}]\n")
    found = doit("check", code=3)
    assert "specs/a.yml:2:1" in found and "specs/b.yml:1:1" in found and "specs/b.yml:2:" in found
    assert "specs/node.yml: right, 0 warnings" in found


def test_an_empty_project_says_what_to_write() -> None:
    Path("specs/node.yml").unlink()
    assert "no specs/NAME.yml here: `doit init` makes a project" in doit("list")
    assert "no specs/NAME.yml here: `doit init` makes a project" in doit("build", code=3)


def test_info_of_a_spec_tells_what_a_build_would_do() -> None:
    assert "never built here" in doit("info", "build:node", code=1)
    doit("build:node")
    assert "up-to-date" in doit("info", "build:node")
    edit("tar: none", "tar: none, cmdline: x")
    assert "    - build:node:kernel+initrd: " in doit("info", "build:node", code=1)


def test_every_stage_is_told_in_words_for_people() -> None:
    doit("lock:node")
    for line in doit("list", "--all", "build:node").splitlines():
        assert not re.search(r"Tree|`(?!files:)|digest|Error\b", line), line


def test_a_program_of_the_node_that_gains_rights_is_named_with_its_image() -> None:
    files = [craft.entry("bin/su", data=STATIC, mode=0o4755), craft.entry("bin/wall", data=STATIC, mode=0o2755)]
    files.append(craft.entry("bin/ping", data=STATIC, mode=0o755, records={"SCHILY.xattr.security.capability": b"x"}))
    craft.image(Path.cwd().parent / "layout", [craft.archive(*files)], name="docker.io/library/tools:1")
    edit('"init:1", ', '"init:1", "tools:1", ')
    doit("lock:node")
    found = doit("check:node")
    for path, right in (("su", "is set-user-ID"), ("wall", "is set-group-ID"), ("ping", "has file capabilities")):
        assert f"warning: specs/node.yml:2:18: '/bin/{path}' {right}, and nobody needs it" in found
    assert "'/bin/app'" not in found
