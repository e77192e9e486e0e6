"""Damage, as disks and programs do it to files."""

from pathlib import Path


def flip(path: Path, place: int) -> None:
    """Changes one bit of the byte at `place` with an ordinary write; the file gets the time stamp of now."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
