"""What a plan makes of formats whose root is on a disk: no more than they need, nothing for all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.action import closure
from pipeline.planning.load import load
from pipeline.planning.lock import Lock
from pipeline.planning.plan import Plan, plan

NODE = """
kernel: {image: "docker.io/library/k:1", cmdline: console=ttyS0}
services: [{name: svc, image: "docker.io/library/x:1"}]
"""


def planned(folder: Path, text: str = NODE) -> Plan:
    (folder / "node.yml").write_text(text)
    return plan(load(folder / "node.yml"), Lock(), "amd64")


def names(made: Plan, format: str) -> set[str]:
    return {action.name for action in closure(made.format(format))}


def test_the_boot_ramdisk_is_made_of_the_kernel_and_the_tools_alone(tmp_path: Path) -> None:
    made = names(planned(tmp_path), "bootrd")
    assert {"bootrd/modules", "unpack/init", "fragment/bootrd"} < made
    assert not any("svc" in name or name == "rootfs" for name in made)


def test_it_is_not_planned_for_formats_that_have_no_use_for_it(tmp_path: Path) -> None:
    made = planned(tmp_path)
    assert not {"bootrd", "unpack/init"} & names(made, "kernel+initrd")
    images = ["docker.io/library/k:1", "docker.io/library/x:1"]
    assert [wanted.name for wanted in made.missing("kernel+initrd")] == images
    assert "init" in {wanted.name for wanted in made.missing("ext4")}


@pytest.mark.parametrize(("change", "same"), [
    (("console=ttyS0", "quiet"), False), (("name: svc", "name: other"), True), (("k:1", "k:2"), False),
])  # fmt: skip
def test_another_service_is_the_same_boot_ramdisk(tmp_path: Path, change: tuple[str, str], same: bool) -> None:
    (tmp_path / "other").mkdir()
    one, other = planned(tmp_path), planned(tmp_path / "other", NODE.replace(*change))
    assert (one.format("bootrd").key == other.format("bootrd").key) is same


def test_a_node_without_a_kernel_has_no_modules(tmp_path: Path) -> None:
    made = planned(tmp_path, "init: [docker.io/library/i:1]\n")
    (modules,) = (action for action in closure(made.format("bootrd")) if action.name == "bootrd/modules")
    assert modules.inputs == () and modules.params == {"tar": ""}


VERITY = "build: {verity: restart, formats: [verity-efi]}\n"


def test_verity_is_an_option_of_formats_that_can_carry_it(tmp_path: Path) -> None:
    made = planned(tmp_path, NODE + VERITY)
    for format in ("kernel+erofs", "kernel+squashfs", "verity-efi"):
        params = made.format(format).params
        assert (params["verity"], params["name"]) == ("restart", "node")
    assert "verity" not in made.format("tar").params
    assert "verity" not in planned(tmp_path).format("verity-efi").params


def test_dm_verity_comes_with_its_tool_where_a_root_is_verified(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    plain, verified = planned(tmp_path), planned(tmp_path / "other", NODE + VERITY)
    for made, format in ((verified, "bootrd"), (plain, "verity-efi"), (plain, "qcow2-verity-efi")):
        assert {"unpack/init", "unpack/dmsetup", "verity-bootrd/tree"} < names(made, format)
        assert "dmsetup" in {wanted.name for wanted in made.missing(format)}
    for format in ("bootrd", "kernel+erofs", "ext4"):
        assert "unpack/dmsetup" not in names(plain, format)
    assert plain.format("qcow2-verity-efi").inputs == (plain.format("verity-efi"),)


def test_a_format_that_the_spec_does_not_name_is_verified_or_refused(tmp_path: Path) -> None:
    made = planned(tmp_path, NODE + VERITY)
    (problem,) = made.problems("kernel+initrd")
    assert "kernel+initrd has no root that can be verified (use kernel+erofs," in str(problem)
    assert made.problems("kernel+erofs", "qcow2-verity-efi", "bootrd") == []


def test_two_formats_cannot_bind_two_roots_by_one_file(tmp_path: Path) -> None:
    made = planned(tmp_path, NODE + VERITY.replace("verity-efi", "kernel+erofs"))
    (problem,) = made.problems("kernel+squashfs")
    assert "kernel+squashfs and kernel+erofs both give" in str(problem)
    assert made.problems("kernel+erofs", "verity-efi", "bootrd") == []
