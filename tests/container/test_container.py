"""Keys of a container: those of an entry are those of an image's label, with a name and an image."""

import re

import pytest

from pipeline.container.container import CONDITIONS, Config
from pipeline.language.problem import Problems
from pipeline.language.schema import fields, kind, plain
from pipeline.planning.load import load
from tests.language.values import read
from tests.project import ROOT


def test_a_key_of_a_container_is_read_at_its_place():
    value, problems = read(kind(Config), "command: [/bin/sh]\nnet: host\nuid: 0\nreadonly: true\n")
    assert not problems
    assert plain(value) == {"command": ["/bin/sh"], "net": "host", "uid": 0, "readonly": True}


def test_every_wrong_key_is_told_at_once():
    _, problems = read(kind(Config), "command: sleep\ncapabilites: [all]\nreadonly: maybe\n")
    assert [problem.place.line for problem in problems] == [1, 2, 3]
    assert "did you mean 'capabilities'" in problems[1].hint


def test_every_key_has_a_manual():
    from pipeline.planning.describe import manual

    text = manual()
    assert all(f"`{name}`" in text for name in fields(Config))


def test_a_condition_that_there_is_not_is_told_at_its_line(tmp_path):
    spec = tmp_path / "a.yml"
    text = "services:\n  - name: a\n    image: x\n    annotations:\n      nodekiln.after: network,{}\n"
    spec.write_text(text.format("time"))
    load(spec)
    spec.write_text(text.format("tmie"))
    with pytest.raises(Problems) as caught:
        load(spec)
    (problem,) = caught.value.problems
    assert (problem.place.line, problem.message) == (5, "'tmie' is not a condition of nodekiln.after")
    assert problem.hint == "did you mean 'time'?"


def test_the_conditions_are_those_that_the_boot_code_answers():
    text = (ROOT / "images/init/lua/conditions.lua").read_text()
    assert set(re.findall(r"^  (\w+) = function", text, re.MULTILINE)) == {*CONDITIONS}
    words = ", ".join(f'"{word}"' for word in CONDITIONS)
    assert f"list({words})" in (ROOT / "images/init/lua/policy.lua").read_text()
