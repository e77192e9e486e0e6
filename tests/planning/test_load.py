"""Loading a spec: what is wrong with it, several files as one, and where everything stands."""
# ruff: noqa: E501  # tables are read row by row

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.language.problem import Problems
from pipeline.language.schema import plain
from pipeline.planning import check
from pipeline.planning.load import load


def write(folder: Path, files: dict[str, str]) -> Path:
    """Lay out `files`; the first is the spec."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / next(iter(files))


def complaints(path: Path) -> list[str]:
    """What is wrong, as FILE:LINE:COLUMN with the file's name alone."""
    with pytest.raises(Problems) as caught:
        load(path)
    return [str(each).replace(f"{path.parent}/", "") for each in caught.value.problems]


COMPLAINTS = [
    ("services:\n  - name: a\n    image: b\n    comand: [x]\n", "4:5: services[0]: unknown key 'comand' (did you mean 'command'?)"),
    ("service: []\n", "1:1: unknown key 'service' (did you mean 'services'?)"),
    ("x-foo: {}\n", "1:1: unknown key 'x-foo'"),
    ("services:\n  - image: b\n", "2:5: services[0]: 'name' is missing"),
    ("services:\n", "1:10: services: expected a list, not nothing (null) (write [] for an empty list, or leave the key out)"),
    ("onboot: [{name: a, image: x, command: sleep 5 yes a=b}]\n", '(write [sleep, "5", "yes", a=b])'),
    ("build: {arch: x86_64}\n", "not the string 'x86_64' (did you mean 'amd64'?)"),
    ("files: [{path: a, source: ~/none}]\n", "there is no file '~/none' (looked for /"),
    ("init: alpine\n", "1:7: init: expected a list, not the string 'alpine' (write [alpine])"),
    ("kernel: [a]\n", "1:9: kernel: expected a mapping, not a list"),
    ("files: [{path: a, mode: 0644}]\n", '1:25: files[0].mode: expected an octal mode in quotes, such as "0644", not the number 0644'
     ' (0644 without quotes is the number 420 in YAML: write "0644")'),
    ("files: [{path: a, mode: '0888'}]\n", "'0888' is not an octal mode in quotes"),
    ("files: [{path: a, contents: 1.5}]\n", 'files[0].contents: expected a string, not the number 1.5 (write "1.5" in quotes)'),
    ("files: [{path: a, contents: true}]\n", 'expected a string, not the boolean true (write "true" in quotes)'),
    ("files: [{path: a, contents: ~}]\n", 'not nothing (null) (write "~")'),
    ("files: [{path: a, contents: }]\n", 'nothing (null) (write "" for an empty string, or leave the key out)'),
    ("files: [{path: a, directory: yes}]\n", "files[0].directory: expected true or false, not the string 'yes' (yes is a string in YAML 1.2: write true)"),
    ("files: [{path: a, directory: no}]\n", "(no is a string in YAML 1.2: write false)"),
    ("files: [{path: a, directory: 1}]\n", "expected true or false, not the number 1"),
    ("files: [{path: ../x, contents: a}]\n", "files[0].path: '../x' is not a path inside the image, without '..'"),
    ("services: [{name: a/b, image: c}]\n", "services[0].name: 'a/b' is not a container name (letters, digits, '_', '.', '+' and '-', except '.' and '..')"),
    ("services: [{name: .., image: c}]\n", "'..' is not a container name"),
    ("services: [{name: a, image: c, oomScoreAdj: 22:22}]\n", "services[0].oomScoreAdj: expected an integer from -1000 to 1000, not the string '22:22' (22:22 is a number in YAML 1.1 only)"),
    ("services: [{name: a, image: c, oomScoreAdj: '5'}]\n", "(without quotes: 5)"),
    ("services: [{name: a, image: c, oomScoreAdj: 2000}]\n", "2000 is not an integer from -1000 to 1000"),
    ("services: [{name: a, image: c, uid: 1.5}]\n", "expected an integer from 0 to 4294967294 or a string, not the number 1.5"),
    ("services: [{name: a, image: c, uid: -1}]\n", "not the number -1"),
    ("services: [{name: a, image: c, binds: [/a]}]\n", "services[0].binds[0]: '/a' is not a bind source:destination[:option,…]"),
    ("services: [{name: a, image: c, rlimits: ['nofiles,1,2']}]\n", "is not a limit name,soft,hard such as nofile,1024,4096"),
    ("services: [{name: a, image: c, annotations: {x: 1}}]\n", 'services[0].annotations.x: expected a string, not the number 1 (write "1" in quotes)'),
    ("services: [{name: a, image: c, resources: {memory: {limt: 1}}}]\n", "services[0].resources.memory: unknown key 'limt' (did you mean 'limit'?)"),
    ("volumes: [{name: A}]\n", "'A' is not a volume name (a-z, 0-9, '_', '-')"),
    ("volumes: [{name: a, format: filesytem}]\n", "volumes[0].format: expected filesystem or oci, not the string 'filesytem' (did you mean 'filesystem'?)"),
    ("build: {compress: zstd:99}\n", "build.compress: 'zstd:99' is not zstd[:1-22], gzip[:0-12] or none"),
    ("build: {compress: zst}\n", "is not zstd[:1-22], gzip[:0-12] or none (did you mean 'zstd'?)"),
    ("build: {compress: gz:9}\n", "(did you mean 'gzip'?)"),
    ("build: {clusters: zsdt}\n", "is not plain or zstd[:1-22] (did you mean 'zstd'?)"),
    ("build: {arch: x86_64}\n", "not the string 'x86_64' (did you mean 'amd64'?)"),
    ("build: {arch: [aarch64]}\n", "(did you mean 'arm64'?)"),
    ("build: {arch: AMD64}\n", "(did you mean 'amd64'?)"),
    ("services: [{name: a, image: b, command: sleep 5}]\n", '(write [sleep, "5"])'),
    ("services: [{name: a, image: b, command: sh -c 'a b'}]\n", """(write [sh, "-c", "a b"])"""),
    ("services: [{name: a, image: b, command: echo it's}]\n", """(write [echo, "it's"])"""),
    ("services: [{name: a, image: b, command: 5}]\n", '(write ["5"])'),
    ("services: [{name: a, image: b, env: A=two words}]\n", '(write ["A=two words"])'),
    ("services: [{name: a, image: b, additionalGids: 5}]\n", "(write [5])"),
    ("files: [{path: a, content: b}]\n", "files[0]: unknown key 'content' (did you mean 'contents'?)"),
    ("build: {arch: riscv}\n", "build.arch: expected amd64 or arm64 or a list (amd64 or arm64 each), not the string 'riscv'"),
    ("init: [!!bool maybe]\n", "'maybe' does not fit its tag !!bool"),
    ("[a]\n", "1:1: expected a mapping, not a list"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), COMPLAINTS, ids=[text for text, _ in COMPLAINTS])
def test_what_is_wrong_is_said_with_what_would_be_right(text: str, complaint: str, tmp_path: Path) -> None:
    found = complaints(write(tmp_path, {"a.yml": text}))
    assert len(found) == 1
    assert complaint in found[0].removeprefix("a.yml:")


ACROSS = [
    ("services: [{name: x, image: a}, {name: x, image: a}]\n", "1:40: duplicate service name: 'x' (also at "),
    ("volumes: [{name: x}, {name: x}]\n", "1:29: duplicate volume name: 'x'"),
    ("services: [{name: x, image: a, binds: [data:/data]}]\nvolumes: [{name: date}]\n",
     "1:40: there is no volume 'data' (did you mean 'date'?)"),
    ("services: [{name: x, image: a, binds.add: [data:/data]}]\n", "there is no volume 'data' (or a path: /data)"),
    ("services: [{name: x, image: a, mounts: [{type: bind, source: v, destination: /v}]}]\n", "there is no volume 'v'"),
    ("services: [{name: x, image: a, binds: ['v:/v']}]\nvolumes: [{name: v, readonly: true}]\n",
     "the read-only volume 'v' is mounted to be written to (add the option ro)"),
    ("services: [{name: x, image: a, binds: ['v:/v:rw,ro']}]\nvolumes: [{name: v, readonly: true}]\n", "is mounted to be written to"),
    ("services: [{name: x, image: a, mounts: [{type: bind, source: v, destination: /v}]}]\n"
     "volumes: [{name: v, readonly: true}]\n", "is mounted to be written to"),
    ("volumes: [{name: v, format: oci}]\n", "the volume 'v' of format oci names no image (image: ...)"),
    ("volumes: [{name: v, platforms: [linux/amd64]}]\n", "platforms need format: oci"),
    ("services: [{name: x, image: a, capabilities: [CAP_NET_ADMN]}]\n",
     "unknown capability 'CAP_NET_ADMN' (did you mean 'CAP_NET_ADMIN'?)"),
    ("services: [{name: x, image: a, capabilities: [net_admin]}]\n", "(did you mean 'CAP_NET_ADMIN'?)"),
    ("services: [{name: x, image: a, capabilities: [all, CAP_KILL]}]\n", "unknown capability 'all' (all must be the only value"),
    ("services: [{name: x, image: a, capabilities.add: [all]}]\n", "unknown capability 'all' (all must be the only value"),
    ("services: [{name: x, image: a, ambient: [CAP_FLY]}]\n", "1:42: unknown capability 'CAP_FLY'"),
    ("services: [{name: x, image: a, mounts: [{destination: /x}]}]\n", "the mount at /x has no type"),
    ("services: [{name: x, image: a, mounts: [{type: bind}]}]\n", "the mount of type bind has no destination"),
    ("services: [{name: x, image: a, devices: [{path: /dev/a, type: c, major: 1, minor: 2}]}]\n",
     'the device /dev/a has no mode (mode: "0600")'),
    ("services: [{name: x, image: a, rlimits: ['nofile,1,99999999999999999999']}]\n", "exceeds 64 bits"),
    ("services: [{name: x, image: Alpine}]\n", "1:29: 'Alpine': 'Alpine' must be lower-case"),
    ("init: ['a:b:c']\n", "1:8: 'a:b:c'"),
    ("kernel: {image: 'a@sha256:0'}\n", "not a digest"),
    ("volumes: [{name: a, image: A}]\n", "must be lower-case"),
    ("files: [{path: a}]\n", "1:9: 'a' has no content (contents, source, metadata, directory or symlink)"),
    ("files: [{path: a, contents: x, source: y}]\n", "'a' has both contents and source (one of them)"),
    ("files: [{path: a, contents: x, directory: true}]\n", "'a' has both contents and directory"),
    ("files: [{path: a, contents: x, symlink: b}]\n", "'a' has both contents and symlink"),
    ("files: [{path: a, contents: x, optional: true}]\n", "only a file with a source can be optional"),
    ("files: [{path: /./, contents: x}]\n", "'/./' is not a path of a file"),
    (f"files: [{{path: a/{'ö' * 128}/b, contents: x}}]\n", "1:16: a name of 256 bytes; Linux has room for 255 (shorten it)"),
    (f"files: [{{path: {'a/' * 2048}b, contents: x}}]\n", "1:16: a path of 4097 bytes; Linux has room for 4095"),
    (f"files: [{{path: a, symlink: {'a' * 4096}}}]\n", "1:28: a target of 4096 bytes; Linux has room for 4095"),
    ('files: [{path: a, symlink: "x\\0y"}]\n', "1:28: a symlink's target has a NUL"),
    ("files: [{path: a, contents: x}, {path: a/b, contents: y}]\n", "1:40: 'a/b' lies in 'a', which is not a directory"),
    ("files: [{path: a, source: no-such-file}]\n", "1:27: there is no file 'no-such-file' (looked in "),
    ("files: [{path: a, source: ~/no-such-file}]\n", f"1:27: there is no file '~/no-such-file' (looked for {Path.home()}/no-such-file)"),
    ("files: [{path: a, source: ~nobody/x}]\n", "in the working directory; only ~/ is a home)"),
    ("files: [{path: a, source: ~no-such-user/x}]\n", "in the working directory; only ~/ is a home)"),
    ("files: [{path: a, source: /no-such-file}]\n", "(looked for /no-such-file)"),
    (f"files: [{{path: {'é/' * 1400}a, contents: x}}]\n", "1:16: a path of 4201 bytes"),
    ("build: {formats: []}\n", "build.formats is empty (leave it out for the default)"),
    ("build: {arch: [amd64, amd64]}\n", "build.arch has amd64 twice (leave it out here)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), ACROSS, ids=[text for text, _ in ACROSS])
def test_what_only_the_whole_spec_can_tell(text: str, complaint: str, tmp_path: Path) -> None:
    found = complaints(write(tmp_path, {"a.yml": text}))
    assert any(complaint in each.removeprefix("a.yml:") for each in found), found


def test_one_run_finds_everything_in_the_order_of_lines(tmp_path: Path) -> None:
    text = "kernel: {image: 1, foo: 2}\nservices:\n  - {name: a/b, image: c, net: true}\n  - {command: x}\nfoo: 1\n"
    found = complaints(write(tmp_path, {"a.yml": text, "a.d/b.yml": "init: [1]\n"}))
    assert [each.partition(": ")[0] for each in found] == [
        "a.d/b.yml:1:8", "a.yml:1:17", "a.yml:1:20", "a.yml:3:12", "a.yml:3:32",
        "a.yml:4:5", "a.yml:4:5", "a.yml:4:15", "a.yml:5:1",
    ]  # fmt: skip


def test_a_terminal_gets_the_line_with_a_caret(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.yml": "services:\n  - name: x\n    image: y\n    comand: [z]\n"})
    with pytest.raises(Problems) as caught:
        load(path)
    assert caught.value.shown().split("\n")[1:] == ["        comand: [z]", "        ^"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_a_file_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.yml": text})
    assert complaints(path)[0].startswith(("a.yml:1:", "a.yml:2:"))


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert complaints(tmp_path / "a.yml") == ["a.yml:1:1: cannot be read: No such file or directory"]


def test_several_files_are_one_spec(tmp_path: Path) -> None:
    files = {
        "a.yml": "kernel: {image: k, cmdline: one, binary: bzImage}\ninit: [a]\nservices: [{name: s, image: i}]\nbuild: {append: [x/b.yml], size: 1G}\n",
        "x/b.yml": "kernel: {cmdline: two, binary: ''}\ninit: [b]\n",
        "a.d/20.yml": "init: [d]\nservices: [{name: t, image: i, binds: ['v:/v']}]\n",
        "a.d/10.yml": "init: [c]\nvolumes: [{name: v}]\nbuild: {formats: [tar]}\n",
    }
    loaded = load(write(tmp_path, files))
    assert loaded["init"] == ("a", "b", "c", "d")
    assert (loaded["kernel"].image, loaded["kernel"].cmdline, loaded["kernel"].binary) == ("k", "two", "bzImage")
    assert [each.name for each in loaded["services"]] == ["s", "t"]
    assert (loaded.build.size, loaded.build.formats) == ("1G", ("tar",))
    assert str(loaded.where(("services", 1, "name"))) == f"{tmp_path}/a.d/20.yml:2:19"
    assert str(loaded.where(("kernel", "cmdline"))) == f"{tmp_path}/x/b.yml:1:19"
    assert [file.name for file in loaded.files] == ["a.yml", "b.yml", "10.yml", "20.yml"]


def test_services_of_two_files_need_different_names(tmp_path: Path) -> None:
    one = "services: [{name: s, image: i}]\n"
    assert complaints(write(tmp_path, {"a.yml": one, "a.d/b.yml": one})) == [
        "a.d/b.yml:1:19: duplicate service name: 's' (also at a.yml:1:19)"
    ]


def test_a_file_to_append_has_to_be_there(tmp_path: Path) -> None:
    found = complaints(write(tmp_path, {"a.yml": "build: {append: [b.yml]}\n"}))
    assert "a.yml:1:18: there is no file 'b.yml' to append" in found[0]


def test_where_gives_the_nearest_place(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"a.yml": "services:\n  - name: x\n    image: y\n    command:\n      - z\n"}))
    below = loaded.below("services", 0)
    assert below(("command", 0)).endswith("a.yml:5:9")
    assert below(("command", 7)).endswith("a.yml:5:7")
    assert below(("uid",)).endswith("a.yml:2:5")
    assert str(loaded.where(("files", 3))).endswith("a.yml:1:1")


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"node.yml": "init: [a]\n"}))
    assert loaded.name == "node"
    assert loaded.build.formats == ("kernel+initrd",)
    assert len(loaded.build.arch) == 1
    assert loaded.build.options() == {}
    assert loaded["services"] == () and loaded["kernel"].image is None


@pytest.mark.parametrize(("arch", "meant"), [("amd64", ("amd64",)), ("[amd64, arm64]", ("amd64", "arm64"))])
def test_a_spec_may_name_several_architectures(arch: str, meant: tuple[str, ...], tmp_path: Path) -> None:
    assert load(write(tmp_path, {"a.yml": f"build: {{arch: {arch}}}\n"})).build.arch == meant


def test_what_is_hardly_meant_is_a_warning(tmp_path: Path) -> None:
    text = (
        "files:\n  - {path: var/x, contents: y}\n  - {path: /run/z, symlink: y}\n  - {path: var/d, directory: true}\n"
    )
    warned = [str(each).replace(f"{tmp_path}/", "") for each in load(write(tmp_path, {"a.yml": text})).warnings]
    assert warned == [
        "a.yml:2:12: 'var/x' is not there once the node has booted (an empty tmpfs is mounted on /var)",
        "a.yml:3:12: '/run/z' is not there once the node has booted (an empty tmpfs is mounted on /run)",
        "a.yml:4:12: 'var/d' is not there once the node has booted (an empty tmpfs is mounted on /var; a container's"
        " `runtime: {mkdir: [/var/d]}` makes it)",
    ]


def test_check_gives_errors_and_warnings_for_editors(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.yml": "kernel: {imag: a}\n"})
    assert check.as_json(check.check(path)) == [
        {"file": str(path), "line": 1, "column": 10, "severity": "error", "message": "kernel: unknown key 'imag'",
         "hint": "did you mean 'image'?"}
    ]  # fmt: skip
    path = write(tmp_path, {"b.yml": "files: [{path: run/x, contents: y}]\n"})
    assert [each["severity"] for each in check.as_json(check.check(path))] == ["warning"]


ids = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3)


@given(st.lists(ids, min_size=1, max_size=4))
def test_files_are_appended_in_order(tmp_path_factory: pytest.TempPathFactory, inits: list[list[str]]) -> None:
    folder = tmp_path_factory.mktemp("spec")
    names = ["a.yml", *(f"a.d/{number}.yml" for number in range(1, len(inits)))]
    path = write(folder, {name: f"init: [{', '.join(init)}]\n" for name, init in zip(names, inits, strict=True)})
    assert plain(load(path)["init"]) == [each for init in inits for each in init]


WHOLE = b"""# everything
kernel: {image: "k:1", cmdline: 'a=b', ucode: ""}
init: [a, b@sha256:0000000000000000000000000000000000000000000000000000000000000000]
services: &all
  - name: s
    image: x
    binds: ["/a:/b:ro"]
    resources: {memory: {limit: 0x10}}
    runtime: {bindNS: {net: /n}, interfaces: [{name: e, createInRoot: true}]}
onboot: *all
files:
  - path: etc/x
    mode: "0644"
    contents: |
      text
volumes: [{name: v, readonly: true}]
build: {arch: [amd64], epoch: 0}
"""


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 30), st.binary(max_size=4)), min_size=1, max_size=3)
)
def test_whatever_a_file_holds_the_answer_is_a_spec_or_problems(
    tmp_path: Path, edits: list[tuple[int, int, bytes]]
) -> None:
    data = WHOLE
    for start, count, new in edits:
        data = data[:start] + new + data[start + count :]
    (tmp_path / "a.yml").write_bytes(data)
    try:
        loaded = load(tmp_path / "a.yml")
    except Problems as problems:
        assert str(problems).count("a.yml:") >= len(problems.problems) > 0
        assert problems.shown()
    else:
        assert loaded.name == "a"


def test_the_spec_that_is_broken_above_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(WHOLE)
    found = load(tmp_path / "a.yml")
    assert [plain(each) for each in found["onboot"]] == [plain(each) for each in found["services"]]
