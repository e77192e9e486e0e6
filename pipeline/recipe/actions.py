"""The actions that make an image of a recipe. Pure: neither packages nor the store are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.engine.action import Action
from pipeline.language.schema import plain
from pipeline.model.digest import canonical_json
from pipeline.oci.config import LABEL
from pipeline.packages import fetch
from pipeline.recipe import assemble, deb
from pipeline.recipe import ownership as origins
from pipeline.recipe.recipe import OwnFile, Recipe


def image(recipe: Recipe, arch: str, packages: Sequence[Mapping[str, Any]]) -> Action:
    """Returns the action for the manifest of `recipe`'s image for `arch`, made of the locked `packages`."""
    build = recipe.build
    name = build.image
    request = {"recipe": name, "arch": arch, "packages": list(packages)}
    fetch_packages = Action(f"{name}/fetch", fetch.fetch, request, where=recipe.where)
    unpack = Action(f"{name}/unpack", deb.unpack, {}, (fetch_packages,), recipe.where)
    params = {
        "reference": recipe.reference,
        "arch": arch,
        "keep": list(build.keep),
        "drop": list(build.drop),
        "provided": list(build.provided),
        "concatenate": {path: list(globs) for path, globs in build.concatenate.items()},
        "kernel": build.kernel,
        "files": [_file(file, recipe.sources) for file in build.files],
        "symlinks": {target: list(paths) for target, paths in build.symlinks.items()},
        "config": _config(recipe),
    }
    return Action(f"{name}/image", assemble.image, params, (unpack,), recipe.where)


def ownership(recipe: Recipe, image: Action, packages: Sequence[Mapping[str, Any]]) -> Action:
    """Returns the action for the origins of the paths of `image`, a result of the function of that name."""
    name, tag = recipe.reference.rsplit(":", 1)
    contents = {key: value for key, value in image.params.items() if key not in ("reference", "config")}
    params = {"recipe": name, "tag": tag, "packages": list(packages), **contents}
    return Action(f"{recipe.build.image}/origins", origins.ownership, params, image.inputs, recipe.where)


def _file(file: OwnFile, sources: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns a file as a parameter, with its contents in place of its source."""
    value: dict[str, Any] = {"path": file.path, "uid": file.uid, "gid": file.gid}
    value["mode"] = file.mode or ("0755" if file.directory else "0644")
    if file.source is not None:
        value["contents"] = sources[file.source].decode("utf-8", "surrogateescape")
    elif file.contents is not None:
        value["contents"] = file.contents
    elif file.symlink is not None:
        value["symlink"] = file.symlink
    return value


def _config(recipe: Recipe) -> dict[str, Any]:
    """Returns the `config` object of the image's configuration (image-spec, config.md)."""
    build = recipe.build
    labels = {LABEL: canonical_json(plain(build.config)).decode()} if build.config else None
    values = {
        "Entrypoint": build.entrypoint,
        "Cmd": build.cmd,
        "Env": build.env,
        "WorkingDir": build.workdir,
        "User": build.user,
        "Labels": labels,
    }
    present = {key: value for key, value in values.items() if value is not None}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in present.items()}
