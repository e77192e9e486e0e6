"""Findings: a node by its spec against each rule of each baseline, with places and lines that set it right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pipeline.inspect import baseline as baselines
from pipeline.inspect import hardening
from pipeline.inspect.baseline import CONTAINER, Rule, Verdict
from pipeline.inspect.hardening import Finding, Hardening
from pipeline.inspect.node_facts import CMDLINE, SYSCTL
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from tests.inspect import nodes

NAMES = baselines.names()
UNSEEN = {"bottlerocket:secure-boot"}
"""Rules that no spec of these images follows: a program is signed once it has been built."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return nodes.project(tmp_path_factory.mktemp("hardening") / "project")


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.root)
    return project


def found(project: Project, spec: dict[str, Any], *names: str, accept: tuple[str, ...] = ()) -> Hardening:
    posture = nodes.posture_of(project, yaml.safe_dump(spec, sort_keys=False))
    return hardening.harden(posture, names or NAMES, accept)


def rules(name: str, family: str) -> Iterator[tuple[str, Rule]]:
    """Yields the facts of a family that rules of a baseline are about."""
    for rule in baselines.find(name).rules:
        yield from ((fact.removeprefix(family), rule) for fact in rule.facts if fact.startswith(family))


CONFINED = {
    "image": "oci:layout:plain", "capabilities": ["none"], "net": "new", "pid": "new", "ipc": "new", "uts": "new",
    "userns": "new", "readonly": True, "noNewPrivileges": True, "uid": 5, "resources": {"cpu": {"shares": 5}},
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
    "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
}  # fmt: skip
FREE = {
    "image": "oci:layout:plain", "capabilities": ["all"], "pid": "host", "binds": ["/etc:/etc"],
    "devices": [{"path": "all", "type": "a"}], "noNewPrivileges": False,
    "annotations": {"nodekiln.pids.max": "max", "nodekiln.memory.max": "max"},
}  # fmt: skip


def node(name: str, follows: bool) -> dict[str, Any]:
    """A spec that follows, or breaks, every rule of the baseline `name`."""

    def value(rule: Rule) -> str:
        return next(iter(rule.is_ or ())) if follows else "bad"

    words = [f"{key}={value(rule)}".rstrip("=") for key, rule in rules(name, CMDLINE)]
    lines = [f"{key} = {value(rule)}\n" for key, rule in rules(name, SYSCTL)]
    return {
        "kernel": {"image": "oci:layout:kernel", "cmdline": " ".join(words)},
        "init": ["oci:layout:init" if follows else "oci:layout:weak-init"],
        "onboot": [{"name": "sysctl", "image": "oci:layout:sysctl"}],
        "services": [{"name": "s"} | (CONFINED if follows else FREE)],
        "files": [{"path": "etc/sysctl.d/90-all.conf", "contents": "".join(lines), "mode": "0644"}],
        "build": {"arch": "amd64", "formats": ["verity-efi" if follows else "kernel+initrd"]},
    }


def about_spec(each: Finding) -> bool:
    """Returns True for a finding about the node or its service: the step that sets parameters is as it is."""
    return each.subject in ("node", "services/s") and each.name not in UNSEEN


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_holds_for_some_spec_and_is_broken_by_another(inside: Project, name: str) -> None:
    strong, weak = found(inside, node(name, follows=True), name), found(inside, node(name, follows=False), name)
    every = {f"{name}:{rule.id}" for rule in baselines.find(name).rules if "amd64" in (rule.arch or ("amd64",))}
    assert {each.name for each in strong.findings} == every
    not_held = {each.name for each in strong.findings if about_spec(each) and each.verdict is not Verdict.HOLDS}
    assert not_held == set()
    held = {each.name for each in weak.findings if about_spec(each) and each.verdict is Verdict.HOLDS}
    assert held == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_weak_finding_has_its_place_and_the_line_that_sets_it_right(inside: Project, name: str) -> None:
    weak = found(inside, node(name, follows=False), name).weak
    assert weak
    for each in weak:
        file, line, column = each.origin.place.rsplit(":", 2)
        assert (file, line.isdigit(), column.isdigit()) == ("specs/node.yml", True, True), each
        facts = ("root", "console-shells", "set-id-files")
        if each.judged.fact not in facts and not each.judged.fact.startswith("mount."):
            assert each.remedy.count("\n") == 0 and each.remedy, each


@pytest.mark.parametrize("name", NAMES)
def test_the_line_sets_it_right(inside: Project, name: str) -> None:
    spec = node(name, follows=False)
    for each in found(inside, spec, name).weak:
        if about_spec(each) and each.remedy:
            changed = with_line(spec, each.subject, yaml.safe_load(each.remedy))
            again = {(weak.name, weak.judged.fact, weak.subject) for weak in found(inside, changed, name).weak}
            assert (each.name, each.judged.fact, each.subject) not in again, each.remedy


def with_line(spec: dict[str, Any], subject: str, line: dict[str, Any]) -> dict[str, Any]:
    """Returns `spec` with a line that a finding about `subject` names."""
    if subject == "services/s":
        return spec | {"services": [spec["services"][0] | line]}
    if "files" in line:
        return spec | {"files": [*spec["files"], *line["files"]]}
    words = str(line.get("kernel", {}).get("cmdline", "")).removeprefix("… ")
    return spec | {"kernel": spec["kernel"] | {"cmdline": words}, "build": spec["build"] | line.get("build", {})}


def test_a_node_that_sets_no_parameters_needs_the_step_first(inside: Project) -> None:
    spec = node("kspp", follows=True)
    del spec["onboot"]
    lines = {each.judged.fact: each.remedy for each in found(inside, spec, "kspp").weak}
    assert lines["sysctl.kernel.kptr_restrict"] == 'onboot: [{name: sysctl, image: "@pkg:images/sysctl"}]'


def test_a_limit_is_added_to_those_that_there_are(inside: Project) -> None:
    spec = node("cis", follows=False)
    spec["services"][0] |= {"resources": {"cpu": {"shares": 7}}}
    lines = {each.judged.rule.id: each.remedy for each in found(inside, spec, "cis").weak if each.container}
    assert lines["docker-5.29"] == 'resources: {"cpu": {"shares": 7}, "pids": {"limit": 4096}}'


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ({"seccomp": "unconfined"}, "cis:docker-5.22"),
        ({"capabilities": ["CAP_SYS_ADMIN"]}, "cis:docker-5.4"),
        ({"binds": ["/etc:/etc"]}, "cis:docker-5.6"),
    ],
)
def test_a_line_that_weakens_is_the_place(inside: Project, line: dict[str, Any], name: str) -> None:
    spec = node("cis", follows=True)
    before = {(each.name, each.subject) for each in found(inside, spec, "cis").weak}
    spec["services"][0] |= line
    after = {(each.name, each.subject): each for each in found(inside, spec, "cis").weak}
    assert before < after.keys() and (name, "services/s") not in before
    written = (inside.root / "specs/node.yml").read_text().splitlines()
    number = int(after[name, "services/s"].origin.place.split(":")[1])
    assert next(iter(line)) in written[number - 2] + written[number - 1]


def test_what_is_meant_is_accepted_by_rule_and_by_container(inside: Project) -> None:
    spec = node("cis", follows=False) | {"services": [{"name": "s"} | FREE, {"name": "t"} | FREE]}
    weak = {(each.name, each.subject) for each in found(inside, spec, "cis").weak}
    one = found(inside, spec, "cis", accept=("cis:docker-5.10@services/s",))
    assert weak - {(each.name, each.subject) for each in one.weak} == {("cis:docker-5.10", "services/s")}
    all_of_it = found(inside, spec, "cis", accept=("cis:docker-5.10",))
    assert not [each for each in all_of_it.weak if each.name == "cis:docker-5.10"]
    assert {each.verdict for each in all_of_it.findings if each.name == "cis:docker-5.10"} == {Verdict.ACCEPTED}


@pytest.mark.parametrize("word", ["cis:docker-5.99", "kspp:nosmt", "cis:docker-5.10@services/x", "nosmt"])
def test_a_misspelled_word_accepts_nothing(inside: Project, word: str) -> None:
    with pytest.raises(BadInput, match=f"there is no finding '{word}' to accept"):
        found(inside, node("cis", follows=False), "cis", accept=(word,))


def test_the_report_fits_a_terminal_and_names_each_weak_point(inside: Project) -> None:
    weak = found(inside, node("cis", follows=False))
    text = weak.text()
    lines = [line for line in text.splitlines() if not line.startswith("    ")]
    assert max(map(len, lines)) <= 120
    for each in weak.weak:
        assert f"weak: {each.name}: " in text and each.origin.place in text
    assert "services/s" in text and "all!" in text and "no limit" in text
    assert "holds: " not in text and "holds: " in weak.text(every=True)
    assert "because packets of containers" in weak.text(every=True)


def test_the_document_has_every_fact_and_finding(inside: Project) -> None:
    result = found(inside, node("kspp", follows=False))
    document = json.loads(json.dumps(result.as_json()))
    assert document["containers"]["services/s"]["net"] == ["host"]
    assert document["containers"]["services/s"]["ports"] is None
    assert len(document["findings"]) == len(result.findings)
    (pti,) = (each for each in document["findings"] if (each["baseline"], each["rule"]) == ("kspp", "pti"))
    assert pti["verdict"] == "weak" and pti["value"] == ["bad"] and pti["place"] == "specs/node.yml:3:12"
    assert pti["set"] == 'kernel: {cmdline: "… pti=on"}'
    assert {*document["baselines"]} == {*NAMES}


def test_another_architecture_has_other_rules(inside: Project) -> None:
    spec = node("kspp", follows=True)
    assert "kspp:pti" in {each.name for each in found(inside, spec, "kspp").findings}
    posture = nodes.posture_of(inside, yaml.safe_dump(spec))._replace(arch="arm64")
    assert "kspp:pti" not in {each.name for each in hardening.harden(posture, ["kspp"]).findings}
    assert CONTAINER not in {each.judged.fact for each in hardening.harden(posture, ["kspp"]).findings}
