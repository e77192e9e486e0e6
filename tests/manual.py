"""Generator of the manual's reference, from the declarations in the code.

`python -m tests.manual` writes specs/schema.json and the generated pages of docs/reference. Pages that people write
keep their text: only their tables are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.commands.init import no_names
from pipeline.host.user_command import program
from pipeline.inspect import baseline
from pipeline.planning import describe
from pipeline.project.project import Project
from pipeline.tasks import command
from tests import versions

ROOT = Path(__file__).parents[1]
COMMANDS = Path("docs/reference/commands.md")
BASELINES = Path("docs/reference/baselines.md")
WRITES = "run: python -m tests.manual"
"""Message of a test that finds a stale page."""
INTRODUCTION = """\
# Commands

Made from the declarations in `pipeline/commands` by `python -m tests.manual`; do not edit.

`nodekiln COMMAND` means all specs, `nodekiln COMMAND:NODE` the one in `specs/NODE.yml`; several commands can stand in
one line. Options stand before, between and behind words. Every command has `--help`, and `--debug`, which shows the
traceback of an unexpected error.

nodekiln is [doit](https://pydoit.org) with tasks of its own. doit's commands work as everywhere: `nodekiln list`
(`--all build:NODE` for the stages of one), `nodekiln info TASK`, `nodekiln clean`, `nodekiln -n 4 build`. In a project
whose `pyproject.toml` has `[tool.doit] loader = "nodekiln"`, `doit` is the same command; in a clone, `./kiln`
is. [Exit codes](exit-codes.md) are the same for all. Names complete in bash after `eval "$(nodekiln tabcompletion)"`.

## build

Every spec in `specs/`.

`nodekiln build`, `nodekiln build:NODE`, `nodekiln build:NODE:FORMAT`

| option | |
|---|---|
| `--from TEXT` | a [bundle](../how-to/air-gap.md) to build from, without a network |

The results are in `build/NODE/`. A format may be asked for that the spec does not name ([formats](formats.md)).

`nodekiln build shard=2/16` builds the second of 16 parts of the specs, and `shard=common` the stages that at least half
of the specs need: [many machines](../how-to/scale.md). `NODEKILN_SHARD` is the default of `shard=`.
"""


BASELINES_INTRODUCTION = """\
# Baselines

Made from `pipeline/inspect/baselines` by `python -m tests.manual`; do not edit.
[Check a node against baselines](../how-to/harden.md) explains the command.

A fact `container.…` is one of each container, `cmdline.…` a parameter of the kernel's command line, `sysctl.…` a
kernel parameter, `mount.…` the options of a mount. The reason names what a node gains by the rule.
"""


def commands() -> str:
    """docs/reference/commands.md."""
    lines = [INTRODUCTION]
    for name in command.names():
        lines += [*_command(name, command.find(name)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _command(name: str, declared: command.Command) -> Iterator[str]:
    """Yields the section of a command: what it does, how it is called, and a table of its options."""
    doc = declared.doc.replace(f"`{program()} ", "`nodekiln ")
    yield from (f"## {name}", "", f"{doc[0].upper()}{doc[1:]}.", "")
    group = f"nodekiln {name} {declared.words}".rstrip()
    single = f"nodekiln {name}:{'NODE' if declared.names is Project.names else declared.words}"
    forms = [group] * (name not in command.DOIT_COMMANDS) + [single] * (declared.names not in (None, no_names))
    yield ", ".join(f"`{form}`" for form in forms)
    options = [option for option in declared.options if option is not command.HELP]
    if options:
        yield from ("", "| option | |", "|---|---|")
    for option in options:
        shown = option["help"].replace("%(default)s", str(option["default"])).replace("|", "\\|")
        yield f"| {', '.join(f'`{flag}`' for flag in _flags(option))} | {shown} |"


def baseline_rules() -> str:
    """docs/reference/baselines.md."""
    lines = [BASELINES_INTRODUCTION]
    for name in baseline.names():
        each = baseline.find(name)
        lines += [f"## {name}", "", f"{each.title}. Sources:", "", *(f"- {_linked(source)}" for source in each.sources)]
        lines += ["", f"Left out: {each.left_out}.", ""] if each.left_out else [""]
        lines += ["| rule | fact | expected | reason |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(_rule(rule))} |" for rule in each.rules]
        lines.append("")
    lines += ["## Keys of a baseline", "", *describe.table(baseline.Baseline, heading=False)]
    lines += ["### Rule", "", str(baseline.Rule.__doc__), "", *describe.table(baseline.Rule, heading=False)]
    lines += [
        f"Facts of the node: {_code(baseline.NODE_FACTS)}, {_code(f'{each}…' for each in baseline.FAMILIES)}.",
        "",
    ]
    lines += [f"Facts of containers: {_code(baseline.CONTAINER + name for name in baseline.KEYS)}."]
    return "\n".join(lines).rstrip() + "\n"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _linked(source: str) -> str:
    address, _, rest = source.partition(" ")
    return f"<{address}> {rest}".rstrip()


def _rule(rule: baseline.Rule) -> Iterator[str]:
    """Yields the cells of a rule."""
    yield rule.id + f" ({', '.join(rule.arch or ())})" * bool(rule.arch)
    yield ", ".join(f"`{fact}`" for fact in rule.facts)
    yield rule.expected.replace("|", "\\|").replace("*", "\\*")
    yield rule.reason + f"; **not for container hosts:** {rule.hosts}" * bool(rule.hosts)


def _flags(option: Mapping[str, Any]) -> Iterator[str]:
    """Yields the spellings of an option, as doit describes it."""
    yield f"--{option['long']}" + {bool: "", int: " NUMBER", str: " TEXT"}[option["type"]]
    if "short" in option:
        yield f"-{option['short']}"
    if "inverse" in option:
        yield f"--{option['inverse']}"


PAGES: Mapping[Path, Callable[[str], str]] = {
    **describe.PAGES,
    COMMANDS: lambda _: commands(),
    BASELINES: lambda _: baseline_rules(),
    versions.TABLE.relative_to(ROOT): versions.updated,
}
"""Generated file -> its text now, out of the present one."""


def write(root: Path) -> None:
    """Writes every generated file below `root`."""
    for path, text in PAGES.items():
        target = root / path
        target.write_text(text(target.read_text("utf-8") if target.exists() else ""), encoding="utf-8")


if __name__ == "__main__":
    write(Path())
