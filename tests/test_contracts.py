"""The contracts of formats, sections and readers: a module that breaks one is found by the type checker."""

import re
import subprocess
import sys

from tests.project import ROOT

BROKEN = [
    ("formats/tar.py", "options=(), ", ""),
    ("formats/tar.py", 'produces=(".tar",), ', ""),
    ("formats/tar.py", "firmware=Firmware.NONE, ", ""),
    ("formats/tar.py", 'needs=("rootfs",), ', ""),
    ("formats/tar.py", '("rootfs",)', '("rootf",)'),
    ("formats/tar.py", "options=()", 'options=("labels",)'),
    ("formats/tar.py", "Firmware.NONE", "Firmware.NOBODY"),
    ("formats/vmdk.py", 'Drive("vmdk"', 'Drive("vdi"'),
    ("sections/kernel.py", "Section(10, Kernel, ", "Section(10, str, "),
    ("sections/volumes.py", "components, images", "images, components"),
    ("readers/tar.py", "recognises, read", "read, recognises"),
    ("readers/tar.py", ", read", ""),
]
"""Module, text, what stands there instead."""


def test_a_broken_contract_is_a_type_error(tmp_path):
    for number, (module, before, after) in enumerate(BROKEN):
        source = (ROOT / "pipeline" / module).read_text()
        head, registration = source.rsplit("\n\n\n", 1)
        assert registration.count(before) == 1, (module, before)
        (tmp_path / f"wrong{number}.py").write_text(f"{head}\n\n\n{registration.replace(before, after)}")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    found = {int(number) for number in re.findall(r"wrong(\d+)\.py:\d+: error", done.stdout)}
    assert [BROKEN[number] for number in range(len(BROKEN)) if number not in found] == [], done.stdout
