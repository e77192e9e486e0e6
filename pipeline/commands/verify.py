"""doit verify: build everything again under other conditions, compare hashes, name the first difference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, NodekilnError
from pipeline.project import Project

if TYPE_CHECKING:
    from pipeline.verify.runs import Record
    from pipeline.verify.verdict import Row

DOC = "build again under other conditions, compare, explain what differs"
PARAMS = [
    {"name": "runs", "long": "runs", "type": int, "default": 2, "help": "how many runs, each under other conditions"},
    {"name": "full", "long": "full", "type": bool, "default": False, "help": "all conditions, one at a time too"},
    {"name": "formats", "long": "formats", "default": "", "help": "these formats, comma-separated, or 'all'"},
    {"name": "against", "long": "against", "default": "", "help": "a manifest.json of an earlier build to be met"},
    {"name": "json", "long": "json", "default": "", "help": "write the table to this file as JSON ('-': to stdout)"},
]


class NotReproducible(NodekilnError):
    """Runs disagree, or one could not be made."""


class OtherVersion(BadInput):
    """A record that this nodekiln cannot meet, because stages make other bytes by now."""


def run(
    project: Project, name: str, runs: int = 2, full: bool = False, formats: str = "", against: str = "", json: str = ""
) -> None:
    """Print the table; NotReproducible (exit code 1) unless every run made the same of every format."""
    from pipeline.verify import conditions, verdict
    from pipeline.verify.runs import verify

    record = _record(project, Path(against)) if against else None
    if record is not None:
        _refuse_other_versions(project, name, record)
        formats = formats or ",".join(record.manifest["formats"])
    targets = _targets(project, name, formats, record.manifest.get("arch", "") if record else "")
    rows: list[Row] = []
    for row in verify(project, name, targets, conditions.chosen(runs, full), record):
        rows.append(row)
        found = verdict.Verdict(tuple(targets), tuple(rows))
        if json != "-":
            print("\n".join(verdict.lines(found)), flush=True)
    if json == "-":
        print(verdict.document(found), end="", flush=True)
    elif json:
        Path(json).write_text(verdict.document(found))
    if found.agreeing < found.all:
        raise NotReproducible(f"{name}: {found}")
    if json != "-":
        print(f"{name}: {found}", flush=True)


def _targets(project: Project, name: str, asked: str, only: str) -> dict[str, str]:
    """Format (below its architecture, where there are several) -> doit's task. `all`: what the lock explains.

    only: the one architecture that counts, "" for all.
    """
    from pipeline import formats
    from pipeline.plan import plan

    spec = project.load(name)
    known = formats.names()
    wanted = known if asked == "all" else asked.split(",") if asked else spec.build.formats
    if unknown := [each for each in wanted if each not in known]:
        raise BadInput(f"there is no format {unknown[0]!r} (there are {', '.join(known)})")
    found: dict[str, str] = {}
    for arch in [each for each in spec.build.arch if only in ("", each)]:
        made = plan(spec, project.lock(name), arch)
        for each in wanted:
            title = f"{arch}/{each}" if len(spec.build.arch) > 1 else each
            missing = made.missing(each)
            if not missing:
                found[title] = f"build:{name}:{title}"
            elif asked == "all":
                print(f"{title} is left out: {project.lock_path(name)} lacks {missing[0]}", flush=True)
            else:
                raise NodekilnError(f"{project.lock_path(name)} lacks {missing[0]}: run `doit lock:{name}`")
    return found


def _record(project: Project, path: Path) -> Record:
    import json

    from pipeline.publish import MANIFEST
    from pipeline.verify.runs import Record

    path = path / MANIFEST if path.is_dir() else path
    try:
        manifest = json.loads(path.read_text())
        manifest["formats"].items()
    except OSError as error:
        raise BadInput(f"--against {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(f"--against {path}: not a record of a build (build/NAME/{MANIFEST} is one)") from None
    return Record(str(path), manifest, path.parent, project.store)


def _refuse_other_versions(project: Project, name: str, record: Record) -> None:
    """OtherVersion, with the stages, rather than a table of differences that have to be."""
    from pipeline import formats
    from pipeline.plan import plan
    from pipeline.verify import versions

    spec = project.load(name)
    known = formats.names()
    lines = {
        line: None
        for arch in spec.build.arch
        for form, entry in record.manifest["formats"].items()
        if form in known
        for line in versions.changed(entry, plan(spec, project.lock(name), arch).format(form))
    }
    if lines:
        maker = record.manifest.get("nodekiln", "another version")
        raise OtherVersion("\n".join([f"{record.name} can be met by nodekiln {maker}, not by this one:", *lines]))
