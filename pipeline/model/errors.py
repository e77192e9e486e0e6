"""The two kinds of errors that a person can mend. They are shown as their text alone, without a traceback."""


class NodekilnError(Exception):
    """Something that was asked for cannot be done now: the text says what, where, and what would help."""


class BadInput(NodekilnError):
    """An input (spec, recipe, image) is wrong, so that trying again does not help. Exit code 3."""
