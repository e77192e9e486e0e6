"""Reports: one table in all forms."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inspect import report
from pipeline.inspect.report import Report, Table

PARTS = Table("parts", ("part", "bytes"), [("kernel", 12_345), ("a\x1bb|c", 7), ("all", 12_352)])
words = st.text("abc\n", max_size=4)


def test_numbers_of_a_text_are_right_aligned_and_have_separators():
    assert report.text(Report("node", [PARTS.first(2)], {})) == (
        "node\n\nparts\n  part       bytes\n  kernel    12,345\n  a\\x1bb|c       7\n  … and 1 more\n"
    )


def test_a_table_of_no_rows_is_its_headings():
    assert report.text(Report("node", [PARTS._replace(rows=[])], {})) == "node\n\nparts\n  part  bytes\n"


def test_markdown_counts_what_it_leaves_out():
    text = report.markdown(Report("node", [PARTS.first(1)], {}, "2 parts"))
    assert text.startswith("**`node`**: 2 parts\n\n<details><summary>parts</summary>\n\n| part | bytes |\n|---|---|\n")
    assert "| `kernel` | `12,345` |\n\n… and 2 more\n" in text


def test_a_page_has_the_figure_before_its_tables_and_loads_nothing():
    page = report.page(Report("<node>", [PARTS], {}, figure="<svg></svg>"))
    assert page.index("<h1>&lt;node&gt;</h1>") < page.index("<svg>") < page.index("<table>")
    assert '<td class="number">12,345</td>' in page and "http" not in page and "\x1b" not in page


@given(st.lists(st.tuples(words, st.integers(), words), min_size=1))
def test_every_line_of_a_text_has_its_columns_at_the_same_places(rows):
    lines = report.aligned(rows)
    first = max(len(repr(text)[1:-1]) for text, _, _ in rows)
    numbers = [f"{number:,}" for _, number, _ in rows]
    second = first + 2 + max(map(len, numbers))
    assert [line.ljust(second)[first + 2 : second].strip() for line in lines] == numbers
