"""The images of a plan: references and recipes become actions, with the digests of the lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from pipeline.engine.action import Action, closure
from pipeline.host import containment, tracked
from pipeline.host.shipped import SHIPPED
from pipeline.language.problem import suggestion
from pipeline.model.errors import BadInput
from pipeline.oci import reference as references
from pipeline.packages import sources
from pipeline.packages.sources import Sources
from pipeline.planning import bills, signatures, trust_policy
from pipeline.planning.bills import WantedBills
from pipeline.planning.lock import Lock, LockRequest
from pipeline.planning.trust_policy import Requirement, TrustPolicy
from pipeline.spec.components import Image
from pipeline.spec.spec import Spec
from pipeline.stages import bills as listed
from pipeline.stages import origins, pull
from pipeline.trust.evidence import EvidenceFile

PKG = "@pkg:"
"""The start of a reference to a recipe's folder."""
IMAGES = Path("images")
"""The folder of a project's recipes, by convention. It may be a symlink."""


class NoImage(BadInput):
    """A recipe that is not there, not for this architecture, or outside the project. hint: what would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message + (f" ({hint})" if hint else ""))
        self.message, self.hint = message, hint


class Images:
    """The images that a plan names, each once: `images(reference)`.

    wanted: all names that a lock has to explain. missing: those that it does not, with the actions that wait for it.
    required: the rules about signers that have to hold, by reference. sbom: images whose bills of materials are wanted.
    """

    def __init__(self, spec: Spec, lock: Lock, arch: str) -> None:
        self._spec, self._lock, self._arch = spec, lock, arch
        self._known: dict[tuple[str, str], Image] = {}
        self.wanted: list[LockRequest] = []
        self.missing: dict[Action, LockRequest] = {}
        self.required: dict[str, tuple[Requirement, ...]] = {}
        self.sbom = WantedBills(spec)
        self._bills: dict[Action, Action] = {}

    @cached_property
    def policy(self) -> TrustPolicy | None:
        """The rules about signers of images; None if there are none. Problems."""
        return trust_policy.read(self._spec)

    def __call__(self, reference: str, arch: str = "") -> Image:
        name = (reference, arch or self._arch)
        if name not in self._known:
            make = self._from_recipe if reference.startswith(PKG) else self._from_registry
            self._known[name] = make(*name)
        return self._known[name]

    def _from_registry(self, reference: str, arch: str) -> Image:
        full = references.expand(reference)
        request = LockRequest(full, arch)
        meaning = self._lock.get(request)
        params = {"reference": full, "manifest": meaning["manifest"] if meaning else ""}
        title = reference if arch == self._arch else f"{reference} ({arch})"
        trusted = self._trusted(full, params["manifest"], title)
        manifest = self._locked(Action(f"pull/{title}", pull.pull, params, trusted), request)
        tree = Action(f"unpack/{title}", pull.unpack, {}, (manifest,))
        owners = Action(f"origins/{title}", origins.image, {"reference": full}, (manifest, tree))
        if (place := self.sbom.want(full)) is not None:
            params = {
                "reference": full,
                "bills": bills.parameter(self._lock.bills(full), full, meaning, self._evidence),
            }
            self._bills[manifest] = Action(f"bills/{title}", listed.bills, params, (tree,), lambda path: place)
        return Image(full, manifest, tree, owners)

    def bills(self, trees: Iterable[Action]) -> tuple[Action, ...]:
        """The actions that give what bills of materials name of the images that `trees` are made of, by name."""
        found = {self._bills[each] for each in closure(*trees) if each in self._bills}
        return tuple(sorted(found, key=lambda action: action.name))

    def _trusted(self, reference: str, manifest: str, title: str) -> tuple[Action, ...]:
        """The action that verifies the signatures of an image; () if no rule is about it. NoImage; Problems."""
        try:
            required = self.policy.requirements(reference) if self.policy else ()
        except trust_policy.Unacceptable as error:
            raise NoImage(error.message, error.hint) from None
        if not required:
            return ()
        from pipeline.stages import trusted

        self.required[reference] = required
        params = {
            "image": reference,
            "manifest": manifest,
            "rules": [each.parameter() for each in required],
            **signatures.parameters(self._lock.signatures(reference), self._evidence(), manifest),
        }
        return (
            Action(f"trusted/{title}", trusted.trusted, params, (), lambda path: str(required[int(path[0])].place)),
        )

    @cached_property
    def _file(self) -> EvidenceFile:
        return trust_policy.evidence(trust_policy.evidence_path(self._spec))

    def _evidence(self) -> EvidenceFile:
        return self._file

    def _from_recipe(self, reference: str, arch: str) -> Image:
        from pipeline.recipe import actions as recipes
        from pipeline.recipe import recipe

        source = recipe.load(self._folder(reference.removeprefix(PKG)))
        name = source.build.image
        if arch not in source.build.arches:
            arches = ", ".join(source.build.arches)
            raise NoImage(f"{reference} is made for {arches}, not for {arch}")
        request = LockRequest(name, arch, str(source.folder), self._request(source.request(arch)), self._release)
        packages = self._lock.get(request) or []
        manifest = recipes.image(source, arch, packages)
        self._locked(manifest, request)
        tree = Action(f"unpack/{name}", pull.unpack, {}, (manifest,))
        return Image(reference, manifest, tree, recipes.ownership(source, manifest, packages))

    @cached_property
    def _sources(self) -> Sources:
        return sources.load()

    @property
    def _release(self) -> str:
        return self._spec.build.release or self._sources.default

    def _request(self, request: str) -> str:
        """Returns a recipe's request with the sources of the spec's release."""
        return sources.sourced(request, self._sources(self._release))

    def _folder(self, path: str) -> Path:
        """The recipe's folder: in the project, beside the spec, or with nodekiln itself."""
        from pipeline.recipe.recipe import FILE

        places = (Path(path), self._spec.folder / path, SHIPPED / path)
        for place in places:
            if tracked.is_file(place / FILE):
                if containment.escapes(place, self._spec.folder, IMAGES, SHIPPED / IMAGES):
                    raise NoImage(f"{PKG}{path} lies outside the project", containment.ALLOWED)
                return place
        message = f"there is no recipe {PKG}{path}: no {FILE} in {' or '.join(map(str, dict.fromkeys(places[:2])))}"
        raise NoImage(message, suggestion(f"{PKG}{path}", [f"{PKG}{each}" for each in self._recipes(path)]))

    def _recipes(self, path: str) -> Iterator[str]:
        """The recipes that there are beside where `path` would be."""
        folder = Path(path).parent
        for place in (folder, self._spec.folder / folder, SHIPPED / folder):
            yield from (str(folder / each.parent.name) for each in sorted(place.glob("*/build.yml")))

    def _locked(self, action: Action, wanted: LockRequest) -> Action:
        self.wanted.append(wanted)
        if self._lock.get(wanted) is None:
            self.missing[action] = wanted
        return action
