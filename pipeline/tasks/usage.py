"""Usage: `doit COMMAND --help` prints what the command does and which options it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from doit.cmdparse import CmdOption

from pipeline.host.terminal import say

HELP = {"name": "help", "long": "help", "short": "h", "type": bool, "default": False, "help": "print this"}
"""doit's form of the option, as in the PARAMS of a command."""


def install() -> None:
    """Have doit's own messages about options name them as they are typed."""
    CmdOption.__repr__ = lambda self: f"--{self.long}"


def helping(run: Callable[..., Any], title: str, params: Sequence[Mapping[str, Any]]) -> Callable[..., Any]:
    """`run`, which prints what `params` are instead if it gets `help`."""

    def run_or_help(*arguments: Any, help: bool = False, **options: Any) -> Any:
        if help:
            described = [line for param in params for line in CmdOption(dict(param)).help_doc()]
            say("\n".join([title, *described]))
            return None
        return run(*arguments, **options)

    return run_or_help
