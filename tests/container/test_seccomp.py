"""Seccomp profiles: the kernel's tables against ours, and runc and the kernel as judges of the filter."""

from __future__ import annotations

import errno
import json
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.container import runtime_spec, sandbox, seccomp
from pipeline.container.capabilities import ADMIN, CAPABILITIES
from pipeline.container.runtime_spec import MergedConfig
from pipeline.container.sandbox import Confined
from tests.judges import need, needs_root

HEADERS = {
    "amd64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "linux-libc-dev"),
    "arm64": ("/usr/include/asm-generic/unistd.h", "linux-libc-dev"),
}
"""Architecture -> header with its table, and the package that has it."""
OTHERS = {
    "arch_specific_syscall", "syscalls", "fstatat", "sync_file_range2", "fcntl64", "statfs64", "fstatfs64",
    "truncate64", "ftruncate64", "llseek", "sendfile64", "fstatat64", "fstat64", "mmap2", "fadvise64_64", "stat64",
    "lstat64",
}  # fmt: skip
"""Names of the generic header that are no calls, or those of 32-bit architectures."""


def calls(arch: str) -> dict[str, int]:
    """The system calls of the kernel's header, with the number where it has one."""
    text = Path(need(*HEADERS[arch])).read_text()
    defined = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+\(?(\w+)", text, re.MULTILINE)
    found = {name: int(number) if number.isdigit() else -1 for name, number in defined}
    return {name: found[name] for name in found if name not in OTHERS and not name.endswith("time64")}


@pytest.mark.parametrize("arch", HEADERS)
def test_every_call_of_the_kernel_is_allowed_refused_or_absent(arch: str) -> None:
    present = calls(arch)
    assert len(present) > 300
    assert present.keys() - seccomp.table().names == set(), "write it into pipeline/container/syscalls.yml"


def test_each_call_has_one_place() -> None:
    table = seccomp.table()
    document = yaml.safe_load(seccomp.TABLE.read_text())
    parts = [*document["allowed"].values(), document["conditional"], *document["absent"].values()]
    names = [*" ".join(parts).split(), *frozenset().union(*table.by_capability.values())]
    assert [name for name, times in Counter(names).items() if times > 1] == []
    assert table.by_capability.keys() <= {*CAPABILITIES}
    assert all(len(reason) > 20 for reason in table.absent)


def allowed(profile: Any) -> set[str]:
    """The calls that a profile allows whatever their arguments."""
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }


@given(st.sets(st.sampled_from(CAPABILITIES)), st.sampled_from(CAPABILITIES), st.booleans())
def test_a_capability_more_refuses_nothing_more(capabilities: set[str], another: str, own_network: bool) -> None:
    before = seccomp.profile(capabilities, "amd64", own_network)
    after = seccomp.profile({*capabilities, another}, "amd64", own_network)
    assert allowed(before) <= allowed(after)
    refused = [
        name for rule in after["syscalls"] if "errnoRet" in rule and "args" not in rule for name in rule["names"]
    ]
    assert not {*refused} & allowed(after)


def test_what_a_spec_adds_is_allowed_whatever_its_arguments() -> None:
    profile = seccomp.profile((), "arm64", own_network=True, added=["io_uring_setup", "keyctl", "socket"])
    assert {"io_uring_setup", "keyctl", "socket"} <= allowed(profile)
    assert profile["architectures"] == ["SCMP_ARCH_AARCH64"]
    assert len([rule for rule in profile["syscalls"] if "socket" in rule["names"]]) == 1


def test_all_capabilities_are_unconfined() -> None:
    assert sandbox.profile(Confined(frozenset(CAPABILITIES), ()), "default", "amd64") is None
    assert sandbox.profile(Confined(frozenset(), ()), "unconfined", "amd64") is None
    assert sandbox.profile(Confined(frozenset(), ()), "default", "amd64") is not None


# runc, and the kernel

PERL = """
use strict;
while (my $line = <STDIN>) {
    my ($name, @words) = split ' ', $line;
    my $result = syscall(shift(@words), map { $_ + 0 } @words);
    print "$name ", ($result == -1 ? $! + 0 : 0), "\\n";
}
"""
HOST = [f"/{name}:/{name}:ro" for name in ("usr", "lib", "lib64", "bin") if Path(f"/{name}").exists()]


def contained(folder: Path, entry: dict[str, Any], words: list[str], text: str = "") -> str:
    """What `words` print in a container with the host's programs and the sandbox of its entry."""
    entry = {"binds": HOST, "env": ["PATH=/usr/bin:/bin"], "command": words} | entry
    merged, profile = runtime_spec.sandboxed(MergedConfig(entry, {}), "amd64")
    (folder / "rootfs").mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(runtime_spec.config(merged, {}, lambda *_: 0, profile)))
    command = [need("runc"), "--root", str(folder / "runc"), "run", "--bundle", str(folder), f"judged-{folder.name}"]
    done = subprocess.run(command, capture_output=True, text=True, input=text, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def errors(folder: Path, entry: dict[str, Any], asked: dict[str, str]) -> dict[str, int]:
    """Name -> errno of what is asked for: the number of a call, and its arguments."""
    text = "".join(f"{name} {words}\n" for name, words in asked.items())
    lines = contained(folder, entry, ["perl", "-e", PERL], text).splitlines()
    return {name: int(number) for name, number in map(str.split, lines)}


@needs_root
def test_the_kernel_refuses_what_takes_a_capability_and_lacks_what_is_absent(tmp_path: Path) -> None:
    table, numbers = seccomp.table(), calls("amd64")
    privileged = frozenset().union(*table.by_capability.values())
    absent = frozenset().union(*table.absent.values()) | {"clone3"}
    asked = {name: f"{numbers[name]} -1 -1 -1" for name in sorted(privileged | absent) if name in numbers}
    found = errors(tmp_path, {}, asked | {"unknown": "1000"})
    assert found == {name: errno.EPERM if name in privileged else errno.ENOSYS for name in [*asked, "unknown"]}


@needs_root
def test_arguments_decide_on_namespaces_sockets_and_domains(tmp_path: Path) -> None:
    numbers = calls("amd64")
    flags = {**seccomp.NAMESPACES, "CLONE_NEWTIME": seccomp.NEW_TIME}
    asked = {f"unshare-{name}": f"{numbers['unshare']} {flag}" for name, flag in flags.items()}
    asked |= {f"clone-{name}": f"{numbers['clone']} {flag | 17}" for name, flag in seccomp.NAMESPACES.items()}
    asked["unshare"] = f"{numbers['unshare']} {0x200}"  # CLONE_FS, in programs with several working directories
    asked["personality"], asked["no-aslr"] = f"{numbers['personality']} 0", f"{numbers['personality']} {0x40000}"
    asked["socket"], asked["vsock"] = f"{numbers['socket']} 1 1 0", f"{numbers['socket']} 40 1 0"
    found = errors(tmp_path, {"net": "new"}, asked)
    right = dict.fromkeys(asked, errno.EPERM) | dict.fromkeys(("unshare", "personality", "socket"), 0)
    assert found == right | {"no-aslr": errno.ENOSYS, "vsock": errno.EAFNOSUPPORT}


def free(found: dict[str, int]) -> set[str]:
    return {name for name, number in found.items() if number not in (errno.EPERM, errno.ENOSYS)}


@needs_root
@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({"capabilities": [ADMIN]}, {"mount", "setns", "keyctl", "unshare"}),
        ({"capabilities": ["CAP_SYS_PTRACE"]}, {"process_vm_readv"}),
        ({"capabilities": ["CAP_SYS_CHROOT"]}, {"chroot"}),
        ({"seccomp": ["keyctl"]}, {"keyctl"}),
        ({"capabilities": [ADMIN], "seccomp": "basic"}, set()),
        ({}, set()),
    ],
)
def test_a_capability_or_the_spec_brings_its_calls(tmp_path: Path, entry: dict[str, Any], names: set[str]) -> None:
    numbers = calls("amd64")
    asked = {name: f"{numbers[name]} -1 -1 -1 -1 -1 -1" for name in ("mount", "setns", "keyctl", "chroot")}
    asked |= {"process_vm_readv": f"{numbers['process_vm_readv']} 1 0 0 0 0 -1", "unshare": f"{numbers['unshare']} -1"}
    assert free(errors(tmp_path, entry, asked)) == names


@needs_root
def test_a_container_without_capabilities_writes_no_parameter_of_the_node(tmp_path: Path) -> None:
    script = """
        for path in sys/kernel/core_pattern sys/vm/panic_on_oom sys/net/core/somaxconn sysrq-trigger; do
            (echo x > /proc/$path) 2> /dev/null && echo "wrote $path"
        done
        (echo x > /sys/kernel/mm/ksm/run) 2> /dev/null && echo 'wrote ksm'
        grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/self/status
    """
    status = contained(tmp_path, {}, ["sh", "-c", script])
    assert status.split() == ["CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]


@needs_root
def test_real_programs_run(tmp_path: Path) -> None:
    """Threads, processes, sockets, signals, time, pipes, locks, memory: perl's, the shell's and coreutils'."""
    script = """
        set -e
        for number in 1 2 3; do (sleep 0; echo $number) & done; wait
        seq 1000 | sort -R | sort -n | tail -1 | cat
        mkdir -p /tmp/a; ln -s a /tmp/b; mv /tmp/a /tmp/c; cp -a /tmp/c /tmp/d; chmod 700 /tmp/d
        touch -d 2020-01-01 /tmp/d; date +%Y -r /tmp/d
        timeout 5 nice -n 5 env true; flock /tmp/lock true; stat -f / > /dev/null; df / > /dev/null
        perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; syswrite(A, "x\n"); print scalar <B>'
        perl -e 'use POSIX; $SIG{ALRM} = sub { print "alarm\n"; exit 0 }; POSIX::nice(1); alarm 1; pause while 1'
    """
    lines = contained(tmp_path, {"tmpfs": ["/tmp"]}, ["sh", "-c", script]).split()
    assert sorted(lines[:3]) == ["1", "2", "3"] and lines[3:] == ["1000", "2020", "x", "alarm"]
