"""Cases of conformance with LinuxKit: a folder each, with spec.yml and what it must become.

    tree.jsonl      the entries of the root file system, one a line
    bundles.json    the documents in it: path -> config.json or runtime.json
    error.txt       instead of both: LinuxKit refuses the spec

`cases/` beside this file has small ones, whose images `images` makes. LinuxKit's own results for many more lie beside
the project, or where NODEKILN_CONFORMANCE says: `cases/` as above, and `images/`, an OCI layout.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.oci import craft

OWN = Path(__file__).with_name("cases")
FOLDER = Path(os.environ.get("NODEKILN_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance")
IMAGES = FOLDER / "images"
MTIME = 1_600_000_000
"""Time stamp of everything in the images of the own cases."""


def cases(pattern: str) -> list[Path]:
    """Returns the folders of all cases that have a file `pattern`, the own ones first."""
    found = [sorted(path.parent for path in folder.glob(f"*/{pattern}")) for folder in (OWN, FOLDER / "cases")]
    return [case for folder in found for case in folder]


def each(folders: list[Path]) -> Any:
    """Returns the decorator that gives a test each case as `case`; if LinuxKit's are missing, a skip or a failure."""
    rows = [pytest.param(folder, id=folder.name) for folder in folders]
    if not any(folder.is_relative_to(FOLDER) for folder in folders):
        marks = [] if os.environ.get("CI") else [pytest.mark.skip(f"{FOLDER} has no cases")]
        rows.append(pytest.param(FOLDER, id="linuxkit", marks=marks))
    return pytest.mark.parametrize("case", rows)


def images(folder: Path) -> Path:
    """Makes the layout of the own cases' images in `folder`, and returns that."""
    label = json.dumps(
        {"capabilities": ["CAP_NET_ADMIN"], "binds": ["/etc/resolv.conf:/etc/resolv.conf"], "net": "host"}
    )
    config = {"Entrypoint": ["/bin/app"], "Env": ["PATH=/bin"], "WorkingDir": "/var"}
    _image(folder, "init", [("init", "init"), ("bin/rc.init", "script"), ("etc/hosts", "of the image")])
    _image(folder, "runc", [("bin/runc", "runc")])
    _image(folder, "app", [("bin/app", "app"), ("etc/passwd", "root:x:0:0\nweb:x:33:33\n")], config)
    _image(folder, "network", [("bin/app", "network")], config | {"Labels": {"org.mobyproject.config": label}})
    return folder


def _image(folder: Path, name: str, files: list[tuple[str, str]], config: dict[str, Any] | None = None) -> None:
    folders = sorted({"var/lib", *(path.rpartition("/")[0] for path, _ in files)} - {""})
    entries = [craft.entry(path, "d", mode=0o755, mtime=MTIME) for path in ("var", *folders)]
    entries += [craft.entry(path, data=data.encode(), mode=0o755, mtime=MTIME) for path, data in files]
    entries.append(craft.entry("var/lib/data", data=b"data", mode=0o600, uid=33, mtime=MTIME))
    craft.image(folder, [craft.archive(*entries)], name=f"docker.io/library/{name}:1", config={"config": config or {}})
