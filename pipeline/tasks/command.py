"""Command: the contract of a module of pipeline/commands, and what doit gets of it.

    @command("what is printed by `doit list`", json="as JSON, for editors")
    def run(project: Project, names: Sequence[str], json: bool = False) -> None: ...

makes `doit NAME` for all specs, `doit NAME:SPEC` for one, and the option `--json`, whose default gives its type. They
are tasks, not commands of doit: a command would take its name from the tasks of every other project of the environment.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from doit.cmdparse import CmdOption, CmdParseError, TaskParse
from doit.task import Task

from pipeline.host.terminal import printable, say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import SPECS, Project
from pipeline.tasks import crash
from pipeline.tasks.reporter import explained

DOIT_COMMANDS = ("run",)
"""Commands of ours that doit has, too: there is `run:NODE`, but no `run` for all."""
HELP = {"name": "help", "long": "help", "short": "h", "type": bool, "default": False, "help": "print this"}
FOLDER = Path(__file__).parent.with_name("commands")


class Command(NamedTuple):
    """A command of nodekiln.

    run: takes the project, names and the options. The name is that behind the colon (`lock:node`); without one, names
    are the words behind the command if it takes `words`, else all of `names`. doc: one line. options: doit's
    dictionaries. words: the words that `doit NAME` takes, for its usage. names: lists what there is a NAME:… for; None:
    the command is about the project, and `run` takes no names.
    """

    run: Callable[..., None]
    doc: str
    options: tuple[Mapping[str, Any], ...]
    words: str
    names: Callable[[Project], list[str]] | None

    def usage(self, name: str) -> str:
        """Returns the command `name` with its words, what it does, and its options."""
        words = f"  {self.words}" * (":" not in name and bool(self.words))
        options = [line for option in self.options for line in CmdOption(dict(option)).help_doc()]
        return "\n".join([f"{name}{words}  {self.doc}", *options])


def command(
    doc: str,
    words: str = "",
    names: Callable[[Project], list[str]] | None = Project.names,
    short: Mapping[str, str] | None = None,
    **options: str,
) -> Callable[[Callable[..., None]], Command]:
    """Declares a function to be a command. options: its keyword parameters, with the help of each; short: letters."""

    def declare(run: Callable[..., None]) -> Command:
        parameters = inspect.signature(run).parameters.values()
        defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
        if defaults.keys() != options.keys():
            raise TypeError(f"{run.__module__}: options with help {[*options]}, with defaults {[*defaults]}")
        letters = short or {}
        described = [_option(name, text, defaults[name], letters.get(name, "")) for name, text in options.items()]
        return Command(run, doc, (*described, HELP), words, names)

    return declare


def _option(name: str, text: str, default: Any, short: str) -> dict[str, Any]:
    long = name.replace("_", "-")
    shown = " [default: %(default)s]" if default not in ("", False, True) else ""
    option = {"name": name, "long": long, "type": type(default), "default": default, "help": text + shown}
    return option | ({"inverse": f"no-{long}"} if default is True else {}) | ({"short": short} if short else {})


def no_spec() -> str:
    """Returns the line that says how to begin, for a folder without a spec."""
    return f"no {SPECS}/NAME.yml here: {user_command('init')} makes a project"


def one(names: Sequence[str], name: str, project: Project) -> str:
    """Returns the only name; BadInput if `doit NAME` was typed where there are several specs, or none."""
    if len(names) != 1:
        raise BadInput(f"{user_command(f'{name}:NAME')}, with NAME one of {', '.join(project.names())}")
    return names[0]


def names() -> list[str]:
    """Returns the names of all commands."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def find(name: str) -> Command:
    """Returns the command `name`, and imports its module alone."""
    found: Command = import_module(f"pipeline.commands.{name}").run
    return found


def tasks(project: Project, name: str) -> Iterator[Task]:
    """Yields the tasks of a command: `NAME`, and `NAME:…` for each of its names."""
    it = find(name)
    group = name not in DOIT_COMMANDS
    if group:
        yield CommandTask(project, it, name)
    for each in it.names(project) if it.names else ():
        task = CommandTask(project, it, f"{name}:{printable(each)}", each)
        task.subtask_of = name if group else None  # keeps `doit list` short
        yield task


class NodekilnTask(Task):  # type: ignore[misc]
    """A task of doit that takes `--debug`, and whose messages about options show them as they are typed."""

    def __init__(self, name: str, action: list[Any] | None, debug: bool, **arguments: Any) -> None:
        params = [*arguments.pop("params", ()), *[crash.OPTION] * debug]
        arguments["doc"] = printable(arguments["doc"])
        actions = None if action is None else [(explained, [name, *action])]
        io = {"capture": False}  # doit swaps sys.stdout otherwise, for all threads
        super().__init__(name, actions, params=params, io=io, has_subtask=action is None, **arguments)

    def init_options(self, args: Sequence[str] | None = None) -> Any:
        """Parses the words behind the task's name; returns those that are not its own."""
        if args:
            self._behind_options(args)
        rest = super().init_options(args)
        if self.options.get(crash.NAME):  # of a group, too, which has no action that gets it
            crash.show_tracebacks()
        return rest

    def _behind_options(self, words: Sequence[str]) -> list[str]:
        """Returns `words` without the options that they start with. CmdParseError if one is wrong."""
        parser = TaskParse([CmdOption(option) for option in self.params])
        try:
            behind: list[str] = parser.parse_only([*words])[1]
        except CmdParseError as error:
            options = " ".join(dict.fromkeys([*(f"--{option['long']}" for option in self.params), f"--{crash.NAME}"]))
            raise CmdParseError(f"{self.name}: {error.__context__ or error} (its options: {options})") from None
        return behind


class CommandTask(NodekilnTask):
    """The task of a command. Options may stand before, between and behind words.

    each: the name behind the colon, "" for the command as such.
    """

    def __init__(self, project: Project, command: Command, name: str, each: str = "") -> None:
        self._project, self._command, self._each = project, command, each
        self.usage = command.words
        words = "words" if command.words and not each else None
        doc = f"{command.doc}: {each}" if each else command.doc
        arguments = {"params": command.options, "pos_arg": words, "uptodate": [False], "verbosity": 2}
        super().__init__(name, [self._run], debug=True, doc=doc, **arguments)

    def init_options(self, args: Sequence[str] | None = None) -> Any:
        if not args or self.pos_arg is None:
            return super().init_options(args)
        options, words, rest = list[str](), list[str](), [*args]
        while rest:
            behind = self._behind_options(rest)
            options += rest[: len(rest) - len(behind)]
            words, rest = words + behind[:1], behind[1:]
        super().init_options(options)
        self.pos_arg_val = words
        return []

    def _run(self, help: bool = False, words: Sequence[str] = (), **options: Any) -> None:
        command = self._command
        if help:
            say(command.usage(self.name))
        elif command.names is None:
            command.run(self._project, **options)
        else:
            every = words if command.words else command.names(self._project)
            if command.names is Project.names and not (every or command.words):
                raise BadInput(no_spec())
            command.run(self._project, [self._each] if self._each else [*every], **options)
