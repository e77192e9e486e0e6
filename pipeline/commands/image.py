"""doit image: make the image of a recipe, and push it where others can pull it: `doit image:sshd --push REF`; or copy a
recipe of nodekiln into the project, to change it: `doit image:sshd --copy`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.engine.action import Action
    from pipeline.model.digest import Digest
    from pipeline.recipe.recipe import Recipe


def recipes(project: Project) -> list[str]:
    """Returns the names of the project's recipes and of nodekiln's."""
    from pipeline.host.shipped import SHIPPED

    return sorted({path.parent.name for root in (project.root, SHIPPED) for path in root.glob("images/*/build.yml")})


@command(
    f"make the image of a recipe, and push it: {user_command('image:sshd --push REF')}; or copy the recipe: --copy",
    words="NAME",
    names=recipes,
    push="the reference to push to: registry.example/sshd:v1",
    arch="architectures, by commas (default: all that are locked)",
    mount="repositories of that registry, by commas, that may have the same layers",
    copy="make nothing; copy a recipe that comes with nodekiln into images/, to change it",
    sign="--push: sign it by the private key in this file (PEM: Ed25519, or ECDSA on P-256)",
    sign_legacy="--sign: add the signature under cosign's tag sha256-HEX.sig, too, for older verifiers",
)
def run(
    project: Project, names: Sequence[str], push: str = "", arch: str = "", mount: str = "", copy: bool = False,
    sign: str = "", sign_legacy: bool = False,
) -> None:  # fmt: skip
    """Makes the image of the recipe in images/NAME (or a folder) of the packages that a spec's lock has for it."""
    from pipeline.engine.action import with_results
    from pipeline.oci import push as pushing
    from pipeline.project import attestations
    from pipeline.recipe.recipe import load

    if len(names) != 1:
        raise BadInput(
            f"{user_command('image [--push REF | --copy] NAME')}, with NAME of images/NAME, or the folder of a recipe"
        )
    if push:
        pushing.parse_target(push)
    elif sign:
        raise BadInput("--sign is about what is pushed: add --push REF")
    if copy:
        _copy(project, names[0])
        return
    key = attestations.signer(sign, sign_legacy)
    recipe = load(_folder(project, names[0]))
    actions = _actions(project, recipe, arch)

    def send(*results: Digest) -> tuple[dict[str, Digest], Digest | None]:
        images = dict(zip(actions, results, strict=True))
        mounted = [*filter(None, mount.split(","))]
        return images, pushing.push_images(project.store, images, push, mounted) if push else None

    images, pushed = with_results(project.store, tuple(actions.values()), send)
    for name, image in images.items():
        say(f"{recipe.build.image} ({name}): {image}")
    if pushed:
        if key is not None:
            attestations.sign(project.store, key, pushed, push, sign_legacy)
        say(f"{push}: {pushed}")


def _copy(project: Project, name: str) -> None:
    """Copies nodekiln's recipe `name` into the project, and prints which specs it is for from now on."""
    from pipeline.host.shipped import SHIPPED
    from pipeline.recipe import copying
    from pipeline.recipe.recipe import FILE, load

    source, place = SHIPPED / "images" / name, Path("images", name)
    if "/" in name or not (source / FILE).exists():
        there = ", ".join(path.parent.name for path in sorted(SHIPPED.glob(f"images/*/{FILE}")))
        raise BadInput(f"no recipe {name} comes with nodekiln: there are {there}")
    try:
        files = copying.copy(load(source), project.root / place)
    except FileExistsError:
        raise BadInput(
            f"{place} is there already, and is not overwritten: specs use it in place of nodekiln's"
        ) from None
    users = [str(project.path(spec)) for spec in project.names() if _names(project, spec, str(place))]
    say(f"copied to {place}: {', '.join(files)}")
    say(f'"@pkg:{place}" is this one from now on' + (f", in {', '.join(users)}" if users else ""))


def _names(project: Project, spec: str, recipe: str) -> bool:
    """Returns whether the text of a spec names the recipe in the folder `recipe`."""
    import re

    text = (project.root / project.path(spec)).read_text("utf-8", "replace")
    return re.search(rf"@pkg:{re.escape(recipe)}(?![\w./-])", text) is not None


def _folder(project: Project, name: str) -> Path:
    """Returns the folder of the recipe `name`: of the project, or one that comes with nodekiln."""
    from pipeline.host.shipped import SHIPPED
    from pipeline.recipe.recipe import FILE

    places = [project.root / name, project.root / "images" / name, SHIPPED / "images" / name]
    for place in places:
        if (place / FILE).exists():
            return place
    raise BadInput(f"there is no recipe {name}: no {FILE} in {' or '.join(map(str, places[:2]))}")


def _actions(project: Project, recipe: Recipe, names: str) -> dict[str, Action]:
    """Returns the action that makes the image for each of the architectures `names`, or for all that are locked."""
    from pipeline.recipe import actions

    arches = names.split(",") if names else recipe.build.arches
    if unknown := [arch for arch in arches if arch not in recipe.build.arches]:
        raise BadInput(f"{recipe.folder} is made for {', '.join(recipe.build.arches)}, not for {unknown[0]}")
    locked = {arch: _packages(project, recipe, arch) for arch in arches}
    known = {arch: packages for arch, packages in locked.items() if packages is not None}
    if not known or (names and len(known) < len(arches)):
        lacking = ", ".join(arch for arch in arches if arch not in known)
        raise NodekilnError(
            f"no lock in specs/ has the packages of {recipe.build.image} for {lacking}:"
            f" name it in a spec, and run {user_command('lock')}"
        )
    return {arch: actions.image(recipe, arch, packages) for arch, packages in known.items()}


def _packages(project: Project, recipe: Recipe, arch: str) -> Sequence[Mapping[str, Any]] | None:
    """Returns the packages of the first lock (by name) that has the present recipe; None if there is none."""
    from pipeline.planning.lock import LockRequest

    wanted = LockRequest(recipe.build.image, arch, str(recipe.folder), recipe.request(arch))
    locked = (project.lock(name).get(wanted) for name in project.names())
    return next((packages for packages in locked if packages is not None), None)
