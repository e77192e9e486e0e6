"""The files of examples/ci: shards under schedulers, run by them or judged by what publishes their grammar."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.docs import slurm
from tests.judges import needs_root, python_with, run
from tests.project import ROOT, fleet

EXAMPLES = ROOT / "examples/ci"
GITLAB, KUBERNETES, HTCONDOR = EXAMPLES / "gitlab.yml", EXAMPLES / "kubernetes.yml", EXAMPLES / "htcondor.sub"
JUDGES = ("check-jsonschema==0.39.0", "htcondor==25.14.1", "kubernetes-validate==1.37.0")
"""Packages with GitLab's schema of its CI files, HTCondor's parser, and the schemas of Kubernetes' API."""
KUBERNETES_VERSION = "1.33"
"""The first version with all that the example uses."""
PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"
SHARDS = 3
EXPAND = """
import json, sys
import classad2, htcondor2
jobs = []
for process in range(int(sys.argv[2])):
    submit = htcondor2.Submit(open(sys.argv[1]).read())
    submit["Process"], submit["shards"] = str(process), sys.argv[2]
    jobs.append({key: submit.expand(key) for key in submit})
    classad2.ExprTree(jobs[-1]["retry_until"])
print(json.dumps([jobs, htcondor2.Submit(open(sys.argv[1]).read()).getQArgs(), htcondor2.__file__]))
"""
"""Prints what each job of a submit file has for its keys, the words behind `queue`, and where HTCondor's library is."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of nine specs, and beside it a copy that one machine has built."""
    root = fleet.make(tmp_path_factory.mktemp("schedulers"), 9)
    alone = shutil.copytree(root, root.with_name("alone"))
    fleet.stage_runs(alone, root.with_name("store"), "build")
    return root


def copied(project: Path, folder: Path) -> Path:
    """Copies the project into `folder`, as a checkout of its own."""
    return Path(shutil.copytree(project, folder, ignore=shutil.ignore_patterns("build", "*.log")))


def perform(command: Sequence[str], folder: Path, **environment: str) -> str:
    """Runs a job's command in `folder`, and returns what it prints."""
    inherited = {"PATH": PATH, "PYTHONPATH": str(ROOT), "HOME": os.environ.get("HOME", "/")}
    return run("env", "-i", *(f"{name}={value}" for name, value in (inherited | environment).items()), *command,
               cwd=folder).stdout  # fmt: skip


def collect(folders: Sequence[Path]) -> dict[str, str]:
    """Returns SHA256SUMS of each spec, of which no two folders have the same."""
    shares = [fleet.sums(folder) for folder in folders]
    assert all(shares) and len({name for share in shares for name in share}) == sum(map(len, shares))
    return {name: text for share in shares for name, text in share.items()}


def test_gitlab_s_jobs_build_what_one_machine_builds(project: Path, tmp_path: Path) -> None:
    run(python_with(*JUDGES).with_name("check-jsonschema"), "--builtin-schema", "vendor.gitlab-ci",
        "--data-transform", "gitlab-ci", GITLAB)  # fmt: skip
    jobs = yaml.safe_load(GITLAB.read_text())
    common, shards = jobs["common"], jobs["shards"]
    assert jobs["stages"].index(common["stage"]) < jobs["stages"].index(shards["stage"])
    first = copied(project, tmp_path / "common")
    perform(["sh", "-ec", "\n".join(common["script"])], first, **jobs["variables"])
    folders = [copied(project, tmp_path / f"shard{number}") for number in range(SHARDS)]
    for number, folder in enumerate(folders, 1):
        shutil.copytree(first / common["cache"]["paths"][0], folder / shards["cache"]["paths"][0])
        node = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(SHARDS)}
        printed = perform(["sh", "-ec", "\n".join(shards["script"])], folder, **jobs["variables"], **node)
        assert re.search(r", [1-9]\d* restored, ", printed)
    assert collect(folders) == fleet.sums(project.with_name("alone"))


def test_pods_of_kubernetes_build_what_one_machine_builds(project: Path, tmp_path: Path) -> None:
    judge = python_with(*JUDGES).with_name("kubernetes-validate")
    run(judge, "--strict", "-k", KUBERNETES_VERSION, KUBERNETES)
    job = yaml.safe_load(KUBERNETES.read_text())["spec"]
    container = job["template"]["spec"]["containers"][0]
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert str(job["completions"]) == environment["SHARDS"]
    (tmp_path / "results").mkdir()
    own = {"SHARDS": str(SHARDS), "PROJECT": str(project), "RESULTS": str(tmp_path / "results")}
    for index in range(SHARDS):
        work = tmp_path / f"work{index}"
        work.mkdir()
        own |= {"JOB_COMPLETION_INDEX": str(index), "TMPDIR": str(work)}
        perform([*container["command"], *container["args"]], work, **environment | own)
    built = {path.name: (path / "SHA256SUMS").read_text() for path in (tmp_path / "results").iterdir()}
    assert built == fleet.sums(project.with_name("alone"))


def test_jobs_of_htcondor_build_what_one_machine_builds(project: Path, tmp_path: Path) -> None:
    printed = run(python_with(*JUDGES), "-c", EXPAND, HTCONDOR, SHARDS, env={"CONDOR_CONFIG": "/dev/null"}).stdout
    jobs, queue, module = json.loads(printed)
    library = b"".join(path.read_bytes() for path in Path(module).parents[1].glob("htcondor.libs/libcondor_utils*"))
    assert queue == "$(shards)" and [job["shards"] for job in jobs] == [str(SHARDS)] * SHARDS
    unknown = [key for key in jobs[0] if key.encode() + b"\0" not in library]
    assert unknown == ["shards", "shard"], "macros of the file; each other word is one of HTCondor's"
    folders = []
    for number, job in enumerate(jobs):
        folders.append(copied(project, tmp_path / f"job{number}"))
        words = [shlex.split(job[key].removeprefix('"').removesuffix('"')) for key in ("arguments", "environment")]
        perform([job["executable"], *words[0]], folders[-1], **dict(word.split("=", 1) for word in words[1]))
        assert all(path.is_dir() and path.name[0] != "." for path in (folders[-1] / "build").iterdir())
    assert len({job["output"] for job in jobs}) == SHARDS
    assert collect(folders) == fleet.sums(project.with_name("alone"))


@needs_root
@pytest.mark.slow
def test_an_array_of_slurm_builds_what_one_machine_builds(project: Path, tmp_path: Path) -> None:
    cache = tmp_path / "store"
    own = {"PATH": PATH, "PYTHONPATH": str(ROOT), "NODEKILN_CACHE": str(cache), "TMPDIR": str(tmp_path)}
    script = EXAMPLES / "slurm.sh"

    def log(job: str, task: int) -> str:
        file = project / f"nodekiln-{job}_{task}.log"
        return file.read_text() if file.exists() else ""

    with slurm.running(tmp_path / "slurm", **own) as cluster:
        submit = ("sbatch", "--parsable", f"--chdir={project}")
        first = cluster(*submit, "--array=1", script, NODEKILN_SHARD="common").strip()
        job = cluster(*submit, "--array=1-3", f"--dependency=afterok:{first}", script).strip()
        slurm.until(lambda: ": ran in " in log(job, 2))
        cluster("scontrol", "requeue", f"{job}_2")
        slurm.until(lambda: cluster.states(job)["2"] == "PENDING")
        cluster(
            "scontrol", "update", f"JobId={job}_2", "StartTime=now+5"
        )  # not at once: the old credential counts for that second
        slurm.until(lambda: set(cluster.states(job).values()) == {"COMPLETED"})
        assert cluster.states(first) == {"1": "COMPLETED"}
    assert re.findall("shard 2/3, start ([01])\n", log(job, 2)) == ["0", "1"], "it began twice"
    assert re.search(r", [1-9]\d* restored, ", log(job, 2).partition("start 1")[2]), "and went on where it was"
    assert fleet.sums(project) == fleet.sums(project.with_name("alone"))
    assert not [*tmp_path.glob("tmp.*")], "the copies of the project are gone"
