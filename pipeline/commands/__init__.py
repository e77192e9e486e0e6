"""Commands: one module each; `doit NAME` and `doit NAME:SPEC` are what it does. tasks.py says what a module has."""
