"""Starting: execve(2) followed in the files of an image, up to the last file that a program needs to start.

Sources: Linux, fs/binfmt_script.c, fs/binfmt_elf.c, fs/exec.c; env(1).
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.language.problem import suggestion
from pipeline.model.path_resolution import BelowMount
from pipeline.model.tree import File
from pipeline.programs import elf, libraries
from pipeline.programs.root import Root

SCRIPT_HEAD = 256
"""Bytes of a file that the kernel looks at (BINPRM_BUF_SIZE)."""
NESTED = 5
"""Maximum number of scripts that are each the interpreter of the one before."""
USUAL_PATH = "/bin:/usr/bin"
"""PATH where a container's environment has none, as C libraries have it."""
MACHINES = {
    "386": (3,), "amd64": (62, 3), "arm": (40,), "arm64": (183, 40), "loong64": (258,), "mips64le": (8,),
    "ppc64le": (21,), "riscv64": (243,), "s390x": (22,),
}  # fmt: skip
"""An image's architecture -> the e_machine of programs that its kernels start."""
_ARCHES = {machines[0]: arch for arch, machines in MACHINES.items()}


class StartFailure(NamedTuple):
    """The reason why a program cannot start: the predicate of a sentence about it.

    sure: False where a kernel with a handler for such files (binfmt_misc) starts it all the same. by_shell: a shell
    that is asked for it runs it itself.
    """

    message: str
    hint: str = ""
    sure: bool = True
    by_shell: bool = False


def start_failure(root: Root, path: str, environment: Mapping[str, str]) -> StartFailure | None:
    """The reason why the program at the absolute `path` in `root` cannot start; None where none is known."""
    try:
        return _execute(root, path, environment, 0)
    except BelowMount:
        return None


def _execute(root: Root, path: str, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    place = root.resolve(path)
    file = root.file(path)
    if place is None or file is None:
        folder = root.elsewhere(posixpath.basename(path))
        return StartFailure(f"is not in {root.name}", f"it is in {folder}" if folder else "")
    if not file.mode & 0o111:
        return StartFailure(f"is not executable in {root.name}")
    head = root.head(file, SCRIPT_HEAD)
    if head.startswith(b"#!"):
        return _script(root, head, environment, depth)
    if head.startswith(elf.MAGIC):
        return _program(root, place, file, environment, depth)
    if b"\n" in head and b"\0" not in head:
        message = "is a text without '#!', which the kernel does not start"
        return StartFailure(message, "begin it with #!/bin/sh", by_shell=True)
    return StartFailure("is neither an ELF file nor a script with '#!'", "the kernel does not start it", False)


def _script(root: Root, head: bytes, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    """The interpreter of a script: the kernel takes one word, and what follows as one argument."""
    line, end, _ = head[2:].partition(b"\n")
    name, _, argument = line.strip(b" \t").decode("utf-8", "surrogateescape").replace("\t", " ").partition(" ")
    if not name:
        return StartFailure("has nothing behind its '#!'", "write an interpreter: #!/bin/sh")
    if not end and not argument and len(head) == SCRIPT_HEAD:
        return StartFailure(f"has a '#!' line of more than {SCRIPT_HEAD} bytes, which the kernel cuts off")
    if depth == NESTED:
        return StartFailure(f"is a script of a script, more than {NESTED} deep")
    found = _execute(root, posixpath.join("/", name), environment, depth + 1)
    if found is None:
        return _env(root, argument.strip(), environment, depth) if posixpath.basename(name) == "env" else None
    hint = "its first line ends in CR LF: write LF alone" if name.endswith("\r") else found.hint
    return found._replace(message=f"needs the interpreter {name!r}, which {found.message}", hint=hint)


def _env(root: Root, argument: str, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    """The program behind `#!/usr/bin/env`; options other than -S, which splits the line, are not looked behind."""
    words = [argument]
    if argument.startswith(("-S", "--split-string=")):
        try:
            words = shlex.split(argument.removeprefix("-S").removeprefix("--split-string="))
        except ValueError:
            return None
        while words and "=" in words[0]:
            words.pop(0)
    if not words or not words[0] or words[0].startswith("-"):
        return None
    name = words[0]
    folders = [""] if "/" in name else environment.get("PATH", USUAL_PATH).split(":")
    for folder in folders:
        path = posixpath.join("/", folder, name)
        if (file := root.file(path)) is not None and file.mode & 0o111:
            found = _execute(root, path, environment, depth + 1)
            return found and found._replace(message=f"needs {name!r}, which {found.message}")
    found_in = root.elsewhere(name)
    split = "env takes the whole line for one name: env -S splits it" if " " in name else ""
    hint = split or (f"it is in {found_in}" if found_in else "")
    return StartFailure(f"needs {name!r}, which no folder of PATH in {root.name} has", hint)


def _program(root: Root, place: str, file: File, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    try:
        facts = root.elf(file)
    except elf.BadElf as error:
        return StartFailure(f"is no program: {error}")
    if (wrong := _foreign(root, facts)) is not None:
        return wrong
    if facts.kind not in elf.STARTED:
        return StartFailure("is an ELF file that is no program")
    if not facts.interpreter:
        return None
    interpreter = _interpreter(root, facts.interpreter)
    if interpreter is not None:
        return interpreter._replace(message=f"needs {facts.interpreter!r}, which {interpreter.message}")
    lost = libraries.missing(root, place, facts, environment.get("LD_LIBRARY_PATH", ""))
    return _lacking(root, lost) if lost else None


def _interpreter(root: Root, path: str) -> StartFailure | None:
    """The reason why the dynamic linker at `path` cannot be loaded: the kernel maps it, and it has to be ELF."""
    file = root.file(posixpath.join("/", path))
    if file is None:
        folder = root.elsewhere(posixpath.basename(path))
        return StartFailure(f"is not in {root.name}", f"it is in {folder}" if folder else "")
    try:
        return _foreign(root, root.elf(file))
    except elf.BadElf as error:
        return StartFailure(f"is no dynamic linker: {error}")


def _foreign(root: Root, facts: elf.Elf) -> StartFailure | None:
    machines = MACHINES.get(root.arch)
    if machines is None or facts.machine in machines:
        return None
    arch = _ARCHES.get(facts.machine, f"another machine (ELF's number {facts.machine})")
    return StartFailure(f"is a program for {arch}, not for {root.arch}")


def _lacking(root: Root, lost: list[libraries.Missing]) -> StartFailure:
    """All missing libraries in one sentence, with a hint for the first of which something like it is there."""
    names = ", ".join(f"{each.name} (for {each.by})" if each.by else each.name for each in lost)
    for each in lost:
        if folder := root.elsewhere(each.name):
            hint = f"{folder} has {each.name}, but the dynamic linker does not look there"
            return StartFailure(_nowhere(names, root), hint)
    near = suggestion(lost[0].name, [path.rpartition("/")[2] for path in root.tree if ".so" in path])
    return StartFailure(_nowhere(names, root), near.replace("did you mean", "there is", 1).rstrip("?"))


def _nowhere(names: str, root: Root) -> str:
    return f"needs {names}, which no folder of {root.name} has"
