"""Needs of selected files: found in the packages as the kernel and the dynamic linker find them, or missing."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.tree import Entry, File, Symlink, Tree, complete
from pipeline.recipe.needs import Missing, Needs, needs
from pipeline.store import Store
from tests.programs.craft import library, program

Files = Mapping[str, "bytes | str"]
"""Path -> a file's bytes, or the target of a symlink."""
LIB = "usr/lib/x86_64-linux-gnu"
LINKER = f"{LIB}/ld-linux-x86-64.so.2"
LIBC: Files = {
    LINKER: library(soname="ld-linux-x86-64.so.2"),
    "usr/lib64/ld-linux-x86-64.so.2": f"/{LINKER}",
    f"{LIB}/libc.so.6": library(soname="libc.so.6"),
}


def tree(store: Store, files: Files) -> Tree:
    entries: dict[str, Entry] = {}
    for path, item in files.items():
        if isinstance(item, str):
            entries[path] = Symlink(0o777, 0, 0, 0, (), item)
        else:
            entries[path] = File(0o755, 0, 0, 0, (), store.content(item))
    return complete(Tree(entries).ordered())


def found(store: Store, image: Files, packages: Files, provided: tuple[str, ...] = (), arch: str = "amd64") -> Needs:
    return needs(tree(store, image), tree(store, {**LIBC, **packages}), store.range, arch, provided)


def test_libraries_come_with_their_own_and_the_links_to_them_but_no_others(store: Store) -> None:
    packages = {
        f"{LIB}/liba.so.1": "liba.so.1.2",
        f"{LIB}/liba.so.1.2": library("libb.so.2", "libc.so.6", soname="liba.so.1"),
        f"{LIB}/libb.so.2": library("libc.so.6", soname="libb.so.2"),
        f"{LIB}/libunused.so.1": library(soname="libunused.so.1"),
    }
    result = found(store, {"usr/bin/x": program(["liba.so.1", "libc.so.6"])}, packages)
    names = ["ld-linux-x86-64.so.2", "liba.so.1", "liba.so.1.2", "libb.so.2", "libc.so.6"]
    assert sorted(result.places) == [f"{LIB}/{name}" for name in names]
    assert result.missing == ()


def test_the_linker_has_the_name_that_programs_use(store: Store) -> None:
    result = found(store, {"usr/bin/x": program()}, {})
    assert {path: entry.target for path, entry in result.links.items() if isinstance(entry, Symlink)} == {
        "lib64/ld-linux-x86-64.so.2": f"../{LINKER}"
    }
    merged = found(store, {"usr/bin/x": program(), "lib64": "usr/lib64"}, {})
    assert merged.links == {} and merged.places == {LINKER, "usr/lib64/ld-linux-x86-64.so.2"}


def test_what_the_image_has_does_not_come_again(store: Store) -> None:
    image = {"usr/bin/x": program(["libc.so.6"]), **LIBC, "lib64/ld-linux-x86-64.so.2": f"/{LINKER}"}
    assert found(store, image, {}) == Needs(frozenset(), Tree(), ())


def test_everything_that_is_missing_is_named_with_what_needs_it(store: Store) -> None:
    packages = {f"{LIB}/liba.so.1": library("libgone.so.1", soname="liba.so.1")}
    image = {
        "usr/bin/x": program(["liba.so.1", "libno.so.3"]),
        "usr/bin/y": program((), "/lib/ld-linux-other.so.1"),
        "usr/bin/z": b"#!/usr/bin/python3\n",
    }
    assert found(store, image, packages).missing == (
        Missing("usr/bin/x", "libgone.so.1", f"{LIB}/liba.so.1"),
        Missing("usr/bin/x", "libno.so.3", "usr/bin/x"),
        Missing("usr/bin/y", "/lib/ld-linux-other.so.1", "usr/bin/y"),
        Missing("usr/bin/z", "/usr/bin/python3", "usr/bin/z", is_script=True),
    )


def test_what_another_image_provides_is_left_out_with_what_it_needs(store: Store) -> None:
    packages = {f"{LIB}/liba.so.1": library("libgone.so.1", soname="liba.so.1")}
    image = {"usr/bin/x": program(["liba.so.1", "libc.so.6"]), "usr/bin/y": b"#!/bin/sh\n"}
    provided = ("**/liba.so.*", "**/libc.so.*", "**/ld-linux-*", "bin/sh")
    assert found(store, image, packages, provided) == Needs(frozenset(), Tree(), ())


def test_interpreters_come_with_their_own_needs(store: Store) -> None:
    packages = {
        "usr/bin/dash": program(["libc.so.6"]),
        "usr/bin/sh": "dash",
        "usr/bin/env": program(),
        "usr/bin/lua": program(),
    }
    result = found(store, {"etc/a": b"#!/bin/sh -e\n", "etc/b": b"#!/usr/bin/env lua\n"}, packages)
    names = {"usr/bin/dash", "usr/bin/env", "usr/bin/lua", LINKER, f"{LIB}/libc.so.6"}
    assert result.places == names
    assert result.links["bin/sh"] == Symlink(0o777, 0, 0, 315532800, (), "../usr/bin/dash")


def test_kept_links_bring_what_they_lead_to_and_may_lead_nowhere(store: Store) -> None:
    packages = {f"{LIB}/libposix.so.1": library("libc.so.6"), "usr/share/doc/a/copyright": b"c"}
    image = {f"{LIB}/lua/posix.so": "../libposix.so.1", "etc/x": "/run/x", "etc/y": "/", "etc/z": "../usr/share/doc/a"}
    assert found(store, image, packages).places == {f"{LIB}/libposix.so.1", f"{LIB}/libc.so.6"}


def test_a_program_s_search_path_holds_for_its_libraries(store: Store) -> None:
    image = {
        "usr/bin/x": program(["liba.so.1"], rpath="/usr/lib/x"),
        "usr/lib/x/liba.so.1": library("libb.so.1", soname="liba.so.1"),
    }
    assert found(store, image, {"usr/lib/x/libb.so.1": library(soname="libb.so.1")}).missing == ()
    assert found(store, {"usr/lib/x/liba.so.1": image["usr/lib/x/liba.so.1"]}, {}).missing[0].name == "libb.so.1"


def test_programs_of_other_machines_and_other_files_need_nothing(store: Store) -> None:
    image = {"a": program(["libgone.so.1"]), "b": b"\x7fELF damaged", "c": b"text"}
    assert found(store, image, {}, arch="arm64") == Needs(frozenset(), Tree(), ())
