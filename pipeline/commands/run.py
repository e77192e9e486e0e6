"""doit run: boot a node in QEMU, on this terminal."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from pipeline.errors import NodekilnError
from pipeline.project import Project

DOC = "boot the node in QEMU (^A X ends it)"
PARAMS = [
    {"name": "format", "long": "format", "default": "", "help": "what to boot (default: the first that can be booted)"},
    {"name": "memory", "long": "memory", "type": int, "default": 1024, "help": "MiB of memory"},
    {"name": "cpus", "long": "cpus", "type": int, "default": 1, "help": "processors (emulated, two are not faster)"},
    {"name": "ssh", "long": "ssh", "type": int, "default": 2222, "help": "port of this host that leads to sshd"},
    {"name": "drive", "long": "drive", "default": "", "help": "a further image to attach, a config drive say"},
    {"name": "append", "long": "append", "default": "", "help": "further kernel command line (kernel+initrd only)"},
]

MACHINES = {"amd64": ("qemu-system-x86_64", "q35", "max"), "arm64": ("qemu-system-aarch64", "virt", "max")}
"""OCI architecture -> QEMU's program, machine and processor."""
DISKS = ("qcow2-bios", "raw-bios")
PROBE_SECONDS = 10


def run(
    project: Project, name: str, format: str = "", memory: int = 1024, cpus: int = 1, ssh: int = 2222,
    drive: str = "", append: str = "",
) -> None:
    """Boot what `doit build:NAME` left in build/NAME."""
    spec = project.load(name)
    asked = [format] if format else [*spec.build.formats]
    bootable = [each for each in asked if each in (*DISKS, "kernel+initrd")]
    if not bootable:
        raise NodekilnError(f"{', '.join(asked)}: cannot be booted here; try --format=qcow2-bios or kernel+initrd")
    arch = spec.build.arch[0]
    program, machine, processor = MACHINES[arch]
    if shutil.which(program) is None:
        raise NodekilnError(f"{program} is not installed (Debian: apt-get install qemu-system-x86 qemu-system-arm)")
    base = project.results(name, arch if len(spec.build.arch) > 1 else "") / name
    words = [
        program, "-machine", machine, "-cpu", processor, "-accel", accelerator(program), "-m", str(memory),
        "-smp", str(cpus), "-nographic", "-no-reboot", "-device", "virtio-rng-pci",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh}-:22", "-device", "virtio-net-pci,netdev=net",
        *_boot(bootable[0], base, append),
        *(["-drive", f"file={drive},format=raw,if=virtio,readonly=on"] if drive else []),
    ]
    print(f"ssh -p {ssh} root@127.0.0.1 reaches it once sshd is up; ^A X ends it", flush=True)
    subprocess.run(words, check=False)


def _boot(format: str, base: Path, append: str) -> list[str]:
    if format == "kernel+initrd":
        cmdline = Path(f"{base}-cmdline").read_text()
        return ["-kernel", f"{base}-kernel", "-initrd", f"{base}-initrd.img", "-append", f"{cmdline} {append}".strip()]
    suffix, kind = (".qcow2", "qcow2") if format == "qcow2-bios" else ("-bios.img", "raw")
    return ["-drive", f"file={base}{suffix},format={kind},if=virtio,snapshot=on"]


def accelerator(program: str) -> str:
    """`kvm` if a machine really starts with it (a /dev/kvm that is there may still not work), else `tcg`."""
    words = [program, "-accel", "kvm", "-machine", "q35" if "x86" in program else "virt", "-cpu", "host",
             "-display", "none", "-nodefaults", "-monitor", "stdio"]
    options = {"input": "quit\n", "text": True, "capture_output": True, "timeout": PROBE_SECONDS}
    try:
        tried = subprocess.run(words, check=False, **options)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if tried.returncode == 0 else "tcg"
