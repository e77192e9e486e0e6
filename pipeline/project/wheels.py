"""Wheels of nodekiln and of all that it depends on, in the versions that are installed, by this Python's pip.

They are for this version of Python and this platform. pip is configured as always: index, proxies, certificates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pipeline
from pipeline.host import settings
from pipeline.model.errors import NodekilnError
from pipeline.model.tree import EPOCH

DISTRIBUTION = "nodekiln"


def collect(folder: Path) -> list[Path]:
    """Puts the wheels into `folder`, and returns their paths, sorted. NodekilnError with pip's message."""
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in _installed()))
    options = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    words = [*options, "--constraint", str(constraints), "--wheel-dir", str(folder), requirement()]
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *words],
        env={"SOURCE_DATE_EPOCH": str(EPOCH), **os.environ}, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines() or ["no message"]
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
        raise NodekilnError(f"pip made no wheels: {reason.removeprefix('ERROR: ')}")
    return sorted(folder.glob("*.whl"))


def requirement() -> str:
    """Returns what pip is asked for: the source that runs, the wheel that was installed (PEP 610), or the version;
    with the extra for LZ4 if that is installed."""
    extra = "[lz4]" if find_spec("lz4") else ""
    source = Path(pipeline.__file__).parent.parent
    if settings.project_name(source) == DISTRIBUTION:
        return f"{source}{extra}"
    installed = metadata.distribution(DISTRIBUTION)
    url = urlsplit(json.loads(installed.read_text("direct_url.json") or "{}").get("url", ""))
    wheel = Path(unquote(url.path))
    return (
        f"{wheel}{extra}" if url.scheme == "file" and wheel.is_file() else f"{DISTRIBUTION}{extra}=={installed.version}"
    )


def _installed() -> list[str]:
    """Returns the versions of all other packages that are installed, as constraints."""
    versions = {each.metadata["Name"]: each.version for each in metadata.distributions()}
    return [f"{name}=={version}" for name, version in sorted(versions.items()) if name != DISTRIBUTION]
