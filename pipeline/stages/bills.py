"""Stage: the packages that bills of materials of an image name, and that its own package databases do not.

The bills are parameters, so the stage's key has their content. No file is attributed to such a package: a path belongs
to the layer that has it, whatever a bill states.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from pipeline.host.user_command import user_command
from pipeline.language.problem import StageProblem
from pipeline.model.digest import Digest, canonical_json
from pipeline.model.origins import Origin
from pipeline.model.path_resolution import resolve
from pipeline.model.tree import files
from pipeline.packages import bill
from pipeline.packages.installed import DATABASE_LIMIT, installed
from pipeline.store import Store

VERSION = 1
FILE = "packages.json"
"""Path of the result in its tree."""


def bills(store: Store, tree: Digest, *, reference: str, bills: Sequence[Mapping[str, str]] | None) -> Digest:
    """Returns Tree {FILE} of an image's `tree`. StageProblem for bills that are not locked, or are refused.

    bills: mediaType and contents (base64) of each; None if the lock does not have which there are.
    """
    if bills is None:
        raise StageProblem((), f"{reference}: its bills of materials are not locked", user_command("lock"))
    found: set[bill.ListedPackage] = set()
    for each in bills:
        try:
            found.update(bill.parse(base64.b64decode(each["contents"]), each["mediaType"]))
        except bill.BillRefusal as error:
            raise StageProblem((), f"{reference}: a bill of materials: {error}") from None
    root = store.tree(tree)

    def read(path: str) -> str | None:
        place = resolve(root, path)
        file = root.get_file(place) if place else None
        return None if file is None else store.bytes(file.content, DATABASE_LIMIT).decode("utf-8", "replace")

    known = {(each.kind, each.name, each.version) for each in installed(read, root)}
    rows = sorted(each for each in found if each.identity not in known)
    return store.put_tree(files([(FILE, store.content(canonical_json([reference, *map(list, rows)])))]))


def load(store: Store, result: Digest) -> list[Origin]:
    """Returns the packages in a result of `bills`, as origins of no path."""
    reference, *rows = json.loads(store.bytes(store.tree(result).file(FILE).content))
    return [Origin("listed", name, version, within=reference, url=url) for url, name, version in rows]
