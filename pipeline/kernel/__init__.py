"""Kernels: version, configuration and command line read from files; modules, selected and with dependency data."""
