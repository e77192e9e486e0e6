"""doit lock: ask what every name of a spec means now, and write it down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.host.offline import go_offline
from pipeline.host.terminal import printable, say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.planning.bills import WantedBills
    from pipeline.planning.lock import Lock, LockRequest
    from pipeline.planning.signatures import Required, Signatures, Signed
    from pipeline.planning.trust_policy import Requirement

SHOWN = 200
"""Maximum length of a config's field in a message, in characters; a label may hold a whole document."""
NO_PACKAGE = {"version": "(none)", "sha256": "", "size": 0}
"""A package that a lock does not have."""


class Moved(NodekilnError):
    """`--check` found that a name means something else now."""


class Older(NodekilnError):
    """Names that resolve to older versions than the locked ones."""


class Subject(NamedTuple):
    """A spec's lock as it is, and the names that it has to explain."""

    name: str
    path: Path
    known: Signed
    wanted: list[LockRequest]
    required: Required
    sbom: WantedBills


@command(
    "resolve tags and packages into specs/NAME.lock",
    update="ask again for these names, by commas (or 'all')",
    downgrade="let packages go back to older versions",
    check="print what moved, write nothing",
    offline="ask layouts, archives and what was read before, and no network",
)
def run(
    project: Project,
    names: Sequence[str],
    update: str = "",
    downgrade: bool = False,
    check: bool = False,
    offline: bool = False,
) -> None:
    """Resolves what the locks of specs lack, and `update` (names, or "all") anew; each name once.

    Older if a package would go back to an older version, unless `downgrade` allows it; nothing is written then.
    """
    if offline:
        go_offline()
    subjects = [_subject(project, name) for name in names]
    if check:
        _check(subjects)
    else:
        task = f"lock:{names[0]}" if len(names) == 1 else "lock"
        _update(
            project,
            subjects,
            update,
            "" if downgrade else user_command(f"{task} --update {update or 'all'} --downgrade"),
        )


def _subject(project: Project, name: str) -> Subject:
    wanted: list[LockRequest] = []
    required: dict[str, Sequence[Requirement]] = {}
    targets = project.targets(name)
    for target in targets:
        target.plan.missing(*target.spec.build.formats)  # plans the images that they need, too
        wanted += target.plan.images.wanted
        required |= target.plan.images.required
    sbom = targets[0].plan.images.sbom
    for target in targets:
        sbom.places.update(target.plan.images.sbom.places)
    return Subject(name, project.lock_path(name), project.signed(name), wanted, required, sbom)


def _check(subjects: Sequence[Subject]) -> None:
    """Compares the locks with what names mean now, and with who signs them; Moved with the differences."""
    from pipeline.planning import bills
    from pipeline.planning.bills import NoBill
    from pipeline.planning.signatures import Signed, Untrusted

    meanings = _resolve(name for subject in subjects for name in subject.wanted)
    finder = _finder()
    moved: list[str] = []
    for _, path, (known, evidence), wanted, required, sbom in subjects:
        lines = [f"{name}: not locked" for name in wanted if known.get(name) is None]
        now = known.updated((name, meanings[name]) for name in wanted)
        try:
            found = bills.update(Signed(now, evidence), sbom, lambda reference: True)
            now = finder.update(found, required, lambda reference: True).lock
        except (Untrusted, NoBill) as error:
            lines.append(printable(str(error)))
        lines += map(printable, _moved(known, now))
        if not lines:
            say(f"{path}: nothing moved")
        moved += [f"{path}:", *lines] if lines and len(subjects) > 1 else lines
    if moved:
        raise Moved("\n".join(moved))


def _update(project: Project, subjects: Sequence[Subject], names: str, allows: str) -> None:
    """Writes the locks. allows: the command that takes what is older, "" if that is taken now."""
    from pipeline.planning import lock

    update = [name for name in names.split(",") if name]
    _check_names(project, subjects, update)
    asked = {
        subject.name: [name for name in subject.wanted if subject.known.lock.get(name) is None or _meant(name, update)]
        for subject in subjects
    }
    meanings = _resolve(name for names in asked.values() for name in names)
    if allows:
        _check_newer(subjects, asked, meanings, allows)
    finder = _finder()
    for subject in subjects:  # all signatures before anything is written
        _now(subject, subject.known, asked[subject.name], meanings, finder)
    for subject in subjects:
        name, path = subject.name, subject.path
        with project.store.lock(lock.update_lease(name)):
            now = _now(subject, project.signed(name), asked[name], meanings, finder)
            project.write_signed(name, now)
        for line in _moved(subject.known.lock, now.lock):
            say(printable(line))
        say(f"{path}: {len(subject.wanted)} names locked, {len(asked[name])} resolved now")
        for line in (*_signers(now.lock), *_bills(now)):
            say(printable(line))
        if warning := lock.release_warning(now.lock):
            say(f"warning: {path}: {warning}", error=True)


def _now(
    subject: Subject,
    known: Signed,
    asked: Sequence[LockRequest],
    meanings: Mapping[LockRequest, Any],
    finder: Signatures,
) -> Signed:
    """Returns the lock of a spec as it has to be, with the signatures and bills that it needs. Untrusted; NoBill."""
    from pipeline.planning import bills, signatures

    lock = known.lock.updated((each, meanings[each]) for each in asked).only(subject.wanted)
    lock = signatures.without_others(lock, subject.required)
    references = {each.name for each in asked}
    found = bills.update(signatures.Signed(lock, known.evidence), subject.sbom, references.__contains__)
    return finder.update(found, subject.required, references.__contains__)


def _finder() -> Signatures:
    import time

    from pipeline.planning.signatures import Signatures

    return Signatures(int(time.time()))


def _signers(lock: Lock) -> Iterator[str]:
    """Yields a line for each image whose signatures are locked: by whom, and since when."""
    for reference in sorted(lock.images):
        if records := lock.signatures(reference):
            signers = dict.fromkeys(f"{each['signer']} ({each['kind']}, {each['time'][:10]})" for each in records)
            yield f"{reference}: signed by {', '.join(signers)}"


def _bills(known: Signed) -> Iterator[str]:
    """Yields a line for each image whose bills of materials are locked."""
    from pipeline.planning import bills

    for reference in sorted(known.lock.images):
        records = known.lock.bills(reference)
        if records:
            count = bills.packages(known, reference)
            yield f"{reference}: {_plural(len(records), 'bill')} of materials, {_plural(count, 'package')}"
        elif records is not None:
            yield f"{reference}: no bill of materials"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def _resolve(names: Iterable[LockRequest]) -> dict[LockRequest, Any]:
    """Asks for the meaning of each name once."""
    from pipeline.planning import lock

    return dict(lock.resolve(dict.fromkeys(names)))


def _check_names(project: Project, subjects: Sequence[Subject], update: Sequence[str]) -> None:
    """BadInput if `update` has a name that no spec has."""
    wanted = [each for subject in subjects for each in subject.wanted]
    for name in update:
        if name != "all" and not any(_meant(each, [name]) for each in wanted):
            there = ", ".join(sorted({_short(each.name) for each in wanted}))
            specs = " ".join(str(project.path(subject.name)) for subject in subjects)
            raise BadInput(f"{specs} names no {name!r} (it names {there})")


def _check_newer(
    subjects: Sequence[Subject],
    asked: Mapping[str, Sequence[LockRequest]],
    meanings: Mapping[LockRequest, Any],
    allows: str,
) -> None:
    """Older if what was resolved goes back behind what is locked. allows: the command that takes it nevertheless."""
    from pipeline.planning import lock

    lines = [
        f"{path}: {line}"
        for name, path, (known, _), *_ in subjects
        for line in lock.downgrades(known, known.updated((each, meanings[each]) for each in asked[name]))
    ]
    if lines:
        why = "older than what is locked, so nothing was written (does the release lack a suite in sources.yml?)"
        raise Older("\n".join([*lines, f"{why}; {allows} takes them"]))


def _meant(wanted: LockRequest, update: Sequence[str]) -> bool:
    return not {"all", wanted.name, _short(wanted.name)}.isdisjoint(update)


def _short(name: str) -> str:
    """Returns a name as a spec may have written it: `alpine:3.20` for `docker.io/library/alpine:3.20`."""
    return name.removeprefix("docker.io/").removeprefix("library/")


def _moved(before: Lock, now: Lock) -> Iterator[str]:
    """Yields lines about every name whose meaning differs between two locks."""
    for name in sorted(before.images.keys() & now.images.keys()):
        old, new = before.images[name]["platforms"], now.images[name]["platforms"]
        for arch in sorted(old.keys() & new.keys()):
            yield from _image_moved(f"{name} ({arch})", old[arch], new[arch])
        yield from _signers_moved(name, before.signatures(name), now.signatures(name))
        yield from _bills_moved(name, before.bills(name) or (), now.bills(name) or ())
    for name in sorted(before.packages.keys() & now.packages.keys()):
        old, new = before.packages[name], now.packages[name]
        for arch in sorted(old.keys() & new.keys()):
            yield from _packages_moved(f"{name} ({arch})", old[arch]["packages"], new[arch]["packages"])
    yield from dict.fromkeys(_archives_moved(before, now))


def _archives_moved(before: Lock, now: Lock) -> Iterator[str]:
    """Yields a line for each suite of a recipe that others signed; none about recipes whose signers were not locked."""
    for recipe in sorted(before.packages.keys() & now.packages.keys()):
        for arch in sorted(before.packages[recipe].keys() & now.packages[recipe].keys()):
            old, new = before.archives(recipe, arch), now.archives(recipe, arch)
            for suite in sorted({*old, *new}) if old else ():
                was, is_now = _archive_signers(old.get(suite)), _archive_signers(new.get(suite))
                if was != is_now:
                    yield f"{suite}: archive signed by {was} -> {is_now}"


def _archive_signers(archive: Mapping[str, Any] | None) -> str:
    signers = archive["signers"] if archive else ()
    return ", ".join(f"{each['fingerprint']} ({each['user']})" for each in signers) or "nobody"


def _image_moved(title: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["manifest"] == new["manifest"]:
        return
    sizes = [sum(layer["size"] for layer in image["layers"]) for image in (old, new)]
    same = sum(layer in old["layers"] for layer in new["layers"])
    config = "config as before" if old["config"] == new["config"] else "config changed"
    yield (
        f"{title}: {old['manifest'][:19]} -> {new['manifest'][:19]}, "
        f"{sizes[0]} -> {sizes[1]} bytes, {same} of {len(new['layers'])} layers as before, {config}"
    )
    if "facts" in old:  # locks did not always have them
        yield from (f"    {line}" for line in _fields(old["facts"], new["facts"]))


def _signers_moved(name: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a line for each rule whose signers of an image differ."""
    for rule in sorted({each["rule"] for each in (*old, *new)}):
        before, after = ({each["signer"] for each in records if each["rule"] == rule} for records in (old, new))
        if before != after:
            lists = [", ".join(sorted(signers)) or "nobody" for signers in (before, after)]
            yield f"{name}: signed for {rule!r} by {lists[0]} -> {lists[1]}"


def _bills_moved(name: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields a line if the bills of materials of an image differ."""
    before, after = (sorted({each["digest"] for each in records}) for records in (old, new))
    if before != after:
        yield f"{name}: bills of materials {', '.join(before) or 'none'} -> {', '.join(after) or 'none'}"


def _fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yields the fields of an image's config that differ, with both values."""
    from pipeline.model.json_difference import differences

    labels: dict[str, Any] = {"Labels": {}}
    for change in sorted(differences(labels | {**old}, labels | {**new}, lambda before, now: None)):
        field = ".".join(map(str, change.path)).replace("Labels.", "label ", 1)
        yield f"{field}: {_shown(change.before)} -> {_shown(change.now)}"


def _shown(value: Any) -> str:
    """Returns a value of an image's config as text, without control characters."""
    from pipeline.model.json_difference import ABSENT

    text = "(none)" if value is ABSENT else json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _packages_moved(title: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    before = {package["name"]: package for package in old}
    after = {package["name"]: package for package in new}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, NO_PACKAGE), after.get(name, NO_PACKAGE)
        if was["sha256"] != now["sha256"]:
            yield f"{title}: {name} {was['version']} -> {now['version']}, {was['size']} -> {now['size']} bytes"
