"""What doit sees of nodekiln: its loader, and for a dodo.py its configuration and its tasks."""

from pipeline.tasks.loader import Loader, build, commands, config

__all__ = ["Loader", "build", "commands", "config"]
