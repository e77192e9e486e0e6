"""doit's commands of nodekiln, one module each: a function `run` that is declared with `pipeline.tasks.command`."""
