"""Plan: a spec and its lock become actions. No image is read, no socket opened, nothing is written.

sections -> components -> products -> formats
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline import formats, sections
from pipeline.container import cmdline, linuxkit_compat
from pipeline.engine.action import Action, closure
from pipeline.host import tracked
from pipeline.language.problem import KeyPath, Problem, Problems
from pipeline.model.tree import EPOCH
from pipeline.planning import start_checks, unbuildable
from pipeline.planning.images import Images
from pipeline.planning.lock import Lock, LockRequest
from pipeline.planning.products import Products, chosen_compression
from pipeline.spec.components import Component, Context
from pipeline.spec.spec import Spec

if TYPE_CHECKING:
    from pipeline.planning.signing import Signer


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The actions of a spec for one architecture. Formats are planned when somebody asks for them."""

    spec: Spec
    arch: str
    images: Images
    components: tuple[Component, ...]
    products: Products
    _formats: dict[str, Action] = field(default_factory=dict)
    _node_checks: dict[str, Action] = field(default_factory=dict)

    def format(self, name: str) -> Action:
        """The action that makes the format `name` (and, through its inputs, all that it needs)."""
        if name not in self._formats:
            wanted = formats.find(name)
            options = self._options(wanted.options)
            needs = tuple(map(self._needed, wanted.needs))
            self._formats[name] = Action(f"format/{name}", wanted.build, options, needs, self._where)
        return self._formats[name]

    def _options(self, names: Sequence[formats.Option]) -> dict[str, Any]:
        """The options `names` that the spec sets, as stages take them."""
        known = {"name": self.spec.name} | self.spec.build.options()
        known["compress"] = chosen_compression(self.spec.build)
        if "sign" in names and self.signer:
            known["sign"] = self.signer.parameter()
        return {name: known[name] for name in names if name in known}

    @cached_property
    def signer(self) -> Signer | None:
        """The signer of the node's EFI programs; None if the spec names none. Problems for wrong files."""
        from pipeline.planning import signing

        return signing.read(self.spec)

    def programs(self, name: str) -> list[Action]:
        """The actions that make the EFI programs in the format `name`, unsigned: Tree {".efi"} each."""
        return [
            Action(
                f"program/{each.name}",
                each.program,
                self._options(each.program_options),
                tuple(map(self._needed, each.needs)),
                self._where,
            )
            for each in dict.fromkeys(formats.lineage(name))
            if each.program
        ]

    def records(self, name: str) -> list[Action]:
        """The actions that record what the EFI programs in the format `name` are known by (stages.signed.record)."""
        from pipeline.stages import signed

        params = {"sign": self.signer.parameter()} if self.signer else {}
        return [Action(f"record/{each.name}", signed.record, params, (each,)) for each in self.programs(name)]

    def _needed(self, need: formats.Need) -> Action:
        if isinstance(need, formats.Output):
            return self.format(need.format)
        if isinstance(need, formats.Recipe):
            return self.images(unbuildable.boot_image(self.spec, need.name)).tree
        action: Action = getattr(self.products, need)
        return action

    def _where(self, path: KeyPath) -> str:
        """The place of a problem that a format finds: of the kernel's command line, or of an option of `build`."""
        at_cmdline = path == cmdline.PATH
        return str(self.spec.where(unbuildable.cmdline_path(self.arch) if at_cmdline else ("build", *path)))

    def problems(self, *names: str) -> list[Problem]:
        """Problems of the formats `names`: a missing kernel, or a missing image of a boot loader."""
        return [found for name in names for found in unbuildable.of_format(self.spec, self.images, name)]

    def checks(self, name: str) -> tuple[Action, ...]:
        """The stages that have to pass before the format `name` is published; none if it starts no machine."""
        if not formats.boots(name):
            return ()
        root = "initrd" if "initrd" in formats.products(name) else "rootfs"
        if root not in self._node_checks:
            self._node_checks[root] = start_checks.of_node(self.spec, self.components, self.arch, root)
        return (self._node_checks[root], *self.container_checks)

    @cached_property
    def container_checks(self) -> tuple[Action, ...]:
        """A check of the program of every container."""
        return start_checks.of_containers(self.components, self.arch)

    def missing(self, *names: str) -> list[LockRequest]:
        """The names that the lock lacks for the formats `names`. Problems if they cannot be made at all."""
        if problems := self.problems(*names):
            raise Problems(problems)
        unlocked = self.images.missing
        return [unlocked[action] for action in closure(*map(self.format, names)) if action in unlocked]


def plan(spec: Spec, lock: Lock, arch: str) -> Plan:
    """The actions of `spec` for `arch` (an OCI architecture: amd64, arm64). Problems if it asks for unknown formats."""
    if problems := unbuildable.of_options(spec, arch):
        raise Problems(problems)
    images = Images(spec, lock, arch)
    if problems := unbuildable.of_images(spec, images):
        raise Problems(problems)
    epoch = _epoch(spec)
    components = tuple(sections.components(Context(spec, images, epoch, arch)))
    if problems := list(images.sbom.problems()):
        raise Problems(problems)
    return Plan(spec, arch, images, components, Products(spec, arch, components, images, epoch))


def _epoch(spec: Spec) -> int:
    if spec.build.compat == "linuxkit":
        return linuxkit_compat.MTIME
    return int(tracked.variable("SOURCE_DATE_EPOCH") or EPOCH) if spec.build.epoch is None else spec.build.epoch
