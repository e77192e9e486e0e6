"""doit bundle: every input of a node as one file, from which it is built without network (docs/how-to/air-gap.md)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import RESULTS, Project
from pipeline.tasks.command import command, one

if TYPE_CHECKING:
    from pipeline.model.digest import Digest

TAR = ".tar"
"""Suffix of an output that is one file; any other is a folder."""


@command(
    "write all that a node is built from into one OCI layout: `build:NODE --from FILE` needs no network",
    output="FILE.tar, or a folder (default: build/NODE.bundle.tar)",
    arch="architectures, by commas (default: the spec's)",
    formats="formats that it shall suffice for besides the spec's, by commas",
    wheels="with Python wheels of nodekiln and of what it depends on, for this platform",
    push="a reference to push it to, instead of writing it: registry.example/nodes/node:v1-bundle",
)
def run(
    project: Project,
    names: Sequence[str],
    output: str = "",
    arch: str = "",
    formats: str = "",
    wheels: bool = False,
    push: str = "",
) -> None:
    """Writes or pushes the bundle of one spec. What the cache lacks of its images and packages is fetched first."""
    from pipeline.oci import push as pushing
    from pipeline.project import bundle_writer, inputs

    name = one(names, "bundle", project)
    if push and output:
        raise BadInput(f"{user_command(f'bundle:{name}')} takes --output or --push, not both")
    if push:
        pushing.parse_target(push)
    arches = [*filter(None, arch.split(","))]
    needed = inputs.collect(project, name, arches, formats)
    with tempfile.TemporaryDirectory() as folder:
        index = bundle_writer.make(project.store, needed, _wheels(Path(folder)) if wheels else ())
    if push:
        say(f"{push}: {pushing.push_index(project.store, index, push)}")
    else:
        _write(project, index, output or f"{RESULTS}/{name}.bundle{TAR}")


def _write(project: Project, index: Digest, output: str) -> None:
    from pipeline.project import bundle_writer

    path = project.root / output
    if path.suffix == TAR:
        path.parent.mkdir(parents=True, exist_ok=True)
        project.store.export(bundle_writer.archive(project.store, index), path)
    else:
        bundle_writer.write_folder(project.store, index, path)
    say(f"{output}: {index}")


def _wheels(folder: Path) -> list[Path]:
    from pipeline.project import wheels

    return wheels.collect(folder)
