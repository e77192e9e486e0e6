"""The image label `org.mobyproject.config`: default keys of a container, in the language of a spec (YAML or JSON)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from pipeline.container.container import Config
from pipeline.language import document
from pipeline.language.problem import Problems, StageProblem, dotted
from pipeline.language.reader import InvalidValue, Reader
from pipeline.language.schema import kind, plain, violations
from pipeline.oci.config import LABEL


def read_label(labels: Mapping[str, str]) -> dict[str, Any]:
    """Returns the label as JSON; {} without one. StageProblem at ("image",) for an invalid label."""
    unsafe_text = labels.get(LABEL, "")
    if not unsafe_text:
        return {}
    reader = Reader()
    try:
        with contextlib.suppress(InvalidValue):
            node = document.parse(unsafe_text.encode("utf-8", "surrogatepass"), f"label {LABEL}")
            value = reader.read(kind(Config), node, ()) if node else Config()
            if not reader.problems:
                for path, message, hint in violations(value):
                    raise StageProblem(("image",), f"the image's label {LABEL}: {dotted(path)}: {message}", hint)
                return dict(plain(value))
        raise Problems(reader.problems)
    except Problems as problems:
        raise StageProblem(("image",), f"the image's {'; '.join(map(str, problems.problems))}") from None
