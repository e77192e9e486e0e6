"""The sandbox of a container by its capabilities: its rules, and the manual's table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.container import runtime_spec, sandbox, seccomp
from pipeline.container.capabilities import ADMIN, CAPABILITIES
from pipeline.container.runtime_spec import MergedConfig
from pipeline.container.sandbox import MASKED, READ_ONLY, Confined
from pipeline.model.tree import File, Tree
from tests.project import ROOT

PAGE = ROOT / "docs/explanation/hardening.md"


def confined(capabilities: Iterable[str] = (), *, gains: bool = False, **entry: Any) -> Confined:
    return Confined(frozenset(capabilities), runtime_spec.mounts(MergedConfig(entry, {})), gains)


def test_without_capabilities_everything_is_covered() -> None:
    assert sandbox.defaults(confined()) == {
        "maskedPaths": [*MASKED], "readonlyPaths": [*READ_ONLY], "noNewPrivileges": True
    }  # fmt: skip


@pytest.mark.parametrize("capabilities", [{ADMIN}, {*CAPABILITIES}])
def test_who_may_unmount_it_gets_no_cover(capabilities: set[str]) -> None:
    assert sandbox.defaults(confined(capabilities)) == {
        "maskedPaths": [], "readonlyPaths": [], "noNewPrivileges": False
    }  # fmt: skip


def test_the_network_s_parameters_are_those_of_its_administrator_alone() -> None:
    paths = sandbox.readonly_paths(confined({"CAP_NET_ADMIN"}))
    assert not {"/proc/sys", "/proc/sys/net", "/sys"} & {*paths}
    assert {"/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/fs", "/proc/sysrq-trigger"} <= {*paths}


@given(st.sets(st.sampled_from(CAPABILITIES)), st.sampled_from(CAPABILITIES))
def test_a_capability_more_covers_nothing_more(capabilities: set[str], another: str) -> None:
    """But for the parameters that take the place of their folder."""
    before, after = confined(capabilities), confined({*capabilities, another})
    assert {*sandbox.masked_paths(after)} <= {*sandbox.masked_paths(before)}
    for path in sandbox.readonly_paths(after):
        assert any(f"{path}/".startswith(f"{cover}/") for cover in sandbox.readonly_paths(before))


@pytest.mark.parametrize(
    ("entry", "seen", "unseen"),
    [
        ({"binds": ["/:/node"]}, ["/node/proc/sys", "/node/sys", "/node/proc/sysrq-trigger", "/proc/sys"], []),
        ({"binds": ["/:/node:ro"]}, ["/node/proc/sys"], []),
        ({"binds": ["/proc:/host/proc/"]}, ["/host/proc/sys", "/proc/sys", "/sys"], ["/host/proc", "/host/sys"]),
        ({"binds": ["/sys:/sys"]}, ["/proc/sys"], ["/sys", "/sys/kernel"]),
        ({"binds": ["/proc/sys/kernel/hostname:/h"]}, ["/proc/sys"], ["/h"]),
        ({"binds": ["/process:/p"]}, ["/proc/sys"], ["/p/sys", "/pess/sys"]),
        ({"mounts": [{"type": "proc", "destination": "/p"}]}, ["/p/sys", "/p/irq", "/proc/sys"], []),
        ({"mounts": [{"type": "none", "source": "/proc", "destination": "/p", "options": ["rbind"]}]}, ["/p/sys"], []),
    ],
)  # fmt: skip
def test_a_path_is_covered_wherever_a_mount_shows_it(entry: Any, seen: list[str], unseen: list[str]) -> None:
    paths = sandbox.readonly_paths(confined(**entry))
    assert {*seen} <= {*paths} and not {*unseen} & {*paths}


def test_a_bind_is_not_masked_it_shows_what_it_was_made_for() -> None:
    assert sandbox.masked_paths(confined(binds=["/proc:/host/proc:ro", "/sys:/host/sys:ro"])) == [*MASKED]


@pytest.mark.parametrize(
    ("mode", "xattrs", "gains"),
    [
        (0o755, (), False), (0o4755, (), True), (0o2755, (), True), (0o6711, (), True),
        (0o4644, (), False), (0o1755, (), False), (0o755, (("user.x", b""),), False),
        (0o755, (("security.capability", b"\1"),), True),
    ],
)  # fmt: skip
def test_programs_that_gain_rights(mode: int, xattrs: Any, gains: bool) -> None:
    assert sandbox.gains_rights(Tree({"bin/x": File(mode, 0, 0, 0, xattrs, ())})) is gains
    assert sandbox.defaults(confined(gains=gains))["noNewPrivileges"] is not gains


def test_entry_and_label_outrank_it() -> None:
    defaults = sandbox.defaults(confined())
    label = {"readonlyPaths": ["/proc/irq"], "noNewPrivileges": False}
    merged = MergedConfig({"maskedPaths": []}, label, defaults)
    document = runtime_spec.config(merged, {}, lambda *_: 0)
    assert "maskedPaths" not in document["linux"] and "noNewPrivileges" not in document["process"]
    assert document["linux"]["readonlyPaths"] == ["/proc/irq"]


def rows() -> list[str]:
    """The rows of the manual's table."""
    none = confined()

    def uncovered(paths: list[str], before: list[str]) -> str:
        if not paths:
            return "everything"
        return " ".join(f"`{path}`" for path in before if path not in paths) or "–"

    def row(name: str, capabilities: Iterable[str]) -> str:
        own = confined(capabilities)
        seen = uncovered(sandbox.masked_paths(own), sandbox.masked_paths(none))
        written = uncovered(sandbox.readonly_paths(own), sandbox.readonly_paths(none))
        if "CAP_NET_ADMIN" in capabilities:
            written = written.replace("`/proc/sys`", "`/proc/sys/net`")
        kept = "yes" if sandbox.defaults(own)["noNewPrivileges"] else "no"
        return f"| {name} | {seen} | {written} | {calls(own)} | {kept} |"

    def calls(own: Confined) -> str:
        if sandbox.profile(own, sandbox.DEFAULT, "amd64") is None:
            return "everything"
        table = seccomp.table().by_capability
        names = {call for name in own.capabilities for call in table.get(name, ())}
        return " ".join(sorted(names | ({"clone3", "unshare"} if ADMIN in own.capabilities else set()))) or "–"

    def is_worth_a_row(capability: str) -> bool:
        has_calls = capability in seccomp.table().by_capability
        return has_calls or sandbox.defaults(confined({capability})) != sandbox.defaults(none)

    single = [row(f"`{name}`", {name}) for name in sorted(CAPABILITIES) if is_worth_a_row(name)]
    return [row("others, or none", ()), *single, row("`all`", CAPABILITIES)]


def test_the_manual_has_the_table() -> None:
    page = PAGE.read_text()
    assert [row for row in rows() if row not in page] == [], "\n".join(["docs/explanation/hardening.md:", *rows()])


def test_the_node_s_parameters_that_an_administrator_of_the_network_does_not_set() -> None:
    """Those of this kernel: a new folder of /proc/sys has to be thought of."""
    present = {str(path) for path in Path("/proc/sys").iterdir() if path.is_dir()}
    assert present - {*sandbox.OTHER_PARAMETERS} <= {"/proc/sys/net"}


def labels() -> dict[str, Any]:
    """Recipe -> keys of its containers."""
    documents = {path.parent.name: yaml.safe_load(path.read_text()) for path in (ROOT / "images").glob("*/build.yml")}
    return {name: document["config"] for name, document in documents.items() if "config" in document}


def test_the_node_s_images_take_no_more_than_they_need() -> None:
    """Images to log in and look around with have all capabilities; the others have a sandbox and a read-only root."""
    found = labels()
    assert {name for name, keys in found.items() if keys["capabilities"] == ["all"]} == {"debug", "sshd"}
    for name in found.keys() - {"debug", "sshd"}:
        merged, profile = runtime_spec.sandboxed(MergedConfig({}, found[name]), "amd64")
        assert profile is not None and merged.get("noNewPrivileges") and merged.get("readonly"), name
