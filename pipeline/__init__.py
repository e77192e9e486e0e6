"""nodekiln: minimal, immutable, reproducible Linux node images, as a pipeline for doit."""
