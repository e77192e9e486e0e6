"""Files of a spec that no container sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import sections
from pipeline.engine.action import Action
from pipeline.planning.load import load
from pipeline.planning.unread_files import unread_files
from pipeline.spec import spec
from pipeline.spec.components import Context, Image
from pipeline.store import Store
from tests.conformance import trees as conformance
from tests.stages.images import image, tree_of


@pytest.mark.parametrize(("path", "more", "warning"), [
    ("root/.ssh/authorized_keys", "", "7:12: no container sees '/root/.ssh/authorized_keys' (binds.add brings it in"),
    ("/root//.ssh/authorized_keys", "", "7:12: no container sees '/root/.ssh/authorized_keys'"),
    ("home/a/.ssh/id_rsa", "", "7:12: no container sees"),
    ("etc/ssh/sshd_config", ", binds: []", "7:12: no container sees '/etc/ssh/sshd_config'"),
    ("etc/ssh/authorized_keys", "", ""),
    ("root/.ssh/authorized_keys", ', binds.add: ["/root/.ssh:/x:ro"]', ""),
    ("root/.ssh/authorized_keys", ', binds.add: ["/:/host"]', ""),
    ("root/.ssh/authorized_keys", ', binds.add: ["/root/.ss:/x", "/root/.ssh/x:/y"]', "7:12: no container sees"),
    ("etc/mine.conf", ", command: [/bin/x, --config=/etc/mine.conf]", "7:12: services/a names '/etc/mine.conf'"),
    ("etc/mine.conf", ', env: ["CONFIG=/etc/mine.conf"]', "services/a names '/etc/mine.conf'"),
    ("etc/mine.conf", ', command: [/bin/x, /etc/mine.conf], binds.add: ["/etc/mine.conf:/etc/mine.conf"]', ""),
    ("etc/own.conf", ", command: [/bin/x, /etc/own.conf]", ""),
    ("etc/mine.conf", ", command: [/bin/x, /etc/mine]", ""),
])  # fmt: skip
def test_files_that_no_container_sees(store: Store, tmp_path: Path, path: str, more: str, warning: str) -> None:
    """Of a spec whose second container shares the first one's image, and which has a directory called so as well."""
    text = (
        "services:\n"
        "  - {name: b, image: x, binds: []}\n"
        f"  - {{name: a, image: x{more}}}\n"
        "init: [y]\n"
        "files:\n"
        "  - {path: root/.ssh, directory: true}\n"
        f"  - {{path: {path}, contents: x}}\n"
    )
    (tmp_path / "a.yml").write_text(text)
    loaded = load(tmp_path / "a.yml")
    assert [warning in each for each in seen(store, loaded)] == ([True] if warning else [])


def test_files_of_an_sshd_that_runs_on_the_node_itself(store: Store, tmp_path: Path) -> None:
    text = "init: [y]\nfiles: [{path: root/.ssh/authorized_keys, contents: x}]\n"
    (tmp_path / "a.yml").write_text(text)
    loaded = load(tmp_path / "a.yml")
    assert len(seen(store, loaded)) == 1
    assert not seen(store, loaded, "usr/sbin/sshd")


def seen(store: Store, loaded: spec.Spec, *paths: str) -> list[str]:
    """Returns the warnings for a spec whose only image has the files `paths`, too, and binds /etc/ssh."""
    label = {"binds": ["/etc/ssh:/node:ro"]}
    given = image(store, tree_of(store, "bin/x", "etc/own.conf", *paths), label, Cmd=["/bin/x"])
    manifest, tree = (Action("given", conformance.given, {"digest": digest}) for digest in given)
    parts = sections.components(Context(loaded, lambda text: Image(text, manifest, tree)))
    return [str(each) for each in unread_files(store, loaded, parts)]
