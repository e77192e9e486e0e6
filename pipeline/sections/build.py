"""build: nodekiln's own key: formats, architectures and options of the results. It adds nothing to the root."""

from __future__ import annotations

from pipeline.sections import Section
from pipeline.spec.build import Build

SECTION = Section(99, Build)
