"""doit run: boot a node in QEMU, on this terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command, one

if TYPE_CHECKING:
    from pipeline.formats import Format
    from pipeline.project.targets import Target
    from pipeline.run.qemu import Emulator
    from pipeline.spec.spec import Spec

PROBE_SECONDS = 10
"""Seconds that a machine may take to start and end in order to prove that KVM works."""
SSH_OPTIONS = "-o NoHostAuthenticationForLocalhost=yes"
"""Options of ssh(1) for a machine that makes its host keys anew at each start."""


@command(
    "boot the node in QEMU (^A X ends it)",
    format="what to boot (default: the first that can be booted)",
    arch="architecture (default: the first that the spec names)",
    memory="MiB of memory",
    cpus="processors (emulated, two are not faster)",
    accel="kvm, or tcg, which emulates the processor (default: kvm where it works)",
    ssh="port of this host that leads to sshd",
    key="public key that may log in (default: ~/.ssh/id_{ed25519,ecdsa,rsa}.pub; none with --drive)",
    drive="a further image to attach, a config drive say",
    append="further kernel command line (kernel+initrd only)",
    secure_boot="with Secure Boot, the certificates of build.sign enrolled, and a TPM if swtpm is installed",
)
def run(
    project: Project,
    names: Sequence[str],
    format: str = "",
    arch: str = "",
    memory: int = 1024,
    cpus: int = 1,
    accel: str = "",
    ssh: int = 2222,
    key: str = "",
    drive: str = "",
    append: str = "",
    secure_boot: bool = False,
) -> None:
    """Boots what `doit build:NAME` left in build/NAME."""
    import shutil
    from tempfile import TemporaryDirectory

    from pipeline.run import nocloud, qemu

    name = one(names, "run", project)
    target = project.target(name, arch)
    spec, output = target.spec, _bootable(target.spec, format, secure_boot)
    emulator = qemu.EMULATORS[target.arch]
    if shutil.which(emulator.program) is None:
        raise NodekilnError(f"{emulator.program} is not installed (Debian: apt-get install {emulator.packages})")
    base = target.folder / name
    if missing := [file for file in qemu.files(output, base) if not file.exists()]:
        raise NodekilnError(f"{missing[0]} is not there: {user_command(f'build:{name}:{output.name}')} first")
    file = _key_file(key, drive)
    words = [
        "-serial", "mon:stdio",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh}-:22", "-device", "virtio-net-pci,netdev=net",
        *(qemu.volume("drive", Path(drive)) if drive else []),
    ]  # fmt: skip
    with TemporaryDirectory(prefix="nodekiln-run-") as folder:
        enrolled = _enrolled(target, Path(folder, "variables")) if secure_boot else None
        words = [*qemu.start(output, base, target.arch, append, enrolled), *words]
        if file:
            words += qemu.volume(nocloud.LABEL, nocloud.write(Path(folder), nocloud.public_keys(file)))
        say(_how_to_log_in(spec, file, bool(key), ssh))
        accelerators = [accel] if accel else [accelerator(emulator, secure_boot), "tcg"]
        machines = [[*qemu.machine(target.arch, each, memory, cpus), *words] for each in accelerators]
        _boot(machines, target.arch if secure_boot and _has_tpm() else "")


def _bootable(spec: Spec, name: str, secure: bool) -> Format:
    """Returns the format to boot: the one asked for, else the first of the spec's that can be booted.

    secure: by firmware that checks signatures.
    """
    from pipeline import formats
    from pipeline.run import qemu

    def fits(format: Format) -> bool:
        return qemu.bootable(format) and (not secure or format.firmware is formats.Firmware.UEFI)

    names = [name] if name else [*spec.build.formats]
    bootable = [found for each in names if formats.known(each) and fits(found := formats.find(each))]
    if not bootable:
        known = [each for each in formats.names() if fits(formats.find(each))]
        how = "with Secure Boot" if secure else "here"
        raise NodekilnError(f"{', '.join(names)}: cannot be booted {how}; try --format={' or '.join(known)}")
    return bootable[0]


def _enrolled(target: Target, path: Path) -> Path:
    """Writes UEFI's variables as `build.sign` has them; returns their file."""
    from pipeline.run import qemu
    from pipeline.writers import efivars

    signer, emulator = target.plan.signer, qemu.EMULATORS[target.arch]
    if signer is None:
        raise NodekilnError(f"{target.spec.path}: nobody signs: build: {{sign: {{certificate: keys/db.pem}}}}")
    if not Path(emulator.variables).exists():
        raise NodekilnError(f"{emulator.variables} is missing (Debian: apt-get install {emulator.packages})")
    path.write_bytes(efivars.enrol(Path(emulator.variables).read_bytes(), signer.variables))
    return path


def _has_tpm() -> bool:
    """Returns whether a machine can have a TPM, and prints a line that says so."""
    from pipeline.run import tpm

    if not (found := tpm.installed()):
        say(f"no TPM: {tpm.PROGRAM} is not installed (Debian: apt-get install {tpm.PROGRAM})")
    else:
        say(f"TPM 2.0: {tpm.PROGRAM}, whose state is dropped when the machine ends")
    return found


def _boot(commands: Sequence[Sequence[str]], measured: str) -> None:
    """Runs the first of `commands` on this terminal, and the next one if its accelerator gives up.

    measured: architecture of a machine that gets a TPM; "" for none.
    """
    from contextlib import nullcontext

    from pipeline.run import tpm

    for words in commands:
        with tpm.running(measured) if measured else nullcontext(tpm.NONE) as chip:
            ended = _ran([*words, *chip.words], chip.inherited)
        if ended:
            return
        say("\nthis machine's KVM cannot run the node (QEMU: internal error)")
    raise NodekilnError(f"{commands[-1][0]} gave up: --accel tcg emulates the processor")


def _ran(words: Sequence[str], inherited: Sequence[int]) -> bool:
    """Runs a machine to its end and returns True; False if its accelerator gives up. NodekilnError if it fails.

    inherited: descriptors that `words` name.
    """
    import socket
    import subprocess

    from pipeline.run import qemu

    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            monitored = [*words, *qemu.monitor(theirs.fileno())]
            process = subprocess.Popen(monitored, pass_fds=[theirs.fileno(), *inherited])
        try:
            if qemu.gives_up(ours):
                return False
            if status := process.wait():
                raise NodekilnError(f"{words[0]} ended with exit code {status}")
            return True
        finally:
            process.kill()
            process.wait()


def _key_file(key: str, drive: str) -> Path | None:
    """Returns the file of public keys to hand over: the one asked for, else the user's own if no drive is given."""
    from pipeline.run import nocloud

    if key:
        return nocloud.public_file(Path(key))
    return None if drive else nocloud.own_keys()


def _how_to_log_in(spec: Spec, file: Path | None, asked: bool, port: int) -> str:
    """Returns a line that says how to log in with the key of `file`, and how to end the machine.

    asked: it was asked for, so that ssh does not try it by itself.
    """
    import shlex

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


def accelerator(emulator: Emulator, secure: bool = False) -> str:
    """Returns `kvm` if a machine really starts with it (a /dev/kvm that is there may still not work), else `tcg`.

    secure: a machine for Secure Boot, whose system management mode not every KVM has.
    """
    import subprocess

    machine = ["-machine", emulator.machine, "-cpu", "host", "-display", "none", "-nodefaults", "-monitor", "stdio"]
    words = [emulator.program, "-accel", "kvm", *machine, *(emulator.guards if secure else ())]
    try:
        process = subprocess.run(
            words, input="quit\n", text=True, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "tcg"
    return "kvm" if process.returncode == 0 else "tcg"
