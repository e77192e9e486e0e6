"""The progress of transfers, on terminals and elsewhere."""

from __future__ import annotations

import io
from contextvars import copy_context
from itertools import count
from pathlib import Path

import pytest

from pipeline.model.digest import Digest
from pipeline.oci.image import image_manifest
from pipeline.oci.progress import Line, transfer
from pipeline.stages.pull import pull
from pipeline.store import Store
from pipeline.store.progress_counter import ProgressCounter, current
from pipeline.tasks.progress import described
from tests.oci import craft


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_one_line_that_is_drawn_over_on_a_terminal() -> None:
    out, seconds = Terminal(), count()
    line = Line(out, lambda: float(next(seconds)))
    with line.transfer("alpine:3.20", 10 << 20) as one, line.transfer("busybox", 30 << 20) as two:
        one(5 << 20)
        two(5 << 20)
    lines = out.getvalue().split("\r\x1b[K")
    assert lines[1] == "alpine:3.20 and 1 more  5 MiB of 40 MiB  2.5 MiB/s  14 s left"
    assert lines[2].startswith("alpine:3.20 and 1 more  10 MiB of 40 MiB  3.33 MiB/s  9 s left")
    assert lines[3] == "busybox: 30 MiB in 3.0 s (10 MiB/s)\n"


def test_the_line_is_gone_when_the_last_transfer_ends() -> None:
    out, seconds = Terminal(), (1 + number / 4 for number in count())
    line = Line(out, lambda: next(seconds))
    with line.transfer("debian trixie InRelease", 100) as progress:
        progress(50)
    assert out.getvalue().startswith("\r\x1b[Kdebian trixie InRelease  50 B of 100 B")
    assert out.getvalue().endswith("\r\x1b[K")


def test_a_line_an_image_elsewhere_and_none_for_nothing() -> None:
    out, seconds = io.StringIO(), count()
    line = Line(out, lambda: float(next(seconds)))
    with line.transfer("nothing", 0) as progress:
        progress(0)
    with line.transfer("alpine:3.20", 1500) as progress:  # two seconds: worth saying
        progress(1500)
    assert out.getvalue() == "alpine:3.20: 1.46 KiB in 2.0 s (750 B/s)\n"


def test_a_transfer_that_fails_says_nothing() -> None:
    out = io.StringIO()
    line = Line(out)
    with pytest.raises(KeyError), line.transfer("x", 5):
        raise KeyError
    assert out.getvalue() == ""


def test_in_a_stage_that_is_watched_it_goes_to_the_stage_s_meter(capsys: pytest.CaptureFixture[str]) -> None:
    def run() -> ProgressCounter:
        meter = ProgressCounter()
        current.set(meter)
        with transfer("alpine:3.20", 1500) as tell:
            tell(1000)
            tell(-200)
        return meter

    found = copy_context().run(run)
    assert (found.count, found.total) == (800, 1500) and capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "total", "said"),
    [
        (0, 0, ""),
        (4 << 20, 0, "4 MiB, 2 MiB/s"),
        (4 << 20, 10 << 20, "4 MiB of 10 MiB, 2 MiB/s, 3 s left"),
        (12 << 20, 10 << 20, "12 MiB of 10 MiB, 6 MiB/s, 0 s left"),
    ],
)
def test_what_the_view_of_a_build_says(count: int, total: int, said: str) -> None:
    meter = ProgressCounter()
    meter.expect(total)
    meter.advance(count)
    assert described(meter, 2.0) == said


def test_a_pull_tells_what_it_fetches_and_how_much_that_is(tmp_path: Path) -> None:
    image = craft.image(tmp_path / "layout", [craft.archive(craft.entry(f"{n}", data=b"x" * n)) for n in range(9)])
    store, meter = Store(tmp_path / "store"), ProgressCounter()

    def run() -> None:
        current.set(meter)
        pull(store, reference=f"oci:{tmp_path}/layout", manifest=image)

    copy_context().run(run)
    document = image_manifest(store, Digest(image))
    assert meter.count == meter.total == sum(blob.size for blob in (document.config, *document.layers))
