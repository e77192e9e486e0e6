"""Text for people holds nothing that a terminal would obey."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.host.terminal import escaped, printable, say


@given(st.text())
def test_all_that_is_printed_is_printable_or_a_line_break(text):
    assert all(each.isprintable() or each in "\n\t" for each in escaped(text))
    assert escaped(escaped(text)) == escaped(text)
    assert printable(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_printable_text_stays(text):
    assert printable(text) == text


def test_what_is_said_goes_to_one_of_two_streams(capsys):
    say("a\x1b[2J")
    say("b", error=True)
    assert capsys.readouterr() == ("a\\x1b[2J\n", "b\n")
