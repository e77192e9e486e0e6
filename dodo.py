"""nodekiln's commands for doit: this file may be copied into any folder that has specs/."""

from pipeline import tasks

DOIT_CONFIG = tasks.config()


def task_build():
    """make what the specs in specs/ ask for, into build/NAME"""
    yield from tasks.build()
