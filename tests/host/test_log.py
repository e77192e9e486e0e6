"""The log: requests, retries, cache decisions and waits for locks; without secrets; free for who does not ask."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engine.action import Action
from pipeline.host import log
from pipeline.model.errors import BadInput
from pipeline.oci import http
from pipeline.stages import files
from pipeline.store import Store, locks
from tests.oci import servers
from tests.project import doit, new_project

SPEC = "files: [{path: etc/hostname, contents: node}]\nbuild: {arch: amd64, formats: [tar]}\n"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """Everything is printed; the logger is as before afterwards."""
    logger = logging.getLogger(log.NAME)
    before = (logger.handlers[:], logger.level, logger.propagate)
    monkeypatch.setenv(log.VARIABLE, "debug")
    log.configure()
    yield capsys
    logger.handlers[:], logger.level, logger.propagate = before


def lines(capture: pytest.CaptureFixture[str]) -> list[str]:
    """The messages of the log, without level and time."""
    return [line.partition("ms: ")[2] for line in capture.readouterr().err.splitlines()]


def test_requests_and_retries(logged: pytest.CaptureFixture[str]) -> None:
    busy = [True]

    def answer(request: servers.Request) -> bool:
        request.answer(503 if busy and busy.pop() else 200)
        return True

    with servers.server() as far:
        far.rules.append(answer)
        url = f"http://{far.host}/v2/?token=s3cret"
        response = http.send("GET", url, {"Authorization": "Bearer s3cret"}, sleep=lambda _: None)
        response.close()
    shown = f"http://{far.host}/v2/?…"
    assert lines(logged) == [
        f"request: GET {shown}", f"answer: 503 to GET {shown}", f"retry in 0.5 s: {far.host} answers 503",
        f"request: GET {shown}", f"answer: 200 to GET {shown}",
    ]  # fmt: skip


@pytest.mark.parametrize("secret", [
    "https://me:s3cret@example.org/v2/", "https://example.org/blob?X-Amz-Signature=s3cret&more=s3cret#end",
    "Authorization: Bearer s3cret", "authorization: basic s3cret",
])  # fmt: skip
def test_secrets_never_appear(logged: pytest.CaptureFixture[str], secret: str) -> None:
    log.info("about %s", secret)
    (line,) = lines(logged)
    assert "s3cret" not in line and line.startswith("about ") and "…" in line


def test_a_line_obeys_no_terminal(logged: pytest.CaptureFixture[str]) -> None:
    log.info("%s", "red \x1b[31m\nnodekiln INFO forged")
    assert lines(logged) == ["red \\x1b[31m\\nnodekiln INFO forged"]


def test_cache_decisions(logged: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = Store(tmp_path)
    action = Action("files", files.files, {"entries": [], "ids": {}, "known": [], "epoch": 0})
    result, _ = action.perform(store)
    action.perform(store)
    miss, ran, hit = lines(logged)
    assert miss == f"cache: miss files: key {action.key[:12]}: it was never made"
    assert ran.startswith("ran files in ") and hit == f"cache: hit files: key {action.key[:12]} -> {result}"
    store.path(result).unlink()
    action.perform(store)
    assert lines(logged)[0] == f"cache: miss files: key {action.key[:12]}: its result is gone"


def test_a_wait_for_a_lock(logged: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = locks.take(path)
    assert holder is not None
    waiting = threading.Thread(target=lambda: locks.drop(path, locks.take(path) or 0))
    waiting.start()
    told: list[str] = []
    while not told:  # the thread prints before it waits
        told = lines(logged)
    locks.drop(path, holder)
    waiting.join()
    assert told == [f"lock: waiting for {path}"] and lines(logged)[0].startswith(f"lock: got {path} after ")


def test_a_program_s_own_logging_gets_the_records(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger=log.NAME):
        log.debug("hit %s", "files")
    assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
        ("nodekiln", "DEBUG", "hit files")
    ]


def test_a_wrong_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(log.VARIABLE, "loud")
    with pytest.raises(BadInput, match=r"^NODEKILN_LOG: 'loud' is not a level: use info or debug$"):
        log.configure()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(new_project(tmp_path / "project", node=SPEC))


def test_a_build_with_a_log(project: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nodekiln INFO" not in doit("build")
    monkeypatch.setenv("NODEKILN_LOG", "loud")
    assert doit("build", code=3) == "NODEKILN_LOG: 'loud' is not a level: use info or debug\n"
    monkeypatch.setenv("NODEKILN_LOG", "info")
    Path("specs/node.yml").write_text(SPEC.replace("node}", "other}"))
    told = doit("build")
    assert "nodekiln INFO" in told and ": ran files in " in told and "cache: miss" not in told
    monkeypatch.delenv("NODEKILN_LOG")
    Path("specs/node.yml").write_text(SPEC.replace("node}", "third}"))
    assert "cache: miss files" in doit("-v", "4", "build")


def test_logging_is_not_imported_for_nothing(project: None) -> None:
    doit("build")
    # doit itself imports cloudpickle, and that logging, where it is installed.
    start = "import sys; sys.modules['cloudpickle'] = None; from doit.__main__ import main; sys.exit(main())"
    for words in (["list"], ["build"]):
        command = [sys.executable, "-X", "importtime", "-c", start, *words]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NODEKILN_LOG": ""})
        assert done.returncode == 0 and "pipeline.host.log" in done.stderr
        assert not [line for line in done.stderr.splitlines() if line.split("|")[-1].strip() == "logging"]
