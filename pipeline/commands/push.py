"""doit push: what was built, into a registry, as an OCI artifact (docs/reference/registries.md has its media types)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput
from pipeline.project.project import Project
from pipeline.tasks.command import command, one

if TYPE_CHECKING:
    from pipeline.model.digest import Digest
    from pipeline.project.pushing import PushedFiles


@command(
    "build results into a registry, as an OCI artifact",
    to="the reference to push to: registry.example/nodes/node:v1",
    formats="what to push, by commas (default: the spec's)",
    mount="repositories of that registry, by commas, that may have the same bytes",
    sign="sign what is pushed by the private key in this file (PEM: Ed25519, or ECDSA on P-256)",
    sign_legacy="--sign: add the signature under cosign's tag sha256-HEX.sig, too, for older verifiers",
)
def run(
    project: Project, names: Sequence[str], to: str = "", formats: str = "", mount: str = "", sign: str = "",
    sign_legacy: bool = False,
) -> None:  # fmt: skip
    """Pushes the results of one spec, every architecture's, to the reference `to`.

    What is not built yet is built. BadInput for what is larger than its budget, as a build would fail of it.
    """
    from pipeline.oci import push
    from pipeline.project import attestations, push_signing, pushing

    name = one(names, "push", project)
    if not to:
        raise BadInput(f"{user_command(f'push:{name} --to REF')}, with REF such as registry.example/nodes/{name}:v1")
    push.parse_target(to)
    key, signer = attestations.signer(sign, sign_legacy), push_signing.signer(project, name)
    push_signing.check(project, name, signer, key, formats)

    def send(files: Mapping[str, PushedFiles]) -> Digest:
        described = pushing.describe(project.store, name, files)
        stated, bundles = attestations.statements_of(project.store, described, files), []
        if key is not None:
            bundles = attestations.bundles(key, stated)
        elif signer is not None:
            bundles = push_signing.bundles_of(project, name, signer, stated)
        pushed = push.send(project.store, described, to, [*filter(None, mount.split(","))])
        attestations.attach_all(project.store, to, stated, bundles)
        if key is not None and sign_legacy:
            attestations.sign_legacy(project.store, key, pushed, to)
        return pushed

    say(f"{to}: {pushing.with_files(project, name, formats, send)()}")
