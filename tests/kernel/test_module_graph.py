"""Which modules need which others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernel.modinfo import Module
from pipeline.kernel.module_graph import dependencies, depmod_order, scan
from pipeline.model.errors import BadInput
from pipeline.model.tree import Tree, only
from tests.kernel import elf


def module(name, *uses):
    symbols = tuple(f"{used}_symbol".encode() for used in uses)
    return Module(f"kernel/{name}.ko", name, (), (), (f"{name}_symbol".encode(),), symbols)


@st.composite
def graphs(draw):
    """Modules that use only modules before them."""
    names = [f"m{number}" for number in range(draw(st.integers(1, 8)))]
    return [module(name, *draw(st.sets(st.sampled_from(names[:at] or ["kernel"])))) for at, name in enumerate(names)]


@given(graphs(), st.randoms())
def test_a_module_has_all_that_it_needs_behind_its_users(modules, chance):
    chance.shuffle(modules)
    needed = {each.name: [other.name for other in others] for each, others in dependencies(modules)}
    direct = {
        each.name: {name.decode().removesuffix("_symbol") for name in each.uses} & needed.keys() for each in modules
    }
    for name, others in needed.items():
        assert set(others) == direct[name].union(*(needed[other] for other in direct[name]))
        assert all(others.index(used) > at for at, other in enumerate(others) for used in direct[other])


def test_a_circle_is_an_error_that_names_its_modules():
    with pytest.raises(BadInput, match="in a cycle: a, b"):
        list(dependencies([module("a", "b"), module("b", "a"), module("c")]))


def test_the_order_is_that_of_modules_order_and_then_of_paths():
    modules = [module("c"), module("b"), module("a")]
    compressed = [each._replace(path=each.path + ".xz") for each in modules]
    assert [each.name for each in depmod_order(compressed, ["kernel/b.ko"])] == ["b", "a", "c"]


def test_of_two_modules_of_a_name_the_one_in_updates_counts(store):
    tree = Tree()
    for path in ("kernel/a.ko", "updates/a.ko", "kernel/readme"):
        tree.update(only(f"lib/modules/6/{path}", store.content(elf.module(exports=[path[:7]]))))
    assert [each.path for each in scan(store, tree, "lib/modules/6/")] == ["updates/a.ko"]
