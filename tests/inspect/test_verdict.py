"""The table of runs that made the same formats."""

import json

from pipeline.inspect.verdict import Row, Verdict

A, B = {"f": "a" * 64}, {"f": "b" * 64}


def row(name, sums, **more):
    return Row(name, "umask 077", 1.5, sums, {}, **more)


def test_runs_agree_with_the_first():
    found = Verdict(("tar", "iso"), (row("plain", {"tar": A, "iso": B}), row("other", {"tar": A, "iso": A})))
    assert str(found) == "3 of 4 agree (2 runs × 2 formats)"
    assert not found.agrees(found.rows[1], "iso") and found.agrees(found.rows[1], "tar")
    line = found.last_lines()[0]
    assert line.startswith("other") and "tar=" in line and line.count("!") == 1 and "umask 077" in line
    assert [("not the same" in line) for line in [row[2] for row in found.report().tables[0].rows]][:2] == [False, True]


def test_a_run_that_failed_agrees_with_nothing():
    found = Verdict(("tar",), (row("plain", {"tar": A}), row("other", {"tar": A}, failed="the end")))
    assert found.agreeing == 1 and "the end" in "\n".join(found.last_lines())


def test_the_json_has_every_sum():
    found = Verdict(("tar",), (row("plain", {"tar": A}), row("other", {"tar": A})))
    document = json.loads(json.dumps(found.report().document))
    assert (document["agree"], document["of"]) == (2, 2) and document["formats"] == {"tar": True}
