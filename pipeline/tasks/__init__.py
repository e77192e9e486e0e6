"""The tasks of nodekiln for doit: the loader, and for a dodo.py the configuration and the tasks."""

from pipeline.tasks.loader import Loader, build, commands, config

__all__ = ["Loader", "build", "commands", "config"]
