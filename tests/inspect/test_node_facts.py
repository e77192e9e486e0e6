"""Facts of a node's own security: command line, mounts, consoles, privileged files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect import node_facts
from pipeline.inspect.node_facts import Node, Words
from pipeline.kernel import sysctl
from pipeline.kernel.modinfo import SIGNATURE
from pipeline.model.tree import File, Tree
from tests.project import ROOT

SCRIPT = (ROOT / "images/init/rc.init").read_text()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", {}),
        ("quiet pti=on", {"quiet": ("",), "pti": ("on",)}),
        ("slab_nomerge= a=1 a=2", {"slab_nomerge": ("",), "a": ("1", "2")}),
        ('x="a b" "y=c d" z', {"x": ("a b",), "y": ("c d",), "z": ("",)}),
        ("module.sig-enforce=1 -- pti=on", {"module.sig_enforce": ("1",)}),
        ("mitigations=auto,nosmt\tb\n", {"mitigations": ("auto,nosmt",), "b": ("",)}),
        ('open="a b', {"open": ("a b",)}),
    ],
)
def test_the_parameters_of_a_command_line(line: str, found: dict[str, Words]) -> None:
    assert node_facts.parameters(line) == found


@given(
    st.dictionaries(st.from_regex(r"[a-z_.]{1,9}", fullmatch=True), st.from_regex(r"[a-z0-9,]{0,9}", fullmatch=True))
)
def test_every_parameter_is_there(values: dict[str, str]) -> None:
    line = " ".join(f"{name}={value}" for name, value in values.items())
    assert node_facts.parameters(line) == {name: (value,) for name, value in values.items()}


def test_the_mounts_of_images_init() -> None:
    found = node_facts.mounts(SCRIPT)
    for path in ("/tmp", "/run", "/var", "/dev/shm", "/proc", "/sys", "/sys/fs/cgroup"):
        assert {"nosuid", "nodev", "noexec"} <= {*found[path]}, path
    assert node_facts.root(SCRIPT) == ("read-only",)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, None),
        ("mount -t tmpfs -o nosuid tmpfs /tmp", ("writable",)),
        ("mount -o remount,ro /", ("read-only",)),
        ("x && mount -o remount,bind,ro / || y", ("read-only",)),
        ("mount -o remount,rw /", ("writable",)),
        ("mount -o remount,ro /mnt", ("writable",)),
        (" # mount -o remount,ro /", ("writable",)),
    ],
)
def test_a_root_is_read_only_if_init_makes_it_so(script: str | None, words: Words | None) -> None:
    assert node_facts.root(script) == words


@pytest.mark.parametrize(
    ("inittab", "line", "words"),
    [
        (None, "", None),
        (None, "nodekiln.debug", ("nodekiln.debug",)),
        ("::sysinit:/bin/rc.init\n::respawn:/bin/uevent /usr/lib/hotplug\n", "quiet", ()),
        ("tty1::respawn:/sbin/getty -L tty1\n", "", ("/sbin/getty -L tty1",)),
        ("::askfirst:-/bin/sh\n#::askfirst:/bin/sh\n::shutdown:/bin/sh x\n", "", ("-/bin/sh",)),
        ("", "quiet nodekiln.debug", ("nodekiln.debug",)),
    ],
)
def test_somebody_is_let_in_at_the_console(inittab: str | None, line: str, words: Words | None) -> None:
    assert node_facts.console_shells(inittab, line) == words


def test_images_init_lets_nobody_in() -> None:
    assert node_facts.console_shells((ROOT / "images/init/inittab").read_text(), "console=ttyS0") == ()


def test_files_of_containers_are_not_the_node_s() -> None:
    program = File(0o4755, 0, 0, 0)
    assert node_facts.privileged_files(Tree({"bin/su": program, "containers/services/a/lower/su": program})) == (
        "bin/su",
    )


def test_a_module_is_signed_compressed_or_not() -> None:
    import gzip
    import lzma

    import zstandard

    data = b"\x7fELF" + SIGNATURE
    packed = {"a.ko": data, "b.ko.xz": lzma.compress(data), "c.ko.gz": gzip.compress(data)}
    packed["d.ko.zst"] = zstandard.ZstdCompressor().compress(data)
    assert [*node_facts.unsigned(packed.items())] == []
    unsigned = {
        "a.ko": data[:-1],
        "b.ko.xz": lzma.compress(data[:-1]),
        "c.ko.xz": b"",
        "d.ko.gz": b"x",
        "e.ko.zst": b"x",
    }
    assert [*node_facts.unsigned(unsigned.items())] == [*unsigned]


@pytest.mark.parametrize(("args", "found"), [([], False), (["/usr/bin/sysctl"], True), (["/bin/sh", "sysctl"], False)])
def test_a_step_that_sets_parameters_is_known_by_its_program(args: list[str], found: bool) -> None:
    assert node_facts.applies_sysctls(args) is found


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ("panic=10", "kernel.panic", ("10",)),
        ("panic=10 sysctl.kernel.panic=5", "kernel.panic", ("5",)),
        ("oops=panic", "kernel.panic_on_oops", ("1",)),
        ("oops=other", "kernel.panic_on_oops", ()),
        ("sysctl.vm/swappiness=4 sysctl.vm.swappiness=5", "vm.swappiness", ("5",)),
        ("sysctl.net.bridge-x.y=1", "net.bridge-x.y", ("1",)),
        ("quiet", "kernel.panic", ()),
        (None, "kernel.panic", ()),
    ],
)
def test_the_command_line_sets_kernel_parameters_too(line: str | None, key: str, words: Words) -> None:
    assert Node(line, None, (), {}).fact(f"sysctl.{key}") == words


def test_a_file_is_read_after_the_command_line() -> None:
    lines = sysctl.merged([{"a.conf": ("a.conf", "kernel.panic = 7")}])
    assert Node("panic=10", None, lines, {}).fact("sysctl.kernel.panic") == ("7",)


def test_a_fact_by_its_name() -> None:
    lines = sysctl.merged([{"a.conf": ("a.conf", "net.*.conf.x = 1  2\n")}])
    node = Node("pti=on", SCRIPT, lines, {"root": ("read-only",)})
    names = ("cmdline.pti", "cmdline.x", "sysctl.net.ipv4.conf.x", "sysctl.a", "mount./none", "root")
    assert [node.fact(name) for name in names] == [("on",), (), ("1 2",), (), None, ("read-only",)]
    with pytest.raises(KeyError):
        node.fact("misspelled")
