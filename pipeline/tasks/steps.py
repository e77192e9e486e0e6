"""Steps: the stages in few words, for `doit list --all build:NODE`; docstrings are for their callers."""

from __future__ import annotations

from pipeline.engine.action import Action

STEPS = {
    "formats": "writes the format {name}",
    "stages.initramfs.modules": "picks the modules that the RAM disk for a root on a disk needs",
    "stages.initramfs.ramdisk": "makes the RAM disk that mounts a root on a disk",
    "stages.bundle.bundle": "makes the container's bundle: its image, config.json, runtime.json",
    "stages.compression.compression": "chooses a compression that the kernel can unpack",
    "stages.files.files": "lays out what `files:` says",
    "stages.initrd.fragment": "compresses this part of the initrd",
    "stages.initrd.initrd": "puts the initrd together",
    "stages.kernel.boot": "takes the kernel and its command line",
    "stages.kernel.contents": "takes the kernel and its modules out of the image",
    "stages.kernel.kernel": "adds the command line to the kernel",
    "stages.kernel.running": "takes the modules without what boots",
    "stages.compressed_disk.gz": "compresses the disk with gzip",
    "stages.compressed_disk.zst": "compresses the disk with zstd",
    "stages.pull.pull": "fetches the image",
    "stages.pull.unpack": "unpacks the image's layers",
    "stages.root.bundle_metadata": "takes the container's configuration for the initrd",
    "stages.root.bundle_image": "takes the container's image for the initrd",
    "stages.root.nothing": "stands for a kernel that is not there",
    "stages.root.rootfs": "lays all parts over each other: the root file system",
    "stages.root.select": "takes this part's share of the root file system",
    "stages.root.partition_overlay": "decides which part each file of the root file system comes from",
    "stages.root_image.packages": "joins the lists of Alpine packages",
    "stages.root_image.unpack": "makes the image a part of the root file system",
    "stages.starts.container": "checks that the container's program can start",
    "stages.starts.without_modules": "leaves the modules out of what is checked",
    "stages.starts.node": "checks that init and the runtimes can start",
    "stages.trusted.trusted": "verifies the image's signatures",
    "stages.unified.release": "takes the node's name and version",
    "stages.volume.layout": "makes a volume that holds an image itself",
    "stages.volume.volume": "makes the volume",
    "recipe.assemble.image": "assembles the recipe's image",
    "recipe.deb.unpack": "unpacks the recipe's packages",
    "packages.fetch.fetch": "fetches the recipe's packages",
}
"""Module (below pipeline) and function of a stage -> what it does."""


def described(action: Action) -> str:
    """Returns what the stage of `action` does: from STEPS, else the first line of the stage's docstring."""
    module = action.stage.__module__.removeprefix("pipeline.")
    if module.startswith("formats."):
        return STEPS["formats"].format(name=action.name.removeprefix("format/"))
    known = STEPS.get(f"{module}.{action.stage.__name__}")
    return known or (action.stage.__doc__ or "").partition("\n")[0]
