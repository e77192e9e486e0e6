"""compat: linuxkit — the mistakes of LinuxKit (commit 3bf33c3a) that somebody who compares bytes has to repeat.

docs/linuxkit.md lists what differs without it, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "linuxkit"
"""What `build.compat` says."""
MTIME = 1492533000
"""LinuxKit stamps what it makes itself with 2017-04-18T16:30:00Z."""

_FORGOTTEN = {
    "memory": ("kernelTCP", "disableOOMKiller"),
    "cpu": ("realtimeRuntime", "realtimePeriod"),
    "blockio": (
        "leafWeight", "weightDevice", "throttleReadBpsDevice", "throttleWriteBpsDevice",
        "throttleReadIOPSDevice", "throttleWriteIOPSDevice",
    ),
    "network": ("classID",),
}  # fmt: skip
"""Keys of `resources` that its parser accepts and drops: it looks for their lower-case spelling."""


def as_parsed(said: Mapping[str, Any]) -> dict[str, Any]:
    """An entry (or label) as LinuxKit takes it: without the keys that it drops, and with ids that it takes for 0."""
    kept = dict(said)
    for name in ("uidMappings", "gidMappings"):
        if name in said:
            kept[name] = [each | {"containerID": 0, "hostID": 0} for each in said[name]]
    if "resources" in said:
        groups = {name: group for name, group in said["resources"].items() if name != "hugepageLimits"}
        for name, keys in _FORGOTTEN.items():
            if name in groups:
                groups[name] = {key: value for key, value in groups[name].items() if key not in keys}
        kept["resources"] = groups
    return kept
