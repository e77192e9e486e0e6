"""The fuzz targets under atheris, which looks for inputs that reach new code: a long run, by hand.

    pip install atheris
    python -m tests.attacks.fuzz                          # the names of the targets
    python -m tests.attacks.fuzz TARGET [FOLDER] [-max_total_time=900]

FOLDER keeps the inputs that reached something new, for the next run to begin with; the other words are libFuzzer's.
What is found goes into hypothesis' database, too, so that the target's own test fails with it from then on.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["pipeline"]):
    from tests.attacks.test_fuzz import LONGEST, TARGETS

NAMES = {target.__name__: target for target in TARGETS}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        raise SystemExit("\n".join(NAMES))
    run = NAMES[sys.argv.pop(1)].hypothesis.fuzz_one_input

    def once(data: bytes) -> None:
        run(data)

    atheris.Setup([*sys.argv, f"-max_len={LONGEST}", "-timeout=20", "-rss_limit_mb=2048"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
