"""The posture of a planned node: facts about its security, and the places of the spec that they come from.

Everything is read from what the plan makes: config.json of each container, the root file system, the command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pipeline import formats
from pipeline.container.label import read_label
from pipeline.container.names import relative
from pipeline.container.runtime_spec import MergedConfig
from pipeline.inspect import container_facts, node_facts
from pipeline.inspect.container_facts import KEYS, Words
from pipeline.inspect.node_facts import CMDLINE, MOUNT, SYSCTL, Node
from pipeline.kernel import sysctl
from pipeline.kernel.modinfo import is_module
from pipeline.language.problem import KeyPath
from pipeline.model.tree import Tree, parent
from pipeline.oci.image import image_config
from pipeline.planning.plan import Plan
from pipeline.planning.products import kernel_contents
from pipeline.spec import bundles
from pipeline.spec.bundles import VOLUMES
from pipeline.spec.components import Component
from pipeline.stages import compression, signed
from pipeline.store import Store

LARGEST_TEXT = 1 << 20
"""Maximum size of a configuration file that is read, in bytes."""
SYSCTL_FOLDER = "etc/sysctl.d"
NO_STEP = "no step of onboot sets kernel parameters"
"""The origin of a parameter of a node that sets none."""
SUPERVISOR = "usr/lib/nodekiln/policy.lua"
"""File of images/init by which services have limits."""


REPLACED = ("rw", "shared", "rshared", "slave", "rslave")
"""Options of binds that another option replaces."""


class Origin(NamedTuple):
    """A place of the spec (`file:line:column`), and, if that is not the value itself, where the value comes from."""

    place: str
    text: str = ""


class Container(NamedTuple):
    """The facts of a container. name: `services/sshd`. config: its config.json. files: those of its image."""

    name: str
    section: str
    image: str
    facts: Mapping[str, Words | None]
    config: Mapping[str, Any]
    files: Tree
    merged: MergedConfig
    component: Component

    @property
    def args(self) -> list[str]:
        """The command."""
        return list(self.config["process"].get("args", ()))

    def binds(self, words: Words, option: str) -> list[str]:
        """Returns the binds as a spec has them, with `option` where source or destination is one of `words`.

        [] if none of them is.
        """
        old = [_written(text) for text in self.merged.with_added("binds")]
        new = [_with_option(text, option) if {*words}.intersection(text.split(":")[:2]) else text for text in old]
        return new if new != old else []

    def origin(self, fact: str, word: str = "") -> Origin:
        """Returns the origin of a fact, or of one of its words."""
        where = self.component.tree.where or (lambda path: "")
        for key in KEYS[fact]:
            if path := _path(self.merged, key, word):
                text = f"the label of {self.image}" if path == ("image",) else ""
                return Origin(where(path), text)
        return Origin(where(("image",) if fact in ("ports", "set-id-files") else ()), _default(fact, self.image))


def _written(bind: str) -> str:
    """Returns a bind with the name of a volume in place of its path."""
    source, _, rest = bind.partition(":")
    volume = source.removeprefix(f"/{VOLUMES}/").removesuffix("/merged")
    return f"{volume}:{rest}" if source.startswith(f"/{VOLUMES}/") else bind


def _with_option(bind: str, option: str) -> str:
    source, destination, *options = bind.split(":")
    others = [each for each in ",".join(options).split(",") if each and each not in REPLACED]
    return f"{source}:{destination}:{','.join([*others, option])}"


def _default(fact: str, image: str) -> str:
    return f"the files of {image}" if fact == "set-id-files" else "default"


def _path(merged: MergedConfig, key: str, word: str) -> KeyPath | None:
    """Returns the path of the item of `key` that starts with `word`, or of the key; None if nothing has the key."""
    if key not in merged.entry and key not in merged.label:
        return None
    if key.endswith(".add"):
        items = [*merged.entry.get(key, ())]
        return next(((key, number) for number, item in enumerate(items) if _is_about(item, word)), None)
    values = merged.get(key)
    for number, item in enumerate(values if isinstance(values, list | tuple) and word else ()):
        if _is_about(item, word):
            return (key, number) if key in merged.entry else ("image",)
    return (key,) if key in merged.entry else ("image",)


def _is_about(item: Any, word: str) -> bool:
    """Returns True for an item of a list that names `word`: a capability, a bind, a mount or a device."""
    if isinstance(item, str):
        return not word or word in item.split(":")[:2]
    return isinstance(item, dict) and word in (item.get("path"), item.get("source"), item.get("destination"), "")


class Posture(NamedTuple):
    """The facts of a node. config: the kernel's configuration; "" if its image has none."""

    title: str
    arch: str
    node: Node
    containers: tuple[Container, ...]
    config: str
    origins: Origins

    def origin(self, fact: str, words: Words = ()) -> Origin:
        """Returns the origin of a fact of the node."""
        return self.origins.of(fact, self.node, words)


class Origins:
    """The places of a plan's spec that facts of the node come from.

    trees: component -> its tree. steps: the containers that set kernel parameters.
    """

    def __init__(self, plan: Plan, trees: Mapping[str, Tree], steps: tuple[Container, ...]) -> None:
        self._plan, self._trees, self._steps = plan, trees, steps

    def of(self, fact: str, node: Node, words: Words) -> Origin:
        """Returns the origin of a fact."""
        if fact.startswith(CMDLINE):
            return self._at(("kernel", "cmdline", self._plan.arch))
        if fact.startswith(SYSCTL):
            line = sysctl.decisive(node.sysctls, fact.removeprefix(SYSCTL))
            if line is None and node_facts.on_cmdline(node.cmdline, fact.removeprefix(SYSCTL)):
                return self._at(("kernel", "cmdline", self._plan.arch))
            return self._of_sysctl(line)
        if fact in ("root-verity", "signed-programs"):
            return self._at(("build", "sign" if fact == "signed-programs" else "verity"))
        if fact == "unsigned-modules":
            return self._at(("kernel", "image"))
        path = "bin/rc.init" if fact == "root" or fact.startswith(MOUNT) else node_facts.INITTAB
        if words == (node_facts.DEBUG,):
            return self._at(("kernel", "cmdline", self._plan.arch))
        return self.owner(words[0] if fact == "set-id-files" and words else path)

    def owner(self, path: str) -> Origin:
        """Returns the place of the entry of the spec that brings the file `path` into the root."""
        for component in reversed(self._plan.components):
            if path in self._trees[component.name]:
                if component.name == "files":
                    return self._at(self._file(path))
                where = component.tree.where or (lambda path: "")
                return Origin(where(()), f"{component.name} has {path}")
        return self._at(())

    def _file(self, path: str) -> KeyPath:
        """Returns the path in the spec of the last file with this path."""
        numbers = [number for number, file in enumerate(self._plan.spec["files"]) if relative(file.path) == path]
        return ("files", numbers[-1]) if numbers else ("files",)

    def _of_sysctl(self, line: sysctl.Assignment | None) -> Origin:
        if line is None:
            step = next((step for step in self._steps), None)
            place = step.origin("ports").place if step else self._at(("onboot",)).place
            return Origin(place, "no line of it sets this" if step else NO_STEP)
        if line.file.startswith(SYSCTL_FOLDER):
            return self.owner(line.file)._replace(text=f"line {line.line} of {line.file}")
        image, _, path = line.file.rpartition(" ")
        step = next(step for step in self._steps if step.image == image)
        return Origin(step.origin("ports").place, f"line {line.line} of {path} in {image}")

    def _at(self, path: KeyPath) -> Origin:
        return Origin(str(self._plan.spec.where(path)))


def posture(store: Store, plan: Plan, title: str) -> Posture:
    """Returns the posture of the node of `plan`. What is not in the store is built."""
    trees = {each.name: store.tree(each.tree.perform(store)[0]) for each in plan.components}
    root = store.tree(plan.products.rootfs.perform(store)[0])
    images = {each.folder: each.container.image for each in bundles.entries(plan.spec)}
    containers = tuple(_container(store, root, each, images[each.prefix]) for each in plan.components if each.image)
    steps = tuple(each for each in containers if each.section == "onboot" and node_facts.applies_sysctls(each.args))
    line = _cmdline(store, plan)
    init = next((text for path in node_facts.INIT_SCRIPTS if (text := _text(store, root, path)) is not None), None)
    facts: dict[str, Words | None] = {
        "root": node_facts.root(init),
        "root-verity": _verity(plan),
        "signed-programs": _signed(store, plan),
        "unsigned-modules": tuple(_unsigned(store, root)),
        "console-shells": node_facts.console_shells(_text(store, root, node_facts.INITTAB), line),
        "set-id-files": node_facts.privileged_files(root),
    }
    sysctls = tuple(line for step in steps for line in sysctl.merged(_sysctl_folders(store, root, step)))
    origins = Origins(plan, trees, steps)
    return Posture(title, plan.arch, Node(line, init, sysctls, facts), containers, _kernel_config(store, plan), origins)


def _container(store: Store, root: Tree, component: Component, reference: str) -> Container:
    """Returns the container of a component. reference: its image, as the spec names it."""
    manifest, image = component.tree.inputs[:2]
    run = image_config(store, manifest.perform(store)[0])
    section = component.name.partition("/")[0]
    config = json.loads(store.bytes(root.file(f"{component.prefix}/config.json").content))
    files = store.tree(image.perform(store)[0])
    supervised = section == "services" and SUPERVISOR in root
    facts = container_facts.facts(config, files, run["ExposedPorts"], supervised)
    merged = MergedConfig(component.tree.params["entry"], read_label(run["Labels"]))
    name = component.tree.params["prefix"].removeprefix("containers/")
    return Container(name, section, reference, facts, config, files, merged, component)


def _sysctl_folders(store: Store, root: Tree, step: Container) -> Iterator[dict[str, tuple[str, str]]]:
    """Yields the folders of kernel parameters that a step reads: name of each file -> its title and its text."""
    binds = {mount.get("source"): mount["destination"].strip("/") for mount in step.config["mounts"]}
    place = binds.get(f"/{SYSCTL_FOLDER}")
    if place != SYSCTL_FOLDER:
        yield _folder(store, step.files, f"{step.image} ")
    if place is not None:
        yield _folder(store, root, "")


def _folder(store: Store, tree: Tree, title: str) -> dict[str, tuple[str, str]]:
    paths = [path for path in tree.files() if parent(path) == SYSCTL_FOLDER]
    return {path.rpartition("/")[2]: (title + path, _text(store, tree, path) or "") for path in paths}


def _text(store: Store, tree: Tree, path: str) -> str | None:
    """Returns the text of the file at `path`; None if there is none, or a large one."""
    file = tree.get_file(path)
    return store.bytes(file.content).decode("utf-8", "replace") if file and file.size <= LARGEST_TEXT else None


def _cmdline(store: Store, plan: Plan) -> str | None:
    """Returns the kernel's command line; None without a kernel."""
    boot = plan.products.kernel
    return _text(store, store.tree(boot.perform(store)[0]), "cmdline")


def _kernel_config(store: Store, plan: Plan) -> str:
    contents = kernel_contents(plan.components)
    if contents is None:
        return ""
    image = store.tree(contents.inputs[0].perform(store)[0])
    return compression.kernel_config(store, image, contents.params["binary"].removeprefix("/"))


def _unsigned(store: Store, root: Tree) -> Iterator[str]:
    """Yields the kernel modules without a signature."""
    modules = ((path, file) for path, file in root.files().items() if is_module(path))
    return node_facts.unsigned((path, store.bytes(file.content)) for path, file in modules)


def _booting(plan: Plan) -> list[str]:
    """Returns the formats of the spec that start a machine."""
    return [name for name in plan.spec.build.formats if formats.boots(name)]


def _verity(plan: Plan) -> Words | None:
    """Returns the reaction to a damaged root, if each format verifies it; None if no format starts a machine."""
    booting = _booting(plan)
    if not booting:
        return None
    reaction = plan.spec.build.verity
    always = all("verity_bootrd" in formats.products(name) for name in booting)
    return (reaction or "panic",) if all(map(formats.verifiable, booting)) and (reaction or always) else ()


def _signed(store: Store, plan: Plan) -> Words | None:
    """Returns `signed` if each format starts by a signed program; None if its program is not built yet."""
    booting = _booting(plan)
    if not booting:
        return None
    records = [record for name in booting for record in plan.records(name)]
    if plan.signer is None or not all(map(plan.records, booting)):
        return ()
    known = [store.recall(record.key) for record in records]
    if not all(known):
        return None
    signers = [
        json.loads(store.bytes(store.tree(each).file(signed.RECORD).content))["signer"] for each in known if each
    ]
    return ("signed",) if all(signers) else ()
