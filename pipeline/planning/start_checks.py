"""Checks that have to pass before a format is published: what the node starts can start."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.engine.action import Action
from pipeline.language.problem import KeyPath
from pipeline.planning.products import running
from pipeline.spec.components import Component
from pipeline.spec.spec import Spec
from pipeline.stages import starts

INITS = ("sbin/init", "etc/init", "bin/init", "bin/sh")
"""Programs of which the kernel starts the first that there is (init/main.c)."""
_SECTIONS = {"init": ("init", "kernel"), "services": ("services",), "onboot": ("onboot", "onshutdown")}
"""Sections to which problems of a whole node belong: to the first that the spec has."""


def of_containers(components: Iterable[Component], arch: str) -> tuple[Action, ...]:
    """A check of the program of every container."""
    components = tuple(components)
    overlays = tuple(each.tree for each in components if each.inside)

    def check(component: Component, image: Action) -> Action:
        params = {"prefix": component.prefix, "at": list(component.program), "arch": arch}
        inputs = (component.tree, image, *overlays)
        return Action(f"starts/{component.name}", starts.container, params, inputs, component.tree.where)

    return tuple(check(each, each.image) for each in components if each.image)


def of_node(spec: Spec, components: Iterable[Component], arch: str, root: str) -> Action:
    """A check of what the kernel and the boot code start. root: `initrd` or `rootfs`, what the kernel starts from."""
    loose = [each for each in components if not each.prefix]
    line = next((each.boot.params["cmdline"] for each in loose if each.boot), "")
    params = {
        "first": _first_programs(root, line),
        "services": bool(spec["services"]),
        "onboot": bool(spec["onboot"] or spec["onshutdown"]),
        "strict": bool(spec["kernel"].image),
        "arch": arch,
    }
    wheres = [each.tree.where for each in loose]

    def where(path: KeyPath) -> str:
        if path[0] == "part":
            component = wheres[int(path[1])] if wheres else None
            return component(()) if component else str(spec.where(()))
        present = [each for each in _SECTIONS[str(path[0])] if spec[each]]
        return str(spec.where((present[0],) if present else ()))

    return Action(f"starts/{root}", starts.node, params, tuple(map(_programs, loose)), where)


def _first_programs(root: str, line: str) -> list[str]:
    """The programs that the kernel tries first, as its command line `line` and its source (init/main.c) name them."""
    word = "rdinit=" if root == "initrd" else "init="
    named = [each.removeprefix(word) for each in line.split() if each.startswith(word)]
    return [named[-1].strip("/")] if named else ["init"] if root == "initrd" else [*INITS]


def _programs(component: Component) -> Action:
    """The tree of a component without kernel modules, which are no programs and thousands."""
    if not component.boot:
        return running(component)
    name, tree = f"starts/{component.name}", running(component)
    return Action(name, starts.without_modules, {}, (tree,), component.tree.where)
