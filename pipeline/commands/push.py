"""doit push:NODE: what was built, into a registry, as an OCI artifact (docs/registries.md has its media types)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.model.digest import Digest
    from pipeline.model.tree import Content
    from pipeline.planning.plan import Plan
    from pipeline.spec.spec import Spec
    from pipeline.store import Store

DOC = "build results into a registry, as an OCI artifact"
PARAMS = [
    {"name": "to", "long": "to", "default": "", "help": "the reference to push to: registry.example/nodes/node:v1"},
    {"name": "formats", "long": "formats", "default": "", "help": "what to push, by commas (default: the spec's)"},
    {
        "name": "mount",
        "long": "mount",
        "default": "",
        "help": "repositories of that registry, by commas, that may have the same bytes",
    },
]


def run_all(project: Project, to: str = "", formats: str = "", mount: str = "") -> None:
    """Refuse: several nodes have no one reference."""
    raise BadInput(f"{user_command('push:NAME --to REF')}, with NAME one of {', '.join(project.names())}")


def run(project: Project, name: str, to: str = "", formats: str = "", mount: str = "") -> None:
    """Push the results of the spec `name`, every architecture's, to the reference `to`.

    What is not built yet is built. BadInput for what is larger than its budget, as a build would fail of it.
    """
    from pipeline.engine.action import with_results
    from pipeline.oci import push
    from pipeline.project import budget
    from pipeline.project.publish import MANIFEST

    if not to:
        raise BadInput(f"{user_command(f'push:{name} --to REF')}, with REF such as registry.example/nodes/{name}:v1")
    push.parse_target(to)
    spec = project.load(name)
    wanted = _wanted(spec, formats)
    plans = _plans(project, spec, wanted)
    actions = tuple(planned.format(each) for planned in plans.values() for each in wanted)

    def send(*results: Digest) -> Digest:
        made = dict(zip(actions, results, strict=True))
        files = {}
        for arch, planned in plans.items():
            for each in wanted:
                budget.check(project.store, planned, each, planned.format(each))
            outputs = {each: _files(project.store, name, made[planned.format(each)]) for each in wanted}
            files[arch] = _record(project, planned, outputs)
            files[arch] |= {file: content for each in outputs.values() for file, content in each.items()}
        types = {MANIFEST: push.RECORD, f"{name}.lock": push.LOCK}
        return push.push_files(project.store, files, to, {push.TITLE: name}, [*filter(None, mount.split(","))], types)

    say(f"{to}: {with_results(project.store, actions, send)}")


def _wanted(spec: Spec, asked: str) -> list[str]:
    """The names of the formats that are pushed."""
    from pipeline import formats

    wanted = asked.split(",") if asked else spec.build.formats
    if unknown := [each for each in wanted if not formats.known(each)]:
        raise BadInput(f"there is no format {unknown[0]!r} (there are {', '.join(formats.names())})")
    return list(dict.fromkeys(wanted))


def _plans(project: Project, spec: Spec, wanted: Sequence[str]) -> dict[str, Plan]:
    """Architecture -> the plan; everything that the formats `wanted` need is locked."""
    from pipeline.planning.plan import plan

    plans: dict[str, Plan] = {arch: plan(spec, project.lock(spec.name), arch) for arch in spec.build.arch}
    for planned in plans.values():
        if missing := planned.missing(*wanted):
            raise NodekilnError(
                f"{project.lock_path(spec.name)} lacks {missing[0]}: run {user_command(f'lock:{spec.name}')}"
            )
    return plans


def _files(store: Store, name: str, result: Digest) -> dict[str, Content]:
    """The output files of a format, as build/NAME has them."""
    return {f"{name}{suffix}": file.content for suffix, file in store.tree(result).files().items()}


def _record(project: Project, planned: Plan, outputs: Mapping[str, Mapping[str, Content]]) -> dict[str, Content]:
    """manifest.json of what is pushed (format -> its files), and the lock: what others need to make it again."""
    from pipeline.incremental import sha256
    from pipeline.model.tree import length
    from pipeline.project import publish

    entries = {
        each: publish.format_record(project.store, planned.format(each), {
            file: {"sha256": sha256(project.store, content).hex, "size": length(content)}
            for file, content in files.items()
        })
        for each, files in outputs.items()
    }  # fmt: skip
    manifest = publish.manifest_text(publish.manifest(project, planned, entries))
    found = {publish.MANIFEST: project.store.content(manifest.encode())}
    lock = project.root / project.lock_path(planned.spec.name)
    return found | ({lock.name: project.store.content(lock.read_bytes())} if lock.exists() else {})
