"""files: single files, directories and symlinks, laid over everything else."""

from __future__ import annotations

from collections.abc import Mapping
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
from pipeline.stages import files

HOST_NAME = "etc/hostname"
"""What init sets the host's name from."""


@mapping
class FileEntry:
    """A file, directory or symlink. A file says what it holds: `contents`, `source` or `metadata`."""

    path: ImagePath
    """Where, in the root file system. A leading `/` means nothing."""
    contents: str | None = None
    """What it holds, literally."""
    source: str | None = None
    """A file of the project that is copied; relative to the spec, else to the working directory. Or a public key of the
    user, `~/.ssh/NAME.pub`. Any file of the host with NODEKILN_OUTSIDE=1 in the environment; `~/` is the home."""
    metadata: Literal["yaml", "json"] | None = None
    """It holds the spec itself, all files merged and images with their registries."""
    directory: bool = False
    """It is a directory."""
    symlink: str | None = None
    """It is a symlink to this."""
    optional: bool = False
    """Whether it is left out where `source` does not exist."""
    mode: Octal | None = None
    """Its permissions, an octal number in quotes. `"0600"` by default, `"0700"` for a directory."""
    uid: Id | None = None
    """Its owner: a number, a container's name, or a name of the root's /etc/passwd. 0 by default."""
    gid: Id | None = None
    """Its group: a number, a container's name, or a name of the root's /etc/group. 0 by default."""

    def problems(self) -> Violations:
        kinds = {"contents": self.contents is not None, "source": bool(self.source), "metadata": bool(self.metadata)}
        said = [name for name, is_said in kinds.items() if is_said]
        said += ["directory"] if self.directory else []
        said += ["symlink"] if self.symlink else []
        if not relative(self.path):
            yield ("path",), f"{self.path!r} is no path of a file", ""
        if not said:
            yield (), f"nothing says what {self.path!r} holds", "contents, source, metadata, directory or symlink"
        elif len(said) > 1:
            yield (said[1],), f"{self.path!r} has both {said[0]} and {said[1]}", "one of them"
        if self.optional and not self.source:
            yield ("optional",), "only a file with a source can be optional", ""
        yield from _too_long(relative(self.path), self.symlink or "")


def _too_long(path: str, target: str) -> Violations:
    """What Linux has no room for in a file's path and in the target of a link."""
    from pipeline.writers import limits, raw

    texts = [("a name", each, limits.LONGEST_NAME, "path") for each in path.split("/")]
    texts += [("a path", path, limits.LONGEST_PATH, "path"), ("a target", target, limits.LONGEST_TARGET, "symlink")]
    for what, text, most, key in texts:
        if len(raw(text)) > most:
            yield (key,), f"{what} of {len(raw(text))} bytes; Linux has room for {most}", "shorten it"
            return
    if "\0" in target:
        yield ("symlink",), "a NUL in a link's target, which Linux ends there", "leave it out"


def components(value: tuple[FileEntry, ...], context: Context, below: tuple[Component, ...]) -> list[Component]:
    """One part for all files: they may overwrite each other.

    Directories that the files imply are only made where nothing below has them, so the stage looks at the trees below
    that it may meet.
    """
    entries = [_entry(index, each, context) for index, each in enumerate(value)]
    paths = [entry["path"] for entry in entries if entry]
    implied = {above for path in paths for above in parents(path)}
    params: dict[str, Any] = {
        "entries": [entry for entry in entries if entry],
        "ids": _names(value, bundles.ids(context.spec)),
        "known": sorted(implied & {above for part in below for above in parents(part.prefix)}),
        "epoch": context.epoch,
    }
    if bundles.compat_of(context):
        params["linuxkit"] = True
    if not paths:
        return []
    in_boot = any(_inside("boot", path) for path in paths)
    met = tuple(
        part.tree if in_boot else part.running or part.tree
        for part in below if not part.prefix or any(_inside(part.prefix, path) for path in paths)
    )  # fmt: skip
    inside = any(_inside("containers", path) for path in paths)
    return [Component("files", Action("files", files.files, params, met, context.spec.below("files")), inside=inside)]


def _inside(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _names(value: tuple[FileEntry, ...], known: Mapping[str, int]) -> dict[str, int]:
    """Of the containers' names, those that stand for an id here."""
    used = {name for each in value for name in (each.uid, each.gid) if isinstance(name, str)}
    return {name: number for name, number in known.items() if name in used}


def _entry(index: int, each: FileEntry, context: Context) -> dict[str, Any] | None:
    """The file for the stage, as JSON; None for an optional one whose source is not there.

    `at` is its number in the spec, for messages.
    """
    mode = int(each.mode, 8) if each.mode else 0o700 if each.directory else 0o600
    owner = {"uid": each.uid or 0, "gid": each.gid or 0}
    entry: dict[str, Any] = {"at": index, "path": relative(each.path), "mode": mode, **owner}
    if each.directory:
        return entry | {"kind": "directory"}
    if each.symlink:
        return entry | {"kind": "symlink", "target": each.symlink}
    if each.source:
        found = files.find_source(each.source, Path(context.spec.folder))
        if found is None and each.optional:
            return None
        digest = host_digests.sha256(files.expanded(found)) if found else ""
        return entry | {"kind": "source", "source": found or each.source, "sha256": digest}
    text = each.contents if each.metadata is None else metadata.dump(context, each.metadata)
    return entry | {"kind": "file", "contents": text}


def problems(value: tuple[FileEntry, ...], spec: Spec) -> Violations:
    """Sources that are not there, and paths that go through a file."""
    plain: dict[str, int] = {}
    for index, each in enumerate(value):
        path = relative(each.path)
        for above in parents(path):
            if above in plain:
                earlier = spec.where(("files", plain[above], "path"))
                yield (index, "path"), f"{path!r} lies in {above!r}, which is no directory", f"see {earlier}"
        if not each.directory:
            plain[path] = index
        found = files.find_source(each.source, Path(spec.folder)) if each.source else None
        if found and not containment.PUBLIC_KEY.fullmatch(each.source or "") and _leads_outside(found, spec):
            yield (index, "source"), f"{each.source!r} lies outside the project", containment.ALLOWED
        if each.source and not each.optional and found is None:
            yield (index, "source"), f"there is no file {each.source!r}", _looked(each.source, spec.folder)


def _leads_outside(source: str, spec: Spec) -> bool:
    return containment.escapes(files.expanded(source), Path(spec.folder))


def _looked(source: str, folder: Path) -> str:
    """Where a source was looked for."""
    if source.startswith(("~/", "/")):
        return f"looked for {files.expanded(source)}"
    other = "; only ~/ is a home" if source.startswith("~") else ""
    return f"looked in {folder} and in the working directory{other}"


def warnings(value: tuple[FileEntry, ...], spec: Spec) -> Violations:
    for index, each in enumerate(value):
        path = relative(each.path)
        name = (each.contents or "").strip().partition("\n")[0]
        if path == HOST_NAME and len(name.encode()) > LONGEST_HOST_NAME:
            message = f"a host name of {len(name.encode())} bytes, which the kernel does not take"
            yield (index, "contents"), message, f"at most {LONGEST_HOST_NAME}"
        if why := booted_root.hidden_reason(path, each.directory):
            mkdir = f"; a container's `runtime: {{mkdir: [/{path}]}}` makes it" if each.directory else ""
            yield (index, "path"), f"{each.path!r} is not there once the node has booted", why + mkdir


SECTION = Section(70, tuple[FileEntry, ...], components, problems, warnings)
