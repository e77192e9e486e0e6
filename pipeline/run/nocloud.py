"""A NoCloud volume: the metadata of a machine that nodekiln starts itself, such as the keys that may log in.

Source: cloud-init's documentation of the NoCloud data source: an ISO 9660 file system labelled `cidata` with the files
meta-data (YAML, here its part JSON) and user-data. images/metadata reads it by its provider `cdrom`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.model.errors import BadInput

LABEL = "cidata"
OWN_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
"""Names of a user's public keys in ~/.ssh, the best first."""
LARGEST_KEYS = 1 << 16
"""Maximum size of a file of public keys, in bytes."""
KEY = re.compile(
    r"(ssh-[A-Za-z0-9]+|ecdsa-sha2-nistp\d+|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r" [A-Za-z0-9+/=]+( .*)?"
)
"""A public key as images/metadata accepts it: a type, the key, a comment; no options (sshd(8))."""


def own_keys() -> Path | None:
    """Returns the first of OWN_KEYS that exists."""
    folder = Path("~/.ssh").expanduser()
    return next((folder / name for name in OWN_KEYS if (folder / name).is_file()), None)


def public_file(path: Path) -> Path:
    """Returns the public half's file for `path`, which may be the private key's; BadInput if there is none."""
    path = path.expanduser()
    if not path.is_file():
        raise BadInput(f"{path}: there is no such file: give the file of a public key")
    if b"PRIVATE KEY" not in _head(path):
        return path
    public = path.with_name(f"{path.name}.pub")
    if not public.is_file():
        raise BadInput(f"{path} is a private key, which stays here, and {public} is not there: ssh-keygen -y makes it")
    return public


def public_keys(path: Path) -> list[str]:
    """Returns the lines of a file of public keys; BadInput if there are none, or one that is not a public key."""
    keys = []
    for number, line in enumerate(_head(path).decode(errors="replace").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("#"):
            if not (KEY.fullmatch(text) and text.isprintable()):
                raise BadInput(f"{path}:{number}: not a public key, which looks like this: ssh-ed25519 AAAA… name")
            keys.append(text)
    if not keys:
        raise BadInput(f"{path}: no public key is in it")
    return keys


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_KEYS + 1)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    if len(data) > LARGEST_KEYS:
        raise BadInput(f"{path}: larger than {LARGEST_KEYS} bytes, so not public keys")
    return data


def write(folder: Path, keys: Sequence[str]) -> Path:
    """Writes a volume with the public keys into the empty folder `folder`; returns its path."""
    from pipeline.incremental import memoized
    from pipeline.model.digest import Digest
    from pipeline.model.tree import files
    from pipeline.store import Store
    from pipeline.writers import iso9660

    identity = Digest.of("\n".join(keys).encode()).hex[:16]
    document = json.dumps({"instance-id": f"nodekiln-{identity}", "public-keys": [*keys]}, indent=1, ensure_ascii=False)
    store = Store(folder / "store")
    tree = files([("meta-data", store.content(document.encode())), ("user-data", ())])
    out = store.rope()
    iso9660.write(iso9660.plan(tree, partial(memoized, store)), out, LABEL)
    store.export(out.finish(), folder / f"{LABEL}.iso")
    return folder / f"{LABEL}.iso"
