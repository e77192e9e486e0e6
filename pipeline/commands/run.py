"""doit run: boot a node in QEMU, on this terminal."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import formats
from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.run import nocloud, qemu

if TYPE_CHECKING:
    from pipeline.formats import Format
    from pipeline.spec.spec import Spec

DOC = "boot the node in QEMU (^A X ends it)"
PARAMS = [
    {"name": "format", "long": "format", "default": "", "help": "what to boot (default: the first that can be booted)"},
    {"name": "arch", "long": "arch", "default": "", "help": "architecture (default: the first that the spec names)"},
    {"name": "memory", "long": "memory", "type": int, "default": 1024, "help": "MiB of memory"},
    {"name": "cpus", "long": "cpus", "type": int, "default": 1, "help": "processors (emulated, two are not faster)"},
    {"name": "accel", "long": "accel", "default": "",
     "help": "kvm, or tcg, which emulates the processor (default: kvm where it works)"},
    {"name": "ssh", "long": "ssh", "type": int, "default": 2222, "help": "port of this host that leads to sshd"},
    {"name": "key", "long": "key", "default": "",
     "help": "public key that may log in (default: ~/.ssh/id_{ed25519,ecdsa,rsa}.pub; none with --drive)"},
    {"name": "drive", "long": "drive", "default": "", "help": "a further image to attach, a config drive say"},
    {"name": "append", "long": "append", "default": "", "help": "further kernel command line (kernel+initrd only)"},
]  # fmt: skip

PROBE_SECONDS = 10
SSH_OPTIONS = "-o NoHostAuthenticationForLocalhost=yes"
"""Options of ssh(1) for a machine that makes its host keys anew at each start."""


def run(
    project: Project,
    name: str,
    format: str = "",
    arch: str = "",
    memory: int = 1024,
    cpus: int = 1,
    accel: str = "",
    ssh: int = 2222,
    key: str = "",
    drive: str = "",
    append: str = "",
) -> None:
    """Boot what `doit build:NAME` left in build/NAME."""
    from tempfile import TemporaryDirectory

    spec = project.load(name)
    arch, output = _chosen(spec, format, arch)
    emulator = qemu.EMULATORS[arch]
    if shutil.which(emulator.program) is None:
        raise NodekilnError(f"{emulator.program} is not installed (Debian: apt-get install {emulator.packages})")
    base = project.results(name, arch if len(spec.build.arch) > 1 else "") / name
    if missing := [file for file in qemu.files(output, base) if not file.exists()]:
        raise NodekilnError(f"{missing[0]} is not there: {user_command(f'build:{name}:{output.name}')} first")
    file = _key_file(key, drive)
    words = [
        *qemu.start(output, base, arch, append), "-serial", "mon:stdio",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh}-:22", "-device", "virtio-net-pci,netdev=net",
        *(qemu.volume("drive", Path(drive)) if drive else []),
    ]  # fmt: skip
    with TemporaryDirectory(prefix="nodekiln-run-") as folder:
        if file:
            words += qemu.volume(nocloud.LABEL, nocloud.write(Path(folder), nocloud.public_keys(file)))
        say(_how_to_log_in(spec, file, bool(key), ssh))
        accelerators = [accel] if accel else [accelerator(emulator), "tcg"]
        _boot([[*qemu.machine(arch, each, memory, cpus), *words] for each in accelerators])


def _chosen(spec: Spec, format: str, arch: str) -> tuple[str, Format]:
    """Returns the architecture and the format to boot: those asked for, else the first that can be."""
    if arch and arch not in spec.build.arch:
        raise BadInput(f"{spec.path} is built for {', '.join(spec.build.arch)}, not for {arch}")
    asked = [format] if format else [*spec.build.formats]
    bootable = [found for each in asked if formats.known(each) and qemu.bootable(found := formats.find(each))]
    if not bootable:
        known = [each for each in formats.names() if qemu.bootable(formats.find(each))]
        raise NodekilnError(f"{', '.join(asked)}: cannot be booted here; try --format={' or '.join(known)}")
    return arch or spec.build.arch[0], bootable[0]


def _boot(commands: Sequence[Sequence[str]]) -> None:
    """Runs the first of `commands` on this terminal, and the next one if its accelerator gives up."""
    for command in commands:
        if _ran(command):
            return
        say("\nthis machine's KVM cannot run the node (QEMU: internal error)")
    raise NodekilnError(f"{commands[-1][0]} gave up: --accel tcg emulates the processor")


def _ran(command: Sequence[str]) -> bool:
    """Runs a machine to its end and returns True; False if its accelerator gives up. NodekilnError if it fails."""
    import socket

    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            watched = [*command, *qemu.watched(theirs.fileno())]
            process = subprocess.Popen(watched, pass_fds=[theirs.fileno()])
        try:
            if qemu.gives_up(ours):
                return False
            if status := process.wait():
                raise NodekilnError(f"{command[0]} ended with exit code {status}")
            return True
        finally:
            process.kill()
            process.wait()


def _key_file(key: str, drive: str) -> Path | None:
    """Returns the file of public keys to hand over: the one asked for, else the user's own if no drive is given."""
    if key:
        return nocloud.public_file(Path(key))
    return None if drive else nocloud.own_keys()


def _how_to_log_in(spec: Spec, file: Path | None, asked: bool, port: int) -> str:
    """Returns a line that says how to log in with the key of `file`, and how to end the machine.

    asked: it was asked for, so that ssh does not try it by itself.
    """
    end = "; ^A X ends it"
    if file is None:
        return f"no key is handed over: --key FILE does, or a key in ~/.ssh (made by ssh-keygen) without --drive{end}"
    if not _takes_keys(spec):
        say(f"{spec.path}: no onboot step reads the key (image: @pkg:images/metadata, provider cdrom)", error=True)
    private = file.with_name(file.name.removesuffix(".pub"))
    identity = f"-i {shlex.quote(str(private))} " if asked and private != file and private.exists() else ""
    return f"ssh {identity}-p {port} root@127.0.0.1 {SSH_OPTIONS} logs in with {file} once sshd is up{end}"


def _takes_keys(spec: Spec) -> bool:
    """Returns whether a metadata step asks the provider that reads a NoCloud volume, as it does by default."""
    steps = [each for each in spec["onboot"] if "metadata" in each.image]
    providers = [[word for word in each.command or () if not word.startswith(("/", "-"))] for each in steps]
    return any(not words or "cdrom" in words for words in providers)


def accelerator(emulator: qemu.Emulator) -> str:
    """`kvm` if a machine really starts with it (a /dev/kvm that is there may still not work), else `tcg`."""
    words = [
        emulator.program,
        "-accel",
        "kvm",
        "-machine",
        emulator.machine,
        "-cpu",
        "host",
        "-display",
        "none",
        "-nodefaults",
        "-monitor",
        "stdio",
    ]
    options = {"input": "quit\n", "text": True, "capture_output": True, "timeout": PROBE_SECONDS}
    try:
        tried = subprocess.run(words, check=False, **options)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if tried.returncode == 0 else "tcg"
