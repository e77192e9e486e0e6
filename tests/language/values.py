"""Values read from a text, for tests of kinds."""

from pipeline.language import document
from pipeline.language.problem import Problem
from pipeline.language.reader import InvalidValue, Kind, Reader


def read(kind: Kind, text: str) -> tuple[object, list[Problem]]:
    """Returns the value of a YAML text, None if it is invalid, and its problems."""
    reader = Reader()
    node = document.parse(text.encode(), "a.yml")
    assert node is not None
    try:
        value = reader.read(kind, node, ())
    except InvalidValue:
        value = None
    return value, sorted(reader.problems)
