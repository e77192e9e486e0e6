"""Whether programs can start: execve and the dynamic linkers, followed inside an image."""

# ruff: noqa: E501  # tables are read row by row

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.model.tree import Entry, File, Symlink, Tree, complete
from pipeline.programs import execve
from pipeline.programs.root import Root
from pipeline.store import Store
from tests.programs.craft import GLIBC, MUSL, library, program

Given = bytes | str
"""A file's bytes, or a symlink's target after `-> `; a file that starts with `= ` is not executable."""
STATIC = program((), "")
LIBC = library(soname="libc.so.6")


def root(store: Store, files: Mapping[str, Given], arch: str = "amd64", mounted: tuple[str, ...] = ()) -> Root:
    result: dict[str, Entry] = {}
    for path, item in files.items():
        if isinstance(item, str) and item.startswith("-> "):
            result[path] = Symlink(0o777, 0, 0, 0, (), item[3:])
            continue
        mode = 0o644 if isinstance(item, str) and item.startswith("= ") else 0o755
        data = item if isinstance(item, bytes) else item.removeprefix("= ").encode()
        result[path] = File(mode, 0, 0, 0, (), store.content(data))
    return Root(complete(Tree(result)), store.range, arch, "its image", mounted)


def said(
    store: Store, files: Mapping[str, Given], path: str = "/bin/x", arch: str = "amd64", **environment: str
) -> str:
    result = execve.start_failure(root(store, files, arch), path, environment)
    return "" if result is None else result.message + (f" ({result.hint})" if result.hint else "")


LINKER = {"lib64/ld-linux-x86-64.so.2": STATIC}
WHOLE = {**LINKER, "lib/x86_64-linux-gnu/libc.so.6": LIBC}
SCRIPTS: list[tuple[dict[str, Given], str]] = [
    ({"bin/x": STATIC}, ""),
    ({"bin/x": "#!/bin/sh\n", "bin/sh": STATIC}, ""),
    ({"bin/x": "#! /bin/sh -e\n", "bin/sh": "-> busybox", "bin/busybox": STATIC}, ""),
    ({"bin/x": "#!/bin/sh", "bin/sh": "-> ../../../usr/bin/busybox", "usr/bin/busybox": STATIC}, ""),
    ({"bin": "-> usr/bin", "usr/bin/x": "#!/bin/sh\n", "usr/bin/sh": STATIC}, ""),
    ({"bin/x": "#!/usr/bin/python3\n"}, "needs the interpreter '/usr/bin/python3', which is not in its image"),
    ({"bin/x": "#!/bin/python3\n", "usr/bin/python3": STATIC},
     "needs the interpreter '/bin/python3', which is not in its image (it is in /usr/bin)"),
    ({"bin/x": "#!/bin/sh\r\n", "bin/sh": STATIC}, "(its first line ends in CR LF: use LF)"),
    ({"bin/x": "#!/bin/sh\n", "bin/sh": "= x"}, "needs the interpreter '/bin/sh', which is not executable in its image"),
    ({"bin/x": "#!/bin/sh\n", "bin/sh": "-> sh"}, "needs the interpreter '/bin/sh', which is not in its image"),
    ({"bin/x": "#!\n"}, "has no interpreter after '#!'"),
    ({"bin/x": "#!/bin/x\n"}, "needs more than 5 nested scripts"),
    ({"bin/x": "#!/bin/y -a\n", "bin/y": "#!/bin/z\n", "bin/z": STATIC}, ""),
    ({"bin/x": "#!/bin/y\n", "bin/y": "#!/bin/z\n"},
     "needs the interpreter '/bin/y', which needs the interpreter '/bin/z', which is not in its image"),
    ({"bin/x": "echo hello\n"}, "is a text file without '#!', which the kernel does not start (begin it with #!/bin/sh)"),
    ({"bin/x": "= #!/bin/sh\n"}, "is not executable in its image"),
    ({"bin/x": "#!" + "/" * 300 + "\n"}, "has a '#!' line of more than 256 bytes"),
    ({"bin/x": "#!/usr/bin/env y\n", "usr/bin/env": STATIC, "opt/y": STATIC}, ""),
    ({"bin/x": "#!/usr/bin/env y\n", "usr/bin/env": STATIC, "usr/y": STATIC},
     "needs 'y', which is not in PATH of its image (it is in /usr)"),
    ({"bin/x": "#!/usr/bin/env y -u\n", "usr/bin/env": STATIC, "opt/y": STATIC}, "env reads the whole line as one name"),
    ({"bin/x": "#!/usr/bin/env -S A=1 y -u\n", "usr/bin/env": STATIC, "opt/y": STATIC}, ""),
    ({"bin/x": "#!/usr/bin/env -S y -u\n", "usr/bin/env": STATIC}, "needs 'y', which is not in PATH"),
    ({"bin/x": "#!/usr/bin/env -i y\n", "usr/bin/env": STATIC}, ""),
    ({"bin/x": "#!/usr/bin/env y\n"}, "needs the interpreter '/usr/bin/env', which is not in its image"),
    ({"bin/x": "#!/usr/bin/env x\n", "usr/bin/env": STATIC, "opt/x": "-> /bin/x"}, "more than 5 nested scripts"),
]  # fmt: skip


@pytest.mark.parametrize(("files", "wanted"), SCRIPTS)
def test_scripts(store: Store, files: dict[str, Given], wanted: str) -> None:
    result = said(store, files, PATH="/opt:/sbin")
    assert wanted in result and bool(wanted) is bool(result)


LINKED: list[tuple[dict[str, Given], str]] = [
    ({**WHOLE, "bin/x": program(["libc.so.6"])}, ""),
    ({"lib64": "-> usr/lib", "usr/lib/ld-linux-x86-64.so.2": STATIC, "usr/lib/libc.so.6": LIBC, "bin/x": program(["libc.so.6"])}, ""),
    ({"bin/x": program(["libc.so.6"])}, f"needs '{GLIBC}', which is not in its image"),
    ({"usr/lib64/ld-linux-x86-64.so.2": STATIC, "bin/x": program([])},
     f"needs '{GLIBC}', which is not in its image (it is in /usr/lib64)"),
    ({"lib64/ld-linux-x86-64.so.2": "no", "bin/x": program([])}, f"needs '{GLIBC}', which is not a dynamic linker"),
    ({**WHOLE, "bin/x": program(["libfoo.so.6"]), "usr/lib/libfoo.so.5": LIBC},
     "needs libfoo.so.6, which no folder of its image has (there is 'libfoo.so.5')"),
    ({**WHOLE, "bin/x": program(["liba.so", "libb.so", "libc.so.6"])}, "needs liba.so, libb.so, which no folder"),
    ({**WHOLE, "bin/x": program(["liba.so"]), "usr/lib/liba.so": library("libb.so")},
     "needs libb.so (for liba.so), which no folder of its image has"),
    ({**WHOLE, "bin/x": program(["liba.so"]), "usr/lib/liba.so": library("libb.so"), "lib/libb.so": library("liba.so")}, ""),
    ({**WHOLE, "bin/x": program(["libc.so.6"], machine=183)}, "is a program for arm64, not for amd64"),
    ({**LINKER, "lib/libc.so.6": library(soname="libc.so.6", machine=183), "bin/x": program(["libc.so.6"])},
     "needs libc.so.6, which no folder of its image has"),
    ({**WHOLE, "bin/x": program([], kind=1)}, "is an ELF file, but not a program"),
    ({**WHOLE, "bin/x": program(["libc.so.6"])[:100]}, "is not a program: it is truncated"),
    # folders
    ({**WHOLE, "bin/x": program(["liba.so"]), "opt/liba.so": LIBC},
     "(/opt has liba.so, but the dynamic linker does not search there)"),
    ({**WHOLE, "bin/x": program(["liba.so"], runpath="/none:/opt"), "opt/liba.so": LIBC}, ""),
    ({**WHOLE, "bin/x": program(["liba.so"], rpath="$ORIGIN/../opt"), "opt/liba.so": LIBC}, ""),
    ({**WHOLE, "bin/x": "-> /app/bin/x", "app/bin/x": program(["liba.so"], runpath="${ORIGIN}/../opt"), "app/opt/liba.so": LIBC}, ""),
    ({**WHOLE, "bin/x": program(["liba.so"], runpath="/opt/$LIB"), "opt/lib/x86_64-linux-gnu/liba.so": LIBC}, ""),
    ({**WHOLE, "bin/x": program(["/opt/liba.so"]), "opt/liba.so": LIBC}, ""),
    # a library inherits its loader's DT_RPATH, and not its DT_RUNPATH
    ({**WHOLE, "bin/x": program(["liba.so"], rpath="/opt"), "opt/liba.so": library("libb.so"), "opt/libb.so": LIBC}, ""),
    ({**WHOLE, "bin/x": program(["liba.so"], runpath="/opt"), "opt/liba.so": library("libb.so"), "opt/libb.so": LIBC},
     "needs libb.so (for liba.so), which no folder"),
    ({**WHOLE, "bin/x": program(["liba.so"], rpath="/opt"), "opt/liba.so": library("libb.so", runpath="/n"), "opt/libb.so": LIBC},
     "needs libb.so (for liba.so), which no folder"),
    ({**WHOLE, "bin/x": program(["liba.so", "libb.so"]), "lib/liba.so": library(soname="libb.so")}, ""),
    ({**WHOLE, "bin/x": program(["liba.so"]), "etc/ld.so.conf": "= include ld.so.conf.d/*.conf\n",
      "etc/ld.so.conf.d/a.conf": "= # here\n/opt\n", "opt/liba.so": LIBC}, ""),
    ({**WHOLE, "bin/x": program(["liba.so"]), "etc/ld.so.cache": "= glibc-ld.so.cache1.1\0\0liba.so\0/opt/liba.so\0", "opt/liba.so": LIBC}, ""),
    ({**WHOLE, "bin/x": program([], "/system/bin/linker64"), "system/bin/linker64": STATIC}, ""),
    ({**WHOLE, "lib/ld-musl-x86_64.so.1": STATIC, "bin/x": program(["libdl.so.2"])}, ""),
    # musl
    ({"lib/ld-musl-x86_64.so.1": STATIC, "bin/x": program(["libc.musl-x86_64.so.1", "libz.so.1"], MUSL), "usr/local/lib/libz.so.1": LIBC}, ""),
    ({"lib/ld-musl-x86_64.so.1": STATIC, "bin/x": program(["libz.so.1"], MUSL), "lib64/libz.so.1": LIBC}, "needs libz.so.1"),
    ({"lib/ld-musl-x86_64.so.1": STATIC, "etc/ld-musl-x86_64.path": "= /opt\n", "bin/x": program(["libz.so.1"], MUSL),
      "opt/libz.so.1": LIBC}, ""),
    ({"lib/ld-musl-x86_64.so.1": STATIC, "bin/x": program(["liba.so"], MUSL, runpath="/opt"), "opt/liba.so": library("libb.so"),
      "opt/libb.so": LIBC}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("files", "wanted"), LINKED)
def test_programs(store: Store, files: dict[str, Given], wanted: str) -> None:
    result = said(store, files)
    assert wanted in result and bool(wanted) is bool(result)


def test_libraries_are_found_by_ld_library_path(store: Store) -> None:
    files: dict[str, Given] = {**WHOLE, "bin/x": program(["liba.so"]), "opt/liba.so": LIBC}
    assert said(store, files, LD_LIBRARY_PATH="/srv:/opt") == ""
    assert said(store, files, LD_LIBRARY_PATH="/srv") != ""


def test_other_architectures(store: Store) -> None:
    assert said(store, {"bin/x": program((), "", machine=183)}, arch="arm64") == ""
    assert said(store, {"bin/x": STATIC}, arch="arm64") == "is a program for amd64, not for arm64"
    assert said(store, {"bin/x": program((), "", bits=32, machine=3)}) == ""
    assert said(store, {"bin/x": program((), "", machine=9)}) == (
        "is a program for another machine (e_machine 9), not for amd64"
    )


def test_what_is_mounted_over_is_not_known(store: Store) -> None:
    files: dict[str, Given] = {**LINKER, "bin/x": program(["liba.so"]), "bin/y": "#!/opt/run\n", "bin/z": "-> /opt/z"}
    for mounted in (("lib",), ("usr/lib", "opt"), ("lib64",)):
        assert execve.start_failure(root(store, files, mounted=mounted), "/bin/x", {}) is None
    for path in ("/bin/y", "/bin/z"):
        assert execve.start_failure(root(store, files, mounted=("opt",)), path, {}) is None
        assert execve.start_failure(root(store, files), path, {}) is not None


def test_what_another_handler_may_start_is_not_sure(store: Store) -> None:
    result = execve.start_failure(root(store, {"bin/x": b"\0asm\1\0\0\0"}), "/bin/x", {})
    assert result is not None and not result.sure


def test_the_linker_of_this_machine_agrees(tmp_path: Path, store: Store) -> None:
    """A program and its libraries, each left out once: it starts exactly where nothing is said to be missing."""
    wanted = Path(shutil.which("ls") or "").resolve()
    ldd = subprocess.run(["ldd", wanted], capture_output=True, text=True, check=True).stdout
    paths = [*dict.fromkeys([str(wanted), *re.findall(r"(/\S+)", ldd)])]
    assert len(paths) > 3
    for left_out in ("", *paths[1:]):
        place = tmp_path / "root"
        files: dict[str, Given] = {}
        for path in paths:
            if path != left_out:
                (place / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place / path.lstrip("/"))
                files[path.lstrip("/")] = Path(path).read_bytes()
        starts = subprocess.run(
            ["unshare", *(["-r"] if os.geteuid() else []), f"--root={place}", str(wanted), "/"], capture_output=True
        )
        result = said(store, files, str(wanted))
        assert (starts.returncode == 0) is (result == ""), (left_out, result, starts.stderr)
        assert Path(left_out).name in result
        shutil.rmtree(place)
