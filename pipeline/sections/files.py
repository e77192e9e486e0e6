"""files: single files, directories and symlinks, laid over everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline.container import booted_root
from pipeline.container.container import LONGEST_HOST_NAME, Id
from pipeline.container.names import ImagePath, Octal, relative
from pipeline.engine import host_digests
from pipeline.engine.action import Action
from pipeline.host import containment
from pipeline.language.problem import Violations
from pipeline.language.schema import mapping
from pipeline.model.tree import parents
from pipeline.sections import Section
from pipeline.spec import bundles, metadata
from pipeline.spec.components import Component, Context
from pipeline.spec.spec import Spec
from pipeline.stages import files, origins

HOST_NAME = "etc/hostname"
"""The file that init sets the host's name from."""


@mapping
class FileEntry:
    """A file, directory or symlink. The content of a file is `contents`, `source` or `metadata`."""

    path: ImagePath
    """Its path in the root file system. A leading `/` is ignored."""
    contents: str | None = None
    """Its content, literally."""
    source: str | None = None
    """A file of the project that is copied; relative to the spec, else to the working directory. Or a public key of the
    user, `~/.ssh/NAME.pub`. Any file of the host with NODEKILN_OUTSIDE=1 in the environment; `~/` is the home."""
    metadata: Literal["yaml", "json"] | None = None
    """Its content is the spec itself: all files merged, images with their registries."""
    directory: bool = False
    """True for a directory."""
    symlink: str | None = None
    """The target, for a symlink."""
    optional: bool = False
    """True to leave it out if `source` does not exist."""
    mode: Octal | None = None
    """Its permissions, an octal number in quotes. `"0600"` by default, `"0700"` for a directory."""
    uid: Id | None = None
    """Its owner: a number, a container's name, or a name of the root's /etc/passwd. 0 by default."""
    gid: Id | None = None
    """Its group: a number, a container's name, or a name of the root's /etc/group. 0 by default."""

    def problems(self) -> Violations:
        keys = ("contents", "source", "metadata", "directory", "symlink")
        used = [key for key in keys if getattr(self, key) or (key == "contents" and self.contents is not None)]
        if not relative(self.path):
            yield ("path",), f"{self.path!r} is not a path of a file", "a path below /"
        if not used:
            yield (), f"{self.path!r} has no content", "contents, source, metadata, directory or symlink"
        elif len(used) > 1:
            yield (used[1],), f"{self.path!r} has both {used[0]} and {used[1]}", "one of them"
        if self.optional and not self.source:
            yield ("optional",), "only a file with a source can be optional", ""
        yield from _too_long(relative(self.path), self.symlink or "")


def _too_long(path: str, target: str) -> Violations:
    """Yields a problem if a path, a name in it or the target of a symlink is longer than Linux allows."""
    from pipeline.writers import limits, raw

    texts = [("a name", name, limits.LONGEST_NAME, "path") for name in path.split("/")]
    texts += [("a path", path, limits.LONGEST_PATH, "path"), ("a target", target, limits.LONGEST_TARGET, "symlink")]
    for noun, text, limit, key in texts:
        if len(raw(text)) > limit:
            yield (key,), f"{noun} of {len(raw(text))} bytes; Linux has room for {limit}", "shorten it"
            return
    if "\0" in target:
        yield ("symlink",), "a symlink's target has a NUL, at which Linux ends it", "leave it out"


def components(value: tuple[FileEntry, ...], context: Context, below: tuple[Component, ...]) -> list[Component]:
    """One component for all files, since they may overwrite each other.

    The stage adds directories above files only where the trees below have none, so the trees that it may meet are its
    inputs.
    """
    entries = [entry for index, file in enumerate(value) if (entry := _entry(index, file, context))]
    if not entries:
        return []
    paths = [entry["path"] for entry in entries]
    implied = {above for path in paths for above in parents(path)}
    params: dict[str, Any] = {
        "entries": entries,
        "ids": _names(value, bundles.ids(context.spec)),
        "known": sorted(implied & {above for component in below for above in parents(component.prefix)}),
        "epoch": context.epoch,
    }
    if bundles.is_linuxkit(context):
        params["linuxkit"] = True
    tree = Action("files", files.files, params, _trees_below(paths, below), context.spec.below("files"))
    origin = {"kind": "files", "name": context.spec.name}
    owners = Action("origins/files", origins.whole, {"origin": origin}, (tree,))
    return [Component("files", tree, inside=any(_inside("containers", path) for path in paths), origins=owners)]


def _trees_below(paths: list[str], below: tuple[Component, ...]) -> tuple[Action, ...]:
    """The trees that files at `paths` may lie in. What boots counts only for files in boot/."""
    in_boot = any(_inside("boot", path) for path in paths)
    return tuple(
        component.tree if in_boot else component.running or component.tree
        for component in below
        if not component.prefix or any(_inside(component.prefix, path) for path in paths)
    )


def _inside(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _names(value: tuple[FileEntry, ...], known: Mapping[str, int]) -> dict[str, int]:
    """The containers' names that owners and groups of `value` name, with their ids."""
    used = {name for file in value for name in (file.uid, file.gid) if isinstance(name, str)}
    return {name: number for name, number in known.items() if name in used}


def _entry(index: int, file: FileEntry, context: Context) -> dict[str, Any] | None:
    """The file for the stage, as JSON; None if it is optional and its source does not exist.

    `at` is its number in the spec, for messages.
    """
    mode = int(file.mode, 8) if file.mode else 0o700 if file.directory else 0o600
    owner = {"uid": file.uid or 0, "gid": file.gid or 0}
    entry: dict[str, Any] = {"at": index, "path": relative(file.path), "mode": mode, **owner}
    if file.directory:
        return entry | {"kind": "directory"}
    if file.symlink:
        return entry | {"kind": "symlink", "target": file.symlink}
    if file.source:
        source = files.find_source(file.source, Path(context.spec.folder))
        if source is None and file.optional:
            return None
        digest = host_digests.sha256(files.expanded(source)) if source else ""
        return entry | {"kind": "source", "source": source or file.source, "sha256": digest}
    text = file.contents if file.metadata is None else metadata.dump(context, file.metadata)
    return entry | {"kind": "file", "contents": text}


def problems(value: tuple[FileEntry, ...], spec: Spec) -> Violations:
    """Yields a problem for each source that cannot be read, and for each path that goes through a file."""
    earlier: dict[str, int] = {}
    for index, file in enumerate(value):
        path = relative(file.path)
        for above in parents(path):
            if above in earlier:
                place = spec.where(("files", earlier[above], "path"))
                yield (index, "path"), f"{path!r} lies in {above!r}, which is not a directory", f"see {place}"
        if not file.directory:
            earlier[path] = index
        if file.source:
            yield from (((index, "source"), *problem) for problem in _of_source(file, file.source, spec.folder))


def _of_source(file: FileEntry, source: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yields message and hint if the source of a file does not exist, or lies outside the project."""
    path = files.find_source(source, folder)
    if path is None and not file.optional:
        yield f"there is no file {source!r}", _searched(source, folder)
    if path and not containment.PUBLIC_KEY.fullmatch(source) and containment.escapes(files.expanded(path), folder):
        yield f"{source!r} lies outside the project", containment.ALLOWED


def _searched(source: str, folder: Path) -> str:
    """The places that a source was looked for in."""
    if source.startswith(("~/", "/")):
        return f"looked for {files.expanded(source)}"
    other = "; only ~/ is a home" if source.startswith("~") else ""
    return f"looked in {folder} and in the working directory{other}"


def warnings(value: tuple[FileEntry, ...], spec: Spec) -> Violations:
    """Yields a warning for each file that a booted node hides, and for a host name that is too long."""
    for index, file in enumerate(value):
        path = relative(file.path)
        name = (file.contents or "").strip().partition("\n")[0]
        if path == HOST_NAME and len(name.encode()) > LONGEST_HOST_NAME:
            message = f"a host name of {len(name.encode())} bytes; the kernel takes at most {LONGEST_HOST_NAME}"
            yield (index, "contents"), message, "shorten it"
        if reason := booted_root.hidden_reason(path, file.directory):
            mkdir = f"; a container's `runtime: {{mkdir: [/{path}]}}` makes it" if file.directory else ""
            yield (index, "path"), f"{file.path!r} is not there once the node has booted", reason + mkdir


SECTION = Section(70, tuple[FileEntry, ...], components, problems=problems, warnings=warnings)
