"""Metadata: the spec as a file on the node, which shows what the node was built from.

LinuxKit's layout (the fields of its structs, in their order): all files of the spec merged, images with their
registries. It is a spec again, without keys that LinuxKit does not have (`build:`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.container import cmdline
from pipeline.language.document import plain_value
from pipeline.language.schema import plain
from pipeline.spec.components import Context

_SECTIONS = ("kernel", "init", "onboot", "onshutdown", "services", "files", "volumes")
"""LinuxKit's keys, in its order."""
_KERNEL = {"cmdline": "", "binary": "kernel", "tar": "kernel.tar", "ucode": ""}
_FILE = ("path", "directory", "symlink", "contents", "source", "metadata", "optional", "mode", "uid", "gid")
_VOLUME = {"readonly": False, "format": "filesystem"}
"""Defaults, which are not written."""


def dump(context: Context, form: str) -> str:
    """The spec as text, for the node's architecture; `form` is "yaml" or "json"."""
    document = {name: _section(name, plain(context.spec[name]), context) for name in _SECTIONS}
    if form == "json":
        from pipeline.container.runtime_spec import marshal

        return marshal(document).decode()
    return _yaml(document)


def _yaml(document: Any) -> str:
    """YAML as Go writes it: texts of several lines as blocks, and those that look like something else in quotes."""
    import yaml

    class Dumper(yaml.CSafeDumper):
        pass

    def text(dumper: Any, value: str) -> Any:
        is_text = isinstance(plain_value(value), str)
        style = "|" if "\n" in value else None if is_text else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)

    Dumper.add_representer(str, text)
    return str(yaml.dump(document, Dumper=Dumper, sort_keys=False, width=1 << 30, allow_unicode=True))


def _section(name: str, value: Any, context: Context) -> Any:
    image = context.image
    if name == "kernel":
        value |= {"cmdline": cmdline.joined(value["cmdline"], context.arch)}
        kernel = {"image": image(value["image"]).reference if "image" in value else ""}
        return kernel | {key: value[key] for key, usual in _KERNEL.items() if value[key] != usual}
    if name == "init":
        return [image(reference).reference for reference in value]
    if name == "files":
        return [{key: entry[key] for key in _FILE if key in entry} for entry in value]
    if name == "volumes":
        return [_without(entry, _VOLUME) for entry in value]
    return [{"name": entry["name"], "image": image(entry["image"]).reference} | _rest(entry) for entry in value]


def _rest(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("name", "image")}


def _without(entry: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in usual or usual[key] != value}
