"""Bundles: how the containers of `onboot`, `onshutdown` and `services` are planned, all three alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.container import linuxkit_compat, names
from pipeline.container.container import Container
from pipeline.engine.action import Action
from pipeline.language.problem import Violations, suggestion
from pipeline.language.schema import plain
from pipeline.spec.components import Component, Context
from pipeline.spec.spec import Spec
from pipeline.stages import bundle

NUMBERED = ("onboot", "onshutdown")
"""Sections whose containers run one after another: their folders are numbered, so that their names need not differ."""
VOLUMES = "containers/volumes"


class Placed(NamedTuple):
    """A container of the spec, and where it stands there."""

    section: str
    number: int
    container: Container

    @property
    def folder(self) -> str:
        number = f"{self.number:03d}-" if self.section in NUMBERED else ""
        return f"containers/{self.section}/{number}{self.container.name}"


def placed(spec: Spec) -> list[Placed]:
    """Every container of the spec, in LinuxKit's order."""
    found = []
    for section, value in spec.sections.items():
        if isinstance(value, tuple) and value and isinstance(value[0], Container):
            found += [Placed(section, number, container) for number, container in enumerate(value)]
    return found


def ids(spec: Spec) -> dict[str, int]:
    """The ids that containers' names stand for."""
    return names.ids(each.container.name for each in placed(spec))


def components(
    section: str, value: tuple[Container, ...], context: Context, below: tuple[Component, ...]
) -> list[Component]:
    """One component a container. An image that an earlier container has too is shared with it."""
    first: dict[str, Placed] = {}
    planned = []
    known = ids(context.spec)
    for each in placed(context.spec):
        reference = context.image(each.container.image).reference
        shared = first.setdefault(reference, each)
        if each.section == section:
            planned.append(_part(each, None if shared is each else shared, known, context))
    return planned


def _part(each: Placed, shared: Placed | None, known: dict[str, int], context: Context) -> Component:
    container, linuxkit = each.container, compat_of(context)
    image = context.image(container.image)
    entry = _entry(container, known, resolve_mounts=not linuxkit)
    params: dict[str, Any] = {
        "prefix": each.folder,
        "entry": entry,
        "ids": {container.name: known[container.name]},
        "shared": shared and {"prefix": shared.folder, "readonly": shared.container.readonly},
        "epoch": context.epoch,
    }
    if linuxkit:
        params["linuxkit"] = True
    name = each.folder.removeprefix("containers/")
    where = context.spec.below(each.section, each.number)
    tree = Action(name, bundle.bundle, params, (image.manifest, image.tree), where)
    program = ("image",) if container.command is None else ("command", 0)
    return Component(name, tree, each.folder, image=image.tree, program=program)


def compat_of(context: Context) -> bool:
    return bool(context.spec.build.compat == linuxkit_compat.NAME)


def _entry(container: Container, known: Mapping[str, int], resolve_mounts: bool) -> dict[str, Any]:
    """What the spec says, as JSON, with volumes as paths and the names of containers as ids."""
    entry = {key: value for key, value in plain(container).items() if key not in ("name", "image")}
    for key in ("binds", "binds.add"):
        if key in entry:
            entry[key] = [_bind(text) for text in entry[key]]
    if resolve_mounts and "mounts" in entry:
        entry["mounts"] = [_resolved(mount) for mount in entry["mounts"]]
    for key in ("uid", "gid"):
        if key in entry:
            entry[key] = known.get(entry[key], entry[key])
    if "additionalGids" in entry:
        entry["additionalGids"] = [known.get(group, group) for group in entry["additionalGids"]]
    return entry


def _bind(text: str) -> str:
    return text if text.startswith("/") else f"/{VOLUMES}/{text.partition(':')[0]}/merged:{text.partition(':')[2]}"


def _resolved(mount: dict[str, Any]) -> dict[str, Any]:
    source = mount.get("source", "")
    if mount.get("type") != "bind" or not source or source.startswith("/"):
        return mount
    return mount | {"source": f"/{VOLUMES}/{source}/merged"}


def problems(value: tuple[Container, ...], spec: Spec) -> Violations:
    """Volumes that are not there, or that are read-only and mounted to be written to."""
    volumes = {volume.name: volume.readonly for volume in spec["volumes"]}
    for index, container in enumerate(value):
        for path, source, options in _volumes(container):
            if source not in volumes:
                hint = suggestion(source, list(volumes)) or f"or a path: /{source}"
                yield (index, *path), f"there is no volume {source!r}", hint
            elif volumes[source] and ("ro" not in options or "rw" in options):
                message = f"the volume {source!r} is read-only, and is mounted to be written to"
                yield (index, *path), message, "add the option ro"


def _volumes(container: Container) -> Iterator[tuple[tuple[str | int, ...], str, list[str]]]:
    """Path, name and options of each volume that the container mounts."""
    for key, binds in (("binds", container.binds), ("binds.add", container.binds_add)):
        for index, text in enumerate(binds or ()):
            source, _, *options = text.split(":")
            if not source.startswith("/"):
                yield (key, index), source, options[0].split(",") if options else ["rw"]
    for index, mount in enumerate(container.mounts or ()):
        if mount.type == "bind" and mount.source and not mount.source.startswith("/"):
            yield ("mounts", index, "source"), mount.source, list(mount.options or ())
