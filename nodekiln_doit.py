"""nodekiln's plug-ins for doit (entry points in pyproject.toml).

doit imports the backends and reporters of every package of the environment in every project. So this module imports
nothing until a project uses one of them: other projects pay nothing, and may have a module `pipeline` of their own.
"""

from typing import Any


class State:
    """Backend: what doit remembers of a checkout."""

    desc = "nodekiln's: sqlite3, one commit a task"

    def __new__(cls, name: str, codec: Any, *, module_name: str | None = None) -> Any:
        from pipeline.tasks.state import StateDB

        return StateDB(name, codec, module_name=module_name)


class Reporter:
    """Reporter: a live view of a build on a terminal, plain lines elsewhere."""

    desc = "nodekiln's: a live view on a terminal, a line a stage elsewhere"

    def __new__(cls, outstream: Any, options: dict[str, Any]) -> Any:
        from pipeline.tasks.reporter import chosen

        return chosen(outstream)(outstream, options)
