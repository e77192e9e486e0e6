"""doit push:NODE: what was built, into a registry, as an OCI artifact (docs/registries.md has its media types)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import BadInput, NodekilnError
from pipeline.project import Project

if TYPE_CHECKING:
    from pipeline.action import Action
    from pipeline.digest import Digest
    from pipeline.spec import Spec
    from pipeline.store import Store
    from pipeline.tree import Content

DOC = "build results into a registry, as an OCI artifact"
PARAMS = [
    {"name": "to", "long": "to", "default": "", "help": "the reference to push to: registry.example/nodes/node:v1"},
    {"name": "formats", "long": "formats", "default": "", "help": "what to push, by commas (default: the spec's)"},
    {"name": "mount", "long": "mount", "default": "",
     "help": "repositories of that registry, by commas, that may have the same bytes"},
]


def run_all(project: Project, to: str = "", formats: str = "", mount: str = "") -> None:
    """Refuse: several nodes have no one reference."""
    raise BadInput(f"`doit push:NAME --to REF`, with NAME one of {', '.join(project.names())}")


def run(project: Project, name: str, to: str = "", formats: str = "", mount: str = "") -> None:
    """Push the results of the spec `name`, every architecture's, to the reference `to`; what is not built is built."""
    from pipeline.action import using
    from pipeline.oci import push

    if not to:
        raise BadInput(f"`doit push:{name} --to REF`, with REF such as registry.example/nodes/{name}:v1")
    push.checked(to)
    spec = project.load(name)
    made = _made(project, spec, formats)
    actions = tuple(action for of_arch in made.values() for action in of_arch)

    def send(*results: Digest) -> Digest:
        by_action = dict(zip(actions, results, strict=True))
        files = {arch: _files(project.store, name, [by_action[each] for each in found]) for arch, found in made.items()}
        return push.push_files(project.store, files, to, {push.TITLE: name}, [*filter(None, mount.split(","))])

    print(f"{to}: {using(project.store, actions, send)}", flush=True)


def _made(project: Project, spec: Spec, asked: str) -> Mapping[str, Sequence[Action]]:
    """Architecture -> the actions whose results are pushed."""
    from pipeline import formats
    from pipeline.plan import plan

    wanted = asked.split(",") if asked else spec.build.formats
    if unknown := [each for each in wanted if each not in formats.names()]:
        raise BadInput(f"there is no format {unknown[0]!r} (there are {', '.join(formats.names())})")
    found: dict[str, Sequence[Action]] = {}
    for arch in spec.build.arch:
        planned = plan(spec, project.lock(spec.name), arch)
        if missing := planned.missing(*wanted):
            lock = project.lock_path(spec.name)
            raise NodekilnError(f"{lock} lacks {missing[0]}: run `doit lock:{spec.name}`")
        found[arch] = [planned.format(each) for each in dict.fromkeys(wanted)]
    return found


def _files(store: Store, name: str, results: Sequence[Digest]) -> dict[str, Content]:
    """Output files of some formats, as build/NAME has them. Formats that share a suffix give the same file."""
    from pipeline.tree import File

    trees = [store.tree(result) for result in results]
    return {f"{name}{suffix}": entry.content for tree in trees for suffix, entry in tree.items() if type(entry) is File}
