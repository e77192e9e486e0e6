"""The stages of a node as a picture."""

import pytest

from pipeline.tasks import graph, last_run
from pipeline.tasks.graph import Node

DRAWN = [Node('a "<b>"', last_run.RAN, 1.0, ()), Node("c", "", 0.0, (0,))]


@pytest.mark.parametrize("form", [graph.dot, graph.mermaid, graph.page])
def test_names_are_quoted_and_edges_drawn(form):
    text = form("node", DRAWN)
    assert 'a "<b>"' not in text and "1.00 s" in text


def test_graphviz_s_edges_lead_from_inputs():
    assert "  0 -> 1" in graph.dot("node", DRAWN).splitlines()
    assert DRAWN[1].label == "c"
