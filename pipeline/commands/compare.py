"""doit compare: what differs between two builds, files, stages' results or images.

`doit compare A B` for any two; `doit compare:NODE --base REV` for the build of the working tree and a revision's.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.inspect.comparison import Comparison

DOC = "what differs between A and B (builds, files, images), or between a spec's build and a revision's"
PARAMS = [
    {"name": "base", "long": "base", "default": "HEAD", "help": "compare:NODE: the git revision to compare with"},
    {"name": "form", "long": "form", "default": "text", "help": "text, json, markdown or html"},
    {"name": "to", "long": "to", "default": "", "help": "write it to this file"},
]
POSITIONAL = "pair"
"""The parameter of `run_all` that takes the words behind the command."""
OUTPUT = 4000
"""Characters of a failed build's output that are shown."""


def run_all(project: Project, pair: Sequence[str] = (), base: str = "", form: str = "text", to: str = "") -> None:
    """Compare the two things that `pair` names. Options may stand behind them too, where doit leaves them in `pair`."""
    import getopt

    from pipeline.inspect import side as sides
    from pipeline.inspect.comparison import compare

    try:
        behind, pair = getopt.gnu_getopt(list(pair), "", ["form=", "to="])
    except getopt.GetoptError as error:
        raise BadInput(f"compare: {error}") from None
    form, to = dict(behind).get("--form", form), dict(behind).get("--to", to)
    if len(pair) != 2:
        each = "a build's folder, a file, a key or digest in the store, or an image"
        raise BadInput(f"{user_command('compare A B')}: each of the two is {each}")
    left, right = (sides.side(project.store, asked) for asked in pair)
    _show(compare(left, right), form, to)


def run(project: Project, name: str, base: str = "HEAD", form: str = "text", to: str = "") -> None:
    """Build the working tree's spec `name` and the revision `base`'s, in the same store, and compare the two."""
    _build(project, project.root, name)
    arches = project.load(name).build.arch
    with _checked_out(project, base) as tree:
        _build(project, tree, name)
        for arch in arches:
            folder = project.results(name, arch if len(arches) > 1 else "")
            title = f"{name} ({arch})" if len(arches) > 1 else name
            _show(_compared(project, tree / folder, project.root / folder, title, base), form, to)


def _compared(project: Project, before: Path, after: Path, title: str, base: str) -> Comparison:
    from pipeline.inspect import explain
    from pipeline.inspect import record as records
    from pipeline.inspect import side as sides
    from pipeline.inspect.comparison import compare

    left = sides.of_record(project.store, f"{title} at {base}", records.read(project.store, str(before)))
    right = sides.of_record(project.store, title, records.read(project.store, str(after)))
    ours, theirs = sides.built_formats(project.store, before), sides.built_formats(project.store, after)
    explained = [explain.explain(ours[form], theirs[form]) for form in ours if form in theirs]
    return compare(left, right, tuple(dict.fromkeys(each for found in explained for each in found.inside)))


def _show(comparison: Comparison, form: str, to: str) -> None:
    from pipeline.inspect import report

    if form not in report.FORMS:
        raise BadInput(f"--form {form}: there are {', '.join(report.FORMS)}")
    text = report.FORMS[form](comparison.report())
    if to:
        Path(to).write_text(text)
    else:
        say(text, end="")


@contextlib.contextmanager
def _checked_out(project: Project, revision: str) -> Iterator[Path]:
    """A folder with the project as it was at `revision`, for as long as the body runs."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="nodekiln-base-") as folder:
        tree = Path(folder, "project")
        _git(project, "worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree / _git(project, "rev-parse", "--show-prefix").strip()
        finally:
            _git(project, "worktree", "remove", "--force", str(tree))


def _git(project: Project, *words: str) -> str:
    import subprocess

    done = subprocess.run(["git", *words], cwd=project.root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodekilnError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _build(project: Project, root: Path, name: str) -> None:
    """`doit build:NAME` in `root`, by the pipeline that is there if there is one, into the project's store."""
    import subprocess

    environment = {**os.environ, "NODEKILN_CACHE": str(project.cache.absolute())}
    command = [sys.executable, "-m", "doit", f"build:{name}"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodekilnError(f"{root}: build:{name} failed: {(done.stdout + done.stderr)[-OUTPUT:].strip()}")
