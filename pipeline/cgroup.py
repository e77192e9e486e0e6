"""What a container's cgroup allows: `resources` and `devices` of an entry as the OCI runtime specification writes them.

The keys of a spec are those of the specification, but for `blockio` (there `blockIO`); here they get its order and its
habit of writing numbers that have no "unset" value even when they are 0 (config-linux.md, "Control groups").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
