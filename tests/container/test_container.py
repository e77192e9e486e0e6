"""Keys of a container: those of an entry are those of an image's label, with a name and an image."""

from pipeline.container.container import Config
from pipeline.language.schema import fields, kind, plain
from tests.language.values import read


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
