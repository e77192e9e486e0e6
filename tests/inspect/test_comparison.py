"""What two results do not have in common, by topic, and how it is shown."""

import gzip
import json
import struct
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect import report, software
from pipeline.inspect import side as sides
from pipeline.inspect.comparison import Change, Comparison, compare
from pipeline.inspect.difference import printable
from pipeline.kernel import boot_files
from pipeline.model import origins
from pipeline.model.errors import BadInput
from pipeline.model.origins import Origin
from pipeline.model.tree import EPOCH, File, Tree, complete, files
from pipeline.readers import Node
from pipeline.readers.view import BytesView
from tests.inspect.conftest import SSHD

STATUS = """Package: libc6
Status: install ok installed
Version: 2.36-9

Package: gone
Status: deinstall ok config-files
Version: 1

Package: zlib1g
Status: install ok installed
Version: 1:1.2.13
"""
DATABASE = "containers/services/sshd/rootfs/var/lib/dpkg/status"
CONFIG = "containers/services/sshd/config.json"


def stored(store, **changed):
    files = {
        "etc/hostname": "node\n", CONFIG: '{"process": {"args": ["sshd", "-D"]}}', DATABASE: STATUS,
        "lib/modules/6.1/kernel/fs/xfs.ko": "xfs", "containers/onboot/000-dhcp/config.json": "{}",
        "lib/apk/db/installed": "C:Q1\nP:musl\nV:1.2.4-r2\n\nP:busybox\nV:1.36\n",
    } | changed  # fmt: skip
    contents = {path: store.content(text.encode()) for path, text in files.items() if text}
    return store.put_tree(complete(Tree((path, File(0o644, 0, 0, EPOCH, (), each)) for path, each in contents.items())))


def topics(store, **changed):
    left, right = (sides.side(store, digest) for digest in (stored(store), stored(store, **changed)))
    found = compare(left, right).topics
    return {name: list(changes) for name, changes in found.items() if changes}


def test_equal_trees(store):
    assert topics(store) == {}


def test_owners_of_changed_paths(store, tmp_path):
    """A byte of a package, and a file of an image that is gone, by the origins that a build recorded."""
    libc = Origin("deb", "libc6", "2.36-9", within="r/x")
    layer = Origin("image", "docker.io/library/a:3", layer=f"sha256:{'3' * 64}")
    made = {"etc/hostname": libc, CONFIG: layer, "lib/apk/db/installed": Origin("recipe", "r/x", "0a1b")}
    digest = store.put_tree(files([("origins.json", store.content(origins.dump(made)))]))
    owners = sides._recorded_owners(store, {"origins": {"result": digest}})
    left = sides.side(store, stored(store))._replace(owners=owners)
    right = sides.side(store, stored(store, **{"etc/hostname": "ndoe\n", CONFIG: "", "lib/apk/db/installed": "x"}))
    what = [each.what for each in compare(left, right).topics["files"]]
    assert f"{CONFIG} [docker.io/library/a:3 sha256:333333333333]" in what
    assert "etc/hostname (content) [libc6 2.36-9]" in what and "lib/apk/db/installed (size) [recipe r/x 0a1b]" in what
    assert sides._recorded_owners(store, {}) == {}


def test_packages(store):
    found = topics(store, **{DATABASE: STATUS.replace("2.36-9", "2.36-10").replace("zlib1g", "zlib-ng")})
    assert found["packages"] == [
        Change("services/sshd: libc6", "2.36-9", "2.36-10"),
        Change("services/sshd: zlib-ng", "(nothing)", "1:1.2.13"),
        Change("services/sshd: zlib1g", "1:1.2.13", "(nothing)"),
    ]
    assert found["files"][0].what == f"{DATABASE} (size)"


def test_packages_of_alpine(store):
    found = topics(store, **{"lib/apk/db/installed": "P:musl\nV:1.2.5\n\nP:busybox\nV:1.36\n"})
    assert found["packages"] == [Change("musl", "1.2.4-r2", "1.2.5")]


def test_containers(store):
    found = topics(store, **{CONFIG: '{"process": {"args": ["sshd"]}, "root": {}}'})
    assert found["containers"] == [
        Change("services/sshd /process/args/1", '"-D"', "(nothing)"), Change("services/sshd /root", "(nothing)", "{}"),
    ]  # fmt: skip
    found = topics(store, **{"containers/onboot/000-dhcp/config.json": ""})
    assert found["containers"] == [Change("onboot/000-dhcp", "there", "(nothing)")]


def test_modules(store):
    found = topics(store, **{"lib/modules/6.1/kernel/fs/xfs.ko": "", "lib/modules/6.1/kernel/fs/ext4.ko.xz": "x"})
    assert found["kernel"] == [
        Change("module kernel/fs/ext4", "(nothing)", "there"), Change("module kernel/fs/xfs", "there", "(nothing)"),
    ]  # fmt: skip


def test_files_and_sizes(store):
    found = topics(store, **{"etc/hostname": "knot\n"})
    (change,) = found["files"]
    assert change.what == "etc/hostname (content)" and change.left.startswith("sha256 ")
    assert "sizes" not in found
    assert topics(store, **{"etc/hostname": "node one\n"})["sizes"] == [Change("etc", "5", "9")]


def test_disks(store, disk):
    """Two files, whatever they are called: the command line, the root file system, the first difference."""
    paths = disk("a", 1), disk("b", 1, "other", cmdline="quiet debug")
    found = compare(*(sides.side(store, str(path)) for path in paths))
    assert Change("command line", "quiet", "quiet debug") in found.topics["kernel"]
    assert [change.what for change in found.topics["files"]] == [f"{SSHD} (size)"]
    assert len(found.topics["outputs"]) == 1


def test_what_is_neither_file_nor_reference(store, tmp_path):
    for asked in ("0" * 64, "sha256:" + "0" * 64, str(tmp_path), "Not A Reference"):
        with pytest.raises(BadInput):
            sides.side(store, asked)


def bzimage(payload: bytes, version: str) -> bytes:
    """A kernel with one sector of setup, as Documentation/arch/x86/boot.rst says."""
    setup = bytearray(1024)
    setup[0x1F1] = 1
    setup[0x202:0x206] = b"HdrS"
    setup[0x20E:0x210] = struct.pack("<H", 0x100)
    setup[0x300 : 0x300 + len(version)] = version.encode()
    setup[0x248:0x250] = struct.pack("<II", 64, len(payload))
    return bytes(setup) + bytes(64) + payload


def test_a_kernel_says_its_version_and_configuration():
    configuration = "CONFIG_X86=y\n# CONFIG_ARM is not set\n"
    vmlinux = bytes(5000) + b"IKCFG_ST" + gzip.compress(configuration.encode()) + b"IKCFG_ED" + bytes(100)
    kernel = BytesView(bzimage(gzip.compress(vmlinux), "6.1.0 (me@here)"))
    assert boot_files.version(kernel) == "6.1.0 (me@here)"
    assert boot_files.config(kernel) == configuration
    assert boot_files.config(BytesView(vmlinux)) == configuration
    assert boot_files.version(BytesView(vmlinux)) == "" == boot_files.config(BytesView(b"nothing"))


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("node-cmdline", "console=ttyS0\n", "console=ttyS0"),
        (".cmdline", "quiet\0\0", "quiet"),
        ("syslinux.cfg", "DEFAULT linux\nLABEL linux\nKERNEL /kernel\nAPPEND console=tty0\n", "console=tty0"),
        ("boot/grub/grub.cfg", "menuentry x {\n\tlinux /kernel console=tty0\n}\n", "console=tty0"),
        ("loader/entries/node.conf", "title x\noptions root=/dev/vda\n", "root=/dev/vda"),
        ("loader.conf", "timeout 0\n", None),
        ("kernel", "x", None),
    ],
)
def test_command_lines(path, text, line):
    assert boot_files.command_line(path, BytesView(text.encode())) == line


def test_sections():
    assert software.owner("containers/services/sshd/lower/etc/x") == "services/sshd"
    assert software.owner("usr/bin/x") == "usr" and software.owner("init") == "init"
    assert software.sizes({"usr": Node("directory", {}), "usr/x": Node("file", {}, BytesView(b"123"))}) == {"usr": 3}


words = st.text(max_size=8)
changes = st.lists(st.builds(Change, words, words, words), max_size=4)
comparisons = st.builds(
    lambda topics: Comparison("before", "after", {name: tuple(found) for name, found in topics.items()}),
    st.dictionaries(st.sampled_from(["files", "packages"]), changes),
)


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells, self.open = [], False

    def handle_starttag(self, tag, attributes):
        self.open = tag == "td"
        if self.open:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.open = self.open and tag != "td"

    def handle_data(self, data):
        if self.open:
            self.cells[-1] += data


@given(comparisons)
def test_html_shows_every_value_as_it_is(comparison):
    cells = Cells()
    cells.feed(report.page(comparison.report()))
    rows = [change for found in comparison.topics.values() for change in found]
    shown = [cell for cell in cells.cells if cell not in ("", "before", "after")]
    assert shown == [printable(value) for change in rows for value in change if value not in ("", "before", "after")]


@given(comparisons)
def test_json_says_everything(comparison):
    said = json.loads(report.json_text(comparison.report()))
    assert said["equal"] == comparison.equal
    assert {name: [Change(**change) for change in found] for name, found in said["topics"].items()} == {
        name: list(found) for name, found in comparison.topics.items()
    }


@given(comparisons)
def test_a_markdown_table_keeps_its_columns(comparison):
    for line in report.markdown(comparison.report()).split("\n"):
        if line.startswith("| "):
            assert line.replace("\\\\", "").replace("\\|", "").count("|") == 4


def test_a_comment_has_room_for_it():
    """However much differs, and however long its names are."""
    changes = tuple(Change(f"{n}/" + "ä" * 300, "1" * 160, "2" * 160) for n in range(1000))
    text = report.markdown(Comparison("a", "b", dict.fromkeys(("stages", "files", "sizes"), changes)).report())
    assert len(text.encode()) <= report.COMMENT
    assert text.count("… and 985 more") == 3 and "1000 stages, 1000 files" in text


def test_text():
    comparison = Comparison("a", "b", {"files": tuple(Change(str(n), "1", "2") for n in range(100))})
    text = report.FORMS["text"](comparison.report())
    assert "files (100)" in text and "  0: 1 | 2" in text and "… and 40 more" in text
    assert report.text(Comparison("a", "b", {"files": ()}).report()) == "a and b are equal\n"
