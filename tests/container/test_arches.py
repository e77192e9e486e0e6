"""Texts of a spec that differ between architectures."""

import json

import pytest

from pipeline import sections
from pipeline.engine.action import Action
from pipeline.language.problem import Problems
from pipeline.planning.load import load
from pipeline.spec import metadata
from pipeline.spec.components import Context, Image
from pipeline.stages import pull

SPEC = """\
kernel:
  image: example/kernel
  cmdline: {amd64: console=ttyS0, arm64: console=ttyAMA0}
  modules:
    - virtio*
    - amd64: aesni-intel
    - {arm64: aes-ce-*, amd64: crc32c-intel}
"""


def image(reference):
    manifest = Action("pull", pull.pull, {"reference": reference, "manifest": "sha256:" + 64 * "0"})
    return Image(reference, manifest, Action("unpack", pull.unpack, {}, (manifest,)))


@pytest.fixture
def planned(tmp_path):
    """A function: the kernel's part for an architecture."""

    def plan(arch, text=SPEC):
        (tmp_path / "node.yml").write_text(text)
        (part,) = sections.components(Context(load(tmp_path / "node.yml"), image, arch=arch))
        return part.tree

    return plan


@pytest.mark.parametrize(("arch", "cmdline", "modules"), [
    ("amd64", "console=ttyS0", ["virtio*", "aesni-intel", "crc32c-intel"]),
    ("arm64", "console=ttyAMA0", ["virtio*", "aes-ce-*"]),
])  # fmt: skip
def test_each_architecture_has_its_own(planned, arch, cmdline, modules):
    kernel = planned(arch)
    (contents,) = kernel.inputs
    assert kernel.params["cmdline"] == cmdline
    assert contents.params["modules"] == modules


def test_a_module_that_is_not_there_is_found_where_it_stands(planned, tmp_path):
    (contents,) = planned("arm64").inputs
    assert contents.where(("modules", 1)) == f"{tmp_path}/node.yml:7:7"
    assert contents.where(("tar",)) == f"{tmp_path}/node.yml:2:3"


def test_metadata_is_the_spec_of_the_node_s_architecture(tmp_path):
    (tmp_path / "node.yml").write_text(SPEC)
    context = Context(load(tmp_path / "node.yml"), image, arch="arm64")
    assert json.loads(metadata.dump(context, "json"))["kernel"]["cmdline"] == "console=ttyAMA0"


def test_a_command_line_for_another_architecture_only(planned):
    with pytest.raises(Problems, match=r"node\.yml:1:42: there is no command line for arm64"):
        planned("arm64", "kernel: {image: example/kernel, cmdline: {amd64: console=ttyS0}}\n")


@pytest.mark.parametrize(("arch", "line"), [("amd64", "quiet pti=on panic=1 n"), ("arm64", "panic=1 n")])
def test_a_command_line_may_be_a_list_of_its_parts(planned, arch, line):
    parts = "{amd64: quiet}, {amd64: pti=on}, panic=1 n, ''"
    assert planned(arch, f"kernel: {{image: example/kernel, cmdline: [{parts}]}}\n").params["cmdline"] == line


def test_metadata_has_the_parts_of_a_command_line_as_one(tmp_path):
    (tmp_path / "node.yml").write_text("kernel:\n  image: k\n  cmdline: [{amd64: a, arm64: b}, c]\n")
    context = Context(load(tmp_path / "node.yml"), image, arch="arm64")
    assert json.loads(metadata.dump(context, "json"))["kernel"]["cmdline"] == "b c"


@pytest.mark.parametrize("key", ["cmdline: {arm46: x}", "cmdline: [a, {arm46: x}]", "modules: [{arm46: x}]"])
def test_unknown_architectures_are_refused(planned, key):
    with pytest.raises(Problems, match=r"'arm46' is not an architecture .*did you mean 'arm64'"):
        planned("arm64", f"kernel: {{image: example/kernel, {key}}}\n")
