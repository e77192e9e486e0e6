"""compat: linuxkit: LinuxKit's bugs (commit 3bf33c3a), reproduced for byte-for-byte comparison.

docs/explanation/linuxkit.md lists the differences without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAME = "linuxkit"
"""Value of `build.compat`."""
MTIME = 1492533000
"""Time stamp of files that LinuxKit creates: 2017-04-18T16:30:00Z."""

_DROPPED = {
    "memory": ("kernelTCP", "disableOOMKiller"),
    "cpu": ("realtimeRuntime", "realtimePeriod"),
    "blockio": (
        "leafWeight", "weightDevice", "throttleReadBpsDevice", "throttleWriteBpsDevice",
        "throttleReadIOPSDevice", "throttleWriteIOPSDevice",
    ),
    "network": ("classID",),
}  # fmt: skip
"""Keys of `resources` that its parser accepts and drops, because it expects them in lower case."""


def as_parsed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an entry (or label) as LinuxKit parses it: without the keys that it drops, and with ids that become 0."""
    parsed = dict(entry)
    for name in ("uidMappings", "gidMappings"):
        if name in entry:
            parsed[name] = [mapping | {"containerID": 0, "hostID": 0} for mapping in entry[name]]
    if "resources" in entry:
        groups = {name: group for name, group in entry["resources"].items() if name != "hugepageLimits"}
        for name, keys in _DROPPED.items():
            if name in groups:
                groups[name] = {key: value for key, value in groups[name].items() if key not in keys}
        parsed["resources"] = groups
    return parsed
