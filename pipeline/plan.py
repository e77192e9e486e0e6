"""Plan: a spec and its lock become actions. Pure: no image is read, no socket opened, nothing is written.

    sections  ->  parts (trees)  ->  fragments  ->  initrd  ->  formats
                        \\-> rootfs ------------------------------^
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline import formats, sections
from pipeline.action import Action
from pipeline.lock import Lock
from pipeline.parts import Context, Image, Part
from pipeline.recipe import actions as recipes
from pipeline.spec import Spec
from pipeline.stages import initrd, pull, root
from pipeline.tree import parents


@dataclass(frozen=True)
class Plan:
    """What a spec comes to on one architecture.

    products: by name, what formats ask for: `kernel`, `initrd`, `rootfs`, images of recipes.
    missing: references that the lock has no entry for; while there are any, the actions must not run.
    """

    spec: Spec
    arch: str
    products: Mapping[str, Action]
    missing: tuple[str, ...] = ()
    made: dict[str, Action] = field(default_factory=dict)

    def format(self, name: str) -> Action:
        """The action that makes the format `name` (and, through its inputs, all that it needs)."""
        if name not in self.made:
            module = formats.find(name)
            needs = tuple(self.products[need] if need in self.products else self.format(need) for need in module.NEEDS)
            options = {key: value for key, value in self.spec.build.options().items() if key in module.OPTIONS}
            self.made[name] = Action(f"format/{name}", module.build, options, needs)
        return self.made[name]
