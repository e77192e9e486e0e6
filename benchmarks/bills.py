"""The cost of bills of materials and provenance in a build of the default node from nothing, in seconds of CPU.

    .venv/bin/python benchmarks/bills.py [--runs 3]

Each run starts from an empty cache with the packages in it, and builds the node as it is; then the formats spdx and
cyclonedx are added, which is what they cost a build that has them; a build of a tar that is there already is what
starting nodekiln costs, and is subtracted. Provenance is made with each build, so its function is timed alone, on the
node's own record and lock.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import node

sys.path.insert(0, str(node.ROOT))
BILLS = ("build:node:spdx", "build:node:cyclonedx")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="nodekiln-") as folder:
        project = Path(folder)
        for name in ("specs", "images"):
            shutil.copytree(node.ROOT / name, project / name)
        (project / "pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
        node.doit(project, "build:node")
        rows: dict[str, list[float]] = {"the node, from nothing": [], "spdx and cyclonedx": [], "the same again": []}
        for _ in range(runs):
            node.forget_all_but_packages(project)
            rows["the node, from nothing"].append(cpu(lambda: node.doit(project, "build:node")))
            bills = cpu(lambda: node.doit(project, *BILLS))
            again = cpu(lambda: node.doit(project, *BILLS))
            rows["spdx and cyclonedx"].append(bills - again)
            rows["the same again"].append(again)
        rows["provenance"] = [provenance(project) for _ in range(runs)]
    print(f"{node.machine()}; seconds of CPU, medians of {runs}")
    for name, seconds in rows.items():
        print(f"| {name} | {statistics.median(seconds):.3f} |")


def cpu(run: Callable[[], None]) -> float:
    """Returns the seconds of CPU that the children of this process take while `run` runs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def provenance(project: Path) -> float:
    """Returns the seconds of CPU that the statement of the built node takes."""
    from pipeline.planning import lock
    from pipeline.project import provenance as statements

    record = json.loads((project / "build/node/manifest.json").read_text())
    known = lock.read(project / "specs/node.lock")
    start = time.process_time()
    statements.statement_of(record, statements.dependencies(known, record["arch"]))
    return time.process_time() - start


if __name__ == "__main__":
    main()
