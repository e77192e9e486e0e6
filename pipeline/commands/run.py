"""doit run: boot a node in QEMU, on this terminal."""

from __future__ import annotations

import shutil
import subprocess

from pipeline import qemu
from pipeline.errors import BadInput, NodekilnError
from pipeline.project import Project

DOC = "boot the node in QEMU (^A X ends it)"
PARAMS = [
    {"name": "format", "long": "format", "default": "", "help": "what to boot (default: the first that can be booted)"},
    {"name": "arch", "long": "arch", "default": "", "help": "architecture (default: the first that the spec names)"},
    {"name": "memory", "long": "memory", "type": int, "default": 1024, "help": "MiB of memory"},
    {"name": "cpus", "long": "cpus", "type": int, "default": 1, "help": "processors (emulated, two are not faster)"},
    {"name": "ssh", "long": "ssh", "type": int, "default": 2222, "help": "port of this host that leads to sshd"},
    {"name": "drive", "long": "drive", "default": "", "help": "a further image to attach, a config drive say"},
    {"name": "append", "long": "append", "default": "", "help": "further kernel command line (kernel+initrd only)"},
]

PROBE_SECONDS = 10


def run(
    project: Project, name: str, format: str = "", arch: str = "", memory: int = 1024, cpus: int = 1, ssh: int = 2222,
    drive: str = "", append: str = "",
) -> None:
    """Boot what `doit build:NAME` left in build/NAME."""
    spec = project.load(name)
    if arch and arch not in spec.build.arch:
        raise BadInput(f"{spec.path} is built for {', '.join(spec.build.arch)}, not for {arch}")
    arch = arch or spec.build.arch[0]
    asked = [format] if format else [*spec.build.formats]
    bootable = [each for each in asked if each in qemu.BOOTABLE]
    if not bootable:
        raise NodekilnError(f"{', '.join(asked)}: cannot be booted here; try --format={' or '.join(qemu.BOOTABLE)}")
    emulator = qemu.EMULATORS[arch]
    if shutil.which(emulator.program) is None:
        raise NodekilnError(f"{emulator.program} is not installed (Debian: apt-get install {emulator.packages})")
    base = project.results(name, arch if len(spec.build.arch) > 1 else "") / name
    if missing := [file for file in qemu.files(bootable[0], base) if not file.exists()]:
        raise NodekilnError(f"{missing[0]} is not there: `doit build:{name}:{bootable[0]}` first")
    words = [
        *qemu.machine(arch, accelerator(emulator), memory, cpus), *qemu.start(bootable[0], base, arch, append),
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh}-:22", "-device", "virtio-net-pci,netdev=net",
        *(["-drive", f"file={drive},format=raw,if=virtio,readonly=on"] if drive else []),
    ]
    print(f"ssh -p {ssh} root@127.0.0.1 reaches it once sshd is up; ^A X ends it", flush=True)
    if status := subprocess.run(words, check=False).returncode:
        raise NodekilnError(f"{emulator.program} ended with exit code {status}")


def accelerator(emulator: qemu.Emulator) -> str:
    """`kvm` if a machine really starts with it (a /dev/kvm that is there may still not work), else `tcg`."""
    words = [emulator.program, "-accel", "kvm", "-machine", emulator.machine, "-cpu", "host",
             "-display", "none", "-nodefaults", "-monitor", "stdio"]
    options = {"input": "quit\n", "text": True, "capture_output": True, "timeout": PROBE_SECONDS}
    try:
        tried = subprocess.run(words, check=False, **options)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if tried.returncode == 0 else "tcg"
