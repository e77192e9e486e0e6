"""Compares a running node with the record of its build: pure functions from a manifest and a node report to findings.

A report is the node's own statement. Only a TPM's quote (pipeline.inspect.quote) makes its registers more than that.
What a node cannot show, for want of a TPM, of UEFI or of a verified root, is `not proved`: never equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.container import booted_root
from pipeline.inspect.node_report import Mount, NodeReport, ReportedEntry
from pipeline.inspect.report import Report, Table
from pipeline.model.errors import BadInput
from pipeline.ondisk import event_log, measured_boot

EQUAL, DIFFERS, NOT_PROVED = "equal", "differs", "not proved"
"""Results of a finding."""
BANK = "sha256"
REGISTERS = (4, 7, 11)
"""Registers that a record may expect: the program, Secure Boot's state and keys, the program's parts."""
FIRMWARE = range(8)
"""Registers that only firmware extends, all of it logged."""
DIGITS = 16
"""Number of hexadecimal digits of a digest that the table shows."""
MAPPING = "CRYPT-VERITY-{}-root"
"""UUID of the device-mapper device that images/init/mount-root makes of a root with that hash."""
WRITABLE = ("run", "tmp", "var", "containers/volumes")
"""Directories of a booted node with nothing of the root in them: anything may be mounted there."""
BUNDLE = re.compile(r"/(containers/(?:onboot|onshutdown|services)/[^/]+)/(rootfs|tmp)")
IMAGE = re.compile(r"/containers/(?:onboot|onshutdown|services)/[^/]+/(?:lower|rootfs)")
"""Root file system of a container, as the root has it."""
OF_THE_KERNEL = frozenset({"dev", "dev/console", "root", "lost+found"})
"""Entries that the kernel's own initramfs, or a file system, adds to a root."""
HEX = re.compile(r"[0-9a-f]{64}")


class Finding(NamedTuple):
    """A compared fact. expected: by the record. had: by the node."""

    what: str
    expected: str
    had: str
    result: str


class Program(NamedTuple):
    """The EFI program that a node is started from, as its record has it (stages.signed.record).

    authenticode: hexadecimal. registers: number -> value. sections: what the stub measures, as (name, SHA-256), in its
    order. command_line: None if the record does not have it. root_hash: "" for a root in memory.
    """

    authenticode: str
    registers: Mapping[int, str]
    sections: Sequence[tuple[str, str]]
    command_line: str | None
    root_hash: str
    signed: bool


def program(facts: Mapping[str, Any], source: str) -> Program:
    """Reads the record of a program. BadInput, which names `source`, if it has another shape."""
    try:
        found = Program(
            facts["authenticode"].removeprefix("sha256:"),
            {int(number): str(value) for number, value in facts["pcrs"].items()},
            [(str(name), str(value)) for name, value in facts.get("sections") or ()],
            facts.get("command-line"), facts["root-hash"] or "", facts["signer"] is not None,
        )  # fmt: skip
        digests = [found.authenticode, *found.registers.values(), *(each for _, each in found.sections)]
        whole = all(map(HEX.fullmatch, [*digests, *([found.root_hash] if found.root_hash else [])]))
        if not whole or type(found.command_line or "") is not str:
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadInput(f"{source}: not the record of an EFI program") from None
    return found


def programs(manifest: Mapping[str, Any], source: str) -> dict[str, Program]:
    """Returns the program of each format in a manifest that records one."""
    return {
        name: program(facts, f"{source}: {name}")
        for name, entry in manifest["formats"].items()
        for facts in (entry.get("programs") or {}).values()
    }


def compare(
    expected: Program | None,
    report: NodeReport,
    known: Mapping[str, str] | None = None,
    own: Sequence[str] = (),
) -> list[Finding]:
    """Returns what a node has to have and has, without its files.

    expected: None for a format that measures nothing. known: Authenticode hash -> title of the programs of all records
    at hand. own: places at which the spec itself mounts something on the node.
    """
    findings = list(_measured(expected, report, known or {}) if expected else _unmeasured(report))
    findings += [*_kernel(report), *_mounts(report, own)]
    return findings


def compare_files(
    expected: Mapping[str, ReportedEntry], had: Mapping[str, ReportedEntry], prefix: str = "file "
) -> list[Finding]:
    """Returns a finding for each entry that was changed, added or is missing, or one that says that none was."""
    findings = []
    for path in sorted({*expected, *had}):
        one, other = expected.get(path), had.get(path)
        if one != other and not (one is None and path in OF_THE_KERNEL):
            findings.append(Finding(f"{prefix}{path}", _entry(one), _entry(other), DIFFERS))
    return findings or [Finding("files", f"{len(expected)} entries", "the same", EQUAL)]


def best(programs: Mapping[str, Program], report: NodeReport) -> str:
    """Returns the format whose program the node differs from least; "" if there is none."""
    return min(
        programs, key=lambda name: sum(each.result == DIFFERS for each in compare(programs[name], report)), default=""
    )


def table(title: str, findings: Sequence[Finding]) -> Report:
    """Returns the findings as a table. JSON: {"title", "differs": count, "not-proved": count, "findings": [rows]}."""
    counts = {result: sum(each.result == result for each in findings) for result in (EQUAL, DIFFERS, NOT_PROVED)}
    rows = [(each.result, each.what, _shown(each.expected), _shown(each.had)) for each in findings]
    document = {
        "title": title, "differs": counts[DIFFERS], "not-proved": counts[NOT_PROVED],
        "findings": [each._asdict() for each in findings],
    }  # fmt: skip
    summary = f"{counts[EQUAL]} equal, {counts[DIFFERS]} differ, {counts[NOT_PROVED]} not proved"
    return Report(title, [Table(title, ("result", "what", "expected", "had"), rows)], document, summary)


def _shown(value: str) -> str:
    """Returns a digest shortened, and any other text as it is."""
    return f"{value[:DIGITS]}…" if HEX.fullmatch(value) else value


def _equal(what: str, expected: str, had: str) -> Finding:
    return Finding(what, expected, had, EQUAL if expected == had else DIFFERS)


def _unmeasured(report: NodeReport) -> Iterator[Finding]:
    """Yields what cannot be proved of a node whose format records no program."""
    yield Finding("boot", "no record of an EFI program", "UEFI" if report.uefi else "no UEFI", NOT_PROVED)
    yield Finding("command line", "-", report.command_line, NOT_PROVED)
    yield Finding("root", "-", f"{report.root.kind} on {report.root.device}", NOT_PROVED)


def _measured(expected: Program, report: NodeReport, known: Mapping[str, str]) -> Iterator[Finding]:
    yield _equal("firmware", "UEFI", "UEFI" if report.uefi else "no UEFI")
    if expected.signed:
        yield _equal("Secure Boot", "on", report.secure_boot or "off")
        yield _lockdown(report)
    for number in REGISTERS:
        yield _register(number, expected, report)
    yield _log(report)
    yield _started(expected, report, known)
    yield _command_line(expected, report)
    yield _root(expected, report)


def _lockdown(report: NodeReport) -> Finding:
    if not report.lockdown:
        return Finding("lockdown", "integrity", "a kernel without lockdown", NOT_PROVED)
    return Finding("lockdown", "integrity", report.lockdown, DIFFERS if report.lockdown == "none" else EQUAL)


def _register(number: int, expected: Program, report: NodeReport) -> Finding:
    what, wanted = f"PCR {number}", expected.registers.get(number, "")
    had = report.registers.get(BANK, {}).get(number)
    if had is None:
        return Finding(what, wanted or "-", f"no {BANK} bank" if report.registers else "no TPM", NOT_PROVED)
    if not wanted:
        return Finding(what, "not recorded", had, NOT_PROVED)
    if wanted == had:
        return Finding(what, wanted, had, EQUAL)
    event = first_difference(report.events or (), number, _extensions(number, expected))
    return Finding(what, wanted, f"{had[:DIGITS]}…{f' since {event}' * bool(event)}", DIFFERS)


def _extensions(number: int, expected: Program) -> list[tuple[str, str]]:
    """Returns what a register is extended by: a title, and a SHA-256. Empty if the record does not have it."""
    if number == 4:
        digests = [each.hex() for each in measured_boot.pcr4_events(bytes.fromhex(expected.authenticode))]
        return list(zip(("boot option", "separator", "program"), digests, strict=True))
    if number == 11:
        return [pair for name, digest in expected.sections for pair in (
            (f"name of {name}", measured_boot.name_digest(name).hex()), (f"section {name}", digest))]  # fmt: skip
    return []


def first_difference(events: Sequence[event_log.Event], number: int, expected: Sequence[tuple[str, str]]) -> str:
    """Returns the first event of a register that is not as expected, in words; "" if there is none, or no log."""
    own = [each for each in events if each.register == number and each.kind != event_log.NO_ACTION]
    if not own or not expected:
        return ""
    for at, event in enumerate(own, 1):
        title, wanted = expected[at - 1] if at <= len(expected) else ("nothing", "")
        digest = event.digests[BANK].hex() if BANK in event.digests else ""
        if digest != wanted:
            return f"event {at}, {event.title} {digest[:DIGITS]}…, expected {title}"
    return f"the log's end: {expected[len(own)][0]} is missing" if len(own) < len(expected) else ""


def _log(report: NodeReport) -> Finding:
    """The comparison of the event log's replay with the registers."""
    what, registers = "event log", report.registers.get(BANK, {})
    if report.replayed is None or not registers:
        return Finding(what, "-", "no event log" if registers else "no TPM", NOT_PROVED)
    wanted = dict.fromkeys(FIRMWARE, "0" * 64) | report.replayed
    wrong = [number for number, value in sorted(wanted.items()) if registers.get(number) != value]
    had = f"not those of PCR {', '.join(map(str, wrong))}" if wrong else "the same"
    return Finding(what, "the registers", had, DIFFERS if wrong else EQUAL)


def started(events: Sequence[event_log.Event] | None) -> list[str]:
    """Returns the Authenticode hashes of the programs that firmware started, in order."""
    own = [each for each in events or () if each.kind == event_log.APPLICATION and each.register == 4]
    return [each.digests[BANK].hex() for each in own if BANK in each.digests]


def _started(expected: Program, report: NodeReport, known: Mapping[str, str]) -> Finding:
    hashes = started(report.events)
    if not hashes:
        return Finding("program", expected.authenticode, "not logged", NOT_PROVED)
    if expected.authenticode in hashes:
        return Finding("program", expected.authenticode, expected.authenticode, EQUAL)
    names = [f"{known.get(each, 'unknown')} {each[:DIGITS]}…" for each in hashes]
    return Finding("program", expected.authenticode, ", ".join(names), DIFFERS)


def _command_line(expected: Program, report: NodeReport) -> Finding:
    if expected.command_line is None:
        return Finding("command line", "not recorded", report.command_line, NOT_PROVED)
    wanted, had = expected.command_line.split(), report.command_line.split()
    if wanted == had:
        return Finding("command line", f"{len(wanted)} words", "the same", EQUAL)
    changes = [*(f"+{word}" for word in had if word not in wanted), *(f"-{word}" for word in wanted if word not in had)]
    return Finding("command line", f"{len(wanted)} words", " ".join(changes) or "in another order", DIFFERS)


def _root(expected: Program, report: NodeReport) -> Finding:
    """The comparison of the mounted root: a device that verifies by the hash, or one in memory."""
    mount = report.root
    if not expected.root_hash:
        in_memory = mount.kind in ("rootfs", "tmpfs", "ramfs")
        return Finding("root", "in memory", f"{mount.kind}, {mount.device}", NOT_PROVED if in_memory else DIFFERS)
    had = report.root_mapping
    if had == MAPPING.format(expected.root_hash):
        return Finding("root hash", expected.root_hash, expected.root_hash, EQUAL)
    return Finding("root hash", expected.root_hash, had or f"{mount.kind} on {mount.device}, not verified", DIFFERS)


def _kernel(report: NodeReport) -> Iterator[Finding]:
    """Yields what runs in the kernel besides what it was started with."""
    reasons, modules = report.taint, report.unsigned_modules
    yield Finding("taint", "none", ", ".join(reasons) or "none", DIFFERS if reasons else EQUAL)
    yield Finding("modules", "signed", ", ".join(modules) or "signed", DIFFERS if modules else EQUAL)


def _mounts(report: NodeReport, own: Sequence[str]) -> list[Finding]:
    """Returns a finding for each mount that hides a part of the root, or one that says that none does."""
    seen: set[str] = set()
    root, findings = report.root, []
    for mount in report.mounts:
        path = mount.place.strip("/")
        again = path in seen and not _is_in(path, WRITABLE)
        seen.add(path)
        if mount.identity != root.identity and (again or not _is_expected(mount, path, root, own)):
            had = f"{mount.kind} {mount.root} of {mount.device}{', mounted twice' * again}"
            findings.append(Finding(f"mount {mount.place}", "nothing", had, DIFFERS))
    return [*dict.fromkeys(findings)] or [Finding("mounts", "the node's own", "the node's own", EQUAL)]


def _is_expected(mount: Mount, path: str, root: Mount, own: Sequence[str]) -> bool:
    """Returns True for what rc.init, mount-root and the bundles mount, below a directory without files of the root."""
    if _is_in(path, WRITABLE) or mount.place in own:
        return True
    if not path:
        return mount.kind in ("rootfs", "tmpfs") and mount.device == root.device
    bundle = BUNDLE.fullmatch(mount.place)
    if bundle and bundle[2] == "tmp":
        return mount.kind == "tmpfs"
    if bundle and mount.kind == "overlay":
        return bool(IMAGE.fullmatch(mount.options.get("lowerdir", ""))) and (
            mount.options.get("upperdir") == f"/{bundle[1]}/tmp/upper"
        )
    if bundle:
        return mount.device == root.device and bool(IMAGE.fullmatch(mount.root))
    return booted_root.MOUNTS.get(path) == mount.kind and mount.root == "/"


def _is_in(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _entry(entry: ReportedEntry | None) -> str:
    if entry is None:
        return "nothing"
    value = f" {entry.value[:DIGITS]}" if entry.value else ""
    return f"{entry.kind} {entry.mode:04o} {entry.uid}:{entry.gid}{value}"
