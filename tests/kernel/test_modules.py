"""A kernel's modules: dependency data as depmod writes it, and modules cut to some of them."""

from __future__ import annotations

import gzip
import lzma
import tempfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.kernel import modules
from pipeline.kernel.kmod_index import index, normalize
from pipeline.kernel.modinfo import BadModule, Module, is_module, read
from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest
from pipeline.model.errors import BadInput
from pipeline.model.tree import Tree, complete, only
from pipeline.store import Store
from tests import judges
from tests.kernel import elf

RELEASE = "6.1.0-test"
FOLDER = f"lib/modules/{RELEASE}/"


def kernel(store: Store, files: dict[str, bytes | str]) -> Tree:
    tree = Tree()
    for path, data in files.items():
        tree.update(only(FOLDER + path, store.content(data.encode() if isinstance(data, str) else data)))
    return complete(tree.ordered())


names = st.from_regex(r"[a-z][a-z0-9]{0,3}([_-][a-z0-9]{1,3})?", fullmatch=True)
DEVICES = ["char-major-10-229", "block-major-7-*", "block-major-7-1", "devname:x", "devname:y/z"]
texts = st.text(st.characters(codec="ascii", min_codepoint=33, exclude_characters="=\x7f"), min_size=1, max_size=12)


@st.composite
def kernels(draw: st.DrawFn) -> dict[str, bytes | str]:
    """Modules that use each other's symbols without circles, some of which modules.order knows."""
    chosen = sorted(draw(st.sets(names, min_size=1, max_size=8)), key=lambda name: name.replace("-", "_"))
    chosen = [
        name for n, name in enumerate(chosen) if name.replace("-", "_") not in {c.replace("-", "_") for c in chosen[:n]}
    ]
    chosen = draw(st.permutations(chosen))
    files: dict[str, bytes | str] = {}
    for number, name in enumerate(chosen):
        exports = [f"{name.replace('-', '_')}_{n}" for n in range(draw(st.integers(0, 2)))]
        uses = draw(
            st.lists(
                st.sampled_from([f"{c.replace('-', '_')}_{n}" for c in chosen[:number] for n in (0, 1)] or ["printk"]),
                unique=True,
            )
        )
        aliases = [f"alias={text}" for text in draw(st.lists(st.one_of(texts, st.sampled_from(DEVICES)), max_size=3))]
        soft = [f"softdep=pre: {c}" for c in draw(st.lists(st.sampled_from(chosen), max_size=1))]
        path = draw(st.sampled_from(["kernel/", "kernel/fs/", "updates/"])) + name + ".ko"
        files[path] = elf.module(["license=GPL", *aliases, *soft], exports, ["module_layout", *uses])
    order = draw(st.permutations(list(files)))
    files["modules.order"] = "".join(path + "\n" for path in order)
    files["modules.builtin"] = "".join(f"kernel/{name}.ko\n" for name in draw(st.lists(names, max_size=3, unique=True)))
    files["modules.builtin.modinfo"] = "".join(
        f"{n}.alias={a}\0{n}.license=GPL\0" for n, a in draw(st.lists(st.tuples(names, names), max_size=3))
    )
    return files


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(kernels())
def test_depmod_writes_the_same(files: dict[str, bytes | str]) -> None:
    depmod = judges.need("depmod", "kmod")
    with tempfile.TemporaryDirectory() as name:
        for path, data in files.items():
            place = Path(name, FOLDER, path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data.encode() if isinstance(data, str) else data)
        judges.run(depmod, "-b", name, RELEASE)
        theirs = {item.name: item.read_bytes() for item in Path(name, FOLDER).glob("modules.*")}
        store = Store(Path(name, "cache"))
        ours = modules.depmod(store, kernel(store, files), RELEASE)
    for item in ours:
        if item == "modules.symbols":  # depmod's order is that of a hash table
            assert sorted(ours[item].splitlines()) == sorted(theirs[item].splitlines())
        else:
            assert ours[item] == theirs[item], item
    assert ours.keys() | set(modules.BUILD_FILES) == theirs.keys()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", ["", ".xz", ".gz", ".zst"])
def test_modules_of_every_machine_and_compression_are_read(bits: int, order: str, suffix: str) -> None:
    data = elf.module(["alias=a-b", "softdep=pre: x", "alias=c*"], ["one", "two"], ["three"], bits, order)
    compress = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    result = read(f"kernel/a-b.ko{suffix}", compress[suffix](data))
    path = f"kernel/a-b.ko{suffix}"
    assert result == Module(path, "a_b", ("a-b", "c*"), ("pre: x",), (b"one", b"two"), (b"three",))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 700), st.binary(max_size=40), st.integers(0, 800))
def test_a_damaged_module_is_refused_or_read_but_never_anything_else(at: int, noise: bytes, end: int) -> None:
    data = bytearray(elf.module(["alias=x"], ["one"], ["two"]))
    data[at : at + len(noise)] = noise
    try:
        read("x.ko", bytes(data[:end]))
    except BadModule as error:
        assert str(error) == "x.ko is not a kernel module"


def test_a_circle_of_modules_is_refused(store: Store) -> None:
    circle = {
        "a.ko": elf.module((), ["a"], ["b"]),
        "b.ko": elf.module((), ["b"], ["a"]),
        "c.ko": elf.module((), (), ["a"]),
    }
    with pytest.raises(BadInput, match=r"depend on each other in a cycle: a, b$"):
        modules.depmod(store, kernel(store, circle), RELEASE)


# cut


@pytest.fixture
def some(store: Store) -> Tree:
    def with_results(*uses: str, exports: tuple[str, ...] = (), info: tuple[str, ...] = ()) -> bytes:
        return elf.module(info, exports, uses)

    return kernel(
        store,
        {
            "kernel/lib/crc-base.ko": with_results(exports=("crc",)),
            "kernel/crypto/crc32c-soft.ko": with_results("crc", info=("alias=crc32c", "alias=crypto-crc32c")),
            "kernel/crypto/crc32c-hard.ko": with_results("crc", info=("alias=crc32c",)),
            "kernel/fs/ext4/ext4.ko": with_results(
                "jbd", "printk", info=("softdep=pre: crc32c", "softdep=post: nothing built-in")
            ),
            "kernel/fs/jbd2.ko": with_results(exports=("jbd",)),
            "kernel/fs/xfs/xfs.ko": with_results(),
            "kernel/drivers/virtio-net.ko.xz": lzma.compress(with_results()),
            "modules.builtin": "kernel/net/unix.ko\nkernel/drivers/virtio_pci.ko\n",
            "modules.order": "",
        },
    )


def kept(store: Store, tree: Tree, *patterns: str) -> set[str]:
    return {path.rpartition("/")[2] for path in modules.cut(store, tree, patterns) if is_module(path)}


def test_a_module_brings_what_it_needs_and_what_it_would_like(store: Store, some: Tree) -> None:
    assert kept(store, some, "jbd2") == {"jbd2.ko"}
    assert kept(store, some, "ext4") == {"ext4.ko", "jbd2.ko", "crc-base.ko", "crc32c-soft.ko", "crc32c-hard.ko"}


def test_names_globs_and_paths_select(store: Store, some: Tree) -> None:
    assert kept(store, some, "virtio_net") == kept(store, some, "virtio-net") == {"virtio-net.ko.xz"}
    assert kept(store, some, "virtio*", "xfs") == {"virtio-net.ko.xz", "xfs.ko"}
    assert kept(store, some, "kernel/fs/*") - kept(store, some, "ext4") == {"xfs.ko"}
    assert kept(store, some, "*") == {path.rpartition("/")[2] for path in some if is_module(path)}
    assert kept(store, some) == set()
    assert kept(store, some, "unix", "virtio_pci") == set()


def test_a_pattern_without_a_match_is_an_error_at_its_place(store: Store, some: Tree) -> None:
    for patterns, index_of_wrong, message in (
        (["xfs", "virtio_nit"], 1, "the kernel has no module 'virtio_nit' (did you mean 'virtio_net'?)"),
        (["kernel/fs/btrfs/*"], 0, "the kernel has no module 'kernel/fs/btrfs/*'"),
    ):
        with pytest.raises(StageProblem) as error:
            modules.cut(store, some, patterns)
        assert (error.value.path, str(error.value)) == (("modules", index_of_wrong), message)
    with pytest.raises(StageProblem, match=r"the kernel image has no modules"):
        modules.cut(store, Tree(), ["xfs"])


def test_the_data_is_about_what_is_left(store: Store, some: Tree) -> None:
    tree = modules.cut(store, some, ["xfs", "jbd2"])
    data = tree[FOLDER + "modules.dep"]
    assert store.bytes(data.content) == b"kernel/fs/jbd2.ko:\nkernel/fs/xfs/xfs.ko:\n"  # type: ignore[union-attr]
    assert FOLDER + "modules.builtin" in tree and FOLDER + "kernel/drivers" not in tree
    assert modules.cut(store, modules.with_data(store, some, RELEASE), ["xfs", "jbd2"]) == tree
    assert list(tree) == sorted(tree)


def test_what_is_no_module_stays(store: Store, some: Tree) -> None:
    more = Tree({**some, **only("lib/firmware/x", ())}).ordered()
    assert "lib/firmware/x" in modules.cut(store, more, [])


# the index


def test_the_index_of_nothing_is_its_head() -> None:
    assert index([]) == bytes.fromhex("b007f457 00020001 0000000c")


@pytest.mark.parametrize(
    ("alias", "key"),
    [("a-b", "a_b"), ("pci:v[0-9]*-x", "pci:v[0-9]*_x"), ("a[b", None), ("a]b", None), ("[a][-]-", "[a][-]_")],
)
def test_aliases_are_normalized_outside_of_brackets(alias: str, key: str | None) -> None:
    assert normalize(alias) == key


def test_golden_index_modules_version_1() -> None:
    assert modules.VERSION == 1
    data = index([("ask", "v", 1), ("ate", "v", 2), ("on", "v", 3), ("once", "w", 4), ("one", "v", 5), ("on", "u", 0)])
    assert Digest.of(data) == "sha256:fa2fb824ac75783fe23e93e8a20b469bc30a9ac7edbd7ff1c2f8cbc66b087c1b"
