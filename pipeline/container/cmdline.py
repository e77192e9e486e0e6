"""The kernel's command line: what a spec may write, and how much of it each boot loader passes on.

Lengths are in bytes of UTF-8, without the final NUL.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.language.problem import StageProblem

LONGEST = 2047
"""Longest command line of a kernel, in bytes: COMMAND_LINE_SIZE less the NUL (arch/x86/include/asm/setup.h,
arch/arm64/include/uapi/asm/setup.h). The EFI stub cuts at the same length (libstub/efi-stub-helper.c)."""
SYSLINUX_LONGEST = LONGEST - 1
"""Syslinux takes the kernel's `cmdline_size`, which counts no NUL, for a size with one (lib/syslinux/load_linux.c)."""
U_BOOT_LONGEST = 1023
"""CONFIG_SYS_CBSIZE of the Raspberry Pi's U-Boot, less the NUL (boot/pxe_utils.c, "bootarg overflow")."""
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Control characters but tab and newline. A NUL ends the line, others are read differently by each loader."""
PATH = ("cmdline",)
"""Where a stage that gets the line raises StageProblem."""

Refusal = tuple[str, str]
"""Message and hint."""


class Loader(NamedTuple):
    """A program that starts a kernel, and the command line that the kernel gets from it."""

    name: str
    longest: int = LONGEST
    """Bytes of the whole line that it passes on."""
    template: str = "{line}"
    """The whole line: `{line}` is the spec's, `{node}` the node's name."""
    own: str = r"(?!)"
    """Regular expression for text that the program reads itself, instead of passing it on."""

    def refusal(self, line: str, node: str = "") -> Refusal | None:
        """Says why the kernel would not get `line` as it stands; None if it does."""
        if found := re.search(self.own, line):
            return f"{self.name} would take {found[0]!r}, in the kernel's command line, for a word of its own", ""
        added = self.template.format(line="", node=node)
        room, size = self.longest - len(added.encode()), len(line.strip().encode())
        if size <= room:
            return None
        words = " ".join(added.split())
        hint = f"it passes on {self.longest}, {words!r} included" if words else ""
        return f"the command line has {size} bytes; {self.name} takes at most {room}", hint

    def checked(self, line: str, node: str = "") -> str:
        """Returns `line`; raises StageProblem where the kernel would not get it as it stands."""
        if refused := self.refusal(line, node):
            raise StageProblem(PATH, *refused)
        return line

    def adding(self, words: str) -> Loader:
        """The same loader, where the format adds `words` behind the spec's own."""
        return self._replace(template=self.template.replace("{line}", "{line} " + words))


KERNEL = Loader("the kernel")
EFI_STUB = Loader("the kernel's EFI stub")
SYSLINUX = Loader("Syslinux", SYSLINUX_LONGEST, "BOOT_IMAGE=/kernel {line} initrd=/initrd.img", r"\binitrd=\S*")
"""The words are added in com32/elflink/ldlinux/{kernel,readconfig}.c; the first `initrd=` is the file it loads."""
IPXE_INITRD = "initrd.img"
"""iPXE's name for the initrd: the kernel finds it under this name where UEFI started it."""
IPXE = Loader(
    "iPXE",
    template="{node}-kernel initrd=" + IPXE_INITRD + " {line}",
    own=r"(?<!\S)(?:\|\||&&|;)(?!\S)|(?<!\S)(?:#|initrd=)\S*|\S*\$\{\S*",
)
"""Under UEFI the line starts with the image's name (image/efi_image.c). `||`, `&&` and `;` end a command, `#` starts a
comment, `${…}` is a setting (core/exec.c); the EFI stub loads each `initrd=` file."""
U_BOOT = Loader("U-Boot", U_BOOT_LONGEST, own=r"\$[{(]|['\\]")
"""`${…}` and `$(…)` are variables, quotes and backslashes are taken out (common/cli_simple.c)."""


def refusal(line: str) -> Refusal | None:
    """Says why no kernel gets `line` whole, whatever starts it; None if one does."""
    if found := UNPRINTABLE.search(line):
        return f"the command line has the control character {found[0]!r}", "write words and spaces"
    return KERNEL.refusal(line)


def unclosed(line: str) -> bool:
    """Tells whether a quotation mark is never closed: the kernel takes all behind it for one word (lib/cmdline.c)."""
    return line.count('"') % 2 == 1
