"""Checks, as stages: whether what a node starts can start, as far as its images tell. They give the empty tree.

A format that boots is published only after they passed; no output is made of them. A problem of a container is at its
`command` or `image`, one of the node at the section or the part that it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.container import image_checks
from pipeline.language.problem import KeyPath, StageProblem, StageProblems, warn
from pipeline.model.digest import Digest
from pipeline.model.path_resolution import BelowMount
from pipeline.model.tree import Content, Tree, complete, cut, length, overlay
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.programs.root import Read, Root

VERSION = 1

RUNTIMES = ("runc", "crun", "youki", "runsc", "kata-runtime")
"""Programs that run one container: what onboot and onshutdown need."""
DAEMONS = ("containerd", "crio", "dockerd", "podman", "k3s", "kubelet")
"""Programs that keep containers running: what services need."""
BOOT_CODE = "bin/rc.init"
"""LinuxKit's boot code, and ours: it starts what lies in SCRIPTS."""
SCRIPTS = ("etc/init.d/", "etc/shutdown.d/")
BOOTED = ("init", "sbin/init", BOOT_CODE)
"""Programs of the root that are started wherever they are there."""
MODULES = ("lib/modules/", "lib/firmware/", "usr/lib/modules/", "usr/lib/firmware/")
"""Folders of a kernel's modules and firmware."""
SHIMS = ("containerd-shim-runc-v2", "conmon")
"""Programs that the runtimes start."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of what the boot code starts."""


def container(
    store: Store, bundle: Digest, image: Digest, *files: Digest, prefix: str, at: list[str | int], arch: str
) -> Digest:
    """Checks the program of the container whose bundle lies at `prefix`. StageProblem.

    image: the tree that its root file system is made of. files: trees laid over bundles. at: where the spec names the
    program. What other file systems are mounted on while it runs is not known, and never a problem.
    """
    from pipeline.programs.root import Root

    whole = overlay(store.tree(bundle), *map(store.tree, files))
    config, runtime = (_document(store, whole, f"{prefix}/{name}.json") for name in ("config", "runtime"))
    process = config["process"]
    if not process.get("args"):
        raise StageProblem(tuple(at[:1]), *image_checks.NO_COMMAND)
    _check_namespaces(config["linux"].get("namespaces", ()))
    folder = _root_folder(runtime) + "/"
    own = {place.removeprefix(folder): entry for place, entry in whole.items() if place.startswith(folder)}
    mounts = [each["destination"] for each in config["mounts"]] + [*_inside(runtime["mounts"], f"/{prefix}/rootfs/")]
    tree = complete(overlay(store.tree(image), own))
    root = Root(tree, reading(store), arch, "its image", [each.strip("/") for each in mounts])
    environment = {name: value for name, _, value in (each.partition("=") for each in process.get("env", []))}
    _check(root, process, environment, tuple(at))
    return store.put_tree(Tree())


def node(
    store: Store, *parts: Digest, first: list[str], services: bool, onboot: bool, strict: bool, arch: str
) -> Digest:
    """Checks what the kernel and the boot code start in the root file system that `parts` make. StageProblems.

    first: the kernel starts the first of these paths that is there. services, onboot: whether the spec has any (onboot:
    or onshutdown). strict: False where the kernel is somebody else's: then what is absent altogether is a warning.
    Paths of problems: ("init",), ("services",), ("onboot",), or ("part", n) for what the part n brings.
    """
    from pipeline.programs import execve
    from pipeline.programs.root import Root

    trees = [store.tree(part) for part in parts]
    root = Root(complete(overlay({}, *trees)), reading(store), arch, "the root file system")
    absent, problems = [*_absent(root, first, services, onboot)], list[StageProblem]()
    for each in absent:
        if strict:
            problems.append(each)
        else:
            warn(each.path, each.message, each.hint)
    said = set()
    for path in _started(root, first):
        found = execve.start_failure(root, f"/{path}", {"PATH": PATH})
        if found is None or (found.by_shell and path.startswith(SCRIPTS)) or found in said:
            continue
        said.add(found)
        owner = next((number for number in reversed(range(len(trees))) if path in trees[number]), 0)
        _refuse(problems, StageProblem(("part", owner), f"'/{path}' {found.message}", found.hint), found.sure)
    if problems:
        raise StageProblems(problems)
    return store.put_tree(Tree())


def without_modules(store: Store, part: Digest) -> Digest:
    """Returns the tree `part` without what lies below MODULES: no program is there."""
    tree = store.tree(part)
    return store.put_tree(Tree((path, entry) for path, entry in tree.items() if not path.startswith(MODULES)))


def reading(store: Store) -> Read:
    """Reads parts of contents that are in `store`."""

    def read(content: Content, offset: int, count: int) -> bytes:
        end = min(offset + count, length(content))
        return store.bytes(cut(content, offset, end - offset)) if offset < end else b""

    return read


def _refuse(problems: list[StageProblem], problem: StageProblem, sure: bool) -> None:
    if sure:
        problems.append(problem)
    else:
        warn(problem.path, problem.message, problem.hint)


def _check(root: Root, process: Mapping[str, Any], environment: Mapping[str, str], path: KeyPath) -> None:
    """Follows the program that runc would start. StageProblem, or a warning where nothing is sure."""
    from pipeline.programs import execve

    candidates = image_checks.program_paths(process)
    try:
        usable = [each for each in candidates if (file := root.file(each)) is not None and file.mode & 0o111]
    except BelowMount:
        return
    if not usable:
        wrong = image_checks.program_problem(root.tree, process["args"][0], candidates)
        raise StageProblem(path, *(wrong or (f"{process['args'][0]!r} cannot be started", "")))
    found = execve.start_failure(root, usable[0], environment)
    if found is None:
        return
    message = f"{usable[0]!r} {found.message}"
    if found.sure:
        raise StageProblem(path, message, found.hint)
    warn(path, message, found.hint)


def _check_namespaces(namespaces: Sequence[Mapping[str, str]]) -> None:
    """A namespace that is joined has to be an absolute path (runtime-spec, config-linux.md). StageProblem."""
    for each in namespaces:
        if not each.get("path", "/").startswith("/"):
            key = {"network": "net", "user": "userns"}.get(each["type"], each["type"])
            raise StageProblem((key,), f"{each['path']!r} is no namespace: the runtime wants an absolute path")


def _document(store: Store, tree: Tree, path: str) -> Any:
    return json.loads(store.bytes(tree.file(path).content))


def _root_folder(runtime: Mapping[str, Any]) -> str:
    """The path in the node of what a container's root is made of (runtime_spec.root_mounts)."""
    for mount in runtime["mounts"]:
        options = mount.get("options", [])
        for option in options:
            if option.startswith("lowerdir=/"):
                return str(option.removeprefix("lowerdir=/"))
        if options == ["bind"]:
            return str(mount["source"]).strip("/")
    return ""


def _inside(mounts: Sequence[Mapping[str, Any]], root: str) -> Iterator[str]:
    """The places inside a container's root that are mounted on before it starts."""
    for mount in mounts:
        place = mount["destination"]
        if not place.startswith("/"):
            yield place
        elif place.startswith(root):
            yield place.removeprefix(root)


def _absent(root: Root, first: Sequence[str], services: bool, onboot: bool) -> Iterator[StageProblem]:
    """What the node needs and nothing brings: a first program, and runtimes for containers."""
    if not any(root.file(path) for path in first):
        brings = f"nothing brings '/{first[0]}', which the kernel starts"
        yield StageProblem(("init",), brings, 'an image of boot code: init: ["@pkg:images/init"]')
    programs = {path.rpartition("/")[2] for path in _programs(root)}
    if services and not programs.intersection(DAEMONS):
        yield StageProblem(("services",), "no image under init: brings a runtime for services", "such as containerd")
    if onboot and not programs.intersection(RUNTIMES + DAEMONS):
        yield StageProblem(("onboot",), "no image under init: brings a runtime for containers", "such as runc")


def _programs(root: Root) -> Iterator[str]:
    """The runtimes in folders for programs."""
    for path in root.tree:
        folder, _, name = path.rpartition("/")
        if name in RUNTIMES + DAEMONS + SHIMS and folder.endswith("bin") and root.file(path):
            yield path


def _started(root: Root, first: Sequence[str]) -> Iterator[str]:
    """The programs of the root that are known to be started, each once."""
    found = [path for path in first if root.file(path)][:1] + [path for path in BOOTED if root.file(path)]
    if root.file(BOOT_CODE):
        for path in root.tree:
            if path.startswith(SCRIPTS):
                file = root.file(path)
                found += [path] if file is None or file.mode & 0o111 else []
    return iter(dict.fromkeys([*found, *_programs(root)]))
