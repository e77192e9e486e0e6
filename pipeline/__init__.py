"""nodekiln: minimal, immutable, reproducible Linux node images, as a pipeline for doit."""

__version__ = "0.1.0"
