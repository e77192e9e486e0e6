"""config.json and runtime.json: who wins, what is left out, in which order. A test for each rule."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.container import runtime_spec
from pipeline.container.capabilities import CAPABILITIES
from pipeline.container.runtime_spec import MergedConfig, marshal
from pipeline.language.problem import KeyPath, StageProblem

Json = dict[str, Any]


def resolve(name: str, database: str, path: KeyPath) -> int:
    raise StageProblem(path, f"no {name} in {database}")


def config(entry: Json | None = None, label: Json | None = None, image: Json | None = None) -> Json:
    return runtime_spec.config(MergedConfig(entry or {}, label or {}), image or {}, resolve)


def runtime(entry: Json, label: Json) -> Json:
    return runtime_spec.runtime(MergedConfig(entry, label), [])


def mount(document: Json, destination: str) -> Json:
    result: Json = next(item for item in document["mounts"] if item["destination"] == destination)
    return result


def test_a_container_of_which_nothing_is_said() -> None:
    document = config()
    assert list(document) == ["ociVersion", "process", "root", "mounts", "linux"]
    assert document["process"] == {"user": {"uid": 0, "gid": 0}, "cwd": "/", "capabilities": {}}
    assert document["root"] == {"path": "rootfs"}
    assert [item["destination"] for item in document["mounts"]] == [
        "/dev",
        "/dev/pts",
        "/proc",
        "/sys",
        "/sys/fs/cgroup",
    ]
    assert document["linux"] == {"resources": {}, "namespaces": [{"type": "pid"}, {"type": "mount"}]}


@pytest.mark.parametrize(
    ("said", "args"),
    [
        (({}, {}, {"Entrypoint": ["/e"], "Cmd": ["c"]}), ["/e", "c"]),
        (({}, {"command": ["/l"]}, {"Entrypoint": ["/e"]}), ["/l"]),
        (({"command": ["/y"]}, {"command": ["/l"]}, {"Cmd": ["c"]}), ["/y"]),
        (({"command": []}, {"command": ["/l"]}, {"Cmd": ["c"]}), None),
    ],
)
def test_the_last_to_name_a_command_wins(said: tuple[Json, Json, Json], args: list[str] | None) -> None:
    assert config(*said)["process"].get("args") == args


@pytest.mark.parametrize(
    ("said", "cwd"),
    [
        (({}, {}, {}), "/"),
        (({}, {}, {"WorkingDir": "/i"}), "/i"),
        (({}, {"cwd": "/l"}, {"WorkingDir": "/i"}), "/l"),
        (({"cwd": ""}, {"cwd": "/l"}, {}), "/l"),
        (({"cwd": "/y"}, {"cwd": "/l"}, {}), "/y"),
    ],
)
def test_an_empty_working_directory_says_nothing(said: tuple[Json, Json, Json], cwd: str) -> None:
    assert config(*said)["process"]["cwd"] == cwd


def test_the_environment_is_replaced_not_merged() -> None:
    assert config({"env": ["A=1"]}, {"env": ["B=2"]}, {"Env": ["C=3"]})["process"]["env"] == ["A=1"]
    assert config({}, {}, {"Env": ["C=3"]})["process"]["env"] == ["C=3"]
    assert "env" not in config({"env": []}, {}, {"Env": ["C=3"]})["process"]


def test_capabilities_are_replaced_or_added_to() -> None:
    label = {"capabilities": ["CAP_KILL"]}
    assert config({}, label)["process"]["capabilities"]["effective"] == ["CAP_KILL"]
    added = config({"capabilities.add": ["CAP_CHOWN"]}, label)["process"]["capabilities"]
    assert added["effective"] == ["CAP_KILL", "CAP_CHOWN"]
    assert added["bounding"] == added["inheritable"] == added["permitted"] == ["CAP_CHOWN", "CAP_KILL"]
    assert config({"capabilities": []}, label)["process"]["capabilities"] == {}
    both = {"capabilities": ["CAP_SYSLOG"], "capabilities.add": ["CAP_CHOWN"]}
    assert config(both, label)["process"]["capabilities"]["effective"] == ["CAP_SYSLOG"]


def test_all_and_none_are_words_for_capabilities() -> None:
    everything = config({"capabilities": ["ALL"]})["process"]["capabilities"]
    assert everything["effective"] == list(CAPABILITIES) and everything["bounding"] == sorted(CAPABILITIES)
    assert config({"capabilities": ["none"]}, {"capabilities": ["all"]})["process"]["capabilities"] == {}


def test_ambient_capabilities_are_bounding_but_not_effective() -> None:
    result = config({"ambient": ["CAP_KILL"], "capabilities": ["CAP_CHOWN"]})["process"]["capabilities"]
    assert result["ambient"] == ["CAP_KILL"] and result["effective"] == ["CAP_CHOWN"]
    assert result["bounding"] == ["CAP_CHOWN", "CAP_KILL"]


@pytest.mark.parametrize(
    ("entry", "label", "path"),
    [
        ({}, {"capabilities": ["CAP_KILL", "CAP_FLY"]}, ("image",)),
        ({"capabilities.add": ["CAP_KILL", "CAP_FLY"]}, {"capabilities": ["CAP_KILL"]}, ("capabilities.add", 1)),
        ({"capabilities.add": ["CAP_KILL"]}, {"capabilities": ["all"]}, ("image",)),
        ({"ambient": ["CAP_FLY"]}, {}, ("ambient", 0)),
    ],
)
def test_an_unknown_capability_is_a_problem_of_who_names_it(entry: Json, label: Json, path: KeyPath) -> None:
    with pytest.raises(StageProblem, match="unknown capability '") as caught:
        config(entry, label)
    assert caught.value.path == path


def test_binds_are_replaced_or_added_to() -> None:
    label = {"binds": ["/dev:/dev", "/l:/l:ro"]}
    document = config({"binds.add": ["/a:/a", "/x:/l:rshared,rbind"]}, label)
    assert mount(document, "/dev") == {
        "destination": "/dev", "type": "bind", "source": "/dev", "options": ["rw", "rbind", "rshared"]
    }  # fmt: skip
    assert mount(document, "/l")["source"] == "/x"
    assert mount(document, "/l")["options"] == ["rshared", "rbind", "rbind"]
    assert mount(document, "/a")["type"] == "bind"
    assert mount(config({"binds": []}, label), "/dev")["type"] == "tmpfs"


def test_mounts_come_in_the_order_of_their_destinations_and_each_only_once() -> None:
    entry = {
        "tmpfs": ["/x", "/y:size=1m,ro"],
        "binds": ["/b:/y"],
        "mounts": [
            {"type": "tmpfs", "destination": "/a"},
            {"source": "mqueue"},
            {"destination": "/dev", "source": "devtmpfs"},
        ],
    }
    document = config(entry)
    destinations = [item["destination"] for item in document["mounts"]]
    assert destinations == sorted(destinations) and len(set(destinations)) == len(destinations)
    assert mount(document, "/x") == {"destination": "/x", "type": "tmpfs", "source": "tmpfs"}
    assert mount(document, "/y")["type"] == "bind"
    assert mount(document, "/a")["source"] == "tmpfs"
    assert mount(document, "/dev/mqueue") == {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}
    assert mount(document, "/dev")["type"] == "tmpfs"


def test_a_read_only_root_has_read_only_dev_and_sys() -> None:
    document = config({"readonly": True})
    assert document["root"] == {"path": "rootfs", "readonly": True}
    assert mount(document, "/dev")["options"][-1] == "ro" and mount(document, "/sys")["options"][-1] == "ro"
    assert config({"readonly": False}, {"readonly": True})["root"] == {"path": "rootfs"}


@pytest.mark.parametrize(
    ("entry", "namespaces"),
    [
        ({}, ["pid", "mount"]),
        ({"net": "new"}, ["network", "pid", "mount"]),
        ({"net": "none"}, ["network", "pid", "mount"]),
        ({"net": "host", "ipc": "root", "uts": "host", "pid": "host"}, ["mount"]),
        ({"pid": "root"}, ["mount"]),
        ({"pid": "new"}, ["pid", "mount"]),
        ({"net": "/n", "ipc": "/i", "uts": "/u", "pid": "/p", "userns": "/s"},
         ["network /n", "ipc /i", "uts /u", "pid /p", "user /s", "mount"]),
        ({"ipc": "new", "uts": "new", "userns": "new"}, ["ipc", "uts", "pid", "user", "mount"]),
        ({"ipc": "none"}, ["ipc none", "pid", "mount"]),
    ],
)  # fmt: skip
def test_namespaces(entry: Json, namespaces: list[str]) -> None:
    result = config(entry)["linux"]["namespaces"]
    assert [f"{item['type']} {item.get('path', '')}".strip() for item in result] == namespaces


def test_names_stand_for_ids_and_root_for_none() -> None:
    assert config({"uid": "root", "gid": ""})["process"]["user"] == {"uid": 0, "gid": 0}
    assert config({"uid": 5}, {"uid": 7, "gid": 8})["process"]["user"] == {"uid": 5, "gid": 8}
    assert config({"additionalGids": [1, "root"]})["process"]["user"]["additionalGids"] == [1, 0]
    for entry, label, path in [
        ({"uid": "x"}, {}, ("uid",)),
        ({}, {"gid": "x"}, ("image",)),
        ({"additionalGids": [1, "x"]}, {}, ("additionalGids", 1)),
    ]:
        with pytest.raises(StageProblem) as caught:
            config(entry, label)
        assert caught.value.path == path


def test_rlimits() -> None:
    result = config({"rlimits": ["nofile,1024,4096", " RLIMIT_core , unlimited , Unlimited "]})["process"]["rlimits"]
    assert result == [
        {"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 1024},
        {"type": "RLIMIT_CORE", "hard": 2**64 - 1, "soft": 2**64 - 1},
    ]


def test_devices_are_nodes_and_rules() -> None:
    devices = [{"path": "/dev/a", "type": "c", "major": 1, "minor": 2, "mode": "0660"}, {"path": "all", "type": "b"}]
    linux = config({"devices": devices, "resources": {"devices": [{"allow": False, "access": "rwm"}]}})["linux"]
    assert linux["devices"] == [{"path": "/dev/a", "type": "c", "major": 1, "minor": 2, "fileMode": 0o660}]
    assert linux["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 2, "access": "rwm"},
        {"allow": True, "type": "b", "access": "rwm"},
    ]


def test_no_key_of_resources_is_dropped() -> None:
    request = {
        "memory": {"limit": 0, "kernelTCP": 1, "swappiness": 2, "disableOOMKiller": True},
        "cpu": {"shares": 1, "realtimeRuntime": 2, "realtimePeriod": 3, "cpus": ""},
        "pids": {},
        "blockio": {
            "leafWeight": 5,
            "weightDevice": [{"major": 1, "weight": 2}],
            "throttleReadBpsDevice": [{"major": 8, "rate": 9}],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 3}],
        "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 1}]},
    }
    assert config({"resources": request})["linux"]["resources"] == {
        "memory": {"limit": 0, "kernelTCP": 1, "swappiness": 2, "disableOOMKiller": True},
        "cpu": {"shares": 1, "realtimeRuntime": 2, "realtimePeriod": 3},
        "pids": {"limit": 0},
        "blockIO": {
            "leafWeight": 5,
            "weightDevice": [{"major": 1, "minor": 0, "weight": 2}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 9}],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 3}],
        "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 1}]},
    }


def test_resources_replace_the_labels_as_a_whole() -> None:
    result = config({"resources": {"pids": {"limit": 5}}}, {"resources": {"memory": {"limit": 1}}})
    assert result["linux"]["resources"] == {"pids": {"limit": 5}}


def test_id_mappings_keep_their_ids() -> None:
    mapping = {"containerID": 0, "hostID": 100000, "size": 65536}
    assert config({"uidMappings": [mapping]})["linux"]["uidMappings"] == [mapping]


def test_the_rest_is_the_entrys_or_the_labels() -> None:
    label = {
        "hostname": "l",
        "oomScoreAdj": 5,
        "noNewPrivileges": True,
        "sysctl": {"b": "1", "a": "2"},
        "maskedPaths": ["/x"],
    }
    document = config({"hostname": "", "oomScoreAdj": 0, "maskedPaths": []}, label)
    assert document["hostname"] == "l"
    assert document["process"]["oomScoreAdj"] == 0 and document["process"]["noNewPrivileges"] is True
    assert list(document["linux"]["sysctl"]) == ["a", "b"] and "maskedPaths" not in document["linux"]


def test_runtime_is_merged_key_by_key() -> None:
    label = {"runtime": {"cgroups": ["l"], "mkdir": ["/l"], "bindNS": {"net": "/l", "ipc": "/l"}, "namespace": "l"}}
    entry = {
        "runtime": {"mkdir": ["/y"], "bindNS": {"net": "/y"}, "interfaces": [{"name": "a", "add": "veth", "peer": "b"}]}
    }
    result = runtime(entry, label)
    assert list(result) == ["cgroups", "mounts", "mkdir", "interfaces", "bindNS", "namespace"]
    assert (result["cgroups"], result["mkdir"], result["namespace"]) == (["l"], ["/y"], "l")
    assert result["bindNS"] == {"cgroup": "", "ipc": "/l", "mnt": "", "net": "/y", "pid": "", "user": "", "uts": ""}
    assert result["interfaces"] == [{"name": "a", "add": "veth", "peer": "b", "createInRoot": False}]


def test_marshal_escapes_what_go_escapes() -> None:
    assert marshal({"a": "<&>é\u2028", "b": [], "c": {}}) == (
        '{\n    "a": "\\u003c\\u0026\\u003eé\\u2028",\n    "b": [],\n    "c": {}\n}'.encode()
    )


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab<>&é"), inner, max_size=3),
)


@given(st.dictionaries(st.text("abc"), documents))
def test_what_is_marshalled_is_the_document(document: Json) -> None:
    assert json.loads(marshal(document)) == document
