"""Where packages lie in a repository."""

from pathlib import Path

from pipeline.recipe.debian import Package
from pipeline.recipe.repositories import path_in, url_in

PACKAGE = Package("tool", "1+b1", "amd64", "pool/t/tool_1+b1_amd64.deb", 1, "0" * 64)


def test_a_path_on_this_machine_and_a_url_elsewhere():
    assert path_in("file:/srv/de%20bian/", PACKAGE) == Path("/srv/de bian/pool/t/tool_1+b1_amd64.deb")
    assert url_in("http://host/debian/", PACKAGE) == "http://host/debian/pool/t/tool_1%2Bb1_amd64.deb"
