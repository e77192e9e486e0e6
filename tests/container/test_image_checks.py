"""Checks of a container against its image: the ids that names stand for."""

import pytest

from pipeline.container.image_checks import ids_by_name, resolver
from pipeline.language.problem import StageProblem
from pipeline.model.tree import File, Tree, complete


def test_names_are_those_of_the_database(store):
    text = "root:x:0:0::/root:/bin/sh\nbad line\nbig:x:99999999999:\nweb:x:33:\nweb:x:34:\n"
    root = complete(Tree({"etc/passwd": File(0o644, 0, 0, 0, (), store.content(text.encode()))}))
    assert ids_by_name(store, root, "etc/passwd") == {"root": 0, "web": 33}
    assert ids_by_name(store, root, "etc/group") == {}
    find = resolver(store, root, {"web": 100})
    assert find("root", "passwd", ("uid",)) == 0 and find("web", "passwd", ("uid",)) == 100
    with pytest.raises(StageProblem, match=r"'roo' is neither a container .*did you mean 'root'"):
        find("roo", "passwd", ("uid",))
    with pytest.raises(StageProblem, match="without quotes: 33"):
        find("33", "passwd", ("uid",))
