"""Limits of a container's cgroup: the keys of `resources`, and their form in config.json.

The keys are those of the OCI runtime specification (config-linux.md, "Control groups"), except `blockio` (there
`blockIO`). config.json has the specification's order of keys, and 0 for numbers that have no "unset" value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pipeline.language.kinds import Pattern, Range
from pipeline.language.schema import mapping

Signed = Annotated[int, Range(-(1 << 63), (1 << 63) - 1)]
Unsigned = Annotated[int, Range(0, (1 << 64) - 1)]
Number32 = Annotated[int, Range(0, (1 << 32) - 1)]
Weight = Annotated[int, Range(0, 65535)]
Numbers = Annotated[str, Pattern(r"([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?", "numbers and ranges such as 0-3,7")]


@mapping
class DeviceRule:
    """A rule of the devices cgroup."""

    allow: bool = False
    """True allows, false forbids."""
    type: Annotated[str, Pattern("[acb]?", "a (all), c or b")] | None = None
    """a (all), c (character) or b (block)."""
    major: Signed | None = None
    """Major number. Default: any."""
    minor: Signed | None = None
    """Minor number. Default: any."""
    access: Annotated[str, Pattern("[rwm]{0,3}", "letters of rwm")] | None = None
    """Any of r (read), w (write), m (mknod)."""


@mapping
class Memory:
    """Memory limits, in bytes; -1 for no limit."""

    limit: Signed | None = None
    """Hard limit."""
    reservation: Signed | None = None
    """Soft limit."""
    swap: Signed | None = None
    """Memory and swap together."""
    kernel: Signed | None = None
    """Kernel memory."""
    kernelTCP: Signed | None = None
    """Kernel memory for TCP buffers."""
    swappiness: Unsigned | None = None
    """Swappiness, 0 to 100."""
    disableOOMKiller: bool | None = None
    """Processes wait for memory instead of being killed."""


@mapping
class Cpu:
    """Shares of the processors."""

    shares: Unsigned | None = None
    """Weight relative to other containers."""
    quota: Signed | None = None
    """CPU time in each period, in microseconds."""
    period: Unsigned | None = None
    """Length of a period, in microseconds."""
    realtimeRuntime: Signed | None = None
    """CPU time of real-time tasks in each period, in microseconds."""
    realtimePeriod: Unsigned | None = None
    """Length of a period for real-time tasks, in microseconds."""
    cpus: Numbers | None = None
    """Processors: `0-3,7`."""
    mems: Numbers | None = None
    """Memory nodes: `0-3,7`."""


@mapping
class Pids:
    """Limit of the number of processes."""

    limit: Signed = 0
    """Maximum number; -1 for no limit."""


@mapping
class WeightDevice:
    """The weight of a block device."""

    major: Signed = 0
    """Major number."""
    minor: Signed = 0
    """Minor number."""
    weight: Weight | None = None
    """Weight, 10 to 1000."""
    leafWeight: Weight | None = None
    """Weight of the container's own tasks relative to its children."""


@mapping
class ThrottleDevice:
    """A limit for a block device."""

    major: Signed = 0
    """Major number."""
    minor: Signed = 0
    """Minor number."""
    rate: Unsigned = 0
    """Bytes or operations per second."""


@mapping
class BlockIO:
    """Shares and limits of block devices."""

    weight: Weight | None = None
    """Weight, 10 to 1000."""
    leafWeight: Weight | None = None
    """Weight of the container's own tasks relative to its children."""
    weightDevice: tuple[WeightDevice, ...] | None = None
    """Weights of single devices."""
    throttleReadBpsDevice: tuple[ThrottleDevice, ...] | None = None
    """Limits of bytes read per second."""
    throttleWriteBpsDevice: tuple[ThrottleDevice, ...] | None = None
    """Limits of bytes written per second."""
    throttleReadIOPSDevice: tuple[ThrottleDevice, ...] | None = None
    """Limits of reads per second."""
    throttleWriteIOPSDevice: tuple[ThrottleDevice, ...] | None = None
    """Limits of writes per second."""


@mapping
class HugepageLimit:
    """A limit of huge pages."""

    pageSize: str | int = ""
    """Page size: `2MB`."""
    limit: Unsigned = 0
    """Limit, in bytes."""


@mapping
class InterfacePriority:
    """The priority of a network interface."""

    name: str = ""
    """Name of the interface."""
    priority: Number32 = 0
    """Priority."""


@mapping
class Network:
    """Marks of the container's network packets."""

    classID: Number32 | None = None
    """Class of the net_cls cgroup."""
    priorities: tuple[InterfacePriority, ...] | None = None
    """Priorities of the net_prio cgroup."""


@mapping
class Resources:
    """Limits of the container's cgroup (runtime-spec, config-linux.md, "Control groups")."""

    devices: tuple[DeviceRule, ...] | None = None
    """Rules for devices that it may open."""
    memory: Memory | None = None
    """Memory."""
    cpu: Cpu | None = None
    """Processors."""
    pids: Pids | None = None
    """Number of processes."""
    blockio: BlockIO | None = None
    """Block devices."""
    hugepageLimits: tuple[HugepageLimit, ...] | None = None
    """Huge pages."""
    network: Network | None = None
    """Network packets."""


Json = dict[str, Any]

_RULE = ("type", "major", "minor", "access")
_MEMORY = ("limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness", "disableOOMKiller")
_CPU = ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems")
_THROTTLES = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")


def devices(entries: list[Json]) -> tuple[list[Json], list[Json]]:
    """Returns the device nodes of `devices:`, and the cgroup rules that allow their use."""
    nodes, rules = [], []
    for device in entries:
        kind = {"type": device["type"]} if device.get("type") else {}
        if device["path"] == "all":
            rules.append({"allow": True} | kind | {"access": "rwm"})
            continue
        numbers = _numbers(device)
        rules.append({"allow": True} | kind | numbers | {"access": "rwm"})
        node = {"path": device["path"], "type": device.get("type", "")}
        nodes.append(node | numbers | {"fileMode": int(device["mode"], 8)})
    return nodes, rules


def resources(entry: Mapping[str, Any], rules: list[Json]) -> Json:
    """Returns `resources` of config.json: that of the spec's `entry`, with `rules` after its own rules for devices."""
    own = [{"allow": rule.get("allow", False)} | _selected(rule, _RULE) for rule in entry.get("devices", [])]
    result: Json = {
        "devices": own + rules,
        "memory": _selected(entry["memory"], _MEMORY) if "memory" in entry else None,
        "cpu": _selected(entry["cpu"], _CPU) if "cpu" in entry else None,
        "pids": {"limit": entry["pids"].get("limit", 0)} if "pids" in entry else None,
        "blockIO": _block_io(entry["blockio"]) if "blockio" in entry else None,
        "hugepageLimits": [_huge_page(limit) for limit in entry.get("hugepageLimits", [])],
        "network": _network(entry["network"]) if "network" in entry else None,
    }
    return {name: value for name, value in result.items() if value not in (None, [])}


def _selected(entry: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: entry[name] for name in names if entry.get(name) not in (None, "")}


def _block_io(entry: Mapping[str, Any]) -> Json:
    result = _selected(entry, ("weight", "leafWeight"))
    weights = [
        _numbers(device) | _selected(device, ("weight", "leafWeight")) for device in entry.get("weightDevice", [])
    ]
    if weights:
        result["weightDevice"] = weights
    for name in _THROTTLES:
        if entry.get(name):
            result[name] = [_numbers(device) | {"rate": device.get("rate", 0)} for device in entry[name]]
    return result


def _numbers(device: Mapping[str, Any]) -> Json:
    return {"major": device.get("major", 0), "minor": device.get("minor", 0)}


def _huge_page(limit: Mapping[str, Any]) -> Json:
    return {"pageSize": str(limit.get("pageSize", "")), "limit": limit.get("limit", 0)}


def _network(entry: Mapping[str, Any]) -> Json:
    priorities = [
        {"name": priority.get("name", ""), "priority": priority.get("priority", 0)}
        for priority in entry.get("priorities", [])
    ]
    return _selected(entry, ("classID",)) | ({"priorities": priorities} if priorities else {})
