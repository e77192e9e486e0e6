"""Patterns for the strings of a spec that become paths or identifiers in the image.

A string that matches can be joined to a path: it never leaves the root.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pipeline.language.kinds import Pattern
from pipeline.language.problem import Violations, suggestion

PKG = "@pkg:"
"""Prefix of the name of an image that is built from a local recipe."""
FIRST_ID = 100
"""First id that LinuxKit gives to the containers of a spec, in the order onboot, onshutdown, services."""
MAX_ID = (1 << 32) - 2
"""Largest uid or gid. 2**32 - 1 means "no change" in chown(2)."""

IDENTIFIER = r"(?!.{77})[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
"""Identifiers of containerd: at most 76 characters (pkg/identifiers/validate.go)."""
ContainerName = Annotated[
    str,
    Pattern(
        r"(?!\.{1,2}(?!.))[A-Za-z0-9_.+-]{1,200}",
        "a container name (letters, digits, '_', '.', '+' and '-', except '.' and '..')",
    ),
]
"""IDs of runc (libcontainer/factory_linux.go, validateID), short enough for a folder name."""
Namespace = Annotated[
    str,
    Pattern(
        f"({IDENTIFIER})?",
        "a containerd namespace (at most 76 letters and digits, with single '.', '_' or '-' between)",
    ),
]
AbsolutePath = Annotated[str, Pattern(r"/[^\x00]*", "a path that starts with '/'")]
AbsoluteOrNone = Annotated[str, Pattern(r"(/[^\x00]*)?", "a path that starts with '/', or \"\"")]
VolumeName = Annotated[str, Pattern(r"[a-z0-9_-]{1,200}", "a volume name (a-z, 0-9, '_', '-')")]
ImagePath = Annotated[
    str, Pattern(r"(?!(?:[\s\S]*/)?\.\.(?:/|(?![\s\S])))(?=/?[^/])[^\x00]+", "a path inside the image, without '..'")
]
Octal = Annotated[str, Pattern(r"0*[0-7]{1,4}", 'an octal mode in quotes, such as "0644"')]
Reference = Annotated[str, Pattern(r"[^\s\x00-\x1f]+", "an image, such as alpine:3.20")]
ReferenceOrNone = Annotated[str, Pattern(r"[^\s\x00-\x1f]*", 'an image, such as alpine:3.20, or ""')]


NAMESPACES = ("host", "root", "new")
"""Names of namespaces, besides paths: `host` and `root` are the node's, `new` is the container's own."""


def namespace_violations(values: Mapping[str, str | None]) -> Violations:
    """Yields a violation for every key of `values` that is neither a name of a namespace nor a path."""
    for key, value in values.items():
        names = (*NAMESPACES, "none") if key == "net" else NAMESPACES
        if value and value not in names and not {"/", ":"} & {*value}:
            yield (key,), f"{value!r} is not a namespace", suggestion(value, names) or f"{', '.join(names)}, or a path"


def reference_problem(text: str) -> str:
    """Returns the syntax error in the name of an image; "" if there is none."""
    from pipeline.oci.reference import InvalidReference, parse

    if text.startswith(PKG):
        return ""
    try:
        parse(text)
    except InvalidReference as error:
        return str(error)
    return ""


def relative(path: str) -> str:
    """Returns a checked path as a path of a tree: without superfluous slashes and '.'; "" for the root."""
    return "/".join(step for step in path.split("/") if step not in ("", "."))


def ids(containers: Iterable[str]) -> dict[str, int]:
    """Returns the id that LinuxKit gives each container, by name; of two with one name the later wins."""
    return {name: FIRST_ID + index for index, name in enumerate(containers)}
