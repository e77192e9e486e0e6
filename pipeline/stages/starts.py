"""Checks, as stages, that the programs of a node can start. Their result is the empty tree.

A bootable format is published only after they passed; no output depends on them. A problem of a container is at its
`command` or `image`, one of the node at the section or component that it comes from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.container import image_checks, sandbox
from pipeline.language.problem import KeyPath, StageProblem, StageProblems, warn
from pipeline.model.digest import Digest
from pipeline.model.path_resolution import BelowMount
from pipeline.model.tree import Tree, complete, overlay
from pipeline.store import Store

if TYPE_CHECKING:
    from pipeline.programs.root import Root

VERSION = 2

RUNTIMES = ("runc", "crun", "youki", "runsc", "kata-runtime")
"""Programs that run one container, which onboot and onshutdown need."""
DAEMONS = ("containerd", "crio", "dockerd", "podman", "k3s", "kubelet")
"""Programs that keep containers running, which services need."""
BOOT_CODE = "bin/rc.init"
"""LinuxKit's boot code, and ours; it starts the programs in SCRIPTS."""
SCRIPTS = ("etc/init.d/", "etc/shutdown.d/")
BOOTED = ("init", "sbin/init", BOOT_CODE)
"""Programs of the root that are started if they exist."""
MODULES = ("lib/modules/", "lib/firmware/", "usr/lib/modules/", "usr/lib/firmware/")
"""Folders of a kernel's modules and firmware."""
SHIMS = ("containerd-shim-runc-v2", "conmon")
"""Programs that the runtimes start."""
NO_RIGHT = "leave the file out, or its bit or attribute"
"""Hint for programs of the node that gain rights."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of programs that the boot code starts."""


def container(
    store: Store, bundle: Digest, image: Digest, *files: Digest, prefix: str, at: list[str | int], arch: str
) -> Digest:
    """Checks the program of the container whose bundle lies at `prefix`. StageProblem.

    image: the tree of its root file system. files: trees laid over bundles. at: the key that names the program. Paths
    below mount points are not checked.
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
    mounts = [item["destination"] for item in config["mounts"]] + [*_inside(runtime["mounts"], f"/{prefix}/rootfs/")]
    tree = complete(overlay(store.tree(image), own))
    root = Root(tree, store.range, arch, "its image", [item.strip("/") for item in mounts])
    environment = {name: value for name, _, value in (item.partition("=") for item in process.get("env", []))}
    _check(root, process, environment, tuple(at))
    return store.put_tree(Tree())


def node(
    store: Store, *parts: Digest, first: list[str], services: bool, onboot: bool, strict: bool, arch: str
) -> Digest:
    """Checks the programs that the kernel and the boot code start in the root file system of `parts`. StageProblems.

    Warns of programs that gain rights, which nothing on a node needs: all its own processes are root's.

    first: paths of which the kernel starts the first that exists. services, onboot: whether the spec has any (onboot:
    or onshutdown). strict: False for a foreign kernel, without which absent programs are warnings. Paths of problems:
    ("init",), ("services",), ("onboot",), or ("part", n) for a program of the component n.
    """
    from pipeline.programs import execve
    from pipeline.programs.root import Root

    trees = [store.tree(part) for part in parts]
    root = Root(complete(overlay({}, *trees)), store.range, arch, "the root file system")
    for number, tree in enumerate(trees):
        for path, right in sandbox.privileged(tree):
            warn(
                ("part", number), f"'/{path}' {right}, and nobody needs it: the node's own processes are root", NO_RIGHT
            )
    absent, problems = [*_absent(root, first, services, onboot)], list[StageProblem]()
    for problem in absent:
        if strict:
            problems.append(problem)
        else:
            warn(problem.path, problem.message, problem.hint)
    reported = set()
    for path in _started(root, first):
        failure = execve.start_failure(root, f"/{path}", {"PATH": PATH})
        if failure is None or (failure.by_shell and path.startswith(SCRIPTS)) or failure in reported:
            continue
        reported.add(failure)
        owner = next((number for number in reversed(range(len(trees))) if path in trees[number]), 0)
        _refuse(problems, StageProblem(("part", owner), f"'/{path}' {failure.message}", failure.hint), failure.sure)
    if problems:
        raise StageProblems(problems)
    return store.put_tree(Tree())


def without_modules(store: Store, part: Digest) -> Digest:
    """Returns the tree `part` without MODULES, which contain no program."""
    tree = store.tree(part)
    return store.put_tree(Tree((path, entry) for path, entry in tree.items() if not path.startswith(MODULES)))


def _refuse(problems: list[StageProblem], problem: StageProblem, sure: bool) -> None:
    if sure:
        problems.append(problem)
    else:
        warn(problem.path, problem.message, problem.hint)


def _check(root: Root, process: Mapping[str, Any], environment: Mapping[str, str], path: KeyPath) -> None:
    """Checks the program that runc would start. StageProblem; a warning if the fault is not certain."""
    from pipeline.programs import execve

    candidates = image_checks.program_paths(process)
    try:
        usable = [name for name in candidates if (file := root.file(name)) is not None and file.mode & 0o111]
    except BelowMount:
        return
    if not usable:
        wrong = image_checks.program_problem(root.tree, process["args"][0], candidates)
        raise StageProblem(path, *(wrong or (f"{process['args'][0]!r} cannot be started", "")))
    failure = execve.start_failure(root, usable[0], environment)
    if failure is None:
        return
    message = f"{usable[0]!r} {failure.message}"
    if failure.sure:
        raise StageProblem(path, message, failure.hint)
    warn(path, message, failure.hint)


def _check_namespaces(namespaces: Sequence[Mapping[str, str]]) -> None:
    """Raises StageProblem for a namespace whose path is not absolute (runtime-spec, config-linux.md)."""
    for namespace in namespaces:
        if not namespace.get("path", "/").startswith("/"):
            key = {"network": "net", "user": "userns"}.get(namespace["type"], namespace["type"])
            raise StageProblem((key,), f"{namespace['path']!r} is no namespace: the runtime wants an absolute path")


def _document(store: Store, tree: Tree, path: str) -> Any:
    return json.loads(store.bytes(tree.file(path).content))


def _root_folder(runtime: Mapping[str, Any]) -> str:
    """Returns the node's path of the image of a container's root (runtime_spec.root_mounts)."""
    for mount in runtime["mounts"]:
        options = mount.get("options", [])
        for option in options:
            if option.startswith("lowerdir=/"):
                return str(option.removeprefix("lowerdir=/"))
        if options == ["bind"]:
            return str(mount["source"]).strip("/")
    return ""


def _inside(mounts: Sequence[Mapping[str, Any]], root: str) -> Iterator[str]:
    """Yields the paths inside a container's root that are mounted on before it starts."""
    for mount in mounts:
        place = mount["destination"]
        if not place.startswith("/"):
            yield place
        elif place.startswith(root):
            yield place.removeprefix(root)


def _absent(root: Root, first: Sequence[str], services: bool, onboot: bool) -> Iterator[StageProblem]:
    """Yields a problem for each thing that the node lacks: a first program, and runtimes for containers."""
    if not any(root.file(path) for path in first):
        brings = f"nothing brings '/{first[0]}', which the kernel starts"
        yield StageProblem(("init",), brings, 'an image of boot code: init: ["@pkg:images/init"]')
    programs = {path.rpartition("/")[2] for path in _programs(root)}
    if services and not programs.intersection(DAEMONS):
        yield StageProblem(("services",), "no image under init: brings a runtime for services", "such as containerd")
    if onboot and not programs.intersection(RUNTIMES + DAEMONS):
        yield StageProblem(("onboot",), "no image under init: brings a runtime for containers", "such as runc")


def _programs(root: Root) -> Iterator[str]:
    """Yields the runtimes in folders for programs."""
    for path in root.tree:
        folder, _, name = path.rpartition("/")
        if name in RUNTIMES + DAEMONS + SHIMS and folder.endswith("bin") and root.file(path):
            yield path


def _started(root: Root, first: Sequence[str]) -> Iterator[str]:
    """Returns the programs of the root that are started, each once."""
    paths = [path for path in first if root.file(path)][:1] + [path for path in BOOTED if root.file(path)]
    if root.file(BOOT_CODE):
        for path in root.tree:
            if path.startswith(SCRIPTS):
                file = root.file(path)
                paths += [path] if file is None or file.mode & 0o111 else []
    return iter(dict.fromkeys([*paths, *_programs(root)]))
