"""Comparison of a running node with its record: the report of a booted node, and each change of it by name."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect import running
from pipeline.inspect.node_report import EFIVARS, GLOBAL, LOG, ReportedEntry
from pipeline.inspect.running import DIFFERS, EQUAL, NOT_PROVED
from pipeline.model.errors import BadInput
from tests.inspect import reports
from tests.inspect.reports import PCR, mounted, program, report, with_text

OTHER = hashlib.sha256(b"another").hexdigest()


def named(expected, found, *more):
    """The findings that differ, by their name."""
    return {each.what: each for each in running.compare(expected, found, *more) if each.result == DIFFERS}


def results(expected, found):
    return {each.what: each.result for each in running.compare(expected, found)}


def test_the_node_is_as_it_was_recorded():
    """PCR 7 has no value in the record, and is not taken for equal."""
    found = results(program(), report())
    assert {name for name, result in found.items() if result != EQUAL} == {"PCR 7"}
    assert found["PCR 7"] == NOT_PROVED and {"PCR 4", "PCR 11", "root hash", "mounts", "event log"} <= {*found}


def test_a_register_that_the_record_expects_is_compared():
    pcrs = {**reports.facts()["pcrs"], "7": reports.report().registers["sha256"][7]}
    assert {*results(program(pcrs=pcrs), report()).values()} == {EQUAL}
    assert {*named(program(pcrs=pcrs | {"7": OTHER}), report())} == {"PCR 7"}


CHANGES = {
    "firmware": lambda document: document.update(efi=False),
    "lockdown": with_text("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n"),
    "PCR 4": with_text(f"{PCR}/4", OTHER), "PCR 11": with_text(f"{PCR}/11", OTHER),
    "command line": lambda document: document["texts"].update(
        {"/proc/cmdline": document["texts"]["/proc/cmdline"].strip() + " init=/bin/sh\n"}
    ),
    "root hash": with_text("/sys/block/dm-0/dm/uuid", f"CRYPT-VERITY-{OTHER}-root\n"),
    "taint": with_text("/proc/sys/kernel/tainted", str(1 << 12)),
    "modules": with_text("/proc/modules", "evil 4096 0 - Live 0x0000000000000000 (OE)\n"),
    "mount /etc/hosts": mounted("90 27 0:23 /hosts /etc/hosts rw - tmpfs tmpfs rw"),
    "Secure Boot": lambda document: document["data"].update({f"{EFIVARS}/SecureBoot-{GLOBAL}": "0600000000"}),
}  # fmt: skip
"""What a change is called -> the change."""


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_named(name):
    found = named(program(), report(CHANGES[name]))
    assert {*found} - {"event log"} == {name} and ("event log" in found) is name.startswith("PCR")


@given(st.sets(st.sampled_from(sorted(CHANGES)), min_size=1))
def test_changes_do_not_hide_each_other(names):
    def change(document):
        for name in sorted(names):
            CHANGES[name](document)

    assert {*named(program(), report(change))} - {"event log"} == names


@given(st.sampled_from(range(8)), st.binary(min_size=32, max_size=32))
def test_a_register_that_the_log_does_not_give_is_named(number, value):
    found = named(program(), report(with_text(f"{PCR}/{number}", value.hex())))
    assert found["event log"].had == f"not those of PCR {number}"


def test_a_kernel_without_lockdown_proves_none():
    found = results(program(), report(lambda document: document["texts"].pop("/sys/kernel/security/lockdown")))
    assert found["lockdown"] == NOT_PROVED and DIFFERS not in found.values()


SETUP = {f"{EFIVARS}/SetupMode-{GLOBAL}": "0600000001"}


def test_setup_mode_is_not_secure_boot():
    assert named(program(), report(lambda document: document["data"].update(SETUP)))["Secure Boot"].had == "setup mode"


def without_tpm(document):
    document["texts"] = {path: text for path, text in document["texts"].items() if "/tpm0/" not in path}
    del document["data"][LOG]


def test_without_a_tpm_no_register_is_proved():
    found = results(program(), report(without_tpm))
    assert {found[name] for name in ("PCR 4", "PCR 7", "PCR 11", "event log", "program")} == {NOT_PROVED}
    assert DIFFERS not in found.values()


def test_a_bank_that_is_missing_proves_nothing():
    def change(document):
        document["texts"] = {path.replace("sha256", "sha1"): text for path, text in document["texts"].items()}

    (register,) = (each for each in running.compare(program(), report(change)) if each.what == "PCR 4")
    assert (register.result, register.had) == (NOT_PROVED, "no sha256 bank")


def test_another_version_s_program_is_named():
    expected = program(authenticode=f"sha256:{OTHER}", pcrs={"4": OTHER})
    started = reports.facts()["authenticode"].removeprefix("sha256:")
    found = named(expected, report(), {started: "build/old: qcow2-verity-efi"})
    assert found["program"].had == f"build/old: qcow2-verity-efi {started[:16]}…"
    assert (
        "event 3, EV_EFI_BOOT_SERVICES_APPLICATION" in found["PCR 4"].had and "expected program" in found["PCR 4"].had
    )
    assert named(expected, report())["program"].had.startswith("unknown ")


@pytest.mark.parametrize("number", range(6))
def test_the_part_of_a_program_that_is_another_one_is_named(number):
    sections = reports.facts()["sections"]
    sections[number][1] = OTHER
    found = named(program(sections=sections, pcrs={"11": OTHER}), report())
    assert f"event {2 * number + 2}, EV_IPL" in found["PCR 11"].had
    assert found["PCR 11"].had.endswith(f"expected section {sections[number][0]}")


def test_a_program_with_fewer_or_more_parts_is_named():
    sections = reports.facts()["sections"]
    more = named(program(sections=[*sections, [".dtb", OTHER]], pcrs={"11": OTHER}), report())["PCR 11"].had
    assert more.endswith("the log's end: name of .dtb is missing")
    fewer = named(program(sections=sections[:-1], pcrs={"11": OTHER}), report())["PCR 11"].had
    assert "event 11, EV_IPL" in fewer and fewer.endswith("expected nothing")


def test_a_root_in_memory_is_not_proved():
    def in_memory(document):
        text = document["texts"][reports.MOUNTS]
        document["texts"][reports.MOUNTS] = text.replace(
            "253:0 / / ro,relatime shared:1 - erofs", "0:2 / / ro - rootfs"
        )

    expected = program(**{"root-hash": None})
    assert results(expected, report(in_memory))["root"] == NOT_PROVED
    assert results(expected, report())["root"] == DIFFERS
    assert named(program(), report(in_memory))["root hash"].had == "rootfs on 0:2, not verified"


def test_a_format_that_measures_nothing_is_not_proved():
    found = results(None, report())
    assert {found[name] for name in ("boot", "command line", "root")} == {NOT_PROVED}
    assert found["mounts"] == found["taint"] == EQUAL


def test_a_command_line_is_compared_word_by_word():
    line = reports.facts()["command-line"]
    found = named(program(**{"command-line": line.replace("panic=10", "panic=5")}), report())["command line"]
    assert found.had == "+panic=10 -panic=5"
    first, _, rest = line.partition(" ")
    swapped = f"{rest} {first}"
    assert named(program(**{"command-line": swapped}), report())["command line"].had == "in another order"


OVERLAY = "lowerdir=/containers/services/a/lower,upperdir=/containers/services/a/tmp/upper,workdir=/x"
EXPECTED = [
    "90 27 253:0 /containers/services/a/lower /containers/services/a/rootfs ro - erofs /dev/dm-0 ro",
    f"90 27 0:9 / /containers/services/a/rootfs rw - overlay overlay rw,{OVERLAY}",
    "90 27 0:9 / /containers/services/a/tmp rw - tmpfs tmpfs rw", "90 26 0:9 / /run/x rw - tmpfs tmpfs rw",
    "90 29 8:1 / /var/lib/data rw - ext4 /dev/sda1 rw", "90 29 8:1 / /var rw - ext4 /dev/sda1 rw",
]  # fmt: skip
UNEXPECTED = [
    "90 27 253:0 /etc/a /etc/b ro - erofs /dev/dm-0 ro", "90 27 0:9 / /usr rw - tmpfs t rw",
    "90 27 0:23 /x /containers/services/a/rootfs ro - tmpfs tmpfs rw",
    "90 27 253:0 /usr /containers/services/a/rootfs ro - erofs /dev/dm-0 ro",
    f"90 27 0:9 / /containers/services/a/rootfs rw - overlay overlay rw,{OVERLAY.replace('a/lower', 'a/tmp/lower')}",
    f"90 27 0:9 / /containers/services/a/rootfs rw - overlay overlay rw,{OVERLAY.replace('rdir=/', 'rdir=/tmp/')}",
    "90 27 0:9 / /containers/services/a/config.json rw - tmpfs tmpfs rw",
    "90 33 0:9 / /sys/class/tpm rw - tmpfs tmpfs rw",
    "90 25 0:9 / /proc/cmdline rw - tmpfs tmpfs rw", "90 27 0:9 / /proc rw - tmpfs tmpfs rw",
    "90 27 0:9 / /proc rw - proc proc rw", "90 33 0:7 /tpm0 /sys/kernel/debug rw - securityfs none rw",
    "90 27 0:9 / /variable rw - tmpfs tmpfs rw", "90 27 0:9 / /run\\040 rw - tmpfs tmpfs rw",
]  # fmt: skip


@pytest.mark.parametrize("line", EXPECTED)
def test_what_the_node_mounts_itself_is_expected(line):
    assert named(program(), report(mounted(line))) == {}


@pytest.mark.parametrize("line", UNEXPECTED)
def test_what_hides_a_part_of_the_root_or_of_the_kernel_s_files_is_named(line):
    (found,) = named(program(), report(mounted(line))).values()
    assert found.what == f"mount {line.split()[4]}".replace("\\040", " ")


def test_a_file_system_over_the_whole_root_is_named():
    found = named(program(), report(mounted("90 27 0:9 / / rw - tmpfs tmpfs rw")))
    assert {"mount /", "root hash"} <= {*found} and found["root hash"].had == "tmpfs on 0:9, not verified"


def test_what_the_spec_mounts_is_expected():
    line = "90 27 0:9 / /etc/cni rw - tmpfs tmpfs rw"
    assert named(program(), report(mounted(line)), {}, ["/etc/cni"]) == {}


ENTRIES = st.builds(
    ReportedEntry, st.sampled_from("fdl"), st.integers(0, 0o7777), st.integers(0, 9), st.integers(0, 9), st.just(OTHER)
)
TREES = st.dictionaries(st.sampled_from(["bin/a", "etc", "etc/b", "etc/c d", "init"]), ENTRIES)


@given(TREES, TREES)
def test_files_that_differ_are_named(expected, had):
    found = running.compare_files(expected, had)
    differing = {path for path in {*expected, *had} if expected.get(path) != had.get(path)}
    assert {each.what.removeprefix("file ") for each in found if each.result == DIFFERS} == differing
    assert differing or found == [running.Finding("files", f"{len(expected)} entries", "the same", EQUAL)]


def test_what_the_kernel_adds_to_a_root_is_no_difference():
    device = ReportedEntry("c", 0o600, 0, 0, "")
    assert [each.result for each in running.compare_files({}, {"dev/console": device})] == [EQUAL]
    assert [each.result for each in running.compare_files({"dev/console": device}, {})] == [DIFFERS]


def test_the_format_that_differs_least_is_compared():
    programs = {"uki": program(authenticode=f"sha256:{OTHER}"), "verity-efi": program(), "": program(pcrs={"4": OTHER})}
    assert running.best(programs, report()) == "verity-efi" and running.best({}, report()) == ""


@pytest.mark.parametrize("key", ["authenticode", "pcrs", "root-hash", "signer"])
@pytest.mark.parametrize("value", [7, "x", [], {"a": 1}, {"4": "x"}, None, "MISSING"])
def test_a_record_of_another_shape_is_one_line(key, value):
    facts = {**reports.facts(), key: value}
    if value == "MISSING":
        del facts[key]
    fine = (key, value) in [("root-hash", None), ("root-hash", [])] or (key == "signer" and value != "MISSING")
    fine = fine or (key == "pcrs" and value == [])
    try:
        running.program(facts, "record")
    except BadInput as error:
        assert str(error) == "record: not the record of an EFI program"
        return
    assert fine
