"""The first minute: `./kiln` makes its environment, shows that it does, and explains in one line why it cannot."""

from __future__ import annotations

import io
import os
import shutil
import signal
import ssl
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import kiln_environment as kiln
from tests import patience
from tests.judges import need, needs_root, run
from tests.oci import servers
from tests.project import ROOT

COMMANDS = ("sh", "dirname", "cksum", "readlink", "id", "cat")
"""Programs that kiln itself runs."""
BACKEND = """\
import zipfile
PROGRAM = "import os, sys\\ndef main(): print(os.environ['NODEKILN_COMMAND'], *sys.argv[1:])\\n"

def build_editable(folder, config_settings=None, metadata_directory=None):
    name, info = "nodekiln-0-py3-none-any.whl", "nodekiln-0.dist-info/"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: nodekiln\\nVersion: 0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\ndoit = typed:main\\n")
        wheel.writestr("typed.py", PROGRAM)
        wheel.writestr(info + "RECORD", "")
    return name
"""
"""A build system for a project that installs a program doit, which prints what it was started with."""


@pytest.fixture(autouse=True)
def own_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of whoever runs the test do not reach pip, which asks an index twice."""
    for name in [name for name in os.environ if name.upper().startswith(("PIP_", "NODEKILN_")) or name in kiln.PROXIES]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "1")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of a small project, whose packages lie in a folder."""
    root = tmp_path / "checkout"
    (root / "pipeline").mkdir(parents=True)
    for name in ("kiln", "kiln_environment.py"):
        shutil.copy(ROOT / name, root)
    for name in ("pipeline/__init__.py", "nodekiln_doit.py"):
        (root / name).touch()
    (root / "constraints.txt").write_text("setuptools==84.0\n")
    (root / "backend.py").write_text(BACKEND)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return root


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with pip and nothing else."""
    folder = tmp_path_factory.mktemp("kiln") / ".venv"
    venv.create(folder, symlinks=True, with_pip=True)
    return folder


@pytest.fixture
def with_pip(checkout: Path, environment: Path) -> Path:
    """The checkout, with that environment, as an older kiln left it."""
    (checkout / ".venv").symlink_to(environment)
    (environment / ".installed-run").touch()
    wheel(checkout, "setuptools")
    return checkout


def start(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs ./kiln, in the C locale's English."""
    variables = {**os.environ, "LC_ALL": "C.UTF-8", **variables}
    return subprocess.run(["./kiln", *words], cwd=root, env=variables, capture_output=True, text=True)


def last(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Returns the last line of a run that ended with `code`; no line is a traceback, or has control characters."""
    assert done.returncode == code and "Traceback" not in done.stderr and "\x1b" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


def tools(folder: Path, **scripts: str) -> str:
    """Makes a PATH with what kiln runs and `scripts`, and nothing else."""
    folder.mkdir()
    for name in {*COMMANDS} - scripts.keys():  # a script written through a link would replace the machine's own program
        (folder / name).symlink_to(need(name, "coreutils"))
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_an_environment_that_is_whole_is_used_at_once(checkout: Path, tmp_path: Path) -> None:
    """No Python but its own is looked for."""
    (checkout / ".venv/bin").mkdir(parents=True)
    for name, text in (("python", "exit 1"), ("doit", 'echo "$NODEKILN_COMMAND $NODEKILN_DEBUG $*"')):
        (checkout / ".venv/bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (checkout / ".venv/bin" / name).chmod(0o755)
    sums = run(need("cksum", "coreutils"), "pyproject.toml", "constraints.txt", cwd=checkout).stdout
    (checkout / ".venv/.installed-run").write_text(f"{' '.join(sums.split())}|{checkout}|{checkout}/.venv/bin/python")
    path = tools(tmp_path / "bin")
    assert start(checkout, "lock:node", "--check", PATH=path).stdout == "./kiln  lock:node --check\n"
    assert start(checkout, "--debug", "build", PATH=path).stdout == "./kiln 1 build\n"


@pytest.mark.parametrize(("script", "fault"), [
    ("exit 127", "kiln: Python 3.11 or newer is needed (Debian, Ubuntu: apt-get install python3 python3-venv)"),
    ('case "$*" in *ensurepip*) exit 1; esac', "bin/python3 has no modules venv and ensurepip: install them (Debian, "
     "Ubuntu: apt-get install python3-venv)"),
])  # fmt: skip
def test_a_python_that_does_not_do(checkout: Path, tmp_path: Path, script: str, fault: str) -> None:
    done = start(checkout, "list", PATH=tools(tmp_path / "bin", python3=script))
    assert last(done).endswith(fault) and len(done.stderr.splitlines()) == 1


def test_a_python_without_venv_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin", **{
        "python3": 'case "$*" in *ensurepip*) exit 1; esac',
        "python3.12": 'case "$1" in -c) exit 0; esac; echo "$@"; exit 7',
    })  # fmt: skip
    done = start(checkout, "list", PATH=path)
    assert done.returncode == 7 and done.stdout.startswith("kiln_environment.py .venv run ")


def test_root_has_the_module_installed(checkout: Path, tmp_path: Path) -> None:
    """By apt-get, whose failure is named."""
    path = tools(tmp_path / "bin", **{
        "python3": 'case "$*" in *ensurepip*) exit 1; esac', "id": "echo 0", "apt-get": 'echo "apt-get $*"; exit 100',
    })  # fmt: skip
    done = start(checkout, "list", PATH=path)
    assert "kiln: installing python3-venv\napt-get update -q\n" in done.stderr
    assert last(done).startswith("kiln: apt-get failed: ")


UNREACHABLE = "connect to a network, or name a mirror in PIP_INDEX_URL"


@pytest.mark.parametrize(("variables", "fault"), [
    ({"https_proxy": "http://me:secret@127.0.0.1:9"},
     "kiln: the proxy http://127.0.0.1:9 of https_proxy does not work (connection refused): "
     "correct the setting, or unset it"),
    ({"PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
     f"kiln: pip cannot reach http://127.0.0.1:9/simple (connection refused): {UNREACHABLE}"),
    ({"PIP_REQUIRE_HASHES": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "."},
     "kiln: pip is set to require hashes, and constraints.txt has none: PIP_REQUIRE_HASHES=0 ./kiln …"),
    ({"PIP_NO_INDEX": "1"}, "kiln: the package index has no setuptools for Python "),
    ({"PIP_QUIET": "2", "PIP_USER": "1", "PIP_NO_INDEX": "1"}, "kiln: the package index has no setuptools for Python "),
])  # fmt: skip
def test_pip_fails(with_pip: Path, variables: dict[str, str], fault: str) -> None:
    done = start(with_pip, "list", **variables)
    assert last(done).startswith(fault) and "secret" not in done.stderr
    assert not (with_pip / ".venv/.installed-run").exists()


def test_an_index_with_an_unknown_certificate(with_pip: Path, tmp_path: Path) -> None:
    words = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    run(need("openssl"), "req", *words, "-keyout", tmp_path / "key", "-out", tmp_path / "certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with servers.server(context=context) as far:
        index = f"https://{far.host}/simple"
        told = last(start(with_pip, "list", PIP_INDEX_URL=index))
    assert told == f"kiln: the certificate of {index} is not trusted: name a file with your authority's in PIP_CERT"


@needs_root
@pytest.mark.parametrize(("mount", "fault"), [
    ("mkdir .venv; mount -t tmpfs -o size=1M none .venv", "kiln: no space is left: .venv takes up to "),
    ("mkdir .venv; mount -t tmpfs -o size=8k none .venv", "kiln: no space is left: .venv takes up to "),
    ("mount --bind . .; mount -o remount,ro,bind .", "cannot be written to: copy the checkout into a folder of yours"),
])  # fmt: skip
def test_a_disk_that_takes_nothing(checkout: Path, mount: str, fault: str) -> None:
    command = ["unshare", "-m", "sh", "-c", f"{mount}; cd .. && cd checkout && ./kiln list"]
    assert fault in last(subprocess.run(command, cwd=checkout, capture_output=True, text=True))


PIP_22 = """\
ERROR: Could not find a version that satisfies the requirement zstandard==0.25.0 (from nodekiln) (from versions: none)
ERROR: No matching distribution found for zstandard==0.25.0"""
OUTPUTS = {
    PIP_22: "the package index has no zstandard==0.25.0 for Python ",
    "ERROR: Cannot install lz4 and lz4==4.4.5 because these package versions have conflicting dependencies.":
    "the package index has no lz4 and lz4==4.4.5 for Python ",
    "error: command 'gcc' failed: No such file or directory\n  ERROR: Failed building wheel for lz4":
    "there is no wheel of lz4 for Python ",
    "ERROR: Could not install packages due to an OSError: [Errno 122] Disk quota exceeded": "no space is left: ",
    "Collecting a\nERROR: a new fault\n": "pip install failed: ERROR: a new fault (",
    "": "pip install failed: no word why (",
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'ProxyError('Cannot connect to proxy.', "
    "OSError('Tunnel connection failed: 407 Proxy Authentication Required'))': /simple/setuptools/":
    "the proxy of pip's configuration does not work (it wants a password): ",
}  # fmt: skip
"""The end of what pip prints -> the start of kiln's line."""


@pytest.mark.parametrize("output", OUTPUTS)
def test_output_of_pip(output: str) -> None:
    told = kiln.reason(output.splitlines(), "pip install", "./.venv")
    assert told.startswith(OUTPUTS[output]) and "\n" not in told


@pytest.mark.parametrize(("line", "step"), [
    ("  Downloading isal-1.9.1-cp311-cp311-manylinux2010_x86_64.whl (302 kB)", "downloading isal 1.9.1 (302 kB)"),
    ("  Using cached mdurl-0.1.2-py3-none-any.whl (10.0 kB)", "taking from the cache mdurl 0.1.2 (10.0 kB)"),
    ("  Downloading https://a.example/b/doit-0.37.0.tar.gz (85 kB)", "downloading doit 0.37.0 (85 kB)"),
    ("Installing collected packages: pip", "installing pip"),
    ("Installing collected packages: a, b, c", "installing 3 packages"),
    ("  Building editable for nodekiln (pyproject.toml): started", "building nodekiln"),
    ("Requirement already satisfied: idna", ""),
])  # fmt: skip
def test_a_step_of_pip(line: str, step: str) -> None:
    assert kiln.step_of(line) == step


def test_a_terminal_has_one_line_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    progress = kiln.Progress(terminal)
    progress.step("downloading something large")
    progress.end("done")
    assert terminal.getvalue() == "\r\x1b[Kkiln: downloading s\r\x1b[Kkiln: done\n"
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    progress = kiln.Progress(terminal)
    progress.step("x")
    progress.shown -= kiln.DOT_SECONDS
    progress.tick()
    progress.step("y")
    assert terminal.getvalue() == "kiln: x\n.\nkiln: y\n"


def test_what_an_environment_depends_on(tmp_path: Path) -> None:
    """Its place and its Python: another of either, and it is made anew; other versions are installed into it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)

    def made(sums: str = "1", place: str = "/a", use: str = "run") -> kiln.Environment:
        return kiln.Environment(str(tmp_path), use, sums, place)

    assert not made().is_whole()
    made(use="dev").write_stamps()
    assert made().is_ready() and made(use="dev").is_ready()
    assert made("2").is_whole() and not made("2").is_ready()
    assert not made(place="/b").is_whole()
    (tmp_path / "bin/python").unlink()
    assert not made().is_whole()
    (tmp_path / "bin/python").symlink_to(shutil.which("sh") or "")
    assert not made().is_whole()
    made().remove_stamps()
    assert not made().is_whole()


def wheel(folder: Path, name: str) -> None:
    """Writes the wheel of an empty package."""
    info = f"{name}-84.0.dist-info/"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-84.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{info}METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 84.0\n")
        file.writestr(f"{info}WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}RECORD", "")


@pytest.mark.slow
def test_two_at_once_an_interruption_and_a_move(checkout: Path, tmp_path: Path) -> None:
    """By pip itself, without HOME, from a folder of wheels."""
    wheel(tmp_path / "wheels", "setuptools")
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PATH": os.environ["PATH"]}
    command = ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), "./kiln", "list"]

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, cwd=checkout, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    first, second = begin(), begin()
    told = [process.communicate(timeout=patience.seconds(120)) for process in (first, second)]
    assert [out for out, _ in told] == ["./kiln list\n"] * 2, told
    assert sorted("is ready, after" in error for _, error in told) == [False, True]
    assert any("waiting for another kiln" in error for _, error in told)
    assert begin().communicate() == ("./kiln list\n", "")
    for number, during in ((signal.SIGINT, "kiln: installing into .venv\n"), (signal.SIGKILL, "kiln: making .venv")):
        (checkout / "constraints.txt").write_text(f"setuptools==84.0  # {number}\n")
        process = begin()
        assert process.stderr is not None and process.stderr.readline().startswith(during)
        os.killpg(process.pid, number)
        process.communicate()
        assert not (checkout / ".venv/.installed-run").exists()
    out, error = begin().communicate()
    assert out == "./kiln list\n" and error.startswith("kiln: making .venv with Python "), error
    checkout = checkout.rename(tmp_path / "elsewhere")
    out, error = begin().communicate()
    assert out == "./kiln list\n" and error.startswith("kiln: making .venv with Python "), error
