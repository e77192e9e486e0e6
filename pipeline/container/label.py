"""The label `org.mobyproject.config`: how an image wants to be run, in the words of a spec (YAML or JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.container.container import Config
from pipeline.language import document
from pipeline.language.problem import Problems, StageProblem
from pipeline.language.schema import InvalidValue, Reader, kind, plain, violations
from pipeline.oci.config import LABEL


def read_label(labels: Mapping[str, str]) -> dict[str, Any]:
    """What the label says, as JSON; {} without one. StageProblem at the entry's `image` if it is wrong."""
    unsafe_text = labels.get(LABEL, "")
    if not unsafe_text:
        return {}
    reader = Reader()
    try:
        node = document.parse(unsafe_text.encode("utf-8", "surrogatepass"), f"label {LABEL}")
        value = reader.read(kind(Config), node, ()) if node else Config()
    except InvalidValue:
        raise _refused(Problems(reader.problems)) from None
    except Problems as problems:
        raise _refused(problems) from None
    if reader.problems:
        raise _refused(Problems(reader.problems))
    for path, message, hint in violations(value):
        raise StageProblem(("image",), f"{message}, in the image's label {LABEL} at {'.'.join(map(str, path))}", hint)
    return dict(plain(value))


def _refused(problems: Problems) -> StageProblem:
    return StageProblem(("image",), f"the image's {'; '.join(map(str, problems.problems))}")
