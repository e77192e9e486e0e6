"""doit image: make the image of a recipe, and push it where others can pull it: `doit image:sshd --push REF`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project

if TYPE_CHECKING:
    from pipeline.engine.action import Action
    from pipeline.model.digest import Digest
    from pipeline.recipe.recipe import Recipe

DOC = f"make the image of a recipe, and push it: {user_command('image:sshd --push REF')}"
PARAMS = [
    {"name": "push", "long": "push", "default": "", "help": "the reference to push to: registry.example/sshd:v1"},
    {"name": "arch", "long": "arch", "default": "", "help": "architectures, by commas (default: all that are locked)"},
    {
        "name": "mount",
        "long": "mount",
        "default": "",
        "help": "repositories of that registry, by commas, that may have the same layers",
    },
]
POSITIONAL = "recipe"
"""The parameter of `run_all` that takes the words behind the command."""


def names(project: Project) -> list[str]:
    """What there is an `image:NAME` for: the recipes in images/."""
    return sorted(path.parent.name for path in project.root.glob("images/*/build.yml"))


def run(project: Project, recipe: str, push: str = "", arch: str = "", mount: str = "") -> None:
    """The same for one recipe of images/."""
    run_all(project, (recipe,), push, arch, mount)


def run_all(project: Project, recipe: Sequence[str] = (), push: str = "", arch: str = "", mount: str = "") -> None:
    """Make the image of the recipe in images/`recipe` (or a folder) of the packages that a spec's lock has for it."""
    from pipeline.engine.action import with_results
    from pipeline.oci import push as pushing
    from pipeline.recipe.recipe import load

    if len(recipe) != 1:
        raise BadInput(
            f"{user_command('image [--push REF] NAME')}, with NAME of images/NAME, or the folder of a recipe"
        )
    if push:
        pushing.parse_target(push)
    found = load(_folder(project, recipe[0]))
    actions = _actions(project, found, arch)

    def send(*made: Digest) -> tuple[dict[str, Digest], str]:
        images = dict(zip(actions, made, strict=True))
        mounted = [*filter(None, mount.split(","))]
        return images, pushing.push_images(project.store, images, push, mounted) if push else ""

    images, pushed = with_results(project.store, tuple(actions.values()), send)
    for name, image in images.items():
        say(f"{found.build.image} ({name}): {image}")
    if pushed:
        say(f"{push}: {pushed}")


def _folder(project: Project, asked: str) -> Path:
    """The folder of the recipe `asked`: of the project, or one that comes with nodekiln."""
    from pipeline.planning.images import OWN_IMAGES
    from pipeline.recipe.recipe import FILE

    places = [project.root / asked, project.root / "images" / asked, OWN_IMAGES / "images" / asked]
    for place in places:
        if (place / FILE).exists():
            return place
    raise BadInput(f"there is no recipe {asked}: no {FILE} in {' or '.join(map(str, places[:2]))}")


def _actions(project: Project, recipe: Recipe, asked: str) -> dict[str, Action]:
    """Architecture -> the action that makes the image; those of `asked`, else all that some lock explains."""
    from pipeline.recipe import actions

    arches = asked.split(",") if asked else recipe.build.arches
    if unknown := [arch for arch in arches if arch not in recipe.build.arches]:
        raise BadInput(f"{recipe.folder} is made for {', '.join(recipe.build.arches)}, not for {unknown[0]}")
    locked = {arch: _packages(project, recipe, arch) for arch in arches}
    found = {arch: packages for arch, packages in locked.items() if packages is not None}
    if not found or (asked and len(found) < len(arches)):
        lacking = ", ".join(arch for arch in arches if arch not in found)
        raise NodekilnError(
            f"no lock in specs/ has the packages of {recipe.build.image} for {lacking}:"
            f" name it in a spec, and run {user_command('lock')}"
        )
    return {arch: actions.image(recipe, arch, packages) for arch, packages in found.items()}


def _packages(project: Project, recipe: Recipe, arch: str) -> Sequence[Mapping[str, Any]] | None:
    """What the first lock (by name) that knows the recipe as it is now says; None if there is none."""
    from pipeline.planning.lock import LockRequest

    wanted = LockRequest(recipe.build.image, arch, str(recipe.folder), recipe.request(arch))
    found = (project.lock(name).get(wanted) for name in project.names())
    return next((packages for packages in found if packages is not None), None)
