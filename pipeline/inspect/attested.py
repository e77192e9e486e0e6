"""Checks of a running node: asks it for a report, finds the record of its build, and compares them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.host.user_command import user_command
from pipeline.inspect import node_report, quote, record, root_files, running
from pipeline.inspect.node_report import NodeReport
from pipeline.inspect.report import Report
from pipeline.inspect.running import NOT_PROVED, Finding, Program
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import RESULTS, Project
from pipeline.project.publish import MANIFEST
from pipeline.project.targets import Target
from pipeline.run import ssh

REPORTER = ("on-node", "/usr/lib/nodekiln/attest")
"""The command that prints a report, from the container of images/sshd."""


def check(
    project: Project, name: str, address: str, formats: str = "", against: str = "", files: bool = False, key: str = ""
) -> Report:
    """Asks the node at `address` (ssh://…) for a report, and compares it with the record of the spec `name`.

    formats: the format that it was started from; else the one that it differs from least. against: another record, as
    pipeline.inspect.record reads it. files: compare the entries of its root. key: a file with the key of its TPM.
    BadInput, NodekilnError.
    """
    place = ssh.parse(address)
    entries = _entries(project, name, against)
    programs = _programs(entries, formats)
    nonce = secrets.token_bytes(quote.NONCE_BYTES)
    words = [*REPORTER, *["--files"] * files]
    if key:
        quote.require()
        words += quote.arguments(nonce)
    report = node_report.parse(ssh.run(place, words), str(place))
    title = formats or running.best(programs, report) or next(iter(entries))
    target, entry = entries[title]
    tree = root_files.of_build(project.store, target.plan, entry, title.rpartition("/")[2])
    own = root_files.mount_points(project.store, tree) if tree else []
    findings = running.compare(programs.get(title), report, _known(project, entries), own)
    if files:
        findings += _files(project, tree, report)
    findings.append(_quote(report, nonce, str(place), key))
    return running.table(f"{name} at {place}: {title}, Linux {report.release}, up {report.uptime:.0f} s", findings)


def _quote(report: NodeReport, nonce: bytes, source: str, key: str) -> Finding:
    if not key:
        return Finding("quote", "-", "not asked for", NOT_PROVED)
    return quote.compare(quote.verify(report, nonce, source), Path(key))


def _entries(project: Project, name: str, against: str) -> dict[str, tuple[Target, Mapping[str, Any]]]:
    """Returns the formats of the record: [ARCH/]FORMAT -> the target as it is now, and the entry in the manifest."""
    targets = {target.arch: target for target in project.targets(name)}
    if against:
        manifests = dict(record.read(project.store, against).manifests)
    else:
        paths = {arch: project.root / target.folder / MANIFEST for arch, target in targets.items()}
        manifests = {arch: record.parse(path.read_bytes(), str(path)) for arch, path in paths.items() if path.exists()}
    found = {
        f"{targets[arch].prefix}{form}": (targets[arch], entry)
        for arch, manifest in manifests.items()
        if arch in targets
        for form, entry in manifest["formats"].items()
    }
    if not found:
        mends = f"{user_command(f'build:{name}')} makes it, --against names another"
        raise NodekilnError(f"{name}: there is no record to compare with: {mends}")
    return found


def _programs(entries: Mapping[str, tuple[Target, Mapping[str, Any]]], formats: str) -> dict[str, Program]:
    """Returns the programs that the node may have been started from. BadInput for a format that is not recorded."""
    if formats and formats not in entries:
        raise BadInput(f"--formats {formats}: the record has {', '.join(entries)}")
    wanted = {title: entry for title, (_, entry) in entries.items() if formats in ("", title)}
    return running.programs({"formats": wanted}, "the record")


def _known(project: Project, entries: Mapping[str, tuple[Target, Mapping[str, Any]]]) -> dict[str, str]:
    """Returns the titles of all programs in records at hand, by Authenticode hash: those in build/, and `entries`."""
    records = [*_recorded(project), ("the record", _programs(entries, ""))]
    return {each.authenticode: f"{place}: {title}" for place, own in records for title, each in own.items()}


def _recorded(project: Project) -> Iterator[tuple[str, Mapping[str, Program]]]:
    """Yields the programs of the manifests in build/ that can be read, by their folders."""
    for path in sorted((project.root / RESULTS).glob(f"**/{MANIFEST}")):
        place = str(path.parent.relative_to(project.root))
        try:
            yield place, running.programs(record.parse(path.read_bytes(), place), place)
        except (BadInput, OSError):
            continue


def _files(project: Project, tree: Any, report: NodeReport) -> list[Finding]:
    if tree is None:
        return [Finding("files", "not in the cache", f"{len(report.files or ())} entries", NOT_PROVED)]
    return running.compare_files(root_files.entries(project.store, tree), report.files or {})
