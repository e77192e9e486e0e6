"""The programs in the page about workers make what batch systems and Kubernetes take: with the libraries themselves."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.judges import python_with
from tests.project import ROOT
from tests.workers.cluster import LINES, certificates

LIBRARIES = ("dask-jobqueue==0.9.0", "dask-kubernetes==2026.3.0")
PRELOAD = "--preload pipeline.project.worker"


def printed(name: str, place: Path) -> str:
    """What the program `name` of the page prints when it is imported."""
    page = (ROOT / "docs/how-to/workers.md").read_text()
    block = re.search(rf"^`{name}`:\n\n```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert block is not None
    (place / name).write_text(block[1].replace('"port": 8786', '"port": 0, "host": "tls://127.0.0.1"'))
    words = [python_with(*LIBRARIES), "-c", f"import {name.removesuffix('.py')}"]
    variables = {**LINES, **certificates(place), "PYTHONPATH": str(place)}
    return subprocess.run(words, cwd=place, env=variables, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
@pytest.mark.network
def test_the_job_script_of_slurm_starts_a_worker_of_nodekiln(tmp_path):
    script = printed("slurm.py", tmp_path)
    assert "#SBATCH --cpus-per-task=8" in script
    assert re.search(rf"dask_worker tls://\S+:\d+ .*{PRELOAD}", script)
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


@pytest.mark.slow
@pytest.mark.network
def test_the_resource_for_kubernetes_starts_workers_of_nodekiln(tmp_path):
    cluster = json.loads(printed("cluster.py", tmp_path))
    worker = cluster["spec"]["worker"]["spec"]["containers"][0]
    assert PRELOAD in " ".join(worker["args"])
    files = {each["value"] for each in worker["env"] if "TLS" in each["name"]}
    assert worker["volumeMounts"][0]["mountPath"] == "/etc/nodekiln"
    assert files == {f"/etc/nodekiln/{name}" for name in ("ca.pem", "node.pem", "node.key")}
