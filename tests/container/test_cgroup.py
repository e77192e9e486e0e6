"""Limits of a container's cgroup, in the words of the runtime specification."""

import pytest

from pipeline.container import cgroup


def test_a_device_is_a_node_and_the_rule_that_allows_it():
    nodes, rules = cgroup.devices([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "mode": "0666"}])
    assert nodes[0]["path"] == "/dev/null" and nodes[0]["major"] == 1
    assert rules[0]["allow"] is True and rules[0]["major"] == 1


def test_all_devices_are_a_rule_without_a_node():
    nodes, rules = cgroup.devices([{"path": "all", "type": "b"}])
    assert nodes == [] and rules == [{"allow": True, "type": "b", "access": "rwm"}]


def test_own_rules_come_first():
    rules = cgroup.resources({"devices": [{"type": "a", "access": "rwm"}]}, [{"allow": True}])["devices"]
    assert rules == [{"allow": False, "type": "a", "access": "rwm"}, {"allow": True}]


@pytest.mark.parametrize(
    "asked",
    [{"memory": {"limit": 64 << 20}}, {"cpu": {"shares": 512}}, {"pids": {"limit": 100}}, {"network": {"classID": 7}}],
)
def test_a_limit_stands_in_its_group(asked):
    ((group, limits),) = asked.items()
    assert limits.items() <= cgroup.resources(asked, [])[group].items()
