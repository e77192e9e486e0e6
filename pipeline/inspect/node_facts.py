"""Facts of a node's own security: its command line, kernel parameters, mounts, consoles, and privileged files.

As in container_facts, a fact is a tuple of words, and None is unknown. A prefix names a family of facts:

    cmdline.NAME    each value of the parameter; "" without a value
    sysctl.KEY      the value that the step which sets kernel parameters writes, else that of the command line
    mount.PATH      the options of the mount that init makes there
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.inspect.container_facts import Words, set_id_files
from pipeline.kernel.sysctl import Assignment, decisive, path
from pipeline.model.tree import Tree

CMDLINE, SYSCTL, MOUNT = "cmdline.", "sysctl.", "mount."
CONTAINERS = "containers/"
"""Folder of the containers' own files."""
INITTAB = "etc/inittab"
INIT_SCRIPTS = ("bin/rc.init", "etc/init.d/rcS")
"""Scripts of images/init and of LinuxKit in which init mounts; LinuxKit's mounts in a program, so it has no facts."""
DEBUG = "nodekiln.debug"
"""Word of the command line with which images/init starts a shell on the console."""
SHELL = re.compile(r"(?:^|[\s/-])(?:sh|ash|bash|dash|getty|agetty|sulogin|login|cttyhack)(?:\s|$)")
"""Programs that let somebody in who sits at the console."""
INTERACTIVE = ("askfirst", "respawn", "once")
"""Actions of inittab with a program for the console (busybox, init/init.c)."""
_MOUNT = re.compile(r"\bmount\s+-t\s+\S+\s+-o\s+(?P<options>\S+)\s+\S+\s+(?P<path>/\S*)")
_READ_ONLY_ROOT = re.compile(r"\bmount\s+-o\s+remount,(?:\S+,)?ro\s+/(?:\s|$)", re.MULTILINE)


class Node(NamedTuple):
    """The values out of which the facts of a node come.

    cmdline: the kernel's command line; None for a node without a kernel. init: the text of init's script, or None.
    sysctls: the lines that are written at boot, in their order. facts: those that are known already.
    """

    cmdline: str | None
    init: str | None
    sysctls: tuple[Assignment, ...]
    facts: Mapping[str, Words | None]

    def fact(self, name: str) -> Words | None:
        """Returns a fact by its name. KeyError if there is none of that name."""
        if name.startswith(CMDLINE):
            return None if self.cmdline is None else parameters(self.cmdline).get(_plain(name[len(CMDLINE) :]), ())
        if name.startswith(SYSCTL):
            line = decisive(self.sysctls, name[len(SYSCTL) :])
            return on_cmdline(self.cmdline, name[len(SYSCTL) :]) if line is None else (" ".join(line.value.split()),)
        if name.startswith(MOUNT):
            return None if self.init is None else mounts(self.init).get(name[len(MOUNT) :])
        return self.facts[name]


def parameters(line: str) -> dict[str, Words]:
    """Returns the parameters on a kernel's command line: name, with `_` for `-`, -> its values in their order.

    A value in double quotes may hold spaces (lib/cmdline.c, next_arg). Words behind `--` are init's.
    """
    found: dict[str, Words] = {}
    for word in re.findall(r'(?:[^\s"]|"[^"]*"?)+', line):
        if word == "--":
            break
        name, _, value = word.replace('"', "").partition("=")
        found[_plain(name)] = (*found.get(_plain(name), ()), value)
    return found


def on_cmdline(line: str | None, key: str) -> Words:
    """Returns the value of the kernel parameter `key` that a command line sets: as `sysctl.KEY`, or by another name.

    Source: kernel-parameters.txt (sysctl.*, panic, oops).
    """
    words = parameters(line or "")
    found = [
        value
        for name, values in words.items()
        if name.startswith(SYSCTL) and path(name[len(SYSCTL) :]) == _plain(path(key))
        for value in values
    ]
    if not found and path(key) == "kernel/panic":
        found = [*words.get("panic", ())]
    if not found and path(key) == "kernel/panic_on_oops":
        found = ["1" for value in words.get("oops", ()) if value == "panic"]
    return tuple(found[-1:])


def _plain(name: str) -> str:
    return name.replace("-", "_")


def mounts(script: str) -> dict[str, Words]:
    """Returns the mounts that a script makes with `mount -t TYPE -o OPTIONS SOURCE PATH`: path -> options."""
    return {each["path"]: tuple(each["options"].split(",")) for each in _MOUNT.finditer(_code(script))}


def has_readonly_root(script: str) -> bool:
    """Returns True for a script that mounts the root again, read-only."""
    return _READ_ONLY_ROOT.search(_code(script)) is not None


def _code(script: str) -> str:
    return "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))


def root(script: str | None) -> Words | None:
    """Returns `read-only` or `writable`; None for an init that is not a script."""
    return None if script is None else ("read-only" if has_readonly_root(script) else "writable",)


def console_shells(inittab: str | None, cmdline: str | None) -> Words | None:
    """Returns the programs for somebody at the console; None without an inittab, for an init that has none."""
    debug = [DEBUG] if DEBUG in (cmdline or "").split() else []
    if inittab is None:
        return (*debug,) or None
    return (*debug, *_console_programs(inittab))


def _console_programs(inittab: str) -> Iterator[str]:
    for line in inittab.splitlines():
        fields = line.split(":", 3)
        if not line.startswith("#") and len(fields) == 4 and fields[2] in INTERACTIVE and SHELL.search(fields[3]):
            yield fields[3].strip()


def privileged_files(tree: Tree) -> Words:
    """Returns the files outside of containers that are set-user-id or set-group-id or have capabilities."""
    return tuple(path for path in set_id_files(tree) if not path.startswith(CONTAINERS))


def unsigned(modules: Iterable[tuple[str, bytes]]) -> Iterator[str]:
    """Yields the paths of kernel modules without a signature; modules: path and contents of each."""
    from pipeline.kernel.modinfo import is_signed

    return (path for path, data in modules if not is_signed(path, data))


def applies_sysctls(args: Sequence[str]) -> bool:
    """Returns True for the command of a step that sets kernel parameters: one of the name `sysctl`."""
    return bool(args) and args[0].endswith("sysctl")
