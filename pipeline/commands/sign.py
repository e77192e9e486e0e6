"""doit sign: signatures of the node's EFI programs, for Secure Boot (docs/how-to/trusted-boot.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.command import command, one


@command(
    "sign the node's EFI programs: signatures go into specs/NAME.signatures, and builds attach them",
    request="write what has to be signed into this folder, for a signer elsewhere",
    attach="take signatures made elsewhere: a folder with *.sig, one of them, or a file of signatures",
)
def run(project: Project, names: Sequence[str], request: str = "", attach: str = "") -> None:
    """Signs with the key of `build.sign`, unless `request` or `attach` is there."""
    from pipeline.project import signing

    name = one(names, "sign", project)
    if request and attach:
        raise BadInput("--request and --attach are two steps, with the signer between them")
    if request:
        for each, path in signing.write_requests(project, name, Path(request)):
            say(f"{each.digest}  {path}  ({', '.join(each.programs)}; Authenticode {each.image})")
        say("each file is signed with RSA, PKCS #1 v1.5 and SHA-256: openssl dgst -sha256 -sign KEY -out X.sig X.tbs")
        return
    path = signing.attach(project, name, Path(attach)) if attach else signing.sign(project, name)
    say(f"{path.relative_to(project.root)}: {user_command(f'build:{name}')} gives the signed node")
