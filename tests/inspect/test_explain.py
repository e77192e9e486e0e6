"""Images in a layout (and so in a registry), and stages that give images."""

import gzip
import json

from pipeline.inspect import side as sides
from pipeline.inspect.comparison import Change, compare
from pipeline.inspect.explain import BuiltFormat, explain, in_order
from pipeline.inspect.record import inside
from pipeline.spec import build
from pipeline.store import Store
from tests.oci import craft

ARCH = build.filled_in(build.Build()).arch[0]


def layer(content: bytes, mtime: int = 1) -> bytes:
    hostname = craft.entry(b"etc/hostname", "f", content, mtime=mtime)
    return craft.archive(hostname, craft.entry(b"usr/bin/x", "f", b"program"))


def test_two_images(store, tmp_path):
    folder = tmp_path / "layout"
    for name, content in (("old", b"one"), ("new", b"two!")):
        craft.image(folder, [layer(content)], name=name, config={"architecture": ARCH})
    found = compare(*(sides.side(store, f"oci:{folder}:{name}") for name in ("old", "new")))
    assert found.topics["files"] == (Change("etc/hostname (size)", "3", "4"),)
    assert found.topics["sizes"] == (Change("etc", "3", "4"),)


def build_of(folder, mtime):
    """A format whose one stage is an image with a layer of this time stamp."""
    store = Store(folder)
    data = gzip.compress(layer(b"node", mtime), mtime=0)
    manifest = {"layers": [{"digest": store.put(data), "size": len(data)}]}
    stage = {"key": "0" * 64, "result": store.put(json.dumps(manifest).encode())}
    return BuiltFormat({"stages": {"sshd/image": stage}, "files": {"a": {"sha256": str(mtime)}}}, inside(folder), store)


def test_a_stage_that_gives_an_image_is_explained_by_its_layers(tmp_path):
    found = explain(build_of(tmp_path / "left", 1), build_of(tmp_path / "right", 2))
    assert found.stage == "sshd/image"
    assert found.inside[0].field == "/layers/0/digest"
    assert str(found.inside[1]) == "/layers/0/digest → archives → archive 1 → tar → etc/hostname → mtime: 1 | 2"
    assert str(found.files[0]) == "a → sha256: 1 | 2"


def test_a_stage_whose_result_is_gone_still_has_its_name(tmp_path):
    left, right = build_of(tmp_path / "left", 1), build_of(tmp_path / "right", 2)
    right.store.path(right.entry["stages"]["sshd/image"]["result"]).unlink()
    assert explain(left, right).inside == () == explain(left._replace(store=None), right).inside
    assert explain(left, right).stage == "sshd/image"


def test_a_file_that_was_overwritten_since_is_not_taken_for_what_was_made(tmp_path):
    """Formats whose files have one name; a folder that was built again."""
    left, right = (build_of(tmp_path / name, mtime) for name, mtime in (("left", 1), ("right", 2)))
    for each in (left, right):
        (tmp_path / each.store.root.name / "a").write_text("something else")
    found = explain(left, right)
    assert [str(each) for each in found.files] == ["a → sha256: 1 | 2"]


def test_stages_are_in_the_order_of_the_build(store):
    stages = {name: {"key": f"{number:064}"} for number, name in enumerate(["z", "a", "m"])}
    store.remember(stages["a"]["key"], store.put(b"a"), {"inputs": {"z": stages["z"]["key"]}})
    store.remember(stages["z"]["key"], store.put(b"z"), {"inputs": {"m": stages["m"]["key"]}})
    assert in_order(stages, [store]) == ["m", "z", "a"]
    assert in_order(stages, []) == ["a", "m", "z"]
