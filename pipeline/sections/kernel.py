"""kernel: the image with the kernel and its modules, and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.action import Action
from pipeline.container import Checked
from pipeline.names import ReferenceOrNone, wrong_reference
from pipeline.parts import Context, Part
from pipeline.stages import kernel

ORDER = 10
NO_TAR = ("", "none")
"""What `tar` says where a kernel image brings no tar of modules."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The kernel: an image that holds it as a file, and beside it a tar with its modules."""

    image: ReferenceOrNone | None = None
    """The image. Without one the node has no /boot."""
    cmdline: str = ""
    """The kernel's command line, as it stands."""
    binary: str = "kernel"
    """The kernel's file in the image."""
    tar: str = "kernel.tar"
    """An uncompressed tar in the image that is unpacked over the root: modules, firmware. `""` or `none` for none."""
    ucode: str = ""
    """A cpio archive in the image with the processor's microcode; it goes before the initrd."""
    modules: tuple[str, ...] | None = None
    """Which modules to keep, by name or pattern (`virtio_*`), with all that they need; left out: every one."""

    def problems(self) -> Checked:
        if message := wrong_reference(self.image) if self.image else "":
            yield ("image",), message, ""


Value = Kernel


def parts(value: Kernel, context: Context, below: tuple[Part, ...]) -> list[Part]:
    if not value.image:
        return []
    params = {
        "binary": value.binary or Kernel.binary,
        "tar": "" if value.tar in NO_TAR else value.tar,
        "ucode": value.ucode,
        "modules": None if value.modules is None else list(value.modules),
        "epoch": context.epoch,
    }
    where = context.spec.below("kernel")
    contents = Action("kernel/contents", kernel.contents, params, (context.image(value.image).tree,), where)
    line = {"cmdline": value.cmdline, "epoch": context.epoch}  # a stage of its own: it changes more often than kernels
    return [Part("kernel", Action("kernel", kernel.kernel, line, (contents,), where))]
