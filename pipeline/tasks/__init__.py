"""What doit sees of nodekiln: the only modules that know doit. A dodo.py needs these three."""

from pipeline.tasks.tasks import build, commands, config

__all__ = ["build", "commands", "config"]
