"""Docstrings begin with a verb or a noun phrase."""

from tests import docstrings


def test_few_docstrings_are_headless_clauses() -> None:
    headless, every = docstrings.headless(), docstrings.docstrings()
    assert len(every) > 2000
    lines = [f"{each.place} {each.text.splitlines()[0][:80]}" for each in headless]
    assert len(headless) < 0.03 * len(every), "\n".join(lines)
