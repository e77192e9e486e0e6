"""A node's defences, read back on the node: its command line, kernel parameters, modules, mounts and set-user-ID files;
host keys, the DHCP client's privileges, crash loops."""

from __future__ import annotations

import re

import pytest

from tests.boot.machine import once, running
from tests.judges import need, run
from tests.project import ROOT

pytestmark = pytest.mark.boot

SHELL = {"image": "@pkg:images/sysctl", "readonly": False}
CONF = ROOT / "images" / "sysctl" / "00-nodekiln.conf"
RENEWED = ["/sbin/dhcpcd", "--nobackground", "-f", "/dhcpcd.conf"]


def hardened(spec):
    """The default node with a disk for its host keys, a service that renews leases, and one that fails until mended."""
    spec["onboot"].insert(2, {"name": "name", **SHELL, "command": ["/bin/sh", "-c", "cat /proc/sys/kernel/hostname"]})
    crash = "[ -e /run/mended ] && exec busybox sleep 1000000; echo 'it says why' >&2; exit 3"
    spec["services"] = [
        {"name": "crash", **SHELL, "command": ["/bin/sh", "-c", crash], "binds": ["/run:/run"],
         "annotations": {"nodekiln.restart.reset": "6"}},
        {"name": "lease", "image": "@pkg:images/dhcpcd", "command": RENEWED},
        {"name": "rngd", "image": "@pkg:images/rngd"},
        {"name": "sshd", "image": "@pkg:images/sshd", "runtime": {
            "mounts": [{"type": "ext4", "source": "/dev/vdb", "destination": "/var/lib/sshd"}]}},
    ]  # fmt: skip
    spec["build"] = {"formats": ["kernel+initrd"]}


@pytest.fixture(scope="module")
def built(derived, tmp_path_factory):
    return derived(hardened, tmp_path_factory.mktemp("hardened"))


WORDS = (
    "slab_nomerge", "page_alloc.shuffle=1", "debugfs=off", "proc_mem.force_override=never", "module.sig_enforce=1",
    "lockdown=integrity", "oops=panic", "panic=10",
)  # fmt: skip
"""What specs/node.yml has on the command line besides consoles."""
EVERYTHING = {"nosuid", "nodev", "noexec"}
MOUNTS = {
    "/": {"ro"}, "/proc": EVERYTHING, "/run": EVERYTHING, "/tmp": EVERYTHING, "/var": EVERYTHING,
    "/dev": {"nosuid", "noexec"}, "/dev/pts": {"nosuid", "noexec"}, "/dev/shm": EVERYTHING, "/dev/mqueue": EVERYTHING,
    "/sys": EVERYTHING, "/sys/kernel/security": EVERYTHING, "/sys/fs/bpf": EVERYTHING,
    "/sys/fs/cgroup": EVERYTHING,
}  # fmt: skip
"""Mount point of the node -> options that it has."""
MODULES = """
f=$(find /lib/modules -name "dummy.ko*"); cd /tmp; case $f in *.xz) busybox xzcat $f > m;; *) cat $f > m;; esac
cp m signed; size=$(stat -c %s m); printf x | dd of=m bs=1 seek=$((size - 28)) conv=notrunc 2> /dev/null
for each in m signed; do insmod /tmp/$each; echo $each $?; done 2>&1
"""
"""Loads a module of the kernel's package, and before it the same without what marks its signature."""
KEYS = "/var/lib/sshd/ssh_host_{}_key"
LOOK = {
    "sysctl": "on-node sh -c 'cd /proc/sys; for f in {}; do echo \"$f=$(cat $f)\"; done'",
    "onboot": "on-node sh -c 'cat /run/log/onboot/001-dhcpcd.log'",
    "clients": 'on-node sh -c \'for p in /proc/[0-9]*; do grep -qx dhcpcd $p/comm && grep -E "^(Uid|CapEff|Seccomp):" '
    '$p/status | tr "\\n" " " && readlink $p/root; done; true\'',
    "resolv": "cat /etc/resolv.conf",
    "keys": "ls -l /var/lib/sshd",
    "mounts": "on-node cat /proc/mounts",
    "write": "on-node sh -c 'touch /new /usr/new 2>&1; true'",
    "remount": "on-node sh -c 'mount -o remount,rw / && touch /new && ls /new; rm -f /new; mount -o remount,bind,ro /'",
    "words": "cat /proc/cmdline",
    "kernel": "on-node sh -c 'cat /sys/kernel/security/lockdown /sys/module/module/parameters/sig_enforce'",
    "modules": f"on-node sh -c '{MODULES}'",
    "raised": "on-node find / -xdev -type f -perm /6000",
    "terminals": "on-node ps -o tty,comm",
}
DAMAGE = f": > {KEYS.format('ecdsa')}; chmod 644 {KEYS.format('ed25519')}"


@pytest.fixture(scope="module")
def seen(built, config_drive, key, tmp_path_factory):
    """A node's first boot, with a look around, and the second on the same disk, whose keys are damaged in between."""
    place = tmp_path_factory.mktemp("session")
    kernel, initrd, cmdline = (built / f"other-{name}" for name in ("kernel", "initrd.img", "cmdline"))

    def session():
        disk = place / "keys.img"
        run(need("mkfs.ext4", "e2fsprogs"), "-q", "-F", disk, "16M")
        words = ["-kernel", str(kernel), "-initrd", str(initrd), "-append", cmdline.read_text()]
        for drive in (f"{config_drive},readonly=on", disk):
            words += ["-drive", f"file={drive},format=raw,if=virtio"]
        with running(place, *words, network=",hostname=by-dhcp") as machine:
            machine.wait_for("nodekiln: services have failed")
            machine.wait_for_ssh()
            found = {name: machine.ssh(key, command.format(patterns())) for name, command in LOOK.items()}
            machine.ssh(key, "touch /run/mended")
            machine.wait_for("nodekiln: services are up")
            machine.ssh(key, DAMAGE)
            machine.press_power_button()
            machine.wait_for_the_end()
            found["console"] = machine.console
        with running(place, *words) as machine:
            machine.wait_for("nodekiln: services have failed")
            machine.wait_for_ssh()
            machine.press_power_button()
            machine.wait_for_the_end()
            return found | {"second": machine.console}

    return once("hardened", [kernel, initrd, cmdline, config_drive, CONF], session)


def settings() -> dict[str, str]:
    """The parameters of the default node, as paths below /proc/sys with their wildcards; the last line decides."""
    lines = [line.strip().lstrip("-") for line in CONF.read_text().splitlines() if line and not line.startswith("#")]
    return {key.strip().replace(".", "/"): value.strip() for key, value in (line.split("=") for line in lines)}


def patterns() -> str:
    return " ".join(settings())


def test_every_kernel_parameter_is_in_force_on_every_card(seen):
    found = dict(line.split("=") for line in seen["sysctl"].splitlines())
    assert any("/eth0/" in path for path in found)
    assert found.keys() >= {path for path in settings() if "*" not in path}, "this kernel has them all"
    for pattern, value in settings().items():
        own = [path for path in found if re.fullmatch(pattern.replace("*", "[^/]+"), path)]
        assert own, pattern
        for path in own:
            assert found[path] == settings().get(path, value), path
    assert "not in force" not in seen["console"]


def test_the_kernel_is_hardened_by_its_command_line(seen):
    assert {*WORDS} <= {*seen["words"].split()}
    assert seen["kernel"].splitlines() == ["none [integrity] confidentiality", "Y"]


def test_modules_are_loaded_with_their_signature_alone(seen):
    *_, without, loaded = (line for line in seen["modules"].splitlines() if line.startswith(("m ", "signed ")))
    assert without != "m 0" and loaded == "signed 0"


def test_file_systems_of_the_node_are_mounted_with_what_nothing_needs_left_out(seen):
    rows = [line.split()[1:4] for line in seen["mounts"].splitlines()]
    options = {place: {*words.split(",")} for place, _, words in rows}
    assert all(words <= options.get(place, set()) for place, words in MOUNTS.items()), options
    assert not {"debugfs", "tracefs"} & {kind for _, kind, _ in rows}
    assert seen["write"].count("Read-only file system") == 2


def test_a_root_in_memory_is_read_only_until_root_remounts_it(seen):
    assert seen["remount"] == "/new\n"


def test_nothing_on_the_node_is_set_user_id(seen):
    assert seen["raised"] == ""


def test_no_shell_waits_on_the_console(seen):
    _, *processes = (line.split(maxsplit=1) for line in seen["terminals"].splitlines())
    assert processes and {terminal for terminal, _ in processes} == {"?"}, processes


def test_the_dhcp_client_drops_its_privileges_and_still_does_its_work(seen):
    assert "no such user" not in seen["onboot"]
    clients = re.findall(r"Uid:\s+(\d+).*?CapEff:\s+(\w+)", seen["clients"])
    assert {uid for uid, _ in clients} == {"0", "100"}
    assert all(int(effective, 16) == 0 for uid, effective in clients if uid != "0")
    assert all(not int(effective, 16) >> 21 & 1 for _, effective in clients), "CAP_SYS_ADMIN"
    assert seen["resolv"] == "nameserver 10.0.2.3\n"
    assert "[onboot] 001-dhcpcd| eth0: 10.0.2.15, router 10.0.2.2" in seen["console"]
    assert "[onboot] 002-name| by-dhcp" in seen["console"]


def fingerprints(console):
    return dict(reversed(each) for each in re.findall(r"\[sshd\] host key \d+ (SHA256:\S+) \S+ \((\w+)\)", console))


def test_host_keys_are_kept_on_a_disk_and_their_fingerprints_are_on_the_console(seen):
    first, second = fingerprints(seen["console"]), fingerprints(seen["second"])
    assert first.keys() == second.keys() == {"ED25519", "ECDSA"}
    assert first["ED25519"] == second["ED25519"]
    assert "in memory" not in seen["console"]


def test_a_damaged_host_key_is_made_again_and_the_console_says_so(seen):
    assert fingerprints(seen["console"])["ECDSA"] != fingerprints(seen["second"])["ECDSA"]
    assert "[sshd] host key ecdsa is damaged: it is made again" in seen["second"]
    assert "damaged" not in seen["console"]


def test_a_crash_loop_is_a_failure_with_its_last_words_until_it_is_mended(seen):
    failed, up = (seen["console"].index(f"nodekiln: services {end}") for end in ("have failed", "are up"))
    line = r"nodekiln: services have failed: crash \(exit code 3, \d+ starts\); running: lease rngd sshd \("
    assert re.match(line, seen["console"][failed:])
    assert "[service] crash| it says why" in seen["console"][failed:up]
    assert re.match(r"nodekiln: services are up: crash lease rngd sshd \(", seen["console"][up:])
