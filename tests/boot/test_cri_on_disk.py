"""The cases of test_cri that depend on file systems, with the root as erofs on a disk, and /var as ext4 on another."""

from __future__ import annotations

import pytest

from tests.boot import cri_node
from tests.boot.test_cri import (  # noqa: F401 - fixtures, and cases that pytest finds here, too
    pod,
    pushed,
    registry,
    test_a_folder_of_the_node,
    test_a_plugin_that_a_pod_installs_stays_and_ours_are_seeded,
    test_a_pod_runs_stops_and_is_removed,
    test_a_root_that_is_read_only_or_not,
    test_an_image_is_pulled_by_its_digest,
    test_an_image_is_pulled_listed_and_removed,
    test_an_image_of_the_node_that_was_removed_comes_back,
    test_exec_with_input,
    test_mounts_are_propagated,
    test_nothing_of_the_root_is_writable,
    test_pods_outlive_containerd_and_so_do_services,
    test_programs_run_in_an_empty_dir_and_keep_their_set_uid_bit,
    test_the_images_of_the_node_are_there_and_pinned,
    test_the_log_of_a_container,
)
from tests.project import ROOT

pytestmark = pytest.mark.boot

ROOM = 1 << 30
"""Size of the disk for /var, in bytes."""


@pytest.fixture(scope="module")
def project(derived, key, tmp_path_factory):
    """The project whose node is booted."""
    folder = tmp_path_factory.mktemp("cri")
    change = cri_node.with_images(key)

    def on_disk(spec):
        change(spec, folder)
        disk = ["/usr/bin/disk", "--required", "/dev/vdb", "/var"]
        spec["onboot"].insert(0, {"name": "disk", "image": "@pkg:images/disk", "command": disk})
        spec["build"] = {"formats": ["bootrd", "kernel+erofs"]}

    derived(on_disk, folder, ROOT / "examples" / "kubernetes.yml")
    return folder


@pytest.fixture(scope="module")
def node(project, key, registry):  # noqa: F811
    built = project / "build/other"
    kernel, bootrd, root = (built / f"other-{name}" for name in ("kernel", "bootrd.img", "erofs.img"))
    cmdline = f"{(built / 'other-cmdline').read_text()} root=/dev/vda rootfstype=erofs"
    var = project / "var.img"
    with var.open("wb") as file:
        file.truncate(ROOM)
    words = ["-kernel", str(kernel), "-initrd", str(bootrd), "-append", cmdline]
    for path, options in ((root, ",readonly=on"), (var, "")):
        words += ["-drive", f"file={path},format=raw,if=virtio{options}"]
    with cri_node.booted(project, key, registry, *words) as found:
        yield found


def test_var_is_on_the_disk(node):
    assert node.sh("stat -f -c %T / /var /var/lib/containerd").split()[1:] == ["ext2/ext3"] * 2
