"""doit worker, and builds whose stages it runs: over TLS, with the bytes of one machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.workers.label import label
from tests.project import doit, new_project
from tests.workers.cluster import Cluster, Process, certificates, cluster

RECIPE = """\
image: hello
files:
  - {path: usr/share/hello, contents: "hello, world\\n"}
"""
SPEC = """\
init: ["@pkg:images/hello"]
files:
  - {path: etc/motd, contents: "hello\\n"}
build: {formats: [tar, spdx, cyclonedx]}
"""


def project(root: Path) -> Path:
    """A project that is built without a network."""
    new_project(root, node=SPEC)
    (root / "images/hello").mkdir(parents=True)
    (root / "images/hello/build.yml").write_text(RECIPE)
    doit("lock:node", cwd=root)
    return root


def sums(root: Path) -> str:
    return (root / "build/node/SHA256SUMS").read_text()


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sums of a build on one machine."""
    root = project(tmp_path_factory.mktemp("alone") / "project")
    doit("build:node", cwd=root)
    return sums(root)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, which take only clients with a certificate."""
    place = tmp_path_factory.mktemp("secure")
    variables = certificates(place / "tls")
    with cluster(place / "cluster", 2, store=place / "cache", protocol="tls", **variables) as made:
        yield made


def test_a_worker_prints_where_it_connects_and_its_label(secure):
    line = secure.workers[0].read_until("\n")
    assert line.startswith(f"{secure.url}: {label()}, 1 threads, ")


def test_a_build_over_tls_has_the_bytes_of_one_machine(secure, tmp_path, right):
    root, cache = project(tmp_path / "project"), str(secure.place.parent / "cache")
    variables = {**secure.environment, "NODEKILN_WORKERS": secure.url, "NODEKILN_CACHE": cache}
    output = doit("build:node", cwd=root, NODEKILN_LOG="info", **variables)
    assert sums(root) == right
    assert " on tls://127.0.0.1:" in output and "warning" not in output
    again = doit("build:node", cwd=root, NODEKILN_LOG="info", **variables)
    assert "workers: connected" not in again, "nothing to do opens no socket"


def test_who_has_no_certificate_builds_alone(secure, tmp_path, right):
    root = project(tmp_path / "project")
    output = doit("build:node", cwd=root, NODEKILN_WORKERS=secure.url, NODEKILN_WORKERS_WAIT="1")
    assert sums(root) == right
    assert output.count("warning: workers: ") == 1 and "TLS" in output


def test_nothing_configured_imports_nothing_of_dask(tmp_path):
    root = project(tmp_path / "project")
    output = doit("build:node", cwd=root, PYTHONPROFILEIMPORTTIME="1")
    assert "| doit" in output and "distributed" not in output and "pipeline.workers.dask" not in output


def test_a_worker_that_dask_started_runs_stages_with_the_preload_module(secure, tmp_path, right):
    root, cache = project(tmp_path / "project"), str(tmp_path / "cache")
    with cluster(tmp_path / "cluster", 0, protocol="tls", **secure.environment) as made:
        words = [sys.executable, "-m", "distributed.cli.dask_worker", made.address, "--no-dashboard", "--no-nanny"]
        words += ["--preload", "pipeline.project.worker", "--nthreads", "2"]
        worker = Process(words, root, **{**secure.environment, "NODEKILN_CACHE": cache})
        made.workers.append(worker)
        made.scheduler.read_until("Register worker")
        variables = {**secure.environment, "NODEKILN_WORKERS": made.url, "NODEKILN_CACHE": cache}
        output = doit("build:node", cwd=root, NODEKILN_LOG="info", **variables)
    assert sums(root) == right
    assert " on tls://127.0.0.1:" in output and "warning" not in output
