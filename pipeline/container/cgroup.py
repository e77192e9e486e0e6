"""What a container's cgroup allows: the keys of `resources`, and what the OCI runtime specification makes of them.

The keys of a spec are those of the specification, but for `blockio` (there `blockIO`). In config.json they get its
order, and its habit of writing numbers that have no "unset" value even when they are 0 (config-linux.md, "Control
groups").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pipeline.language.schema import Pattern, Range, mapping

Signed = Annotated[int, Range(-(1 << 63), (1 << 63) - 1)]
Unsigned = Annotated[int, Range(0, (1 << 64) - 1)]
Number32 = Annotated[int, Range(0, (1 << 32) - 1)]
Weight = Annotated[int, Range(0, 65535)]
Numbers = Annotated[str, Pattern(r"([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?", "numbers and ranges such as 0-3,7")]


@mapping
class DeviceRule:
    """A rule of the devices cgroup."""

    allow: bool = False
    """Whether it allows or forbids."""
    type: Annotated[str, Pattern("[acb]?", "a (all), c or b")] | None = None
    """a (all), c or b."""
    major: Signed | None = None
    """Major number; left out: any."""
    minor: Signed | None = None
    """Minor number; left out: any."""
    access: Annotated[str, Pattern("[rwm]{0,3}", "letters of rwm")] | None = None
    """Of r (read), w (write), m (mknod)."""


@mapping
class Memory:
    """Limits of memory, in bytes; -1 for none."""

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
    """How eagerly it is swapped, 0 to 100."""
    disableOOMKiller: bool | None = None
    """Whether processes wait instead of being killed."""


@mapping
class Cpu:
    """Shares of the processors."""

    shares: Unsigned | None = None
    """Weight against other containers."""
    quota: Signed | None = None
    """Microseconds of a period that may be used."""
    period: Unsigned | None = None
    """Length of a period in microseconds."""
    realtimeRuntime: Signed | None = None
    """Microseconds of a period that real-time tasks may use."""
    realtimePeriod: Unsigned | None = None
    """Length of a period for real-time tasks in microseconds."""
    cpus: Numbers | None = None
    """Which processors: `0-3,7`."""
    mems: Numbers | None = None
    """Which memory nodes."""


@mapping
class Pids:
    """How many processes."""

    limit: Signed = 0
    """At most so many; -1 for no limit."""


@mapping
class WeightDevice:
    """A block device's own weight."""

    major: Signed = 0
    """Major number."""
    minor: Signed = 0
    """Minor number."""
    weight: Weight | None = None
    """Weight, 10 to 1000."""
    leafWeight: Weight | None = None
    """Weight of the container's own tasks against its children."""


@mapping
class ThrottleDevice:
    """A block device's limit."""

    major: Signed = 0
    """Major number."""
    minor: Signed = 0
    """Minor number."""
    rate: Unsigned = 0
    """Bytes or operations in a second."""


@mapping
class BlockIO:
    """Shares of block devices."""

    weight: Weight | None = None
    """Weight, 10 to 1000."""
    leafWeight: Weight | None = None
    """Weight of the container's own tasks against its children."""
    weightDevice: tuple[WeightDevice, ...] | None = None
    """Weights for single devices."""
    throttleReadBpsDevice: tuple[ThrottleDevice, ...] | None = None
    """Bytes read in a second."""
    throttleWriteBpsDevice: tuple[ThrottleDevice, ...] | None = None
    """Bytes written in a second."""
    throttleReadIOPSDevice: tuple[ThrottleDevice, ...] | None = None
    """Reads in a second."""
    throttleWriteIOPSDevice: tuple[ThrottleDevice, ...] | None = None
    """Writes in a second."""


@mapping
class HugepageLimit:
    """A limit of huge pages."""

    pageSize: str | int = ""
    """Size of the pages: `2MB`."""
    limit: Unsigned = 0
    """Bytes."""


@mapping
class InterfacePriority:
    """The priority of a network interface."""

    name: str = ""
    """The interface."""
    priority: Number32 = 0
    """Its priority."""


@mapping
class Network:
    """What marks the container's packets."""

    classID: Number32 | None = None
    """Class of the net_cls cgroup."""
    priorities: tuple[InterfacePriority, ...] | None = None
    """Priorities of the net_prio cgroup."""


@mapping
class Resources:
    """Limits of the container's cgroup (runtime-spec, config-linux.md, "Control groups")."""

    devices: tuple[DeviceRule, ...] | None = None
    """Which devices it may open."""
    memory: Memory | None = None
    """How much memory."""
    cpu: Cpu | None = None
    """How much of the processors."""
    pids: Pids | None = None
    """How many processes."""
    blockio: BlockIO | None = None
    """How much of block devices."""
    hugepageLimits: tuple[HugepageLimit, ...] | None = None
    """How much in huge pages."""
    network: Network | None = None
    """How its packets are marked."""


Json = dict[str, Any]

_RULE = ("type", "major", "minor", "access")
_MEMORY = ("limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness", "disableOOMKiller")
_CPU = ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems")
_THROTTLES = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")


def devices(asked: list[Json]) -> tuple[list[Json], list[Json]]:
    """The device nodes of `devices:`, and the rules that allow to use them."""
    nodes, rules = [], []
    for device in asked:
        kind = {"type": device["type"]} if device.get("type") else {}
        if device["path"] == "all":
            rules.append({"allow": True} | kind | {"access": "rwm"})
            continue
        numbers = {"major": device.get("major", 0), "minor": device.get("minor", 0)}
        rules.append({"allow": True} | kind | numbers | {"access": "rwm"})
        node = {"path": device["path"], "type": device.get("type", "")}
        nodes.append(node | numbers | {"fileMode": int(device["mode"], 8)})
    return nodes, rules


def resources(asked: Mapping[str, Any], rules: list[Json]) -> Json:
    """`resources:` with `rules` after its own rules for devices."""
    own = [{"allow": rule.get("allow", False)} | _given(rule, _RULE) for rule in asked.get("devices", [])]
    found: Json = {
        "devices": own + rules,
        "memory": _group(asked, "memory", _MEMORY),
        "cpu": _group(asked, "cpu", _CPU),
        "pids": {"limit": asked["pids"].get("limit", 0)} if "pids" in asked else None,
        "blockIO": _block_io(asked["blockio"]) if "blockio" in asked else None,
        "hugepageLimits": [_huge(limit) for limit in asked.get("hugepageLimits", [])],
        "network": _network(asked["network"]) if "network" in asked else None,
    }
    return {name: value for name, value in found.items() if value not in (None, [])}


def _given(asked: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: asked[name] for name in names if asked.get(name) not in (None, "")}


def _group(asked: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> Json | None:
    return _given(asked[name], keys) if name in asked else None


def _block_io(asked: Mapping[str, Any]) -> Json:
    weights = [_numbers(device) | _given(device, ("weight", "leafWeight")) for device in asked.get("weightDevice", [])]
    found = _given(asked, ("weight", "leafWeight")) | ({"weightDevice": weights} if weights else {})
    for name in _THROTTLES:
        if asked.get(name):
            found[name] = [_numbers(device) | {"rate": device.get("rate", 0)} for device in asked[name]]
    return found


def _numbers(device: Mapping[str, Any]) -> Json:
    return {"major": device.get("major", 0), "minor": device.get("minor", 0)}


def _huge(limit: Mapping[str, Any]) -> Json:
    return {"pageSize": str(limit.get("pageSize", "")), "limit": limit.get("limit", 0)}


def _network(asked: Mapping[str, Any]) -> Json:
    found = _given(asked, ("classID",))
    asked_priorities = asked.get("priorities", [])
    priorities = [{"name": each.get("name", ""), "priority": each.get("priority", 0)} for each in asked_priorities]
    return found | ({"priorities": priorities} if priorities else {})
