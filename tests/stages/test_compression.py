"""The compression that a kernel can unpack."""

import pytest

from pipeline.model.tree import File, Tree, complete
from pipeline.stages.compression import choice, compression

CHOICES = ["zstd:4", "gzip:6"]


def chosen(store, **texts):
    entries = {path.replace("__", "/"): store.content(text.encode()) for path, text in texts.items()}
    tree = complete(Tree((path, File(0o644, 0, 0, 0, (), content)) for path, content in entries.items()))
    return choice(store, compression(store, store.put_tree(tree), binary="/kernel", choices=CHOICES))


@pytest.mark.parametrize(
    "config, expected",
    [
        ("CONFIG_RD_GZIP=y\nCONFIG_RD_ZSTD=y\n", "zstd:4"), ("CONFIG_RD_GZIP=y\n", "gzip:6"),
        ("# CONFIG_RD_ZSTD is not set\n", "none"), ("CONFIG_RD_ZSTD=m\n", "none"),
    ],
)  # fmt: skip
def test_the_configuration_beside_the_kernel_decides(store, config, expected):
    assert chosen(store, **{"boot__config-6.1": config, "kernel": "k"}) == expected


def test_without_a_configuration_it_is_the_first(store):
    assert chosen(store, kernel="no kernel that says anything") == "zstd:4" == chosen(store)
