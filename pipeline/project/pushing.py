"""The files that a push of a spec's results has: the outputs, their record, and the lock that they were made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from pipeline.engine.action import with_results
from pipeline.incremental import sha256
from pipeline.model.digest import Digest
from pipeline.model.tree import Content, length
from pipeline.oci import push
from pipeline.planning.plan import Plan
from pipeline.project import budget, publish
from pipeline.project.project import Project
from pipeline.project.provenance import Dependency
from pipeline.project.targets import chosen
from pipeline.store import Store

Result = TypeVar("Result")


class PushedFiles(NamedTuple):
    """The files of a push for an architecture.

    formats: format -> names of its files. record: the document manifest.json. dependencies: for the provenance.
    """

    files: Mapping[str, Content]
    formats: Mapping[str, Sequence[str]]
    record: Mapping[str, object]
    dependencies: Sequence[Dependency]


def with_files(
    project: Project, name: str, formats: str, use: Callable[[Mapping[str, PushedFiles]], Result]
) -> Callable[[], Result]:
    """Returns a function that builds what is not built yet, and returns `use` of the files of each architecture.

    formats: by commas; "" for the spec's. BadInput for formats that there are not, and, of the function, for what is
    larger than its budget, as a build would fail of it.
    """
    targets = project.targets(name)
    wanted = chosen(targets[0].spec, formats)
    plans = {target.arch: target.locked(*wanted) for target in targets}
    actions = tuple(plan.format(each) for plan in plans.values() for each in wanted)

    def files(*results: Digest) -> Result:
        made = dict(zip(actions, results, strict=True))
        found = {}
        for arch, plan in plans.items():
            for each in wanted:
                budget.check(project.store, plan, each, plan.format(each))
            outputs = {each: _outputs(project.store, name, made[plan.format(each)]) for each in wanted}
            found[arch] = _with_record(project, plan, outputs)
        return use(found)

    return lambda: with_results(project.store, actions, files)


def describe(store: Store, name: str, files: Mapping[str, PushedFiles]) -> push.Description:
    """Returns the artifact that a push of the spec `name` has: architecture -> files. Nothing is sent."""
    types = {publish.MANIFEST: push.RECORD, f"{name}.lock": push.LOCK}
    return push.describe_files(store, {arch: each.files for arch, each in files.items()}, {push.TITLE: name}, types)


def _outputs(store: Store, name: str, result: Digest) -> dict[str, Content]:
    """Returns the output files of a format, as build/NAME has them."""
    return {f"{name}{suffix}": file.content for suffix, file in store.tree(result).files().items()}


def _with_record(project: Project, plan: Plan, outputs: Mapping[str, Mapping[str, Content]]) -> PushedFiles:
    """Returns what is pushed (format -> its files), with manifest.json and the lock: all that another build needs."""
    entries = {
        each: publish.format_record(project.store, plan, each, plan.format(each), {
            file: {"sha256": sha256(project.store, content).hex, "size": length(content)}
            for file, content in files.items()
        })
        for each, files in outputs.items()
    }  # fmt: skip
    document = publish.manifest(project, plan, entries)
    files = {publish.MANIFEST: project.store.content(publish.manifest_text(document).encode())}
    lock = project.root / project.lock_path(plan.spec.name)
    if lock.exists():
        files[lock.name] = project.store.content(lock.read_bytes())
    files |= {file: content for each in outputs.values() for file, content in each.items()}
    formats = {each: sorted(names) for each, names in outputs.items()}
    return PushedFiles(files, formats, document, publish.dependencies(project, plan))
