"""Checks that need the images: run stages for their warnings, and name what formats do not carry."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import formats, sections
from pipeline.engine.action import Action
from pipeline.planning import check
from pipeline.planning.load import load
from pipeline.spec.components import Context, Image
from pipeline.store import Store
from tests.conformance import trees as conformance
from tests.stages.images import image, tree_of


def test_check_examines_what_only_images_can_tell(store: Store, tmp_path: Path) -> None:
    text = (
        "services:\n"
        "  - {name: a, image: x, uid: nobody}\n"
        "  - {name: b, image: x, command: [/bin/y]}\n"
        "  - {name: c, image: x, capabilities.add: [CAP_KILL]}\n"
        "kernel: {image: x}\n"
    )
    (tmp_path / "a.yml").write_text(text)
    loaded = load(tmp_path / "a.yml")
    given = image(store, tree_of(store, "bin/x"), {"capabilities": ["all"]}, Cmd=["/bin/x"])
    manifest, tree = (Action("given", conformance.given, {"digest": digest}) for digest in given)
    parts = sections.components(Context(loaded, lambda text: Image(text, manifest, tree)))
    found = check.examine(store, parts)
    assert [str(each).removeprefix(f"{tmp_path}/") for each in found.errors] == [
        "a.yml:2:30: 'nobody' is neither a container of this spec nor in the image's /etc/passwd",
        "a.yml:4:22: unknown capability 'all' in the image's label",
        "a.yml:5:9: the kernel image has no file 'kernel' (at its top it holds no files)",
    ]
    assert [str(each).removeprefix(f"{tmp_path}/") for each in found.warnings] == [
        "a.yml:3:35: the image has no '/bin/y'"
    ]
    assert check.examine(store, parts) == found, "also what is known already is looked into"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("kernel+initrd", ["warning", "an initrd (cpio)", "security.capability"]),
        ("raw-bios", ["warning", "an initrd (cpio)", "security.capability"]),
        ("kernel+iso", ["warning", "ISO 9660", "security.capability"]),
        ("kernel+squashfs", ["error", "squashfs", "odd.name"]),
        ("tar", []),
    ],
)
def test_check_names_what_a_format_does_not_carry(store: Store, tmp_path: Path, name: str, said: list[str]) -> None:
    (tmp_path / "a.yml").write_text("services:\n  - name: a\n    image: x\n    command: [/bin/x]\n")
    tree = tree_of(store, "bin/x", "bin/y")
    tree["bin/x"] = tree["bin/x"]._replace(xattrs=(("security.capability", bytes(20)),))
    tree["bin/y"] = tree["bin/y"]._replace(xattrs=(("odd.name", b""),))
    made = image(store, tree)
    manifest, given = (Action("given", conformance.given, {"digest": digest}) for digest in made)
    parts = sections.components(Context(load(tmp_path / "a.yml"), lambda text: Image(text, manifest, given)))
    found = check.examine(store, parts, formats.carried(name))
    lines = [f"warning {each}" for each in found.warnings] + [f"error {each}" for each in found.errors]
    assert all("a.yml:3:12: " in line for line in lines)
    if said:
        severity, structure, attribute = said
        place = "containers/services/a/lower/bin/" + ("x" if attribute == "security.capability" else "y")
        assert [line for line in lines if f"{structure} has no place for the attribute {attribute} of {place}" in line]
        assert all(line.startswith(severity) for line in lines)
    else:
        assert lines == []
