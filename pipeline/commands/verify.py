"""doit verify: build everything again under other conditions, compare hashes, name the first difference.

With --running, a running node is compared with its record instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import printable, say
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command, one

if TYPE_CHECKING:
    from pipeline.inspect.conditions import Conditions
    from pipeline.inspect.record import BuildRecord
    from pipeline.inspect.runs import Target as Output
    from pipeline.inspect.runs import Verification
    from pipeline.project.targets import Target
    from pipeline.trust.signing import PrivateKey

JOBS = 4
"""Default number of runs side by side: each may need a GiB of memory, and a few of the disk."""


class NotReproducible(NodekilnError):
    """Runs disagree, or one could not be made."""


class NotAsRecorded(NodekilnError):
    """A running node differs from its record."""


class OtherVersion(BadInput):
    """A record that this nodekiln cannot meet, because stages make other bytes by now."""


@command(
    "build again under other conditions, compare, explain what differs",
    runs="how many runs, each under other conditions",
    full="all conditions, one at a time too",
    formats="these formats, comma-separated, or 'all'",
    against="an earlier build to be met: its folder, its manifest.json, or the reference that it was pushed to",
    json="write the table to this file as JSON ('-': to standard output)",
    jobs="how many runs go side by side (default: one for each processor, at most 4)",
    diffoscope="have diffoscope explain a difference too, where it is installed",
    running="build nothing: compare the node at ssh://root@HOST[:PORT] with its record",
    files="--running: compare all files of its root, too",
    quote="--running: have its TPM sign its registers, by the key in this file (made at its first use)",
    endorse="--against REF: if all is the same, add a signature by the private key in this file (PEM)",
)
def run(
    project: Project, names: Sequence[str], runs: int = 2, full: bool = False, formats: str = "", against: str = "",
    json: str = "", jobs: int = 0, diffoscope: bool = True, running: str = "", files: bool = False, quote: str = "",
    endorse: str = "",
) -> None:  # fmt: skip
    """Prints a table for each spec; NotReproducible (exit code 1) unless every run made the same of every format."""
    from pipeline.inspect import conditions
    from pipeline.inspect import record as records
    from pipeline.inspect.runs import Verification

    if running:
        _check_running(project, one(names, "verify", project), running, formats, against, json, files, quote)
        return
    if files or quote:
        raise BadInput("--files and --quote are about a running node: add --running ssh://root@HOST")
    endorser = _endorser(endorse, against, formats)
    for name in names:
        record = records.read(project.store, against) if against else None
        if record is not None:
            record.check()
        lock = record.lock if record and record.lock else project.root / project.lock_path(name)
        targets = project.targets(name, lock)
        if record is not None:
            _refuse_other_versions(targets, record)
            _warn_of_moved(project, name, record)
        outputs = _outputs(project, name, targets, formats, record)
        verification = Verification(project, name, lock, outputs, diffoscope)
        _verify(verification, conditions.select(runs, full), record, jobs or min(os.cpu_count() or 1, JOBS), json)
        if endorser is not None and record is not None:
            _endorse(project, name, endorser, record)


def _endorser(endorse: str, against: str, formats: str) -> PrivateKey | None:
    """Returns the key of --endorse; None without it. BadInput if there is nothing that it could endorse."""
    from pipeline.inspect import record as records
    from pipeline.project import attestations

    if endorse and (
        formats or Path(against).exists() or not records.is_remote(against) or against.startswith(records.TRANSPORTS)
    ):
        raise BadInput("--endorse is about all of what was pushed to a registry: --against REF, without --formats")
    return attestations.signer(endorse)


def _endorse(project: Project, name: str, key: PrivateKey, record: BuildRecord) -> None:
    """Signs what was pushed, as a second party that made the same. NotTheSame."""
    from pipeline.oci import artifact
    from pipeline.project import attestations, pushing

    node = artifact.find(record.name)
    wanted = dict.fromkeys(each for manifest in record.manifests.values() for each in manifest["formats"])
    if node is not None:
        pushing.with_files(
            project, name, ",".join(wanted), lambda files: attestations.endorse(project.store, key, node, files)
        )()
        say(f"{record.name}: {node.digest} is endorsed")


def _check_running(
    project: Project, name: str, running: str, formats: str, against: str, json: str, files: bool, quote: str
) -> None:
    """Prints what a node has to have and has. NotAsRecorded if something differs."""
    from pipeline.inspect import report as reports
    from pipeline.inspect.attested import check

    found = check(project, name, running, formats, against, files, quote)
    if json == "-":
        say(reports.json_text(found), end="")
    else:
        say("\n".join([printable(found.title), *found.tables[0].lines()]))
        if json:
            Path(json).write_text(reports.json_text(found))
    if found.document["differs"]:
        raise NotAsRecorded(f"{name} at {running} differs from its record: {found.summary}")
    if json != "-":
        say(f"{name}: {found.summary}")


def _verify(
    verification: Verification, conditions: Sequence[Conditions], record: BuildRecord | None, jobs: int, json: str
) -> None:
    """Makes the runs, and prints the table as it grows."""
    from pipeline.inspect import report
    from pipeline.inspect.runs import verify
    from pipeline.inspect.verdict import Verdict

    verdict = Verdict(tuple(verification.targets), ())
    for row in verify(verification, conditions, record, jobs):
        verdict = verdict._replace(rows=(*verdict.rows, row))
        if json != "-":
            say("\n".join(verdict.last_lines()))
    if json == "-":
        say(report.json_text(verdict.report()), end="")
    else:
        say("\n".join(["", *verdict.report().tables[0].lines()]))
        if json:
            Path(json).write_text(report.json_text(verdict.report()))
    if verdict.agreeing < verdict.all:
        raise NotReproducible(f"{verification.name}: {verdict}")
    if json != "-":
        say(f"{verification.name}: {verdict}")


def _outputs(
    project: Project, name: str, targets: Sequence[Target], formats: str, record: BuildRecord | None
) -> dict[str, Output]:
    """Returns what is built, by its title in the table: `formats`, else the record's, else the spec's."""
    from pipeline.inspect.runs import Target as Output

    outputs: dict[str, Output] = {}
    for target in targets:
        if record is not None and target.arch not in record.manifests:
            continue
        default = record.manifests[target.arch]["formats"] if record else target.spec.build.formats
        for format in _chosen(target, formats, [*default]):
            title = f"{target.prefix}{format}"
            outputs[title] = Output(format, target.arch, target.task(format), target.prefix.rstrip("/"))
    if not outputs:
        recorded = f"{record.name} is for {', '.join(record.manifests)}, " if record else ""
        arches = ", ".join(target.arch for target in targets)
        raise BadInput(f"{name}: nothing to build: {recorded}{project.path(name)} for {arches}")
    return outputs


def _chosen(target: Target, names: str, default: Sequence[str]) -> Sequence[str]:
    """Returns the formats `names` (`all` those that can be built), else `default`."""
    from pipeline.project.targets import chosen

    if names == "all":
        return [*_buildable(target, default)]
    wanted = chosen(target.spec, names or ",".join(default))
    target.locked(*wanted)
    return wanted


def _buildable(target: Target, default: Sequence[str]) -> Iterator[str]:
    """Yields all formats that can be built, and prints why others cannot. Compressed disks only if in `default`."""
    from pipeline import formats

    names = dict.fromkeys((*formats.names(), *default))
    overwritten = {one: other for one, other, _ in formats.clashes(names)}
    for name in names:
        if problem := _problem(target, name, overwritten):
            say(f"{name} ({target.arch}) is left out: {problem}", error=True)
        else:
            yield name


def _problem(target: Target, name: str, overwritten: Mapping[str, str]) -> str:
    """Returns why a format is left out, "" if it is not."""
    if name in overwritten:
        return f"its file has the name of {overwritten[name]}'s"
    try:
        missing = target.plan.missing(name)
    except BadInput as error:  # a format that this node cannot have
        return str(error)
    return f"{target.spec.path.with_suffix('.lock')} lacks {missing[0]}" if missing else ""


def _refuse_other_versions(targets: Sequence[Target], record: BuildRecord) -> None:
    """OtherVersion, with the stages, rather than a table of differences that have to be."""
    from pipeline import formats
    from pipeline.inspect.record import version_changes

    lines = {
        line: None
        for target in targets
        for format, entry in record.manifests.get(target.arch, {}).get("formats", {}).items()
        if formats.known(format)
        for line in version_changes(entry, target.plan.format(format))
    }
    if lines:
        makers = {str(manifest.get("nodekiln", "another version")) for manifest in record.manifests.values()}
        maker = ", ".join(sorted(makers))
        raise OtherVersion("\n".join([f"{record.name} can be met by nodekiln {maker}, not by this one:", *lines]))


def _warn_of_moved(project: Project, name: str, record: BuildRecord) -> None:
    """Names the spec's files (and the lock, unless it came with the record) that are not what the record was made from.

    They may come to the same all the same, so this is no error.
    """
    from pipeline.model.digest import Digest

    lock = str(project.lock_path(name))
    here = {str(file) for file in project.load(name).files} | ({lock} if not record.lock else set())
    for manifest in record.manifests.values():
        then = {**manifest.get("spec", {}), lock: manifest.get("lock")}
        for file in sorted(here | set(manifest.get("spec", {}))):
            path = project.root / file
            if then.get(file) != (Digest.of(path.read_bytes()) if path.exists() else None):
                say(f"{file} is not what {record.name} was made from", error=True)
