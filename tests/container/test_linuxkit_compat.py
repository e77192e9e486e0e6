"""What LinuxKit's parser drops, dropped on request."""

from pipeline.container.linuxkit_compat import as_parsed


def test_keys_that_linuxkit_forgets_are_left_out():
    resources = {"memory": {"limit": 1, "kernelTCP": 2}, "cpu": {"realtimePeriod": 3}, "hugepageLimits": [{}]}
    entry = {"name": "x", "resources": resources}
    assert as_parsed(entry) == {"name": "x", "resources": {"memory": {"limit": 1}, "cpu": {}}}
    assert resources["memory"] == {"limit": 1, "kernelTCP": 2}


def test_mapped_ids_are_zero():
    entry = {"uidMappings": [{"containerID": 1, "hostID": 1000, "size": 10}]}
    assert as_parsed(entry) == {"uidMappings": [{"containerID": 0, "hostID": 0, "size": 10}]}


def test_all_else_stays():
    assert as_parsed({"name": "x", "env": ["A=b"]}) == {"name": "x", "env": ["A=b"]}
