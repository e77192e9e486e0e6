"""netboot: a node that machines start over the network: an iPXE script beside the kernel and the initrd that it names.

The script's names are relative to its own URL, so the three files may lie in any folder that HTTP (or TFTP) reaches;
`doit serve:NODE` is one such place. Source: iPXE's commands (ipxe.org/cmd) and rules for scripts (ipxe.org/scripting).
"""

from __future__ import annotations

from urllib.parse import quote

from pipeline.container.cmdline import IPXE, IPXE_INITRD
from pipeline.formats import Firmware, Format
from pipeline.model.digest import Digest
from pipeline.model.tree import files
from pipeline.stages.boot_partition import required_file
from pipeline.store import Store

VERSION = 1


def build(store: Store, kernel: Digest, initrd: Digest, name: str = "node") -> Digest:
    """Tree {".ipxe", "-kernel", "-initrd.img"}; the latter two are those of kernel+initrd. name: that of the files.

    FormatError where there is no kernel, StageProblem where iPXE cannot pass on the command line.
    """
    cmdline = store.bytes(required_file(store, kernel, "cmdline")).decode()
    outputs = [
        (".ipxe", store.content(script(name, cmdline).encode())),
        ("-kernel", required_file(store, kernel, "kernel")),
        ("-initrd.img", required_file(store, initrd, "initrd.img")),
    ]
    return store.put_tree(files(outputs))


def script(name: str, cmdline: str) -> str:
    """The iPXE script that starts `name`-kernel with `name`-initrd.img and the command line."""
    words = IPXE.check(cmdline, name).split()
    url = quote(name)
    command = " ".join([f"kernel {url}-kernel", f"initrd={IPXE_INITRD}", *words])
    return f"#!ipxe\n{command}\ninitrd --name {IPXE_INITRD} {url}-initrd.img\nboot\n"


FORMAT = Format(
    "netboot", build, needs=("kernel", "initrd"), options=("name",), produces=(".ipxe", "-kernel", "-initrd.img"),
    firmware=Firmware.DIRECT, loaders=(IPXE,),
)  # fmt: skip
