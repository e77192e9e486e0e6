"""Facts of a container's security, out of config.json as the pipeline writes it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.container import runtime_spec
from pipeline.container.capabilities import CAPABILITIES
from pipeline.container.runtime_spec import MergedConfig
from pipeline.inspect import baseline as baselines
from pipeline.inspect import container_facts
from pipeline.inspect.baseline import CONTAINER, Verdict
from pipeline.inspect.container_facts import KEYS, Words
from pipeline.model.tree import File, Tree
from tests.project import ROOT

Json = dict[str, Any]


def config(entry: Json) -> Json:
    return runtime_spec.config(MergedConfig(entry, {}), {}, lambda name, database, path: 7)


def facts(entry: Json, supervised: bool = False) -> dict[str, Words | None]:
    return container_facts.facts(config(entry), Tree(), (), supervised)


@pytest.mark.parametrize(
    ("entry", "fact", "words"),
    [
        ({"uid": "x", "gid": 3}, "user", ("7:3",)),
        ({"capabilities": ["CAP_KILL"], "ambient": ["CAP_CHOWN"]}, "capabilities", ("CAP_CHOWN", "CAP_KILL")),
        ({"capabilities": ["all"]}, "capabilities", tuple(sorted(CAPABILITIES))),
        ({"noNewPrivileges": True}, "no-new-privileges", ("on",)),
        ({"maskedPaths": ["/proc/kcore"]}, "masked-paths", ("/proc/kcore",)),
        ({"readonlyPaths": ["/proc/sys"]}, "read-only-paths", ("/proc/sys",)),
        ({}, "net", ("host",)),
        ({"net": "new"}, "net", ("new",)),
        ({"net": "none"}, "net", ("new",)),
        ({"net": "/run/netns/a"}, "net", ("/run/netns/a",)),
        ({"net": "/proc/1/ns/net"}, "net", ("host",)),
        ({}, "pid", ("new",)),
        ({"pid": "host"}, "pid", ("host",)),
        ({"userns": "new"}, "userns", ("new",)),
        ({}, "root", ("writable",)),
        ({"readonly": True}, "root", ("read-only",)),
        ({"binds": ["/a:/a", "/b:/b:ro"]}, "binds", ("/a", "/b")),
        ({"binds": ["/a:/a", "/b:/b:ro"]}, "writable-binds", ("/a",)),
        ({"binds": ["/a:/x", "/b:/b:rw"]}, "shared-mounts", ("/x",)),
        ({"binds": ["/containers/volumes/v/merged:/v"]}, "binds", ()),
        ({"mounts": [{"type": "none", "source": "/a", "destination": "/b", "options": ["rbind"]}]}, "binds", ("/a",)),
        ({"rootfsPropagation": "rshared"}, "shared-mounts", ("/",)),
        ({"devices": [{"path": "all", "type": "b"}]}, "devices", ("all b",)),
        ({"devices": [{"path": "all", "type": "a"}]}, "devices", ("all c", "all b")),
        (
            {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 2, "mode": "0600"}]},
            "devices",
            ("/dev/x",),
        ),
        ({"resources": {"pids": {"limit": 5}}}, "pids-limit", ("5",)),
        ({"resources": {"pids": {"limit": -1}}}, "pids-limit", ()),
        ({"resources": {"memory": {"limit": 7}}}, "memory-limit", ("7",)),
        ({"resources": {"cpu": {"shares": 9}}}, "cpu-shares", ("9",)),
        ({}, "pids-limit", ()),
        ({}, "ports", None),
    ],
)
def test_a_fact_is_what_the_runtime_gets(entry: Json, fact: str, words: Words | None) -> None:
    assert facts(entry)[fact] == words


@pytest.mark.parametrize(
    ("entry", "pids", "memory"),
    [
        ({}, ("4096",), ("auto",)),
        ({"annotations": {"nodekiln.pids.max": "9", "nodekiln.memory.max": "25%"}}, ("9",), ("25%",)),
        ({"annotations": {"nodekiln.pids.max": "max", "nodekiln.memory.max": "max"}}, (), ()),
        ({"annotations": {"nodekiln.pids.max": "9"}, "resources": {"pids": {"limit": 5}}}, ("5",), ("auto",)),
        ({"annotations": {"nodekiln.pids.max": "9"}, "resources": {"pids": {"limit": 0}}}, (), ("auto",)),
        ({"resources": {"memory": {"swap": 5}}}, ("4096",), ()),
    ],
)
def test_the_supervisor_limits_a_service_without_limits(entry: Json, pids: Words, memory: Words) -> None:
    found = facts(entry, supervised=True)
    assert (found["pids-limit"], found["memory-limit"]) == (pids, memory)


def test_the_supervisor_s_limits_are_those_of_its_code() -> None:
    policy = (ROOT / "images/init/lua/policy.lua").read_text()
    found = dict(re.findall(r'\["nodekiln\.(pids|memory)\.max"\] = \{ "?(\w+)"?,', policy))
    assert found == {"pids": container_facts.PIDS, "memory": container_facts.MEMORY}


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        (None, ()),
        ({"defaultAction": "SCMP_ACT_ALLOW"}, ()),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["x"], "action": "SCMP_ACT_ERRNO"}]},
         ("SCMP_ACT_ALLOW",)),
        ({"defaultAction": "SCMP_ACT_ERRNO"}, ("SCMP_ACT_ERRNO",)),
    ],
)  # fmt: skip
def test_a_filter_that_allows_all_is_none(filter: Json | None, words: Words) -> None:
    document = config({})
    document["linux"]["seccomp"] = filter
    assert container_facts.facts(document, Tree(), ())["seccomp"] == words


def test_privileged_files_and_ports_are_those_of_the_image() -> None:
    files = {
        "bin/su": File(0o4755, 0, 0, 0),
        "bin/wall": File(0o2755, 0, 0, 0),
        "bin/ping": File(0o755, 0, 0, 0, (("security.capability", b"x"),)),
        "bin/ls": File(0o755, 0, 0, 0, (("user.x", b""),)),
    }
    found = container_facts.facts(config({}), Tree(files), ("80/tcp", "53/udp"))
    assert found["set-id-files"] == ("bin/su", "bin/wall", "bin/ping")
    assert found["ports"] == ("80/tcp", "53/udp")


def test_each_fact_has_its_keys() -> None:
    assert facts({}).keys() == KEYS.keys()


entries = st.fixed_dictionaries(
    {},
    optional={
        "capabilities": st.lists(st.sampled_from(CAPABILITIES), unique=True, max_size=5),
        "binds": st.lists(st.sampled_from(["/a:/a:ro", "/run:/run", "/etc:/etc:ro", "/x:/x:rw"]), unique=True),
        "net": st.sampled_from(["host", "new"]),
        "pid": st.sampled_from(["host", "new"]),
        "ipc": st.sampled_from(["host", "new"]),
        "uts": st.sampled_from(["host", "new"]),
        "readonly": st.booleans(),
        "noNewPrivileges": st.booleans(),
        "uid": st.integers(0, 2),
    },
)
BASELINES = {name: baselines.find(name) for name in baselines.names()}
SECTIONS = ("onboot", "onshutdown", "services")


def weak(document: Json, section: str) -> set[tuple[str, str, str]]:
    """Returns the broken rules of all baselines, and those that are not for container hosts."""
    found = container_facts.facts(document, Tree(), (), section == "services")
    judged = [
        (name, each)
        for name, baseline in BASELINES.items()
        for each in baselines.judge_container(baseline, section, "s", found)
    ]
    bad = (Verdict.WEAK, Verdict.NOT_FOR_HOSTS)
    return {(name, each.rule.id, each.fact.removeprefix(CONTAINER)) for name, each in judged if each.verdict in bad}


@given(entries, st.sampled_from(CAPABILITIES), st.sampled_from(SECTIONS))
def test_another_capability_never_makes_it_better(entry: Json, capability: str, section: str) -> None:
    more = entry | {"capabilities": [*{*entry.get("capabilities", ()), capability}]}
    assert weak(config(entry), section) <= weak(config(more), section)


binds = st.sampled_from(["/:/node", "/etc:/etc2", "/dev:/dev2", "/run/x:/run/x", "/usr:/usr:rw,rshared"])


@given(entries, binds, st.sampled_from(SECTIONS))
def test_another_writable_bind_never_makes_it_better(entry: Json, bind: str, section: str) -> None:
    more = entry | {"binds": [*entry.get("binds", ()), bind]}
    assert weak(config(entry), section) <= weak(config(more), section)


@given(entries, st.sampled_from(["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]), st.sampled_from(SECTIONS))
def test_no_seccomp_never_makes_it_better(entry: Json, action: str, section: str) -> None:
    confined, free = config(entry), config(entry)
    confined["linux"]["seccomp"] = {"defaultAction": action}
    free["linux"].pop("seccomp", None)
    assert weak(confined, section) < weak(free, section)


@given(entries, st.sampled_from(["net", "pid", "ipc", "uts"]), st.sampled_from(SECTIONS))
def test_a_namespace_of_the_node_never_makes_it_better(entry: Json, key: str, section: str) -> None:
    assert weak(config(entry), section) <= weak(config(entry | {key: "host"}), section)
