"""Records show that a secret changed, and not what it is."""

import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.host.redact import redact

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "contents", "env", "Env"]) | st.text(max_size=5), inner, max_size=4)
    ),
)


@given(values)
def test_redacting_twice_changes_nothing(value):
    assert redact(redact(value)) == redact(value)


@given(st.text(min_size=4), st.text(min_size=4))
def test_contents_and_values_are_digests_that_differ_when_they_do(secret, other):
    def document(text):
        return {"files": [{"path": "etc/x", "contents": text}], "env": [f"KEY={text}"]}

    shown = redact(document("secret" + secret))
    assert "secret" + secret not in json.dumps(shown, ensure_ascii=False)
    assert shown["files"][0]["path"] == "etc/x" and list(shown["env"]) == ["KEY"]
    assert (redact(document("secret" + other)) == shown) == (secret == other)


def test_a_variable_without_a_value_has_none():
    assert redact({"Env": ["A", "B="]})["Env"]["A"] == ""
    assert redact({"Env": ["A", "B="]})["Env"]["B"].startswith("sha256:")


def test_a_config_inside_of_a_text_is_looked_into():
    name = "org.mobyproject.config"
    assert redact({name: json.dumps({"image": "x", "env": ["A=b"]})})[name]["image"] == "x"
    assert list(redact({name: "not JSON"})[name]) == ["sha256"]
