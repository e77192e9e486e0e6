"""A node report of a booted node, with the record of its program, and changes of them.

The node is specs/node.yml as qcow2-verity-efi, signed, in QEMU with OVMF, Secure Boot and swtpm.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.inspect import node_report, running
from pipeline.inspect.node_report import NodeReport
from pipeline.inspect.running import Program

PCR = "/sys/class/tpm/tpm0/pcr-sha256"
MOUNTS = "/proc/self/mountinfo"


@cache
def _recorded() -> Any:
    return json.loads((Path(__file__).parent / "fixtures" / "node_report.json").read_text())


def document() -> Any:
    """The report as JSON, which may be changed."""
    return copy.deepcopy(_recorded()["report"])


def facts() -> Any:
    """The record of the program, which may be changed."""
    return copy.deepcopy(_recorded()["programs"]["verity-efi"])


def nonce() -> bytes:
    """The nonce of the report's quote."""
    return bytes.fromhex(_recorded()["nonce"])


def program(**changes: Any) -> Program:
    return running.program({**facts(), **changes}, "record")


def report(change: Callable[[Any], object] = lambda document: None) -> NodeReport:
    """The report, after `change` of its document."""
    changed = document()
    change(changed)
    return node_report.parse(json.dumps(changed).encode(), "node")


def with_text(path: str, text: str) -> Callable[[Any], object]:
    return lambda document: document["texts"].update({path: text})


def mounted(*lines: str) -> Callable[[Any], object]:
    """Adds mounts."""
    return lambda document: document["texts"].update(
        {MOUNTS: document["texts"][MOUNTS] + "".join(f"{each}\n" for each in lines)}
    )
