"""What differs between two records of an action, in words."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks import staleness

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "name"]), inner, max_size=3),
    max_leaves=8,
)
params = st.dictionaries(st.sampled_from(["x", "y"]), values, max_size=2)


def record(params, inputs=None, key="k", **more):
    return {"key": key, "params": params, "inputs": inputs or {}, **more}


@given(params, params)
def test_nothing_is_reported_for_equal_parameters_alone(before, now):
    found = staleness.changes(record(before), record(now))
    assert (not found) == (repr(before) == repr(now) or (before == now and not found))


def test_a_field_is_named_with_both_values():
    before, now = record({"env": {"level": 3}}, key="a"), record({"env": {"level": 4}}, key="b")
    assert staleness.difference(before, now) == "env.level: 3 -> 4"
    assert staleness.summary(before, now) == "env.level changed"


def test_items_of_a_list_are_told_apart_by_name():
    before = record({"files": [{"path": "a", "mode": 1}, {"path": "b", "mode": 1}]}, key="a")
    now = record({"files": [{"path": "b", "mode": 2}]}, key="b")
    assert staleness.summary(before, now) == "files[a], files[b].mode changed"


def test_inputs_come_next_and_then_the_version_or_damage():
    old, new = record({}, {"a": "1", "b": "1"}, key="a"), record({}, {"a": "2", "c": "1"}, key="b")
    assert staleness.summary(old, new) == "input a, c, b changed"
    assert staleness.summary(record({}, key="a"), record({}, key="b")) == "the stage's own version changed"
    damaged = record({}, damage="x")
    assert "damage was found" in staleness.difference(record({}), damaged) and not staleness.same(record({}), damaged)
    assert staleness.difference(damaged, damaged) == "up to date"


def test_secrets_are_digests():
    before, now = record({"contents": "one"}, key="a"), record({"contents": "two"}, key="b")
    assert "one" not in staleness.difference(before, now) and "contents" in staleness.difference(before, now)
