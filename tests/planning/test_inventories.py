"""The inventory of a plan: the root, and the images that start it in the spec's formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.action import closure
from tests.planning.test_plan import names, planned


@pytest.mark.parametrize(("build", "boots"), [
    ("formats: [kernel+initrd]", set()),
    ("formats: [raw-bios, kernel+initrd]", {"syslinux"}),
    ("formats: [raw-hybrid]", {"syslinux", "systemd-boot"}),
    ("formats: [ext4-efi]", {"systemd-boot", "init"}),
    ("formats: [verity-efi], verity: panic", {"systemd-boot", "init", "dmsetup"}),
])  # fmt: skip
def test_boot_loaders_of_the_specs_formats_belong_to_it(tmp_path: Path, build: str, boots: set[str]) -> None:
    text = f"kernel: {{image: 'docker.io/library/k:1'}}\ninit: [docker.io/library/i:1]\nbuild: {{{build}}}\n"
    made = planned(tmp_path, text)
    actions = {action.name for action in closure(made.products.inventory)}
    assert {"rootfs", "origins/kernel", "origins/docker.io/library/i:1", "origins/init/i"} <= actions
    assert {name.partition("/")[0] for name in actions if name.endswith("/origins")} == boots
    wanted = {request.name for request in made.missing("spdx")}
    assert wanted == {"docker.io/library/k:1", "docker.io/library/i:1", *boots}
    assert names(made, "spdx") == actions | {"format/spdx"}
