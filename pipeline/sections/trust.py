"""trust: rules about who must have signed images, besides those of the project in `specs/trust.yml`."""

from __future__ import annotations

from pipeline.language.schema import mapping
from pipeline.sections import Section
from pipeline.trust.policy import Rules


@mapping
class Trust(Rules):
    """Rules about signers of images. They hold besides the project's: a spec tightens those, and never loosens them."""

    image: tuple[str, ...] | None = None
    """Images that must be covered by a rule, as LinuxKit lists them: `docker.io/library/nginx:1.27`, or without tag."""
    org: tuple[str, ...] | None = None
    """Organisations whose images must be covered by a rule, as LinuxKit lists them: `linuxkit`."""


SECTION = Section(90, Trust)
