"""Trees of this project as `pipeline.model.columns.dump` writes them: some stages return trees inside files."""

from __future__ import annotations

from pipeline.model import columns
from pipeline.model.tree import Device, Directory, Entry, File, Symlink
from pipeline.readers import Listing, Node, Reader, StructureError
from pipeline.readers.view import View

KINDS = {Directory: "directory", File: "file", Symlink: "symlink", Device: "device"}


def recognises(view: View) -> bool:
    return view.read(0, len(columns.START)) == columns.START


def read(view: View) -> Listing:
    """Lists the tree's entries; content as slices (blob, offset, length). StructureError for a file that only starts
    like a tree: a field is missing, or of another type."""
    try:
        entries = columns.load(view.read(0, view.size))
        listing = {path or ".": Node(KINDS[type(entry)], properties(entry)) for path, entry in entries.items()}
    except (LookupError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
        raise StructureError("a file that starts like a tree, with damaged fields") from error
    if not all(isinstance(value, str | int) for node in listing.values() for value in node.properties.values()):
        raise StructureError("a file that starts like a tree, with owners or times that are not numbers")
    return listing


def properties(entry: Entry, content: bool = True) -> dict[str, str | int]:
    """Returns the metadata of an entry under the readers' names. content: include the slices of a file."""
    values: dict[str, str | int] = {
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": entry.mtime,
    }
    values |= {f"xattr {name}": value.hex() for name, value in entry.xattrs}
    if isinstance(entry, Symlink):
        values["target"] = entry.target
    elif isinstance(entry, Device):
        values["device"] = f"{entry.kind} {entry.major}:{entry.minor}"
    elif isinstance(entry, File):
        if entry.inode:
            values["linked as"] = entry.inode
        if content:
            values["content"] = ", ".join(f"{blob or 'zeros'}[{offset}+{size}]" for blob, offset, size in entry.content)
    return values


READER = Reader("tree", recognises, read)
