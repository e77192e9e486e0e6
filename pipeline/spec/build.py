"""Build options: the values of `build:`, and their defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pipeline.container.arches import Arch
from pipeline.host import tracked
from pipeline.language.kinds import Pattern, Range
from pipeline.language.problem import Violations
from pipeline.language.schema import fields, mapping, plain
from pipeline.spec import compatibility

COMPAT = "NODEKILN_COMPAT"
"""Environment variable: the default of `build.compat`."""
FORMATS = ("kernel+initrd",)
"""The default of `build.formats`."""

_GUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
MACHINES: Mapping[str, Arch] = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""Machine as uname(2) names it -> architecture of images. Any other host gets amd64."""
Size = Annotated[str, Pattern(r"[0-9]{1,12}[KMGT]?", "a size such as 1024M: digits, and K, M, G or T (powers of 1024)")]
DiskSize = Annotated[
    str, Pattern(r"[1-9][0-9]{0,6}[MGT]?", "a size such as 512M: digits, and M, G or T (M where none is)")
]
"""A size on a disk: whole MiB."""
BootLabel = Annotated[str, Pattern(r"[A-Z0-9_]{1,11}", "a label of at most 11 letters (capitals), digits and `_`")]
"""A label that FAT, ISO 9660 and the usual tools accept."""
PartitionLabel = Annotated[str, Pattern(r"[A-Za-z0-9_.-]{1,36}", "a label of letters, digits, `_`, `-` and `.`")]
Compression = Annotated[
    str,
    Pattern(
        r"none|zstd(:([1-9]|1[0-9]|2[0-2]))?|gzip(:([0-9]|1[0-2]))?",
        "zstd[:1-22], gzip[:0-12] or none",
        words=("zstd", "gzip", "none"),
    ),
]

Clusters = Annotated[
    str, Pattern(r"plain|zstd(:([1-9]|1[0-9]|2[0-2]))?", "plain or zstd[:1-22]", words=("plain", "zstd"))
]

LONGEST_LABEL = {"fat": 36, "ext4": 16, "swap": 15, "none": 36}
"""Maximum length of a label, in characters, by format. FAT also has the pattern of BootLabel."""
LEAST_SIZE = {"fat": 3, "ext4": 5, "swap": 1, "none": 1}
"""Minimum size of a partition, in MiB: FAT16 has at least 4085 clusters, and ext4 a journal of 4 MiB."""


@mapping
class Partition:
    """A partition of disk images. The first is the FAT volume that the node boots from; others come behind it."""

    label: PartitionLabel | None = None
    """Its name in a GUID partition table, and the label of the file system. That of the first is `label` by default."""
    size: DiskSize | None = None
    """Its size: `512M`, `4G`. By default, the first is as small as the node allows, and the last gets the rest of
    `build.size`; others need a size."""
    format: Literal["none", "ext4", "swap", "fat"] | None = None
    """Its content: an empty file system (ext4 with a journal), a swap area, or nothing (the default)."""
    type: Annotated[str, Pattern(_GUID, "a GUID")] | None = None
    """Its type in a GUID partition table, a GUID. By default that of its format: Linux data, Linux swap, basic data.
    The first is the EFI system partition."""

    def problems(self) -> Violations:
        longest = LONGEST_LABEL[self.format or "none"]
        if self.label is not None and len(self.label) > longest:
            yield ("label",), f"the label {self.label!r} is too long for {self.format}", f"at most {longest} characters"
        if self.format == "fat":
            yield from _wrong_fat_label(self.label)


@mapping
class Sign:
    """The signers of the node's EFI programs, for Secure Boot, and of what `doit push` pushes."""

    certificate: str | None = None
    """The certificate of the signer of EFI programs, in PEM or DER: a file of the project, relative to the spec, else
    to the working directory. In PEM, the certificates between it and the one in db may follow it. The signatures are
    those in the file NAME.signatures beside the spec; without them the node is built unsigned."""
    key: str | None = None
    """The signer's private key, in PEM, for `doit sign` alone: no build reads it. Leave it out if signatures are made
    elsewhere."""
    pk: str | None = None
    """The content of the firmware's variable PK: a certificate, in PEM or DER, or lists of signatures as the variable
    has them (.esl). By default the last one of `certificate`. PK, KEK, db and dbx decide the expected PCR 7, and are
    what `doit run --secure-boot` enrols; no output depends on them."""
    kek: str | None = None
    """The content of KEK. By default the last one of `certificate`."""
    db: str | None = None
    """The content of db. By default the last one of `certificate`; one of these, or the issuer of one, has to
    be in it."""
    dbx: str | None = None
    """The content of dbx, signatures and certificates that it refuses. By default nothing."""
    push: str | None = None
    """The public key of the signer of what is pushed, in PEM: Ed25519, or ECDSA on P-256; a file as `certificate` is.
    `doit push` attaches the signatures in NAME.signatures, or makes them with the private key of its option `--sign`;
    where one is missing, nothing is pushed."""

    def problems(self) -> Violations:
        others = [name for name in plain(self) if name not in ("certificate", "push")]
        if self.certificate is None and (others or self.push is None):
            message = f"build.sign.{others[0]} is about EFI programs" if others else "build.sign names no signer"
            yield (), message, "certificate: keys/db.pem" + ("" if others else ", or push: keys/release.pub")


@mapping
class Build:
    """The results of the spec, and their options. LinuxKit has them on its command line."""

    formats: tuple[str, ...] | None = None
    """Output formats; `doit formats` lists them. `[kernel+initrd]` by default."""
    arch: Arch | tuple[Arch, ...] | None = None
    """Architecture, or several; the host's by default."""
    compress: Compression | None = None
    """Compression of the initrd, and of formats that compress: `zstd[:level]`, `gzip[:level]` or `none`. By default the
    first of zstd, gzip and none that the kernel can unpack, if its image carries the kernel's configuration."""
    size: DiskSize | None = None
    """Size of disk images: `1024M`, `4G`. By default they are as small as their content allows."""
    label: BootLabel | None = None
    """Label of the volume that the node boots from, on disks and ISOs. `NODE` by default."""
    partitions: tuple[Partition, ...] | None = None
    """Partitions of raw-bios, raw-efi, raw-hybrid, rpi3 and all disks that are made of them. The first is the one that
    the node boots from; it is the only one by default, and fills the disk. On ext4 and ext4-efi the root lies behind
    the first, and the others behind it."""
    clusters: Clusters | None = None
    """Clusters of qcow2 images: `plain` (the default), or compressed with `zstd[:level]`, which QEMU reads since
    version 5.1."""
    verity: Literal["panic", "restart", "eio"] | None = None
    """Verifies each block of the root when it is read (dm-verity), for kernel+squashfs, kernel+erofs, verity-efi and
    qcow2-verity-efi. A block that is not as it was built makes the kernel `panic`, `restart` the machine, or gives the
    reader an input/output error (`eio`). verity-efi and qcow2-verity-efi do so anyway; `panic` is their default."""
    bootloader: str | None = None
    """Image with the boot loader or firmware of disk images, instead of the recipe that a format needs."""
    release: str | None = None
    """Release whose packages recipes are made of: `trixie` (the default without a sources.yml), `bookworm`, `noble`, or
    one of the project's sources.yml."""
    append: tuple[str, ...] | None = None
    """More files of this spec, relative to it, appended in this order; the files of NAME.d follow."""
    compat: Literal["linuxkit"] | Annotated[int, Range(1, 999)] | None = None
    """`linuxkit` repeats LinuxKit's time stamps and mistakes, to compare bytes. A number pins the output generation: a
    nodekiln of another generation refuses the spec and names the releases that can build it."""
    epoch: Annotated[int, Range(0, (1 << 32) - 1)] | None = None
    """Time stamp of files that nodekiln itself makes, in seconds since 1970. Default: SOURCE_DATE_EPOCH, else 1980."""
    sign: Sign | None = None
    """Signer of uki, ext4, ext4-efi and all disks that hold these programs."""
    sbom: Literal["external"] | tuple[str, ...] | None = None
    """Bills of materials of images (SPDX, CycloneDX), for the formats spdx and cyclonedx: those that images have as
    referrers in their registry, found by `doit lock`. `external` takes those that there are; a list names images that
    have to have one. What they name is added, unless a package database of the image names it."""
    budget: Mapping[str, Size] | None = None
    """Maximum size of every output (`total`), of one (`qcow2-bios`), or of a component (`services/sshd`). More is an
    error."""

    def problems(self) -> Violations:
        if self.partitions or self.size:
            yield from _wrong_partitions(self.partitions or (), self.size, self.label)
        if isinstance(self.compat, int) and (refusal := compatibility.refusal(self.compat)):
            yield ("compat",), f"build.compat: {refusal}", ""
        lists = {"formats": self.formats, "arch": self.arch, "sbom": self.sbom}
        for name, values in ((name, value) for name, value in lists.items() if isinstance(value, tuple)):
            if values == ():
                yield (name,), f"build.{name} is empty", "leave it out for the default"
            for number, value in enumerate(values):
                if value in values[:number]:
                    yield (name, number), f"build.{name} has {value} twice", "leave it out here"

    def options(self) -> dict[str, Any]:
        """The options of formats that the spec sets, as JSON."""
        own = ("formats", "arch", "append", "compat", "epoch", "budget", "release", "sign", "sbom")
        return {name: value for name, value in plain(self).items() if name not in own}


def _wrong_partitions(partitions: tuple[Partition, ...], size: str | None, label: str | None) -> Violations:
    """Problems of partitions together. Only a build shows if the node fits into the first."""
    seen: dict[str, int] = {}
    for number, each in enumerate(partitions):
        here = ("partitions", number)
        if number == 0:
            yield from (((*here, *path), message, hint) for path, message, hint in _wrong_boot_volume(each))
        elif each.size is None and not (size and number == len(partitions) - 1):
            yield here, f"partition {number + 1} has no size", "only the last can do without, where build.size has one"
        name = each.label or (label or "" if number == 0 else "")
        if (number or name) and seen.setdefault(name, number) != number:
            yield (*here, "label"), f"two partitions have the label {name!r}", "the node tells them apart by it"
    yield from _wrong_sizes(partitions, size)


def _wrong_boot_volume(first: Partition) -> Violations:
    if first.format not in (None, "fat"):
        yield ("format",), "the first partition is the FAT volume that the node boots from", "leave its format out"
    if first.type is not None:
        yield ("type",), "the first partition is what firmware boots from: its type is fixed", "leave it out"
    if first.format is None:
        yield from _wrong_fat_label(first.label)


def _wrong_fat_label(label: str | None) -> Violations:
    pattern: Pattern = get_args(BootLabel)[1]
    if label is not None and not pattern.matches(label):
        yield ("label",), f"{label!r} is not {pattern.expected}", "it is FAT's"


def _wrong_sizes(partitions: tuple[Partition, ...], size: str | None) -> Violations:
    from pipeline.writers import FormatError, disk

    sizes = [disk.MIB] * len(partitions)
    for number, each in enumerate(partitions):
        try:
            sizes[number] = disk.size(each.size, above=0) or disk.MIB
        except FormatError as error:
            yield ("partitions", number, "size"), str(error), ""
            continue
        least = LEAST_SIZE[each.format or "none"]
        if sizes[number] < least * disk.MIB and each.size:
            yield ("partitions", number, "size"), f"{each.size} is too small for {each.format}", f"at least {least}M"
    try:
        whole = disk.size(size)
    except FormatError as error:
        yield ("size",), str(error), ""
        return
    if whole and sum(sizes) + disk.MIB > whole:
        yield ("size",), f"{size} is too small: the partitions alone take {sum(sizes) // disk.MIB}M", ""


@mapping
class BuildOptions(Build):
    """A Build whose defaults are filled in."""

    formats: tuple[str, ...]
    arch: tuple[Arch, ...]


def filled_in(value: Build) -> BuildOptions:
    """`value` with the defaults of formats, architecture and compatibility."""
    arch = value.arch or MACHINES.get(os.uname().machine, "amd64")
    options = {field.name: getattr(value, field.name) for field in fields(Build).values()}
    formats = value.formats or FORMATS
    compat = value.compat or tracked.variable(COMPAT) or None
    return BuildOptions(
        **options | {"formats": formats, "arch": (arch,) if isinstance(arch, str) else arch, "compat": compat}
    )
