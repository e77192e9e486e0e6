"""How costs grow: services of a node, specs of a fleet that share images, files of a layer; and what each stage costs.

    python benchmarks/growth.py [--services 1,10,100] [--specs 1,10,50] [--files 100,10000,100000]

Every line is a build from nothing, one where nothing changed, and one with a changed command line (of one spec), in
seconds of CPU: that is what grows, whatever else the host does meanwhile.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import material
from incremental import HOME, measure

HISTORY = HOME / "history" / "growth.jsonl"


def project(folder: Path, specs: list[str]) -> None:
    """A project of `specs`, with nothing built."""
    for name in ("specs", "cache", "build"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "specs").mkdir()
    (folder / "pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
    for number, text in enumerate(specs):
        (folder / "specs" / f"n{number}.yml").write_text(text)


def small(folder: Path, name: str, files: int, size: int = 1000, programs: tuple[str, ...] = ("bin/service",)) -> None:
    """An image of `programs`, and of `files` files of `size` bytes."""
    data = b"x" * (size - 8)
    entries: list[material.Entry] = [(path, material.PROGRAM) for path in programs]
    entries += [(f"usr/{number // 200}/{number}", b"%s%08d" % (data, number)) for number in range(files)]
    material.image(folder / "images" / name, entries)


def costs(folder: Path) -> dict[str, float]:
    """CPU seconds of a build from nothing, of one that has nothing to do, and of one with another command line."""

    def doit() -> float:
        return round(measure([sys.executable, "-m", "doit"], folder, folder / "doit.log").cpu, 2)

    first, nothing = doit(), doit()
    spec = folder / "specs" / "n0.yml"
    spec.write_text(spec.read_text().replace("console=ttyS0", "console=ttyS1"))
    return {"first": first, "nothing": nothing, "changed": doit()}


def stages(folder: Path) -> dict[str, float]:
    """Seconds by kind of stage (the first part of its name), as the store remembers them."""
    seconds: dict[str, float] = defaultdict(float)
    for path in (folder / "cache" / "actions").glob("*/*"):
        facts = json.loads(path.read_bytes())["facts"]
        seconds[str(facts.get("stage", "other")).removeprefix("pipeline.")] += float(facts.get("seconds", 0))
    return dict(sorted(((stage, round(took, 2)) for stage, took in seconds.items()), key=lambda each: -each[1]))


def images(folder: Path) -> None:
    """The images of a small node."""
    material.image(folder / "images" / "kernel", [("kernel", b"k" * 1000), ("kernel.tar", material.archive([]))])
    small(folder, "init", 10, programs=("init", "usr/bin/containerd"))
    small(folder, "service", 20)


def measured(folder: Path, given: argparse.Namespace) -> Iterator[dict[str, object]]:
    images(folder)
    for count in given.services:
        project(folder, [material.spec(services=["service"] * count)])
        yield {"what": f"{count} services", **costs(folder)}
    for count in given.specs:
        project(folder, [material.spec(motd=f"node {number}", services=["service"] * 6) for number in range(count)])
        yield {"what": f"{count} specs", **costs(folder)}
    for count in given.files:
        small(folder, "many", count)
        project(folder, [material.spec(services=["many"])])
        yield {"what": f"{count} files", **costs(folder), "stages": stages(folder)}


def numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",") if each]


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    words.add_argument("--services", type=numbers, default=[1, 10, 100])
    words.add_argument("--specs", type=numbers, default=[1, 10, 50])
    words.add_argument("--files", type=numbers, default=[100, 10000, 100000])
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="nodekiln-bench-") as folder:
        results = []
        for result in measured(Path(folder), given):
            results.append(result)
            print("{what:16} first {first:7.2f}  nothing {nothing:6.2f}  changed {changed:6.2f} s CPU".format(**result))
            its = result.get("stages")
            for stage, seconds in list(its.items())[:8] if isinstance(its, dict) else ():
                print(f"    {stage:40} {seconds:7.2f} s")
    HISTORY.parent.mkdir(exist_ok=True)
    with HISTORY.open("a") as history:
        history.write(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
