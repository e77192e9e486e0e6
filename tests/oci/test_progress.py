"""What is said while images come."""

from __future__ import annotations

import io
from itertools import count

import pytest

from pipeline.oci.progress import Meter, size


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_that_is_drawn_over_on_a_terminal() -> None:
    out, seconds = Terminal(), count()
    meter = Meter(out, lambda: float(next(seconds)))
    with meter.transfer("alpine:3.20", 10_000_000) as one, meter.transfer("busybox", 30_000_000) as two:
        one(5_000_000)
        two(5_000_000)
    lines = out.getvalue().split("\r\x1b[K")
    assert lines[1] == "alpine:3.20 and 1 more  5.0 MB of 40 MB  2.5 MB/s  14 s left"
    assert lines[2].startswith("alpine:3.20 and 1 more  10 MB of 40 MB  3.3 MB/s  9 s left")
    assert lines[3] == "busybox: 30 MB in 3.0 s (10 MB/s)\n"


def test_a_line_an_image_elsewhere_and_none_for_nothing() -> None:
    out, seconds = io.StringIO(), count()
    meter = Meter(out, lambda: float(next(seconds)))
    with meter.transfer("nothing", 0) as progress:
        progress(0)
    with meter.transfer("alpine:3.20", 1500) as progress:  # two seconds: worth saying
        progress(1500)
    assert out.getvalue() == "alpine:3.20: 1.5 kB in 2.0 s (750 B/s)\n"


def test_a_transfer_that_fails_says_nothing() -> None:
    out = io.StringIO()
    meter = Meter(out)
    with pytest.raises(KeyError), meter.transfer("x", 5):
        raise KeyError
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (20e6, "20 MB"), (5e9, "5.0 GB"), (7e12, "7.0 TB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text
