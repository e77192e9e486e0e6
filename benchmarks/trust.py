"""The cost of verifying signatures in a locked build: 20 signed images, in seconds of CPU.

    .venv/bin/python benchmarks/trust.py [--runs 5]

The images lie in a layout, each signed by one key, as in tests/commands/test_signed_build.py. A process plans the spec
and verifies all of them, cold; again, with what the first has stored; and a third has no rule. What differs between
them is the cost of the rules: cryptography's import, and the signatures.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import node

sys.path.insert(0, str(node.ROOT))
IMAGES = 20
RULES = 'default: reject\nrules:\n  - {match: ["oci:layout"], signers: [{cosign: release.pub}]}\n'
PROGRAM = """
from pathlib import Path
from pipeline.engine.action import closure
from pipeline.planning import lock
from pipeline.planning.load import load
from pipeline.planning.plan import plan
from pipeline.store import Store

made = plan(load(Path("specs/node.yml")), lock.read(Path("specs/node.lock")), "amd64")
for action in closure(made.products.rootfs):
    if action.stage.__name__ == "trusted":
        action.perform(Store(Path("cache")))
"""
"""Plans the spec, and verifies the signatures of its images."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="nodekiln-") as folder:
        os.chdir(folder)
        make_project()
        rows: dict[str, list[float]] = {"verified, cold": [], "verified, again": [], "no rule": []}
        for _ in range(runs):
            shutil.rmtree("cache", ignore_errors=True)
            rows["verified, cold"].append(cpu())
            rows["verified, again"].append(cpu())
        Path("specs/trust.yml").unlink()
        rows["no rule"] = [cpu() for _ in range(runs)]
    print(f"{node.machine()}; {IMAGES} images, seconds of CPU, medians of {runs}")
    for name, seconds in rows.items():
        print(f"| {name} | {statistics.median(seconds):.3f} |")


def make_project() -> None:
    """Writes a locked project into the working folder."""
    from tests.trust import signing

    key, layout = signing.Key(), Path("layout")
    Path("specs").mkdir()
    Path("pyproject.toml").write_text('[tool.doit]\nloader = "nodekiln"\n')
    Path("release.pub").write_text(key.pem)
    for number in range(IMAGES):
        index, _ = signing.image(layout, str(number), content=f"x{number}")
        signing.sign(layout, index, key.bundle(index))
    images = ", ".join(f'"oci:layout:{number}"' for number in range(IMAGES))
    Path("specs/node.yml").write_text(f"init: [{images}]\nbuild: {{formats: [tar], arch: amd64}}\n")
    Path("specs/trust.yml").write_text(RULES)
    node.doit(Path(), "lock")


def cpu() -> float:
    """Returns the seconds of CPU that PROGRAM takes, with Python's start."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(node.ROOT)}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
