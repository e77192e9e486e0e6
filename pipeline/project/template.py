"""Template: the files of a new project. nodekiln's folder `template/` has them; words between @ are filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline import __version__
from pipeline.host import atomic
from pipeline.host.shipped import SHIPPED
from pipeline.model.errors import BadInput

TEMPLATE = SHIPPED / "template"
SCHEMAS = (
    "specs/recipe.schema.json", "specs/schema.json", "specs/sources.schema.json", "specs/trust.schema.json",
)  # fmt: skip
"""JSON Schemas for editors; the files of a project that belong to nodekiln."""
CI = {"github": ".github/workflows/build.yml", "gitlab": ".gitlab-ci.yml"}
"""Service -> the file that has it build the project."""
SHARED = (".gitignore", "pyproject.toml", "requirements.txt")
"""Files that a project may have for other reasons, too, made of lines that are useful each by itself."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NODE, _HIDDEN = "specs/node.yml", {"gitignore": ".gitignore"}
_NO_KEY = """\
# files: # a key that may log in to each node that is built, beside the keys of metadata
#   - {path: etc/ssh/authorized_keys, mode: "0600", contents: "ssh-ed25519 AAAA… name\\n"}
"""


def files(name: str, keys: Sequence[str] = (), packages: Sequence[str] = (), ci: str = "github") -> dict[str, str]:
    """Returns the text of each file of a project by its path.

    name: of its spec; "" for a project that has specs. keys: public keys that may log in. packages: base URLs of
    mirrors for its settings. ci: a key of CI, or "none". BadInput for a name or a service that cannot be.
    """
    if name and not NAME.fullmatch(name):
        raise BadInput(f"--name {name}: letters and digits, with . _ - between, at most 63")
    if ci != "none" and ci not in CI:
        raise BadInput(f"--ci {ci}: there are {', '.join(CI)} and none")
    title = name or "node"
    words = {"@NAME@": title, "@VERSION@": __version__, "@FILES@": _login(keys)}
    result = {path: (SHIPPED / path).read_text("utf-8") for path in SCHEMAS}
    for path in sorted(TEMPLATE.rglob("*")):
        place = str(path.relative_to(TEMPLATE))
        if path.is_file() and place not in {*CI.values()} - {CI.get(ci)}:
            text = path.read_text("utf-8")
            for word, value in words.items():
                text = text.replace(word, value)
            result[_HIDDEN.get(place, place).replace(_NODE, f"specs/{title}.yml")] = text
    if packages:
        result["pyproject.toml"] += f"\n[tool.nodekiln]\npackages = {json.dumps([*packages])}\n"
    return {path: text for path, text in result.items() if name or not path.startswith(("specs/node", "images/"))}


def write(root: Path, wanted: Mapping[str, str], replaced: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Writes the files that are not there, and those of `replaced`; returns the paths of the written and of the rest.

    SymlinkOnPath if a symlink in the project leads somewhere else.
    """
    made, kept = list[str](), list[str]()
    for path, text in wanted.items():
        place = root / path
        if (place.exists() or place.is_symlink()) and path not in replaced:
            kept.append(path)
        else:
            atomic.make_folder(root, str(Path(path).parent))
            atomic.write(place, text)
            made.append(path)
    return made, kept


def lacking(root: Path, wanted: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Yields each file of SHARED that has not all lines of nodekiln's, with the lines that it lacks."""
    for path in SHARED:
        there = {_code(line) for line in (root / path).read_text("utf-8", "replace").splitlines()}
        if lines := [code for line in wanted[path].splitlines() if (code := _code(line)) and code not in there]:
            yield path, lines


def _code(line: str) -> str:
    return line.partition(" #")[0].strip()


def _login(keys: Sequence[str]) -> str:
    if not keys:
        return _NO_KEY
    contents = json.dumps("".join(f"{key}\n" for key in keys), ensure_ascii=False)
    return f'files:\n  - {{path: etc/ssh/authorized_keys, mode: "0600", contents: {contents}}}\n'
