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
    from pipeline.model.tree import Content
    from pipeline.planning.plan import Plan
    from pipeline.store import Store


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
    from pipeline.engine.action import with_results
    from pipeline.oci import push
    from pipeline.project import attestations, budget
    from pipeline.project.publish import MANIFEST
    from pipeline.project.targets import chosen

    name = one(names, "push", project)
    if not to:
        raise BadInput(f"{user_command(f'push:{name} --to REF')}, with REF such as registry.example/nodes/{name}:v1")
    push.parse_target(to)
    key = attestations.signer(sign, sign_legacy)
    targets = project.targets(name)
    wanted = chosen(targets[0].spec, formats)
    plans = {target.arch: target.locked(*wanted) for target in targets}
    actions = tuple(plan.format(each) for plan in plans.values() for each in wanted)

    def send(*results: Digest) -> Digest:
        made = dict(zip(actions, results, strict=True))
        files = {}
        for arch, plan in plans.items():
            for each in wanted:
                budget.check(project.store, plan, each, plan.format(each))
            outputs = {each: _files(project.store, name, made[plan.format(each)]) for each in wanted}
            files[arch] = _record(project, plan, outputs)
            files[arch] |= {file: content for each in outputs.values() for file, content in each.items()}
        types = {MANIFEST: push.RECORD, f"{name}.lock": push.LOCK}
        return push.push_files(project.store, files, to, {push.TITLE: name}, [*filter(None, mount.split(","))], types)

    pushed = with_results(project.store, actions, send)
    if key is not None:
        attestations.sign(project.store, key, pushed, to, sign_legacy)
    say(f"{to}: {pushed}")


def _files(store: Store, name: str, result: Digest) -> dict[str, Content]:
    """Returns the output files of a format, as build/NAME has them."""
    return {f"{name}{suffix}": file.content for suffix, file in store.tree(result).files().items()}


def _record(project: Project, plan: Plan, outputs: Mapping[str, Mapping[str, Content]]) -> dict[str, Content]:
    """Returns manifest.json of what is pushed (format -> its files), and the lock: all that another build needs."""
    from pipeline.incremental import sha256
    from pipeline.model.tree import length
    from pipeline.project import publish

    entries = {
        each: publish.format_record(project.store, plan, each, plan.format(each), {
            file: {"sha256": sha256(project.store, content).hex, "size": length(content)}
            for file, content in files.items()
        })
        for each, files in outputs.items()
    }  # fmt: skip
    manifest = publish.manifest_text(publish.manifest(project, plan, entries))
    record = {publish.MANIFEST: project.store.content(manifest.encode())}
    lock = project.root / project.lock_path(plan.spec.name)
    return record | ({lock.name: project.store.content(lock.read_bytes())} if lock.exists() else {})
