"""The label by which an image brings its own configuration."""

import json

import pytest

from pipeline.container.label import read_label
from pipeline.language.problem import StageProblem
from pipeline.oci.config import LABEL


def test_yaml_and_json_say_the_same():
    expected = {"capabilities": ["CAP_SYS_TIME"], "binds": ["/a:/b"]}
    assert read_label({LABEL: json.dumps(expected)}) == expected
    assert read_label({LABEL: "capabilities: [CAP_SYS_TIME]\nbinds: ['/a:/b']\n"}) == expected


@pytest.mark.parametrize("labels", [{}, {LABEL: ""}, {"other": "x"}])
def test_without_the_label_nothing_is_said(labels):
    assert read_label(labels) == {}


@pytest.mark.parametrize("text", ["capabilities: yes", "nonsense: 1", "- a", "{", "&a *a", "pid: [1]"])
def test_a_wrong_label_is_a_problem_of_the_image(text):
    with pytest.raises(StageProblem) as caught:
        read_label({LABEL: text})
    assert caught.value.path == ("image",) and LABEL in caught.value.message
