"""Baselines as data, and the judgement of facts by their rules."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.container.container import Container
from pipeline.inspect import baseline as baselines
from pipeline.inspect.baseline import CONTAINER, Rule, Verdict
from pipeline.inspect.container_facts import Words
from pipeline.language import document
from pipeline.language.problem import Problems
from pipeline.language.reader import Reader
from pipeline.language.schema import kind, violations
from pipeline.model.errors import BadInput

RULES = [(name, rule) for name in baselines.names() for rule in baselines.find(name).rules]
every_rule = pytest.mark.parametrize(("name", "rule"), RULES, ids=lambda value: getattr(value, "id", value))


def test_the_baselines_that_there_are() -> None:
    assert baselines.names() == ("bottlerocket", "cis", "kspp", "talos")
    with pytest.raises(BadInput, match=r"there is no baseline 'ksp' .did you mean 'kspp'"):
        baselines.find("ksp")


def keeps(rule: Rule) -> Words:
    """Returns words with which a rule holds."""
    if rule.only is not None or rule.none_of is not None:
        return ()
    return tuple((rule.is_ or rule.has or (str(rule.at_least),))[: None if rule.has else 1])


def breaks(rule: Rule) -> Words:
    """Returns words that break a rule."""
    if rule.none_of is not None:
        return (rule.none_of[0].replace("*", "x"),)
    return ("bad",) if rule.is_ is not None or rule.only is not None else ()


@every_rule
def test_a_rule_has_a_source_a_reason_and_words_for_and_against(name: str, rule: Rule) -> None:
    assert all(source.startswith("https://") for source in baselines.find(name).sources)
    assert rule.reason and not rule.reason.endswith(".") and (rule.hosts is None or len(rule.hosts) > 20)
    assert rule.offending(keeps(rule)) is None
    assert rule.offending(breaks(rule)) is not None
    assert rule.expected


@every_rule
def test_the_line_that_follows_a_rule_is_one_of_a_spec(name: str, rule: Rule) -> None:
    if rule.set is None or not rule.facts[0].startswith(CONTAINER):
        return
    reader = Reader()
    node = document.parse(f"name: a\nimage: b\n{rule.set.replace('{kept}', 'none')}\n".encode(), "spec")
    assert node is not None
    value = reader.read(kind(Container), node, ())
    assert not reader.problems and not [*violations(value)]


@pytest.mark.parametrize(
    ("test", "words", "offending"),
    [
        ({"is": ["1", "on"]}, ("1",), None),
        ({"is": ["1"]}, (), ()),
        ({"is": ["1"]}, ("1", "0"), ("0",)),
        ({"has": ["a", "b"]}, ("b", "c", "a"), None),
        ({"has": ["a", "b"]}, ("b",), ("a",)),
        ({"none-of": ["*"]}, (), None),
        ({"none-of": ["0:*"]}, ("0:5",), ("0:5",)),
        ({"only": ["CAP_A*"]}, ("CAP_AB",), None),
        ({"only": ["CAP_A*"]}, ("CAP_AB", "CAP_B"), ("CAP_B",)),
        ({"at-least": 0}, ("auto",), None),
        ({"at-least": 0}, (), ()),
        ({"at-least": 5}, ("4",), ("4",)),
    ],
)
def test_a_rule_compares(tmp_path: Path, test: dict[str, object], words: Words, offending: Words | None) -> None:
    (rule,) = read(tmp_path, {"id": "a", "fact": "root", "reason": "b"} | test).rules
    assert rule.offending(words) == offending


def read(folder: Path, *rules: dict[str, object]) -> baselines.Baseline:
    (folder / "own.yml").write_text(yaml.safe_dump({"title": "t", "sources": ["https://a"], "rules": [*rules]}))
    return baselines.read(folder / "own.yml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fact": "roto"}, "there is no fact 'roto' .did you mean 'root'"),
        ({"fact": "container.neet"}, "there is no fact 'container.neet' .did you mean 'container.net'"),
        ({"is": ["a"], "only": ["b"]}, "compares with none or several"),
        ({"is": None}, "expected a list, not nothing"),
        ({"fact": ["root", "container.net"]}, "is about the node and about containers"),
        ({"unknown": 1}, "unknown key 'unknown'"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(Problems, match=message) as caught:
        read(tmp_path, {"id": "a", "fact": "root", "reason": "b", "is": ["c"]} | change)
    assert str(caught.value).startswith(f"{tmp_path}/own.yml:")


def test_two_rules_have_two_identifiers(tmp_path: Path) -> None:
    rule: dict[str, object] = {"id": "a", "fact": "root", "reason": "b", "is": ["c"]}
    with pytest.raises(Problems, match="two rules have the identifier 'a'"):
        read(tmp_path, rule, rule)


def judged(folder: Path, rule: dict[str, object], words: Words | None, config: str = "", arch: str = "amd64") -> object:
    own = read(folder, {"id": "a", "fact": "sysctl.x", "reason": "b", "is": ["1"]} | rule)
    found = [*baselines.judge_node(own, lambda name: words, config, arch)]
    return (found[0].verdict, found[0].by_kernel) if found else None


def test_verdicts(tmp_path: Path) -> None:
    assert judged(tmp_path, {}, ("1",)) == (Verdict.HOLDS, False)
    assert judged(tmp_path, {}, ("0",)) == judged(tmp_path, {}, ()) == (Verdict.WEAK, False)
    assert judged(tmp_path, {}, None) == (Verdict.UNKNOWN, False)
    assert judged(tmp_path, {"hosts": "r"}, ("0",)) == (Verdict.NOT_FOR_HOSTS, False)
    assert judged(tmp_path, {"hosts": "r"}, ("1",)) == (Verdict.HOLDS, False)
    assert judged(tmp_path, {"arch": ["arm64"]}, ()) is None
    assert judged(tmp_path, {"fact": "container.net"}, ()) is None


def test_what_nothing_sets_the_kernel_may_do_by_itself(tmp_path: Path) -> None:
    built_in = {"built-in": ["CONFIG_A=y", "!# CONFIG_B is not set"]}
    assert judged(tmp_path, built_in, (), "CONFIG_A=y\nCONFIG_C=y") == (Verdict.HOLDS, True)
    assert judged(tmp_path, built_in, (), "CONFIG_A=y\n# CONFIG_B is not set") == (Verdict.WEAK, False)
    assert judged(tmp_path, built_in, (), "") == (Verdict.WEAK, False)
    assert judged(tmp_path, built_in, ("0",), "CONFIG_A=y") == (Verdict.WEAK, False)
    assert judged(tmp_path, {"default": "1"}, ()) == (Verdict.HOLDS, True)
    assert judged(tmp_path, {"default": "0"}, ()) == (Verdict.WEAK, False)


def test_a_rule_about_containers_may_be_about_some(tmp_path: Path) -> None:
    own = read(tmp_path, {"id": "a", "fact": "container.net", "reason": "b", "is": ["new"], "sections": ["services"]})
    facts: dict[str, Words | None] = {"net": ("host",)}
    assert [each.verdict for each in baselines.judge_container(own, "services", "s", facts)] == [Verdict.WEAK]
    assert [*baselines.judge_container(own, "onboot", "s", facts)] == []
