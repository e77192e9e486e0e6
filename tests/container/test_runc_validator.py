"""What runc, containerd and the kernel refuse is refused or warned of at its line; runc itself is the judge."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import sections
from pipeline.container import names, runc_validator, runtime_spec
from pipeline.container.runtime_spec import MergedConfig
from pipeline.engine.action import Action
from pipeline.language.problem import Problems
from pipeline.planning import check
from pipeline.planning.load import load
from pipeline.spec import spec
from pipeline.spec.components import Context, Image
from pipeline.store import Store
from tests.conformance import trees as conformance
from tests.judges import need, needs_root
from tests.stages.images import image, tree_of

REFUSED = [
    ("env: [A]", "env[0]", "'A' is not a variable NAME=value"),
    ("env: ['=x']", "env[0]", "is not a variable NAME=value"),
    ('env: ["A=\\0"]', "env[0]", "is not a variable NAME=value"),
    ('command: ["a\\0b"]', "command[0]", "is not a string without NUL"),
    ("cwd: tmp", "cwd", "'tmp' is not a path that starts with '/'"),
    ("maskedPaths: [proc/kcore]", "maskedPaths[0]", "'proc/kcore' is not a path that starts with '/'"),
    ("readonlyPaths: ['']", "readonlyPaths[0]", "is not a path that starts with '/'"),
    (f"hostname: {'a' * 65}", "hostname", "is not a host name (at most 64 characters"),
    ("hostname: a b", "hostname", "is not a host name"),
    ("rootfsPropagation: sharde", "rootfsPropagation", "is not shared, slave, private or unbindable"),
    ("runtime: {namespace: a/b}", "runtime.namespace", "is not a containerd namespace"),
    ("runtime: {bindNS: {net: run/x}}", "runtime.bindNS.net", "is not a path that starts with '/'"),
    ("runtime: {interfaces: [{name: averyverylongname}]}", "runtime.interfaces[0].name", "at most 15 characters"),
    ("runtime: {interfaces: [{name: eth0, peer: a/b}]}", "runtime.interfaces[0].peer", "at most 15 characters"),
    ("resources: {cpu: {cpus: 0..3}}", "resources.cpu.cpus", "is not numbers and ranges such as 0-3,7"),
    ("resources: {devices: [{type: x}]}", "resources.devices[0].type", "'x' is not a (all), c or b"),
    ("resources: {devices: [{access: rx}]}", "resources.devices[0].access", "'rx' is not letters of rwm"),
    ("seccomp: strict", "seccomp", "expected default or basic or unconfined or a list"),
    ("seccomp: [Keyctl]", "seccomp", "expected default or basic or unconfined or a list"),
    ("oomScoreAdj: -1001", "oomScoreAdj", "-1001 is not an integer from -1000 to 1000"),
    ("uid: 4294967295", "uid", "not the number 4294967295"),
]
"""One value of a container, the key that it is under, and what is wrong with it."""
COMBINED = [
    ("rlimits: ['nofile,2,1']", "the soft limit of 'nofile,2,1' exceeds the hard limit"),
    ("rlimits: ['core,unlimited,1']", "exceeds the hard limit"),
    ("sysctl: {vm.swappiness: '1'}", "the sysctl 'vm.swappiness' belongs to the whole node"),
    ("sysctl: {kernel.hostname: a}", "the sysctl 'kernel.hostname' belongs to the whole node"),
    ("sysctl: {kernel.shmmx: '1'}", "did you mean 'kernel.shmmax'?"),
    ("sysctl: {fs/file-max: '1'}", "the sysctl 'fs/file-max' belongs to the whole node"),
    ("devices: [{path: /dev/a, mode: '0600'}]", "the device /dev/a has no type (c, b or p)"),
    ("devices: [{path: /dev/a, mode: '0600', type: a}]", "the device /dev/a has no type"),
    ("devices: [{path: /dev/a, mode: '0600', type: c, major: 4096}]", "4096 is not a device's major number"),
    ("devices: [{path: /dev/a, mode: '0600', type: c, minor: -1}]", "-1 is not a device's minor number (0 to 1048575)"),
    ("uidMappings: [{containerID: 0, hostID: 1}]", "the mapping is empty"),
    ("annotations: {'': x}", "an annotation has no name"),
    ("seccomp: [keyctl, io_uring_setpu]", "unknown system call 'io_uring_setpu' (did you mean 'io_uring_setup'?)"),
    (f"env: ['A={'x' * 131070}']", "131072 bytes exceed the kernel's limit of 131071"),
    (f"command: [{'x' * 131072}]", "131072 bytes exceed the kernel's limit of 131071"),
]
WARNED = [
    ("hostname: a", "hostname: a, uts: new", "UTS namespace"),
    ("sysctl: {net.ipv4.ip_forward: '1'}", "sysctl: {net.ipv4.ip_forward: '1'}, net: new", "host network namespace"),
    ("sysctl: {net/ipv4/ip_forward: '1'}", "sysctl: {net/ipv4/ip_forward: '1'}, net: new", "host network namespace"),
    ("sysctl: {kernel.shmmax: '65536'}", "sysctl: {kernel.shmmax: '65536'}, ipc: new", "hosts ipc namespace"),
    ("sysctl: {fs.mqueue.msg_max: '10'}", "sysctl: {fs.mqueue.msg_max: '10'}, ipc: new", "hosts ipc namespace"),
    ("sysctl: {kernel.domainname: a}", "sysctl: {kernel.domainname: a}, uts: new", "separate kernel namespace"),
    ("devices: [{path: /dev/p, type: p, mode: '0600'}]",
     "devices: [{path: /dev/p, type: c, major: 1, minor: 3, mode: '0600'}]", "invalid cgroup device type"),
    ("resources: {devices: [{allow: true}]}", "resources: {devices: [{allow: true, access: r}]}", "cannot be empty"),
]  # fmt: skip
"""What runc refuses, the same put right, and words of runc's refusal."""
HARDLY_MEANT = [
    ("resources: {memory: {swap: 10}}", "needs a limit of memory"),
    ("resources: {memory: {limit: 20, swap: 10}}", "10 is less than the limit of memory, 20"),
    ("resources: {cpu: {shares: 1}}", "1 is not a valid number of CPU shares (2 to 262144)"),
    ("rlimits: ['nofile,1,unlimited']", "exceeds the kernel's 1048576 open files"),
    ("binds: ['/etc:/x:ro,nosiud']", "'nosiud' is not an option of a bind mount (did you mean 'nosuid'?)"),
    (
        "uidMappings: [{size: 9}], gidMappings: [{size: 9}]",
        "the container has no user namespace for mapped ids (userns: new)",
    ),
    ("mounts: [{type: bind, source: /etc, destination: /x, options: [bnd]}]", "'bnd' is not an option of a bind mount"),
    ("rlimits: ['nofile,1,2', 'RLIMIT_NOFILE,1,3']", "duplicate limit RLIMIT_NOFILE"),
    ("mounts: [{type: bind, destination: /x}]", "the bind at '/x' has no source"),
    ("binds: ['/etc:x']", "the destination 'x' does not start with '/' (/x)"),
    ("tmpfs: ['/t:sise=1m']", "'sise=1m' is not an option of a tmpfs mount (did you mean 'size'?)"),
    ("devices: [{path: all}, {path: /dev/p, type: p, mode: '0600'}]", "devices of type 'p'"),
    ("devices: [{path: /dev/a, type: c, mode: '0600'}, {path: /dev/a, type: b, mode: '0600'}]", "two devices at"),
    ("userns: new", "a user namespace needs mappings of its ids"),
]
RIGHT = [
    "env: [A=, 'B=x=y', 'C= '], command: [/bin/x, '']",
    f"env: ['A={'x' * 131069}']",
    f"hostname: {'a' * 64}, uts: new",
    "hostname: a_b.c-d, uts: new",
    "cwd: ''",
    "rlimits: ['nofile,1024,1048576', 'core,unlimited,unlimited', 'RLIMIT_NPROC,1,unlimited']",
    "devices: [{path: all, type: a}, {path: /dev/x, type: b, major: 4095, minor: 1048575, mode: '0600'}]",
    "rootfsPropagation: rslave, runtime: {namespace: a.b-c_d, bindNS: {net: /run/x, ipc: ''}}",
    "resources: {cpu: {shares: 2, cpus: '0-3,7', mems: '0'}, memory: {limit: 10, swap: -1}}",
    "binds: ['/etc:/x:ro,rshared,nosuid,rbind']",
    "tmpfs: ['/tmp:size=1m,mode=1777'], mounts: [{type: overlay, source: o, destination: /o, options: ['x=/etc']}]",
]


def loaded(folder: Path, keys: str, name: str = "a") -> spec.Spec:
    text = f"services:\n  - {{name: {name}, image: x,\n     {keys}}}\n"
    (folder / "a.yml").write_text(text)
    return load(folder / "a.yml")


@pytest.mark.parametrize(("keys", "place", "message"), REFUSED, ids=[keys[:50] for keys, *_ in REFUSED])
def test_a_value_that_nothing_takes_is_refused(keys: str, place: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        loaded(tmp_path, keys)
    (problem,) = caught.value.problems
    assert problem.place.line == 3 and message in problem.message and f"services[0].{place}" in problem.message


@pytest.mark.parametrize(("keys", "message"), COMBINED, ids=[keys[:50] for keys, _ in COMBINED])
def test_values_that_are_wrong_together_are_refused(keys: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        loaded(tmp_path, keys)
    (problem,) = caught.value.problems
    assert problem.place.line == 3 and message in str(problem)


def examined(folder: Path, keys: str, label: dict[str, Any] | None = None) -> list[str]:
    store = Store(folder / "cache")
    created = image(store, tree_of(store, "bin/x", "etc/x"), label or {}, Cmd=["/bin/x"])
    manifest, tree = (Action("given", conformance.given, {"digest": digest}) for digest in created)
    parts = sections.components(Context(loaded(folder, keys), lambda text: Image(text, manifest, tree)))
    result = check.examine(store, parts)
    assert result.errors == []
    return [str(item) for item in result.warnings if "no component has" not in item.message]


@pytest.mark.parametrize(("wrong", "right", "words"), WARNED, ids=[wrong[:50] for wrong, *_ in WARNED])
def test_what_runc_does_not_start_is_warned_of(wrong: str, right: str, words: str, tmp_path: Path) -> None:
    (warning,) = examined(tmp_path, wrong)
    assert f"{tmp_path}/a.yml:3:" in warning
    assert examined(tmp_path, right) == []


@pytest.mark.parametrize(("keys", "message"), HARDLY_MEANT, ids=[keys[:50] for keys, _ in HARDLY_MEANT])
def test_what_has_no_effect_or_the_kernel_refuses_is_warned_of(keys: str, message: str, tmp_path: Path) -> None:
    (warning,) = examined(tmp_path, keys)
    assert f"{tmp_path}/a.yml:3:" in warning and message in warning


@pytest.mark.parametrize("keys", RIGHT)
def test_what_all_of_them_take_is_right(keys: str, tmp_path: Path) -> None:
    assert examined(tmp_path, keys) == []


def test_a_label_counts_and_its_own_faults_are_at_the_image(tmp_path: Path) -> None:
    keys = "sysctl: {net.core.somaxconn: '1'}"
    assert examined(tmp_path, keys, {"net": "new"}) == []
    (warning,) = examined(tmp_path, "cwd: /", {"hostname": "a"})
    assert "a.yml:2:22: the container has no UTS namespace of its own for a host name" in warning


IMAGES = [
    ({"WorkingDir": "srv"}, "'srv' does not start with '/' (cwd: /srv)", "must be an absolute path"),
    ({"Env": ["A=b", "A"]}, "'A' is not a variable NAME=value", "invalid environment variable"),
    ({"Env": ["=b"]}, "'=b' is not a variable NAME=value", "environment variable"),
]
"""Of an image's configuration, what runc refuses: ours, and its words."""


@pytest.mark.parametrize(("facts", "message", "words"), IMAGES, ids=[str(facts) for facts, *_ in IMAGES])
def test_an_images_own_faults_are_at_the_image(facts: Any, message: str, words: str, tmp_path: Path) -> None:
    (refusal,) = runc_validator.validate(
        runtime_spec.config(MergedConfig({}, {}), {"Cmd": ["/x"], **facts}, lambda *_: 0)
    )
    assert message in f"{refusal.message} ({refusal.hint})"
    assert examined(tmp_path, "hostname: ''") == []
    store = Store(tmp_path / "cache")
    created = image(store, tree_of(store, "bin/x"), {}, Cmd=["/bin/x"], **facts)
    manifest, tree = (Action("given", conformance.given, {"digest": digest}) for digest in created)
    parts = sections.components(Context(loaded(tmp_path, "readonly: false"), lambda text: Image(text, manifest, tree)))
    assert [str(item).partition(" ")[0] for item in check.examine(store, parts).warnings] == [f"{tmp_path}/a.yml:2:22:"]


@needs_root
@pytest.mark.parametrize(("facts", "message", "words"), IMAGES, ids=[str(facts) for facts, *_ in IMAGES])
def test_runc_refuses_such_an_image(facts: Any, message: str, words: str, tmp_path: Path) -> None:
    config = runtime_spec.config(MergedConfig({}, {}), {"Cmd": ["/no-such-program"], **facts}, lambda *_: 0)
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert words in runc("--root", tmp_path / "runc", "create", "--bundle", tmp_path, "judged")


# names


@pytest.mark.parametrize("name", ["a b", "a_", "-a", "a..b", "a__b", "a" * 77, "é", "a+b"])
def test_a_service_that_containerd_does_not_take_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"a\.yml:2:12: .*is not a container"):
        loaded(tmp_path, "cwd: /", name)


@pytest.mark.parametrize("name", ["node_exporter", "a.b-c_d", "A1", "a" * 76])
def test_a_service_that_containerd_takes_is_right(name: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, "cwd: /", name)["services"][0].name == name


def runc(*words: object) -> str:
    """What runc answers; it fails, whatever it is asked."""
    done = subprocess.run(
        [need("runc"), *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode != 0
    return done.stderr


pattern = names.ContainerName.__metadata__[0]  # type: ignore[attr-defined]


@needs_root
@settings(max_examples=60, deadline=None)
@given(st.one_of(st.from_regex(pattern.regex, fullmatch=True), st.text("aB1.-+_ /é", min_size=1, max_size=4)))
def test_runc_takes_the_names_that_we_take(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    answer = runc("--root", tmp_path_factory.getbasetemp() / "runc", "state", "--", name)
    expected = "does not exist" if pattern.matches(name) else "invalid container ID format"
    assert expected in answer, name


@needs_root
@pytest.mark.parametrize(("wrong", "right", "words"), WARNED, ids=[wrong[:50] for wrong, *_ in WARNED])
def test_runc_refuses_what_is_warned_of_and_nothing_else(wrong: str, right: str, words: str, tmp_path: Path) -> None:
    """Its program is not there, so that no container is left over."""

    def answer(keys: str) -> str:
        from pipeline.language.schema import plain

        entry = plain(loaded(tmp_path, keys)["services"][0]) | {"command": ["/no-such-program"]}
        config = runtime_spec.config(MergedConfig(entry, {}), {}, lambda *_: 0)
        assert bool(list(runc_validator.validate(config))) is (keys == wrong)
        (tmp_path / "rootfs").mkdir(exist_ok=True)
        (tmp_path / "config.json").write_text(json.dumps(config))
        return runc("--root", tmp_path / "runc", "create", "--bundle", tmp_path, "judged")

    assert words in answer(wrong)
    assert not re.search("|".join(map(re.escape, {row[2] for row in WARNED})), answer(right))


@settings(deadline=None)
@given(st.sampled_from(["net.", "user.", "fs.mqueue.", "vm.", "kernel."]), st.lists(st.text("abc", min_size=1)))
def test_both_spellings_of_a_parameter_belong_to_one_namespace(start: str, rest: list[str]) -> None:
    dotted = start + ".".join(["x", *rest])
    assert runc_validator.namespace_of(dotted) == runc_validator.namespace_of(dotted.replace(".", "/"))
