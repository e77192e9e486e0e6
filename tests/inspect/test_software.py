"""What a root file system says of its software."""

from pipeline.inspect import software
from pipeline.readers import Node
from pipeline.readers.view import BytesView


def listing(**files):
    return {path: Node("file", {}, BytesView(text.encode())) for path, text in files.items()}


INSTALLED = "Package: libc6\nStatus: install ok installed\nVersion: 2.36\n"
DPKG = f"{INSTALLED}\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"


def test_packages_are_those_of_their_container():
    root = listing(**{
        "var/lib/dpkg/status": DPKG,
        "containers/services/sshd/rootfs/var/lib/dpkg/status.d/libc6": DPKG,
        "lib/apk/db/installed": "C:x\nP:musl\nV:1.2-r0\n\nP:busybox\nV:1.36\n",
        "var/lib/dpkg/status.d/libc6.md5sums": "Package: no\nVersion: 1\n",
    })  # fmt: skip
    alpine = {"musl": "1.2-r0", "busybox": "1.36"}
    assert software.packages(root) == {"libc6": "2.36", "services/sshd: libc6": "2.36"} | alpine


def test_bytes_belong_to_a_container_or_a_folder():
    root = listing(**{"containers/onboot/000-dhcp/rootfs/a": "12345", "usr/bin/x": "123", "usr/y": "1", "init": "1234"})
    assert software.sizes(root) == {"onboot/000-dhcp": 5, "usr": 4, "init": 4}


def test_configurations_that_cannot_be_read_are_none():
    root = listing(**{"containers/services/a/config.json": '{"x": 1}', "containers/services/b/config.json": "{"})
    assert software.containers(root) == {"services/a": {"x": 1}, "services/b": None}
