"""doit compare: the differences between two builds, files, stages' results or images.

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
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.inspect.comparison import Comparison

OUTPUT = 4000
"""Characters of a failed build's output that are shown."""


@command(
    "what differs between A and B (builds, files, images), or between a spec's build and a revision's",
    words="A B",
    base="compare:NODE: the git revision to compare with",
    form="text, json, markdown or html",
    to="write it to this file",
)
def run(project: Project, names: Sequence[str], base: str = "HEAD", form: str = "text", to: str = "") -> None:
    """Compares the two things that `names` names, or the builds of one spec in the working tree and at `base`."""
    from pipeline.inspect import side as sides
    from pipeline.inspect.comparison import compare

    if len(names) == 1:
        _compare_builds(project, names[0], base, form, to)
    elif len(names) == 2:
        left, right = (sides.side(project.store, name) for name in names)
        _show(compare(left, right), form, to)
    else:
        each = "a build's folder, a file, a key or digest in the store, or an image"
        raise BadInput(f"{user_command('compare A B')}: each of the two is {each}")


def _compare_builds(project: Project, name: str, base: str, form: str, to: str) -> None:
    """Builds a spec in the working tree and at the revision `base`, in the same store, and compares the two."""
    if name not in project.names():
        pair = user_command("compare A B")
        raise BadInput(f"{name!r} is not a spec: {pair} for two things, {user_command('compare:NODE')} for a spec")
    with _checked_out(project, base) as tree:
        _build(project, project.root, name)
        targets = project.targets(name)
        _build(project, tree, name)
        for target in targets:
            before, after = tree / target.folder, project.root / target.folder
            _show(_compared(project, before, after, target.title, base), form, to)


def _compared(project: Project, before: Path, after: Path, title: str, base: str) -> Comparison:
    from pipeline.inspect import explain
    from pipeline.inspect import record as records
    from pipeline.inspect import side as sides
    from pipeline.inspect.comparison import compare

    left = sides.of_record(project.store, f"{title} at {base}", records.read(project.store, str(before)))
    right = sides.of_record(project.store, title, records.read(project.store, str(after)))
    ours, theirs = sides.built_formats(project.store, before), sides.built_formats(project.store, after)
    explained = [explain.explain(ours[form], theirs[form]) for form in ours if form in theirs]
    return compare(left, right, tuple(dict.fromkeys(line for reason in explained for line in reason.inside)))


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
    """Yields a folder with the project as it was at `revision`, for as long as the body runs."""
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

    try:
        done = subprocess.run(["git", *words], cwd=project.root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NodekilnError("--base checks a revision out with git, which is not installed") from None
    if done.returncode:
        raise NodekilnError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def _build(project: Project, root: Path, name: str) -> None:
    """Runs `doit build:NAME` in `root`, with the pipeline of that folder if it has one, into the project's store."""
    import subprocess

    environment = {**os.environ, "NODEKILN_CACHE": str(project.cache.absolute())}
    words = [sys.executable, "-m", "doit", f"build:{name}"]
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NodekilnError(f"{root}: build:{name} failed: {(done.stdout + done.stderr)[-OUTPUT:].strip()}")
