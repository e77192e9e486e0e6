"""doit shared: the shared caches of the project: whether they answer, what is trusted, and what the last builds got."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.model.errors import NodekilnError
from pipeline.project.project import RESULTS, Project
from pipeline.tasks.command import command

if TYPE_CHECKING:
    from pipeline.shared.cache import Cache

PROBE = b"nodekiln\n"
"""The blob that is put to see whether a cache takes one."""
PROBES = 3
"""Number of requests of which the fastest is shown."""


class NotShared(NodekilnError):
    """A shared cache does not answer, or nothing can be shared."""


@command("whether the shared caches answer, whose results are believed, what the last builds got", names=None)
def run(project: Project) -> None:
    """Prints a line for each cache, the trusted keys and the figures of the last builds. NotShared (exit code 1)."""
    from pipeline.shared import client, configuration

    found = configuration.settings(project.root)
    if not found.caches:
        raise NotShared(f"there is no shared cache: set {configuration.SHARED}, or `shared` under [tool.nodekiln]")
    shared = client.SharedCache.of(found)
    faults = [fault for cache in shared.caches for fault in _probe(cache)]
    say(f"trusted: {', '.join(shared.trusted) or 'nobody but this user'}")
    if shared.key:
        say(f"own key: {shared.key}")
    for line in _last_builds(project.root / RESULTS):
        say(line)
    if faults:
        raise NotShared("\n".join(faults))


def _probe(cache: Cache) -> Iterator[str]:
    """Prints whether `cache` answers and takes blobs, and how fast; yields what is wrong with it."""
    from pipeline.model.digest import Digest
    from pipeline.shared.wire import WireError

    try:
        seconds = min(_seconds(cache) for _ in range(PROBES))
        if cache.pushes:
            import io

            cache.wire.put(Digest.of(PROBE), len(PROBE), io.BytesIO(PROBE))
    except WireError as error:
        yield str(error)
        return
    say(f"{cache.wire.address}: answers in {1000 * seconds:.1f} ms, {'pushed to' if cache.pushes else 'read only'}")


def _seconds(cache: Cache) -> float:
    """Returns the seconds that a request takes, for a statement that is not there."""
    import os

    began = time.monotonic()
    cache.wire.statements([os.urandom(32).hex()])
    return time.monotonic() - began


def _last_builds(folder: Path) -> Iterator[str]:
    """Yields lines about the last builds that asked a shared cache."""
    from pipeline.model import size
    from pipeline.tasks.last_run import read_shared

    builds = read_shared(folder)
    asked, hits, down = (sum(each.get(name, 0) for each in builds) for name in ("asked", "hits", "down"))
    if asked:
        share = 100 * hits / asked
        yield f"last {len(builds)} builds: {hits} of {asked} results ({share:.0f} %), {size.shown(down)} fetched"
