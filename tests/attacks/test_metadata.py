"""Hostile metadata and user data through the node's own code (images/metadata), run by the host's Lua."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import patience
from tests.judges import need, run
from tests.project import ROOT

DRIVER = Path(__file__).with_name("metadata.lua")
SECONDS = 30
"""Time limit for a document of 1 MiB, in seconds of a quiet machine, which needs one."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG me@here"
MIB = 1 << 20


class InvalidValue(Exception):
    """The document is refused, with this line."""


def read(kind: str, document: bytes | str) -> Any:
    """Returns what the node makes of `document`, from JSON; InvalidValue if it is refused."""
    data = document.encode() if isinstance(document, str) else document
    command = [need("lua5.3"), str(DRIVER), str(ROOT), kind]
    done = subprocess.run(command, input=data, capture_output=True, timeout=patience.seconds(SECONDS))
    said = done.stdout.decode(errors="replace").rstrip("\n")
    assert done.returncode in (0, 1) and not done.stderr, done.stderr
    if done.returncode == 0:
        return json.loads(said)
    assert "\n" not in said.replace("\\\n", "") and ".lua:" not in said, said  # a sentence, no place in our own code
    raise InvalidValue(said)


def user(**entry: object) -> str:
    return json.dumps({"ssh": {"entries": {"authorized_keys": entry}}})


REFUSED = {
    "keys with a command": ("userdata", user(content=f'command="/bin/sh" {KEY}'), "1 lines are not public keys"),
    "keys of a certificate authority": ("userdata", user(content=f"cert-authority {KEY}"), "not public keys"),
    "a good key and one with options": ("userdata", user(content=f'{KEY}\nfrom="*" {KEY}\n'), "1 lines are not"),
    "keys behind a carriage return": ("userdata", user(content=f"# x\rcommand=x {KEY}"), "1 lines are not"),
    "keys anywhere": ("userdata", '{"a":{"entries":{"authorized_keys2":{"content":"x"}}}}', "a/authorized_keys2: 1"),
    "a mode for everybody": ("userdata", '{"a":{"content":"","perm":"0777"}}', "perm 0777 has more than 0755"),
    "a mode for the group": ("userdata", '{"a":{"content":"","perm":"0660"}}', "more than 0755"),
    "a directory for everybody": ("userdata", '{"a":{"entries":{},"perm":"0777"}}', "more than 0755"),
    "set-uid": ("userdata", '{"a":{"content":"","perm":"4755"}}', "perm is not"),
    "a mode that is a number": ("userdata", '{"a":{"content":"","perm":511}}', "perm is not a text"),
    "a mode with a sign": ("userdata", '{"a":{"content":"","perm":"-755"}}', "perm is not"),
    "a path": ("userdata", '{"../../etc/passwd":{"content":"x"}}', "not a file name"),
    "a folder above": ("userdata", '{"..":{"entries":{"x":{"content":"x"}}}}', "not a file name"),
    "a name with NUL": ("userdata", '{"a\\u0000b":{"content":"x"}}', "not a file name"),
    "a name with an escape": ("userdata", '{"\\u001b[2J":{"content":"x"}}', r"\\27\[2J.*not a file name"),
    "a host name that is a command": ("userdata", '{"hostname":{"content":"$(reboot)"}}', "not a host name"),
    "the provider's own file": ("userdata", '{"provider":{"content":"x"}}', "written by metadata"),
    "names that come twice": ("userdata", '{"a":{"content":"x"},"a":{"content":"y"}}', "comes twice"),
    "folders without end": ("userdata", '{"d":{"entries":' * 20 + "{}" + "}}" * 20, "too deep"),
    "JSON without end": ("userdata", '{"d":' * 100_000, "too deep"),
    "many files": ("userdata", json.dumps({str(n): {"content": ""} for n in range(50_000)}), "more than 1000"),
    "broken JSON": ("openstack", "{broken", "meta_data.json: JSON: expected a key at line 1"),
    "HTML": ("openstack", "<html>captive portal</html>", "expected a value at line 1"),
    "nothing at all": ("openstack", "", "expected a value"),
    "a list": ("openstack", "[]", "expected an object"),
    "a host name that is an object": ("openstack", '{"hostname":{"a":1}}', "hostname: expected a text"),
    "keys that are numbers": ("openstack", '{"public_keys":{"a":1}}', "expected public keys"),
    "keys that come twice": ("openstack", f'{{"public_keys":{{}},"public_keys":{{"a":"{KEY}"}}}}', "comes twice"),
    "an alias bomb": ("cidata", "a: &a [x]\nb: &b [*a,*a]\n", r"an anchor \(&\) is not understood at line 1"),
    "a tag": ("cidata", "a: !!python/object:os.system x", "a tag"),
    "YAML without end": ("cidata", "[" * MIB, "too deep"),
    "lists without end": ("cidata", "- " * 500_000, "too deep"),
    "two documents": ("cidata", f"a: b\n---\npublic-keys: [{KEY}]\n", "a second document at line 2"),
    "UTF-16": ("cidata", "a: b".encode("utf-16"), "UTF-8|control character"),
    "an escape": ("cidata", "local-hostname: \x1b[2J", "a control character at line 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_stops_the_boot_with_its_reason(name: str) -> None:
    kind, document, why = REFUSED[name]
    with pytest.raises(InvalidValue, match=why):
        read(kind, document)


FILTERED = {
    "options": [f'command="x" {KEY}', f"no-pty {KEY}", f" @x {KEY}", "x" + KEY],
    "lines in a line": [f"{KEY}\ncommand=x {KEY}".replace(KEY, "x", 1)],
    "a key of 20 KB": ["ssh-rsa " + "A" * 20_000],
    "escapes": [KEY + "\x1b[2J"],
}


@pytest.mark.parametrize("name", FILTERED)
def test_keys_of_the_metadata_that_are_none_are_left_out_and_counted(name: str) -> None:
    keys = FILTERED[name]
    found = read("openstack", json.dumps({"public_keys": {str(n): key for n, key in enumerate([KEY, *keys])}}))
    assert found["keys"] == [KEY] and found["refused"] >= len(keys)


@pytest.mark.parametrize("bad", ["$(reboot)", "a b", "-x", "a..b", "x" * 65, "a\nb", "ä", "\x1b[2J"])
def test_a_host_name_that_is_none_is_left_out(bad: str) -> None:
    assert "hostname" not in read("openstack", json.dumps({"hostname": bad}))


LONG = {
    "spaces in a key": ("openstack", json.dumps({"public_keys": {"a": "ssh-rsa A" + " " * MIB + "x"}})),
    "spaces behind a value": ("cidata", "a: b" + " " * MIB + "c"),
    "spaces in quotes": ("cidata", "a: '" + " " * MIB + "'"),
    "lines of spaces": ("cidata", "a: |\n" + (" " * 1000 + "\n") * 1000),
    "many colons": ("cidata", "a: " + ":" * MIB),
    "many hashes": ("cidata", "a: [" + "#" * MIB + "]"),
    "many quotes": ("cidata", "a: " + "'" * (MIB // 2) * 2),
    "many keys": ("cidata", "".join(f"k{n}: v\n" for n in range(100_000))),
    "many items": ("openstack", '{"keys":[' + "null," * 200_000 + "null]}"),
    "spaces before user data": ("userdata", " " * MIB + "{}"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_document_of_1_mib_takes_no_long_time(name: str) -> None:
    with suppress(InvalidValue):
        read(*LONG[name])


@given(st.binary(max_size=300), st.sampled_from(["openstack", "cidata", "userdata", "yaml"]))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_document_or_refused(document: bytes, kind: str) -> None:
    with suppress(InvalidValue):
        read(kind, document)


words = [*"ab:-#'\"[]{},|>&*!? \n\\~", ": ", "- ", "\n  ", "\n- ", "'k'", "null"]


@given(st.lists(st.sampled_from(words), max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_yaml_means_the_same_as_elsewhere_or_is_refused(parts: list[str]) -> None:
    """What PyYAML reads, the node reads alike, or says that it does not understand it."""
    document = "".join(parts)
    try:
        ours = read("yaml", document)
    except InvalidValue:
        return
    assert ours == meaning(yaml.compose(document, yaml.SafeLoader))


scalars = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Co", "Cn")), max_size=30),
    st.text("ab :#-\n", max_size=30),
    st.sampled_from([KEY, "no", "012", "~", "null", "", "- a", "a: b", " a", "a ", "\n", "a\n\n"]),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(scalars, inner, max_size=4))


styles = st.sampled_from([None, '"', "'", "|", ">"])


@given(values, st.sampled_from([True, False, None]), styles, st.sampled_from([20, 80]))
@settings(max_examples=200, deadline=None)
def test_whatever_pyyaml_writes_is_read(value: Any, flow: bool | None, style: str | None, width: int) -> None:
    document = yaml.safe_dump(value, default_flow_style=flow, default_style=style, width=width, allow_unicode=True)
    if "? " in document or "\x85" in document:
        return  # keys of more than one line; line breaks of YAML 1.1
    assert read("yaml", document) == meaning(yaml.compose(document, yaml.SafeLoader))


def meaning(node: yaml.Node | None) -> Any:
    """Returns the value of a node as the metadata step takes it: scalars as texts, null left out."""
    if node is None or isinstance(node, yaml.ScalarNode):
        is_null = node is None or (not node.style and node.value in ("", "~", "null", "Null", "NULL"))
        return None if is_null else node.value
    if isinstance(node, yaml.SequenceNode):
        return [each for each in map(meaning, node.value) if each is not None]
    return {key.value: meaning(value) for key, value in node.value if meaning(value) is not None}


def test_the_node_s_own_tests_in_lua_pass() -> None:
    run(need("lua5.3"), ROOT / "images/init/tests/run.lua")
