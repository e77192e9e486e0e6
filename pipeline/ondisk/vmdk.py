"""VMDK sparse extents: header, markers. Source: VMware, Virtual Disk Format 5.0."""

from pipeline.ondisk import Structure

MAGIC = b"KDMV"
LINE_ENDS, COMPRESSED, MARKERS = 1 << 0, 1 << 16, 1 << 17
"""Flags: line ends can be tested; grains are compressed; markers separate them."""
AT_END = (1 << 64) - 1
"""gdOffset of a header whose grain directory is named by the footer."""
DEFLATE = 1
"""compressAlgorithm."""
HEADER = Structure(
    "<",
    magicNumber=("4s", MAGIC), version="I", flags="I", capacity="Q", grainSize="Q", descriptorOffset="Q",
    descriptorSize="Q", numGTEsPerGT="I", rgdOffset="Q", gdOffset="Q", overHead="Q", uncleanShutdown="B",
    singleEndLineChar=("1s", b"\n"), nonEndLineChar=("1s", b" "), doubleEndLineChars=("2s", b"\r\n"),
    compressAlgorithm="H",
)  # fmt: skip
GRAIN = Structure("<", lba="Q", size="I")
"""The head of a grain: its first sector, and its compressed size in bytes."""
MARKER = Structure("<", val="Q", size="I", type="I")
EOS, GRAIN_TABLE, GRAIN_DIRECTORY, FOOTER = range(4)
"""Types of a marker."""
