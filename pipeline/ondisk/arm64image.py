"""The header of an arm64 kernel (`Image`). Source: kernel, Documentation/arch/arm64/booting.rst."""

from pipeline.ondisk import Structure

MAGIC = b"ARM\x64"
ALIGNMENT = 2 << 20
"""Alignment of the address that the kernel is placed at, less text_offset, in bytes."""
HEADER = Structure(
    "<",
    code0="I", code1="I", text_offset="Q", image_size="Q", flags="Q", res2="Q", res3="Q", res4="Q", magic="4s",
    res5="I",
)  # fmt: skip
