"""The rules about signatures that hold for the images of a spec, with the files that they name.

    specs/trust.yml     rules of the project, which hold for each spec in this folder
    trust: in a spec    further rules, which tighten those

Both have to hold. Names in rules are those of `match_name`, and recipes (`@pkg:…`) have none: they are made here.
"""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.host import containment, tracked
from pipeline.host.user_command import user_command
from pipeline.language import document
from pipeline.language.document import problem_at
from pipeline.language.problem import KeyPath, Place, Problem, Problems, dotted
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import kind, violations
from pipeline.oci.reference import Reference, parse
from pipeline.spec.spec import Spec
from pipeline.trust import policy
from pipeline.trust.error import SignatureRefusal
from pipeline.trust.policy import AllowedSigner, Ambiguous, Match, Rules

if TYPE_CHECKING:
    from pipeline.trust.evidence import EvidenceFile

FILE = "trust.yml"
"""A project's rules, in the folder of its specs."""
EVIDENCE = ".evidence"
"""Suffix of a spec's file of evidence, beside its lock."""
HUB_HOSTS = ("index.docker.io", "registry-1.docker.io")
"""Other names of docker.io."""
HTTPS = ":443"
"""The port of a registry that may be left out."""
FILES = {"cosign": "key", "root": "root"}
"""Keys of a signer that name a file -> its parameter."""


class RuleFile(NamedTuple):
    """The rules of a file. where: returns the place of a path below them. folder: that of the file."""

    rules: Rules
    where: Callable[[KeyPath], Place]
    folder: Path


class Requirement(NamedTuple):
    """A rule that has to hold for an image. place: of the pattern in it that matches the image's name."""

    rule: str
    need: int
    signers: tuple[Mapping[str, Any], ...]
    place: Place
    titles: tuple[str, ...]
    """Signers in few words, for people."""

    def parameter(self) -> dict[str, Any]:
        """The rule as pipeline.trust.verification takes it, in JSON, with the content of its files."""
        return {"rule": self.rule, "need": self.need, "signers": [dict(each) for each in self.signers]}


class Unacceptable(Exception):
    """An image that the rules do not accept at all. hint: what would be right."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class TrustPolicy(NamedTuple):
    """The rules of a project and of a spec. image, org: LinuxKit's lists."""

    project: RuleFile
    spec: RuleFile
    image: tuple[str, ...]
    org: tuple[str, ...]

    def requirements(self, reference: str) -> tuple[Requirement, ...]:
        """Returns the rules that have to hold for the image `reference`. Unacceptable; Problems."""
        image = parse(reference)
        name = match_name(image)
        try:
            required = policy.required(self.project.rules, self.spec.rules, name)
            if policy.is_rejected(self.project.rules, self.spec.rules, name):
                raise Unacceptable(
                    f"no rule matches {name}, and `default: reject` refuses it", _add(self.project, name)
                )
        except Ambiguous as error:
            both = f"{error.first.text!r} and {error.second.text!r}"
            message = f"two rules for {name} have equally long literal prefixes: {both}"
            raise Unacceptable(message, "make one of them longer") from None
        if not required and policy.is_listed(self.image, self.org, _spellings(image)):
            raise Unacceptable(f"trust lists {name}, and no rule matches it", _add(self.spec, name))
        files = {id(self.project.rules): self.project, id(self.spec.rules): self.spec}
        found = (_requirement(files[id(rules)], match) for rules, match in required)
        return tuple(each for each in found if each.need)


def read(spec: Spec) -> TrustPolicy | None:
    """Returns the rules for the images of `spec`; None if there are none. Problems with everything that is wrong."""
    section, path = spec["trust"], spec.folder / FILE
    has_file = tracked.is_file(path)
    if not has_file and not section.rules and section.default == "accept" and not section.image and not section.org:
        return None
    own = RuleFile(section, lambda below: spec.where(("trust", *below)), spec.folder)
    project = _file(path) if has_file else RuleFile(Rules(), lambda below: Place(str(path), 1, 1), spec.folder)
    problems = [problem for file in (project, own) for problem in _missing_files(file)]
    if problems:
        raise Problems(problems)
    return TrustPolicy(project, own, section.image or (), section.org or ())


def match_name(image: Reference) -> str:
    """Returns the name that patterns are matched with: registry and repository, or `oci:DIR`, in one spelling."""
    if image.transport != "registry":
        transport = "docker-archive" if image.transport == "docker-archive" else "oci"
        return f"{transport}:{posixpath.normpath(image.path)}"
    registry = image.registry.lower().removesuffix(HTTPS)
    return f"{'docker.io' if registry in HUB_HOSTS else registry}/{image.repository}"


def evidence_path(spec: Spec) -> Path:
    """The spec's file of evidence, which need not be there."""
    return spec.path.with_suffix(EVIDENCE)


def evidence(path: Path) -> EvidenceFile:
    """The evidence in a file; an empty one if there is none. Problems for a damaged one."""
    from pipeline.trust import evidence as evidences

    try:
        return evidences.parse(tracked.contents(path))
    except FileNotFoundError:
        return evidences.EvidenceFile()
    except OSError as error:
        raise problem_at(str(path), 1, 1, f"cannot be read: {error.strerror}") from None
    except SignatureRefusal as error:
        hint = f"restore it, or delete it and run {user_command('lock')}"
        raise problem_at(str(path), 1, 1, f"not a file of evidence: {error}", hint) from None


def _file(path: Path) -> RuleFile:
    """Reads a project's rules. Problems."""
    if containment.escapes(path, path.parent):
        raise problem_at(str(path), 1, 1, "leads outside the project", containment.ALLOWED)
    reader = Reader()
    where = _nearest(reader.places, path)
    try:
        node = document.parse(tracked.contents(path), str(path))
        rules: Rules = reader.read(kind(Rules), node, ()) if node else Rules()
    except InvalidValue:
        raise Problems(reader.problems) from None
    except OSError as error:
        raise problem_at(str(path), 1, 1, f"cannot be read: {error.strerror}") from None
    wrong = [Problem(where(below), f"{dotted(below)}: {message}", hint) for below, message, hint in violations(rules)]
    if problems := [*reader.problems, *wrong]:
        raise Problems(problems)
    return RuleFile(rules, where, path.parent)


def _nearest(places: Mapping[KeyPath, Place], path: Path) -> Callable[[KeyPath], Place]:
    """Returns a function that gives the place of a path in a file, or of the nearest value that contains it."""
    return lambda below: next(
        (places[below[:end]] for end in range(len(below), -1, -1) if below[:end] in places), Place(str(path), 1, 1)
    )


def _missing_files(file: RuleFile) -> Iterator[Problem]:
    """Yields a problem for each file or folder of a rule that is not there, or outside the project."""
    for number, rule in enumerate(file.rules.rules):
        for index, signer in enumerate(rule.signers):
            for key in ("cosign", "root", "notation"):
                if (name := getattr(signer, key)) is not None:
                    place = file.where(("rules", number, "signers", index, key))
                    found = find_file(name, file.folder, is_folder=key == "notation")
                    if found is None:
                        kind_of = "folder" if key == "notation" else "file"
                        yield Problem(place, f"there is no {kind_of} {name!r}", f"looked in {file.folder} and .")
                    elif containment.escapes(found, file.folder):
                        yield Problem(place, f"{name!r} lies outside the project", containment.ALLOWED)


def find_file(name: str, folder: Path, *, is_folder: bool = False) -> Path | None:
    """Returns the file (or folder) `name`, below `folder` or the working directory; None if it is in neither."""
    is_there = (lambda path: tracked.listing(path, "")) if is_folder else tracked.is_file
    return next((path for path in (folder / name, Path(name)) if is_there(path)), None)


def _requirement(file: RuleFile, match: Match) -> Requirement:
    """Returns a rule with the content of its files. Problems."""
    rule = file.rules.rules[match.rule]
    places = [file.where(("rules", match.rule, "signers", index)) for index in range(len(rule.signers))]
    signers = tuple(_parameter(each, file.folder, place) for each, place in zip(rule.signers, places, strict=True))
    place = file.where(("rules", match.rule, "match", match.pattern))
    return Requirement(match.text, rule.need, signers, place, tuple(each.title for each in rule.signers))


def _parameter(signer: AllowedSigner, folder: Path, place: Place) -> Mapping[str, Any]:
    """Returns a signer as pipeline.trust.verification takes it. Problems if its files cannot be read."""
    try:
        if signer.notation is not None:
            store = find_file(signer.notation, folder, is_folder=True)
            assert store
            return {"kind": "notation", "subject": signer.subject, "store": _store(store)}
        texts = {
            parameter: tracked.contents(find_file(name, folder) or name).decode()
            for key, parameter in FILES.items()
            if (name := getattr(signer, key)) is not None
        }
    except (OSError, UnicodeDecodeError, SignatureRefusal) as error:
        raise Problems([Problem(place, f"the files of a signer cannot be read: {error}")]) from None
    if signer.keyless is None:
        return {"kind": "cosign", **texts}
    names = {"identity": signer.keyless.identity, "pattern": signer.keyless.identity_pattern}
    given = {name: value for name, value in names.items() if value is not None}
    return {"kind": "keyless", "issuer": signer.keyless.issuer, **given, **texts}


def _store(folder: Path) -> dict[str, str]:
    """Returns the files of a trust store: path in it -> base64."""
    from pipeline.trust import trust_store

    return {path: base64.b64encode(tracked.contents(folder / path)).decode() for path in trust_store.read(folder)}


def _spellings(image: Reference) -> Iterator[str]:
    """Yields an image's name as LinuxKit's lists may have it: in full, without digest, without tag."""
    yield str(image)
    yield str(image._replace(digest=None))
    yield str(image._replace(digest=None, tag=""))


def _add(file: RuleFile, name: str) -> str:
    return f"add a rule to {file.where(()).file}: {{match: [{name}], signers: […]}}"
