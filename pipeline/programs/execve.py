"""execve(2), followed in the files of an image to the last file that a program needs.

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
from pipeline.ondisk.elf import MAGIC
from pipeline.programs import elf, libraries
from pipeline.programs.root import Root

SCRIPT_HEAD = 256
"""Number of bytes of a file that the kernel reads to identify it (BINPRM_BUF_SIZE)."""
MAX_SCRIPTS = 5
"""Maximum number of nested scripts, each the interpreter of the one before."""
DEFAULT_PATH = "/bin:/usr/bin"
"""PATH of C libraries for an environment without one."""
MACHINES = {
    "386": (3,), "amd64": (62, 3), "arm": (40,), "arm64": (183, 40), "loong64": (258,), "mips64le": (8,),
    "ppc64le": (21,), "riscv64": (243,), "s390x": (22,),
}  # fmt: skip
"""Architecture of an image -> e_machine of the programs that its kernels start."""
_ARCHES = {machines[0]: arch for arch, machines in MACHINES.items()}


class StartFailure(NamedTuple):
    """The reason why a program cannot start: the predicate of a sentence about it.

    sure: False if a kernel with a handler for such files (binfmt_misc) could start it. by_shell: a shell runs such a
    file itself.
    """

    message: str
    hint: str = ""
    sure: bool = True
    by_shell: bool = False


def start_failure(root: Root, path: str, environment: Mapping[str, str]) -> StartFailure | None:
    """Returns the reason why the program at the absolute `path` in `root` cannot start; None if none is known."""
    try:
        return _execute(root, path, environment, 0)
    except BelowMount:
        return None


def _execute(root: Root, path: str, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    place = root.resolve(path)
    file = root.file(path)
    if place is None or file is None:
        return StartFailure(f"is not in {root.name}", _elsewhere(root, posixpath.basename(path)))
    if not file.mode & 0o111:
        return StartFailure(f"is not executable in {root.name}")
    head = root.head(file, SCRIPT_HEAD)
    if head.startswith(b"#!"):
        return _script(root, head, environment, depth)
    if head.startswith(MAGIC):
        return _program(root, place, file, environment, depth)
    if b"\n" in head and b"\0" not in head:
        message = "is a text file without '#!', which the kernel does not start"
        return StartFailure(message, "begin it with #!/bin/sh", by_shell=True)
    return StartFailure("is neither an ELF file nor a script with '#!'", "the kernel does not start it", False)


def script_interpreter(head: bytes) -> tuple[str, str]:
    """Returns the interpreter of a script from its first SCRIPT_HEAD bytes, and the rest of its line, one argument."""
    line = head[2:].partition(b"\n")[0]
    name, _, argument = line.strip(b" \t").decode("utf-8", "surrogateescape").replace("\t", " ").partition(" ")
    return name, argument


def _script(root: Root, head: bytes, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    """Follows the interpreter of a script."""
    name, argument = script_interpreter(head)
    if not name:
        return StartFailure("has no interpreter after '#!'", "#!/bin/sh")
    if b"\n" not in head and not argument and len(head) == SCRIPT_HEAD:
        return StartFailure(f"has a '#!' line of more than {SCRIPT_HEAD} bytes, which the kernel truncates")
    if depth == MAX_SCRIPTS:
        return StartFailure(f"needs more than {MAX_SCRIPTS} nested scripts")
    failure = _execute(root, posixpath.join("/", name), environment, depth + 1)
    if failure is None:
        return _env(root, argument.strip(), environment, depth) if posixpath.basename(name) == "env" else None
    hint = "its first line ends in CR LF: use LF" if name.endswith("\r") else failure.hint
    return failure._replace(message=f"needs the interpreter {name!r}, which {failure.message}", hint=hint)


def _env(root: Root, argument: str, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    """Follows the program of `#!/usr/bin/env`. Options other than -S (split the line) are not understood: None."""
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
    folders = [""] if "/" in name else environment.get("PATH", DEFAULT_PATH).split(":")
    for folder in folders:
        path = posixpath.join("/", folder, name)
        if (file := root.file(path)) is not None and file.mode & 0o111:
            failure = _execute(root, path, environment, depth + 1)
            return failure and failure._replace(message=f"needs {name!r}, which {failure.message}")
    split = "env reads the whole line as one name: use env -S" if " " in name else ""
    return StartFailure(f"needs {name!r}, which is not in PATH of {root.name}", split or _elsewhere(root, name))


def _program(root: Root, place: str, file: File, environment: Mapping[str, str], depth: int) -> StartFailure | None:
    try:
        program = root.elf(file)
    except elf.BadElf as error:
        return StartFailure(f"is not a program: {error}")
    if (failure := _foreign(root, program)) is not None:
        return failure
    if program.kind not in elf.STARTED:
        return StartFailure("is an ELF file, but not a program")
    if not program.interpreter:
        return None
    failure = _interpreter(root, program.interpreter)
    if failure is not None:
        return failure._replace(message=f"needs {program.interpreter!r}, which {failure.message}")
    needed = libraries.needed_libraries(root, place, program, environment.get("LD_LIBRARY_PATH", ""))
    missing = [library for library in needed if not library.path]
    return _without_libraries(root, place, missing) if missing else None


def _interpreter(root: Root, path: str) -> StartFailure | None:
    """Returns the reason why the kernel cannot load the dynamic linker at `path`; None if it can."""
    file = root.file(posixpath.join("/", path))
    if file is None:
        return StartFailure(f"is not in {root.name}", _elsewhere(root, posixpath.basename(path)))
    try:
        return _foreign(root, root.elf(file))
    except elf.BadElf as error:
        return StartFailure(f"is not a dynamic linker: {error}")


def _foreign(root: Root, program: elf.Elf) -> StartFailure | None:
    machines = MACHINES.get(root.arch)
    if machines is None or program.machine in machines:
        return None
    arch = _ARCHES.get(program.machine, f"another machine (e_machine {program.machine})")
    return StartFailure(f"is a program for {arch}, not for {root.arch}")


def _without_libraries(root: Root, program: str, missing: list[libraries.Library]) -> StartFailure:
    """Names all missing libraries, with a hint for the first that has one."""
    by = {library: "" if library.by == f"/{program}" else posixpath.basename(library.by) for library in missing}
    names = ", ".join(f"{library.name} (for {by[library]})" if by[library] else library.name for library in missing)
    message = f"needs {names}, which no folder of {root.name} has"
    for library in missing:
        if folder := root.elsewhere(library.name):
            return StartFailure(message, f"{folder} has {library.name}, but the dynamic linker does not search there")
    similar = suggestion(missing[0].name, [path.rpartition("/")[2] for path in root.tree if ".so" in path])
    return StartFailure(message, similar.replace("did you mean", "there is", 1).rstrip("?"))


def _elsewhere(root: Root, name: str) -> str:
    folder = root.elsewhere(name)
    return f"it is in {folder}" if folder else ""
