"""The config of an image, of which only known fields are taken."""

import json

import pytest

from pipeline.oci import config
from pipeline.oci.error import Refusal


def parsed(**run):
    return config.parse(json.dumps({"architecture": "amd64", "os": "linux", "config": run}).encode(), "x")


def test_known_fields_are_typed_and_others_stay_behind():
    found = parsed(Env=["A=b"], Volumes={"/v": {}}, ExposedPorts={"80/tcp": {}, "22/tcp": {}}, Healthcheck={"x": 1})
    assert found["Env"] == ["A=b"] and found["Volumes"] == ["/v"] and found["ExposedPorts"] == ["22/tcp", "80/tcp"]
    assert "Healthcheck" not in found and found["Cmd"] == [] and found["User"] == ""


def test_of_labels_a_lock_has_one():
    found = parsed(Labels={"a": "b", config.LABEL: "{}"}, Cmd=["/bin/x"], User="web")
    assert config.locked_fields(found) == {"Cmd": ["/bin/x"], "User": "web", "Labels": {config.LABEL: "{}"}}
    assert config.locked_fields(parsed()) == {}


@pytest.mark.parametrize("user", ["root", "0", "web:web", "1000:33", "a.b-c$", str(config.HIGHEST_ID)])
def test_users_are_names_or_ids(user):
    assert parsed(User=user)["User"] == user


@pytest.mark.parametrize(
    "run",
    [
        {"User": "a:b:c"}, {"User": str(config.HIGHEST_ID + 1)}, {"User": "-1"}, {"User": "a b"}, {"Env": "A=b"},
        {"Env": [1]}, {"Cmd": ["a\0b"]}, {"Labels": {"a": 1}}, {"Volumes": []}, {"Env": ["x"] * (config.ITEMS + 1)},
    ],
)  # fmt: skip
def test_wrong_fields_are_refused(run):
    with pytest.raises(Refusal, match="x: "):
        parsed(**run)
