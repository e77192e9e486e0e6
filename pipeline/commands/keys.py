"""doit keys: keys and certificates for Secure Boot, for tests (docs/how-to/trusted-boot.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.project.project import Project
from pipeline.tasks.command import command, one

ROLES = {
    "PK": "the platform's owner: enrolled last, it switches Secure Boot on",
    "KEK": "signs changes of db",
    "db": "signs what firmware starts",
}
"""Names of UEFI's variables (2.10, 32.3) -> purposes of their keys."""
HOW_TO_ENROL = (
    "In the firmware's setup: clear the platform key (setup mode), then enrol db.cer, KEK.cer and, last, PK.cer.",
    "Other programs enrol db.auth, KEK.auth and, last, PK.auth: systemd-boot, efi-updatevar.",
    "PK.key and KEK.key are needed for changes of these variables alone: keep them off the building machine.",
)


@command("make PK, KEK and db for tests of Secure Boot, and say how to enrol them", folder="where they go")
def run(project: Project, names: Sequence[str], folder: str = "keys") -> None:
    """Writes a key and a self-signed certificate for each of ROLES. BadInput if a file is there: no key is replaced."""
    from pipeline.project import signing_keys

    name = one(names, "keys", project)
    for role, files in signing_keys.create_all(project.make(Path(folder)), name).items():
        say(f"{files.certificate}, {files.der.name}, {files.update.name}, {files.key.name}: {ROLES[role]}")
    for line in HOW_TO_ENROL:
        say(line)
    own = {"certificate": "db.pem", "key": "db.key", "pk": "PK.pem", "kek": "KEK.pem"}
    sign = ", ".join(f"{key}: {folder}/{file}" for key, file in own.items())
    say(f"{project.path(name)}: `build: {{sign: {{{sign}}}}}`, then {user_command(f'sign:{name}')}")
