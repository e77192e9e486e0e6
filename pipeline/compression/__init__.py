"""Reproducible compression by name and level; a thread pool that keeps the order."""
