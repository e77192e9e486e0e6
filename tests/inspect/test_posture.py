"""The posture of a planned node: facts out of what the plan makes, each with its place in the spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.inspect import hardening
from pipeline.inspect.posture import Origin, posture
from pipeline.project.project import Project
from tests.inspect import nodes
from tests.project import doit, signed

SPEC = """\
kernel:
  image: oci:layout:kernel
  cmdline: "console=ttyS0 pti=on"
init: ["oci:layout:init"]
onboot:
  - name: sysctl
    image: oci:layout:sysctl
services:
  - name: a
    image: oci:layout:service
    capabilities.add: [CAP_KILL, CAP_SYS_ADMIN]
    net: new
  - {name: b, image: "oci:layout:plain", binds: ["/a:/a", "/b:/b:ro"], readonly: true}
files:
  - path: etc/sysctl.d/90-mine.conf
    contents: "kernel.dmesg_restrict = 1"
  - {path: bin/su, contents: "", mode: "4755"}
build:
  arch: amd64
  formats: [kernel+initrd]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return nodes.project(tmp_path_factory.mktemp("posture") / "project", "CONFIG_X=y\n")


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.root)
    return project


def test_facts_come_from_what_the_plan_makes(inside: Project) -> None:
    found = nodes.posture_of(inside, SPEC)
    assert found.node.cmdline == "console=ttyS0 pti=on"
    assert found.config == "CONFIG_X=y\n"
    assert found.node.facts == {
        "root": ("read-only",),
        "root-verity": (),
        "signed-programs": (),
        "unsigned-modules": ("lib/modules/6.1.0/unsigned.ko",),
        "console-shells": (),
        "set-id-files": ("bin/su",),
    }
    assert found.node.fact("sysctl.kernel.kptr_restrict") == ("2",)
    assert found.node.fact("sysctl.net.ipv4.conf.all.send_redirects") == ("0",)
    assert found.node.fact("sysctl.kernel.dmesg_restrict") == ("1",)
    assert found.node.fact("sysctl.kernel.missing") == ()
    assert {each.name: each.section for each in found.containers} == {
        "onboot/000-sysctl": "onboot", "services/a": "services", "services/b": "services",
    }  # fmt: skip
    step, service, plain = found.containers
    assert step.facts["pids-limit"] == step.facts["memory-limit"] == ()
    assert service.facts["capabilities"] == ("CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN")
    assert (service.facts["pids-limit"], service.facts["ports"]) == (("4096",), ("80/tcp",))
    assert plain.facts["writable-binds"] == ("/a",) and plain.facts["ports"] is None


def test_each_fact_has_its_place(inside: Project) -> None:
    found = nodes.posture_of(inside, SPEC)
    image, node = "the label of oci:layout:service", "specs/node.yml"
    assert found.origin("cmdline.pti") == Origin(f"{node}:3:12")
    line = "line 1 of etc/sysctl.d/00-image.conf in oci:layout:sysctl"
    assert found.origin("sysctl.kernel.kptr_restrict") == Origin(f"{node}:7:12", line)
    own = Origin(f"{node}:15:5", "line 1 of etc/sysctl.d/90-mine.conf")
    assert found.origin("sysctl.kernel.dmesg_restrict") == own
    assert found.origin("sysctl.kernel.missing") == Origin(f"{node}:7:12", "no line of it sets this")
    assert found.origin("root") == Origin(f"{node}:4:8", "init/oci has bin/rc.init")
    assert found.origin("set-id-files", ("bin/su",)) == Origin(f"{node}:17:5")
    assert found.origin("unsigned-modules") == Origin(f"{node}:2:10")
    _, a, b = found.containers
    assert a.origin("capabilities", "CAP_SYS_ADMIN") == Origin(f"{node}:11:34")
    assert a.origin("capabilities", "CAP_NET_ADMIN") == Origin(f"{node}:10:12", image)
    assert (a.origin("net"), a.origin("pid")) == (Origin(f"{node}:12:10"), Origin(f"{node}:10:12", image))
    assert a.origin("writable-binds", "/etc") == Origin(f"{node}:10:12", image)
    assert a.origin("uts") == Origin(f"{node}:9:5", "default")
    assert b.origin("writable-binds", "/a").place.startswith(f"{node}:13:")
    assert b.origin("root").place.startswith(f"{node}:13:")


def test_a_bind_with_another_option_is_a_line_of_the_spec(inside: Project) -> None:
    _, a, b = nodes.posture_of(inside, SPEC).containers
    assert a.binds(("/etc",), "ro") == ["/etc:/etc:ro", "/var/lib/x:/x"]
    assert b.binds(("/a", "/b"), "rslave") == ["/a:/a:rslave", "/b:/b:ro,rslave"]
    assert b.binds(("/c",), "ro") == []


def test_nothing_is_guessed(inside: Project) -> None:
    found = nodes.posture_of(inside, 'files: [{path: a, contents: ""}]\nbuild: {arch: amd64, formats: [tar]}\n')
    assert found.node.cmdline is None and found.config == "" and found.containers == ()
    assert found.node.facts | {"unsigned-modules": None, "set-id-files": None} == dict.fromkeys(found.node.facts)
    assert found.node.fact("cmdline.pti") is found.node.fact("mount./tmp") is None
    origin = Origin("specs/node.yml:1:1", "no step of onboot sets kernel parameters")
    assert (found.node.fact("sysctl.kernel.panic"), found.origin("sysctl.kernel.panic")) == ((), origin)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ("{formats: [kernel+initrd]}", ()),
        ("{formats: [verity-efi]}", ("panic",)),
        ("{formats: [verity-efi, kernel+squashfs]}", ()),
        ("{formats: [verity-efi, kernel+squashfs], verity: eio}", ("eio",)),
        ("{formats: [kernel+erofs], verity: restart}", ("restart",)),
        ("{formats: [tar]}", None),
    ],
)
def test_a_root_is_verified_if_each_format_does_so(inside: Project, build: str, words: object) -> None:
    head, _, _ = SPEC.partition("build:")
    found = nodes.posture_of(inside, f"{head}build: {build}\n")
    assert found.node.facts["root-verity"] == words


@pytest.mark.network
def test_a_program_is_signed_once_its_build_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = signed.project(tmp_path / "p", "uki")
    monkeypatch.chdir(root)
    secure_boot = {"bottlerocket:secure-boot"}

    def judge() -> tuple[object, set[str]]:
        project = Project(root)
        found = posture(project.store, project.target("node").plan, "node")
        weak = hardening.harden(found, ["bottlerocket"]).weak
        return found.node.facts["signed-programs"], {each.name for each in weak} & secure_boot

    assert judge() == (None, set())
    doit("build:node", cwd=root)
    assert judge() == ((), secure_boot)
    doit("sign:node", cwd=root)
    doit("build:node", cwd=root)
    assert judge() == (("signed",), set())
