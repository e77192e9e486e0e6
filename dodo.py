"""nodekiln's commands for doit: this file may be copied into any folder that has specs/."""

from pipeline import tasks

DOIT_CONFIG = tasks.config()


def task_build():
    """`build`, and for every spec `build:NAME`, `build:NAME:FORMAT` and its stages."""
    yield from tasks.build()


def task_commands():
    """One task for every module of pipeline/commands: lock, check, run, …"""
    yield from tasks.commands()
