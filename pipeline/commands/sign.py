"""doit sign: signatures of EFI programs (docs/how-to/trusted-boot.md), and of what is pushed (docs/how-to/trust.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.command import command, one

if TYPE_CHECKING:
    from pipeline.project.signing import Request


@command(
    "sign the node's EFI programs, and elsewhere what is pushed: signatures go into specs/NAME.signatures",
    request="write what has to be signed into this folder, for a signer elsewhere",
    attach="take signatures made elsewhere: a folder with *.sig, one of them, or a file of signatures",
)
def run(project: Project, names: Sequence[str], request: str = "", attach: str = "") -> None:
    """Signs with the key of `build.sign`, unless `request` or `attach` is there."""
    from pipeline.project import signing

    name = one(names, "sign", project)
    if request and attach:
        raise BadInput("--request and --attach are two steps, with the signer between them")
    if not request and not attach:
        _say_written(project, name, signing.sign(project, name))
        return
    programs, pushes = _requests(project, name)
    if attach:
        _say_written(project, name, signing.attach(project, name, Path(attach), programs, pushes), bool(pushes))
        return
    for each in (*programs, *pushes):
        say(f"{each.digest}  {signing.write_request(each, Path(request))}  ({each.title})")
    if programs:
        say("a .tbs is signed with RSA, PKCS #1 v1.5 and SHA-256: openssl dgst -sha256 -sign KEY -out X.sig X.tbs")
    if pushes:
        say("a .pae is signed with Ed25519: openssl pkeyutl -sign -rawin -inkey KEY -in X.pae -out X.sig")
        say("or with ECDSA on P-256 and SHA-256: openssl dgst -sha256 -sign KEY -out X.sig X.pae")


def _requests(project: Project, name: str) -> tuple[list[Request], list[Request]]:
    """Returns what has to be signed of EFI programs, and of pushes if the programs in them are signed. BadInput."""
    from pipeline.project import push_signing, signing

    sign, signer = project.load(name).build.sign, push_signing.signer(project, name)
    programs = signing.requests(project, name) if signer is None or (sign and sign.certificate) else []
    if signer is None:
        return programs, []
    if signing.unsigned(project, name, programs):
        say("what is pushed has these programs: once their signatures are attached, --request has what is pushed, too")
        return programs, []
    return programs, push_signing.requests(project, name, signer)


def _say_written(project: Project, name: str, path: Path, is_of_push: bool = False) -> None:
    build, push = user_command(f"build:{name}"), user_command(f"push:{name} --to REF")
    use = f"{push} attaches the signatures" if is_of_push else f"{build} gives the signed node"
    say(f"{path.relative_to(project.root)}: {use}")
