"""Addresses of schedulers: what is taken, what is refused and why."""

import sys

import pytest

from pipeline.engine.action import run_locally
from pipeline.model.errors import BadInput
from pipeline.workers import configuration
from pipeline.workers.configuration import LackingDask, executor, parse
from tests.project import doit, new_project


@pytest.mark.parametrize(
    "url, address",
    [
        ("dask+tls://scheduler.example", "tls://scheduler.example:8786"),
        ("dask+tls://192.0.2.1:9000/", "tls://192.0.2.1:9000"),
        ("dask+tls://[2001:db8::1]", "tls://[2001:db8::1]:8786"),
        ("dask://localhost", "tcp://localhost:8786"),
        ("dask://127.0.0.1:1", "tcp://127.0.0.1:1"),
        ("dask://[::1]:1", "tcp://[::1]:1"),
    ],
)
def test_addresses(url, address):
    assert parse(url) == (url, address)


@pytest.mark.parametrize(
    "url, message",
    [
        ("dask://scheduler.example:1", "whoever is between may run code here and there: write dask+tls://scheduler."),
        ("dask://192.0.2.1", "write dask+tls://192.0.2.1:8786"),
        ("tls://localhost", "not the address of a scheduler: write dask+tls://HOST:8786"),
        ("dask+tls://", "not the address"),
        ("dask+tls://host:port", "not the address"),
        ("dask+tls://host:99999", "not the address"),
        ("dask+tls://host/path", "not the address"),
        ("dask+tls://user:secret@host", "not the address"),
        ("dask+tls://host?token=secret", "not the address"),
        ("dask+tls://[::1", "not the address"),
        ("host", "not the address"),
        (["dask+tls://host"], "not the address"),
    ],
)
def test_what_is_no_address_is_refused_in_one_line_without_secrets(url, message):
    with pytest.raises(BadInput) as caught:
        parse(url)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_a_wait_is_a_number_of_seconds(monkeypatch, text):
    monkeypatch.setenv("NODEKILN_WORKERS_WAIT", text)
    with pytest.raises(BadInput, match="is not a number of seconds"):
        configuration.wait_seconds()


def test_the_environment_is_before_the_project_and_offline_before_both(tmp_path, monkeypatch):
    monkeypatch.delenv("NODEKILN_WORKERS", raising=False)
    assert executor(tmp_path) is run_locally
    (tmp_path / "pyproject.toml").write_text('[tool.nodekiln]\nworkers = "dask://127.0.0.1:1"\n')
    assert configuration.configured(tmp_path) == ("dask://127.0.0.1:1", "tcp://127.0.0.1:1")
    monkeypatch.setenv("NODEKILN_WORKERS", "dask://127.0.0.1:2")
    assert configuration.configured(tmp_path) == ("dask://127.0.0.1:2", "tcp://127.0.0.1:2")
    assert executor(tmp_path) is not run_locally
    monkeypatch.setenv("NODEKILN_OFFLINE", "1")
    assert executor(tmp_path) is run_locally


def test_without_the_extra_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEKILN_WORKERS", "dask://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LackingDask, match=r"pip install 'nodekiln\[dask\]'"):
        executor(tmp_path)


def test_a_worker_without_a_scheduler_ends_with_one_line(tmp_path):
    project = new_project(tmp_path)
    assert "no scheduler: set NODEKILN_WORKERS to dask+tls://HOST:8786\n" in doit(
        "worker", cwd=project, code=3, NODEKILN_WORKERS=""
    )


def test_a_worker_without_certificates_ends_with_one_line(tmp_path):
    project = new_project(tmp_path)
    address = "dask+tls://127.0.0.1:1"
    output = doit("worker", cwd=project, code=1, NODEKILN_WORKERS=address, DASK_CONFIG=str(tmp_path))
    first, second = output.splitlines()
    assert first.startswith(f"{address}: nodekiln-")
    assert second.startswith("tls://127.0.0.1:1: TLS ")
