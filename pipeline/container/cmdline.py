"""The kernel's command line, and the limits of the boot loaders that pass it on.

Lengths are in bytes of UTF-8, without the final NUL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.container.arches import ByArch, for_arch
from pipeline.language.problem import StageProblem

LONGEST = 2047
"""Maximum length of a kernel's command line, in bytes: COMMAND_LINE_SIZE less the NUL (arch/x86/include/asm/setup.h,
arch/arm64/include/uapi/asm/setup.h). The EFI stub has the same limit (libstub/efi-stub-helper.c)."""
SYSLINUX_LONGEST = LONGEST - 1
"""Maximum for Syslinux, which subtracts a NUL that the kernel's `cmdline_size` excludes (lib/syslinux/load_linux.c)."""
U_BOOT_LONGEST = 1023
"""Maximum for the Raspberry Pi's U-Boot: CONFIG_SYS_CBSIZE less the NUL (boot/pxe_utils.c, "bootarg overflow")."""
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Control characters except tab and newline. A NUL ends the line; loaders differ in how they read the others."""
PATH = ("cmdline",)
"""Path of the StageProblems that stages raise about the line."""

Refusal = tuple[str, str]
"""Message and hint."""
Words = ByArch | Sequence[ByArch]
"""A command line, or a list of its parts. A part for other architectures alone is left out."""


class Loader(NamedTuple):
    """A program that starts a kernel, and the command line that it passes on."""

    name: str
    longest: int = LONGEST
    """Maximum length of the whole line, in bytes."""
    template: str = "{line}"
    """The whole line: `{line}` is the spec's, `{node}` the node's name."""
    own: str = r"(?!)"
    """Regular expression for text that the program interprets instead of passing it on."""

    def refusal(self, line: str, node: str = "") -> Refusal | None:
        """Returns the reason why the kernel would not get `line` unchanged; None if it would."""
        if match := re.search(self.own, line):
            return f"{self.name} interprets {match[0]!r} instead of passing it to the kernel", ""
        added = self.template.format(line="", node=node)
        room, size = self.longest - len(added.encode()), len(line.strip().encode())
        if size <= room:
            return None
        words = " ".join(added.split())
        hint = f"its limit of {self.longest} includes {words!r}" if words else ""
        return f"the command line has {size} bytes; {self.name} accepts at most {room}", hint

    def check(self, line: str, node: str = "") -> str:
        """Returns `line`. StageProblem if the kernel would not get it unchanged."""
        if refusal := self.refusal(line, node):
            raise StageProblem(PATH, *refusal)
        return line

    def adding(self, words: str) -> Loader:
        """Returns the loader for a format that appends `words` to the spec's line."""
        return self._replace(template=self.template.replace("{line}", "{line} " + words))


KERNEL = Loader("the kernel")
EFI_STUB = Loader("the kernel's EFI stub")
SYSLINUX = Loader("Syslinux", SYSLINUX_LONGEST, "BOOT_IMAGE=/kernel {line} initrd=/initrd.img", r"\binitrd=\S*")
"""com32/elflink/ldlinux/{kernel,readconfig}.c add the words; Syslinux loads the first `initrd=`."""
IPXE_INITRD = "initrd.img"
"""Name that iPXE gives the initrd, and under which the EFI stub loads it."""
IPXE = Loader(
    "iPXE",
    template="{node}-kernel initrd=" + IPXE_INITRD + " {line}",
    own=r"(?<!\S)(?:\|\||&&|;)(?!\S)|(?<!\S)(?:#|initrd=)\S*|\S*\$\{\S*",
)
"""Under UEFI the line starts with the image's name (image/efi_image.c). `||`, `&&` and `;` end a command, `#` starts a
comment, `${…}` is a setting (core/exec.c). The EFI stub loads each `initrd=` file."""
U_BOOT = Loader("U-Boot", U_BOOT_LONGEST, own=r"\$[{(]|['\\]")
"""`${…}` and `$(…)` are variables; quotes and backslashes are removed (common/cli_simple.c)."""


def refusal(line: str) -> Refusal | None:
    """Returns the reason why no kernel gets `line` unchanged, with any loader; None if there is none."""
    if match := UNPRINTABLE.search(line):
        return f"the command line contains the control character {match[0]!r}", "remove it"
    return KERNEL.refusal(line)


def joined(value: Words, arch: str) -> str | None:
    """Returns the command line for `arch`; None if `value` is not a list and has none."""
    if isinstance(value, str | Mapping):
        return for_arch(value, arch)
    return " ".join(filter(None, (for_arch(part, arch) for part in value)))


def unclosed(line: str) -> bool:
    """Returns True for an unclosed quotation mark: the kernel reads all words after it as one (lib/cmdline.c)."""
    return line.count('"') % 2 == 1
