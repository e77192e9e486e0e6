"""Names: the texts of a spec that become paths or identities in the image, and what they must look like.

What is checked here may be joined to a path as it stands: no path leaves the root that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pipeline.language.kinds import Pattern
from pipeline.language.problem import suggestion

PKG = "@pkg:"
"""Starts the name of an image that is built from a recipe here."""
FIRST_ID = 100
"""LinuxKit numbers the containers of a spec from here on, in the order onboot, onshutdown, services."""
MAX_ID = (1 << 32) - 2
"""Largest uid or gid; 2**32 - 1 means "no change" to chown(2)."""

IDENTIFIER = r"(?!.{77})[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
"""What containerd calls an identifier: at most 76 characters (its pkg identifiers/validate.go)."""
ContainerName = Annotated[
    str,
    Pattern(
        r"(?!\.{1,2}(?!.))[A-Za-z0-9_.+-]{1,200}",
        "a name that runc takes: letters, digits, '_', '.', '+' and '-', but no '.' or '..'",
    ),
]
"""runc, libcontainer/factory_linux.go, validateID; and short enough for a folder's name."""
Namespace = Annotated[
    str,
    Pattern(f"({IDENTIFIER})?", "a name that containerd takes: at most 76 letters and digits, '.', '_' or '-' between"),
]
AbsolutePath = Annotated[str, Pattern(r"/[^\x00]*", "a path that starts with '/'")]
AbsoluteOrNone = Annotated[str, Pattern(r"(/[^\x00]*)?", "a path that starts with '/', or \"\"")]
VolumeName = Annotated[str, Pattern(r"[a-z0-9_-]{1,200}", "a name of a-z, 0-9, '_', '-'")]
ImagePath = Annotated[
    str, Pattern(r"(?!(?:[\s\S]*/)?\.\.(?:/|(?![\s\S])))(?=/?[^/])[^\x00]+", "a path inside the image, without '..'")
]
Octal = Annotated[str, Pattern(r"0*[0-7]{1,4}", 'an octal mode in quotes, such as "0644"')]
Reference = Annotated[str, Pattern(r"[^\s\x00-\x1f]+", "an image, such as alpine:3.20")]
ReferenceOrNone = Annotated[str, Pattern(r"[^\s\x00-\x1f]*", 'an image, such as alpine:3.20, or ""')]


NAMESPACES = ("host", "root", "new")
"""Words for a namespace besides the path of one: the node's (two words for it), or one of its own."""


def wrong_namespaces(said: Mapping[str, str | None]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the words for namespaces, by key: key, message, hint. What has a `/` or `:` is no word."""
    for key, word in said.items():
        words = (*NAMESPACES, "none") if key == "net" else NAMESPACES
        if word and word not in words and not {"/", ":"} & {*word}:
            known = ", ".join(words)
            yield key, f"{word!r} is no namespace that {key} can be: {known}, or a path", suggestion(word, words)


def wrong_reference(text: str) -> str:
    """What is wrong with the name of an image; "" if nothing is, as far as its form tells."""
    from pipeline.oci.reference import InvalidReference, parse

    if text.startswith(PKG):
        return ""
    try:
        parse(text)
    except InvalidReference as error:
        return str(error)
    return ""


def relative(path: str) -> str:
    """A checked path as trees spell it: no leading, trailing or double slash, no '.'; "" if nothing is left."""
    return "/".join(step for step in path.split("/") if step not in ("", "."))


def ids(containers: Iterable[str]) -> dict[str, int]:
    """The number that LinuxKit gives each container, by name; the later of two with one name wins."""
    return {name: FIRST_ID + index for index, name in enumerate(containers)}
