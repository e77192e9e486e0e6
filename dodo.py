"""nodekiln's tasks beside your own: what a project with tasks of its own copies instead of naming our loader."""

from pipeline import tasks

DOIT_CONFIG = tasks.config()


def task_build():
    """Yields `build`, and for every spec `build:NAME`, `build:NAME:FORMAT` and its stages."""
    yield from tasks.build()


def task_commands():
    """Yields the tasks of nodekiln's commands: lock, check, run, …"""
    yield from tasks.commands()
