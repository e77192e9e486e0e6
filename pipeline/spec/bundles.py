"""Bundles: plans the containers of `onboot`, `onshutdown` and `services`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline.container import linuxkit_compat, names
from pipeline.container.container import Container
from pipeline.engine.action import Action
from pipeline.language.problem import Violations, suggestion
from pipeline.language.schema import plain
from pipeline.spec.components import Component, Context, References, placed
from pipeline.spec.spec import Spec
from pipeline.stages import bundle
from pipeline.stages.root import IMAGE_FOLDERS

NUMBERED = ("onboot", "onshutdown")
"""Sections whose containers run one after another. Their folders are numbered, so that names may repeat."""
VOLUMES = "containers/volumes"


class ContainerEntry(NamedTuple):
    """A container, its section, and its number there."""

    section: str
    number: int
    container: Container

    @property
    def folder(self) -> str:
        number = f"{self.number:03d}-" if self.section in NUMBERED else ""
        return f"containers/{self.section}/{number}{self.container.name}"


def entries(spec: Spec) -> list[ContainerEntry]:
    """Every container of the spec, in LinuxKit's order."""
    return [
        ContainerEntry(section, number, container)
        for section, value in spec.sections.items()
        for number, container in enumerate(value if isinstance(value, tuple) else ())
        if isinstance(container, Container)
    ]


def ids(spec: Spec) -> dict[str, int]:
    """Container's name -> the numeric id that it stands for."""
    return names.ids(entry.container.name for entry in entries(spec))


def components(
    section: str, value: tuple[Container, ...], context: Context, below: tuple[Component, ...]
) -> list[Component]:
    """One component for each container. Its image is shared with the first container that has the same one."""
    first: dict[str, ContainerEntry] = {}
    planned = []
    known = ids(context.spec)
    for entry in entries(context.spec):
        reference = context.image(entry.container.image).reference
        shared = first.setdefault(reference, entry)
        if entry.section == section:
            planned.append(_component(entry, None if shared is entry else shared, known, context))
    return planned


def images(value: tuple[Container, ...]) -> References:
    """Yields path and reference of each container's image."""
    return (((number, "image"), container.image) for number, container in enumerate(value))


def _component(
    entry: ContainerEntry, shared: ContainerEntry | None, known: dict[str, int], context: Context
) -> Component:
    container, linuxkit = entry.container, is_linuxkit(context)
    image = context.image(container.image)
    params: dict[str, Any] = {
        "prefix": entry.folder,
        "entry": _settings(container, known, resolve_mounts=not linuxkit),
        "ids": {container.name: known[container.name]},
        "shared": shared and {"prefix": shared.folder, "readonly": shared.container.readonly},
        "epoch": context.epoch,
        "arch": context.arch,
    }
    if linuxkit:
        params["linuxkit"] = True
    name = entry.folder.removeprefix("containers/")
    where = context.spec.below(entry.section, entry.number)
    tree = Action(name, bundle.bundle, params, (image.manifest, image.tree), where)
    program = ("image",) if container.command is None else ("command", 0)
    folders = (f"{entry.folder}/{folder}" for folder in IMAGE_FOLDERS)
    owners = placed(name, tree, image, *folders)
    return Component(name, tree, entry.folder, image=image.tree, program=program, origins=owners)


def is_linuxkit(context: Context) -> bool:
    """Returns whether LinuxKit's bytes are to be repeated."""
    return bool(context.spec.build.compat == linuxkit_compat.NAME)


def _settings(container: Container, known: Mapping[str, int], resolve_mounts: bool) -> dict[str, Any]:
    """The container's settings, as JSON, with volumes as paths and the names of containers as ids."""
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
    """Yields a problem for each volume that does not exist, or is read-only and mounted without `ro`."""
    volumes = {volume.name: volume.readonly for volume in spec["volumes"]}
    for index, container in enumerate(value):
        for path, source, options in _volumes(container):
            if source not in volumes:
                hint = suggestion(source, list(volumes)) or f"or a path: /{source}"
                yield (index, *path), f"there is no volume {source!r}", hint
            elif volumes[source] and ("ro" not in options or "rw" in options):
                message = f"the read-only volume {source!r} is mounted to be written to"
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
