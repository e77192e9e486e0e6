"""Shard: the part of a project's specs that one of several machines builds.

    doit build shard=2/16           the second of 16 parts
    doit build shard=common         the stages that most specs need, for a job before those of the parts

NODEKILN_SHARD is the default of `shard=`. Each machine computes the same parts from the specs alone: no machine asks
another, no lock and no network is needed. The parts are disjoint and complete whatever the specs contain, a spec that
cannot be read included.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from doit import get_var

from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.request import BUILD, Request

if TYPE_CHECKING:
    from pipeline.language.document import Node
    from pipeline.tasks.plan_cache import CachedPlan

NAME = "shard"
"""doit's variable: `doit build shard=2/16`."""
VARIABLE = "NODEKILN_SHARD"
"""Environment variable: the default of NAME."""
COMMON = "common"
"""Value of NAME: the stages that at least half of the specs need."""
SLACK = 4
"""A boundary between shards moves by at most a SLACK-th of a shard's share, so that specs with the same images stay
together."""
MAX_SHARDS = 10_000
"""Maximum N in I/N: each machine computes all parts."""

IMAGE, INIT = "image", "init"
"""Keys of a spec whose value is the reference of an image, or a list of them."""

_FORM = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)


class Shard(NamedTuple):
    """The part `number` (from 1) of `total`; number 0: what is common to the specs."""

    number: int
    total: int

    @property
    def is_common(self) -> bool:
        return not self.number

    def names(self, project: Project) -> list[str]:
        """Returns the names of the specs of this part, sorted."""
        return sorted(parts(_images(project), self.total)[self.number - 1])


def requested(request: Request) -> Shard | None:
    """Returns the shard that `shard=` or NODEKILN_SHARD names, None if neither is set. BadInput for a wrong value.

    `shard=` is refused where no task that is named has shards; NODEKILN_SHARD then has no effect.
    """
    typed, default = get_var(NAME), os.environ.get(VARIABLE, "")
    if typed is not None and request.command == "run" and request.names and BUILD not in request.names:
        raise BadInput(f"{NAME}={typed}: {request.names[0]} has no shards, {BUILD} has: leave {NAME}= out")
    if typed is not None:
        return parse(typed, f"{NAME}=")
    return parse(default, f"{VARIABLE}=") if default else None


def parse(text: str, where: str) -> Shard:
    """Returns the shard that `text` names. BadInput, which starts with `where` and the text, if it names none."""
    if text == COMMON:
        return Shard(0, 1)
    form = _FORM.fullmatch(text)
    shard = Shard(int(form[1]), int(form[2])) if form else None
    if shard is None or not 1 <= shard.number <= shard.total:
        right = f"use I/N with I from 1 to N (2/16), or {COMMON}"
        raise BadInput(f"{where}{text!r} is not a shard: {right}")
    if shard.total > MAX_SHARDS:
        raise BadInput(f"{where}{text!r} has too many shards: N is at most {MAX_SHARDS}")
    return shard


def parts(images: Mapping[str, Collection[str]], count: int) -> list[list[str]]:
    """Divides specs into `count` parts. images: the references of the images of each spec, by the spec's name.

    The specs are sorted by their images, the most frequent first, so that specs with many images in common are
    neighbours; the row is cut at equal distances. A cut moves to the nearest boundary between specs with different
    images if that is not further than a SLACK-th of a part. So a part has from 1/2 to 3/2 of the equal share of specs
    (rounded), and specs with the same images are in one part if they are at most half of such a share.
    """
    frequency = Counter(image for each in images.values() for image in {*each})
    rank = {image: place for place, image in enumerate(sorted(frequency, key=lambda image: (-frequency[image], image)))}
    keys = {name: sorted({rank[image] for image in each}) for name, each in images.items()}
    row = sorted(keys, key=lambda name: (keys[name], name))
    changes = [place for place in range(1, len(row)) if keys[row[place - 1]] != keys[row[place]]]
    cuts = [0, *_cuts([0, *changes, len(row)], count), len(row)]
    return [row[start:end] for start, end in pairwise(cuts)]


def _cuts(boundaries: list[int], count: int) -> Iterator[int]:
    """Yields the count - 1 places, in ascending order, where a row of specs is cut. boundaries: ascending, from the
    row's start to its end."""
    from bisect import bisect_left

    length = boundaries[-1]
    for number in range(1, count):
        ideal = number * length // count
        after = bisect_left(boundaries, ideal)
        near = min(boundaries[max(after - 1, 0) : after + 1], key=lambda place: abs(place - ideal))
        yield near if abs(near - ideal) * SLACK * count <= length else ideal


def _images(project: Project) -> dict[str, set[str]]:
    """Returns the references of the images in each spec's own file, as they are written there.

    The bytes of the file alone decide, so that machines with other settings have the same parts: the spec is not
    checked, and one that is no YAML, or cannot be read, has no images.
    """
    from pipeline.language import document

    images: dict[str, set[str]] = {}
    for name in project.names():
        images[name] = set()
        with contextlib.suppress(OSError, NodekilnError):
            node = document.parse((project.root / project.path(name)).read_bytes(), name)
            images[name].update(_references(node))
    return images


def _references(node: Node | None, key: str = "") -> Iterator[str]:
    """Yields the values of the keys `image`, and the items of `init`, in the node under `key`."""
    from pipeline.language.document import Mapping, Scalar, Sequence

    if isinstance(node, Mapping):
        for name, value in node.pairs:
            yield from _references(value, name.text if isinstance(name, Scalar) else "")
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _references(item, key if key == INIT else "")
    elif node is not None and key in (IMAGE, INIT):
        yield node.text


class Common(NamedTuple):
    """Stages that specs have in common. tasks: those that make them, each of one spec; specs: the names of these."""

    tasks: list[str]
    specs: list[str]


def common(plans: Iterable[tuple[str, CachedPlan]]) -> Common:
    """Returns the stages that the formats of at least half of `plans`, and of two of them, need. plans: by spec.

    Names that a lock does not explain yet come first: they are resolved, and doit starts again (decision 0002).
    """
    total, times = 0, Counter[str]()
    first: dict[str, tuple[str, str]] = {}
    unlocked: list[tuple[str, str]] = []
    for name, plan in plans:
        total += 1
        asked = {*plan.asked}
        steps = [step for step in plan.steps if step.task in asked]
        unlocked += [(name, step.task) for step in steps if not (step.key or step.needs or step.problem)]
        stages = {step.key: step.task for step in steps if step.key and not step.format}
        times.update(stages.keys())
        for key, task in stages.items():
            first.setdefault(key, (name, task))
    rows = unlocked or [first[key] for key, number in times.items() if number >= max(2, total / 2)]
    return Common([task for _, task in rows], sorted({name for name, _ in rows}))
