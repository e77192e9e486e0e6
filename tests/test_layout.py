"""The tests of pipeline/PACKAGE/MODULE.py are tests/PACKAGE/test_MODULE.py."""

from __future__ import annotations

from tests.project import ROOT

REGISTERED = ("commands", "formats", "readers", "sections", "shared/wires")
"""Packages of plug-ins, all of which the same tests go through."""
PARTS = {
    "commands/test_bundle.py": [
        *(f"project/{name}" for name in ("bundle_reader", "bundle_writer", "inputs", "wheels")),
        "tasks/from_bundle",
    ],
    "commands/test_push.py": ["project/pushing"],
    "commands/test_worker.py": ["project/worker"],
    "docs/test_api.py": ["project/build"],
    "engine/test_gc.py": ["engine/fsck"],
    "formats/test_outputs.py": ["ondisk/arm64image", "stages/el_torito", "stages/initrd"],
    "formats/test_partitions.py": ["stages/boot_partition", "stages/partitions"],
    "formats/test_root_on_disk.py": ["stages/disk_with_root", "stages/initramfs"],
    "formats/test_verity.py": ["stages/erofs_root", "stages/verity"],
    "incremental/test_without.py": ["incremental/chunks", "incremental/memoize", "store/copying", "store/export"],
    "inspect/test_difference.py": ["inspect/listings"],
    "inspect/test_measure.py": ["host/page"],
    "inspect/test_runs.py": ["inspect/copies"],
    "oci/test_archive.py": ["oci/directory"],
    "oci/test_http.py": ["oci/fetch", "oci/pull"],
    "oci/test_push.py": ["oci/artifact"],
    "oci/test_resolve.py": ["oci/layout"],
    "oci/test_tar.py": ["oci/layer"],
    "planning/test_plan.py": ["planning/images", "planning/products"],
    "planning/test_signatures.py": ["trust/verification"],
    "programs/test_execve.py": ["programs/libraries", "programs/root"],
    "readers/test_own_writers.py": [
        *(
            f"ondisk/{name}"
            for name in ("bzimage", "cpio", "elf", "erofs", "ext4", "fat", "gpt", "iso9660", "mbr", "pe")
        ),
        *(f"ondisk/{name}" for name in ("qcow2", "squashfs", "vhd", "vhdx", "vmdk")),
    ],
    "packages/test_resolve.py": [f"packages/{name}" for name in ("relations", "solution", "universe", "unmet")],
    "packages/test_index.py": [f"packages/{name}" for name in ("openpgp", "release", "state", "suite")],
    "packages/test_mirrors.py": ["packages/host_apt"],
    "packages/test_fetch.py": ["packages/package", "packages/unavailable"],
    "packages/test_request.py": ["packages/archive_signature"],
    "project/test_signing.py": ["planning/signing", "project/signing_keys", "stages/signed"],
    "recipe/test_recipe.py": ["recipe/actions"],
    "sections/test_components.py": ["spec/bundles", "spec/components", "spec/metadata", "spec/spec"],
    "shared/test_client.py": [f"shared/{name}" for name in ("blobs", "cache", "push", "records", "signer")],
    "shared/test_wire.py": ["shared/transfer"],
    "stages/test_starts.py": ["planning/start_checks", "planning/unbuildable"],
    "tasks/test_build.py": ["tasks/execute", "tasks/spec_tasks", "tasks/uptodate"],
    "tasks/test_everyday.py": ["tasks/process"],
    "tasks/test_loader.py": ["tasks/command", "tasks/request"],
    "tasks/test_reporter.py": ["tasks/progress"],
    "test_wheel.py": ["host/shipped"],
    "trust/test_bundle.py": ["trust/entry", "trust/record", "trust/sct"],
    "trust/test_keys.py": ["trust/error"],
    "trust/test_notation.py": ["trust/notary_envelope"],
    "trust/test_timestamp.py": ["trust/timestamp_token"],
    "writers/test_authenticode.py": ["ondisk/authenticode", "writers/pkcs7"],
    "writers/test_disks.py": [f"writers/{name}" for name in ("qcow2", "qcow2compressed", "vhd", "vhdx", "vmdk")],
    "writers/test_efivars.py": ["ondisk/efivars"],
    "writers/test_erofs.py": [f"writers/erofs{part}" for part in ("data", "inode", "meta")],
    "writers/test_ext4.py": [f"writers/ext4{part}" for part in ("dir", "inode", "layout", "section", "tree")],
    "writers/test_iso9660.py": [f"writers/{name}" for name in ("isodir", "isolinux", "isosection", "rockridge")],
    "writers/test_squashfs.py": ["writers/squashdata", "writers/squashmeta"],
    "writers/test_verity.py": ["ondisk/verity"],
}
"""Tests of a whole -> modules that are its parts, and have no tests of their own."""


def modules() -> set[str]:
    """Returns the modules of pipeline/ that are no plug-ins, as PACKAGE/MODULE."""
    found = (path.relative_to(ROOT / "pipeline") for path in (ROOT / "pipeline").rglob("[a-z]*.py"))
    return {f"{path.parent}/{path.stem}" for path in found if str(path.parent) not in REGISTERED}


def has_tests(module: str) -> bool:
    package, _, name = module.rpartition("/")
    return (ROOT / "tests" / package / f"test_{name}.py").exists()


def test_every_module_has_tests_under_its_own_path_or_is_a_part() -> None:
    parts = [module for part in PARTS.values() for module in part]
    untested = {module for module in modules() if not has_tests(module)}
    assert untested - {*parts} == set(), "write tests/PACKAGE/test_MODULE.py"
    assert sorted({*parts} - untested) == [], "these have tests of their own, or are gone"
    assert len(parts) == len(set(parts)) and all((ROOT / "tests" / test).exists() for test in PARTS)


def test_every_package_has_a_folder_of_tests() -> None:
    packages = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert packages <= {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
