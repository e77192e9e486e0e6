"""Reproducible compression by name and level, and a thread pool that returns results in order."""
