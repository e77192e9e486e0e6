"""Golden digests of the stages that sections call: other bytes need another VERSION, and the list a new line."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

from pipeline.model import columns
from pipeline.model.digest import Digest
from pipeline.model.tree import EPOCH, File
from pipeline.stages import bundle, files, kernel, root_image, volume
from pipeline.store import Store
from tests.stages.images import STAMP, image, tree_of

Json = dict[str, Any]


KERNEL = {
    "cmdline": "console=ttyS0",
    "binary": "kernel",
    "tar": "kernel.tar",
    "ucode": "",
    "modules": None,
    "epoch": EPOCH,
}


def kernel_tree(store: Store, image: Digest, *, cmdline: str, epoch: int, **rest: Any) -> Digest:
    """What both stages of a kernel come to."""
    return kernel.kernel(store, kernel.contents(store, image, epoch=epoch, **rest), cmdline=cmdline, epoch=epoch)


def modules_tar(tmp_path: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (
            ("./lib/modules/6.1/x.ko", b"module"),
            ("./boot/System.map", b"map"),
            ("./boot/kernel", b"other"),
        ):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o644, STAMP
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def entry(path: str, **said: Any) -> Json:
    return {"at": 3, "path": path, "mode": 0o600, "uid": 0, "gid": 0, "kind": "file", "contents": ""} | said


GOLDEN = {
    "bundle-3": "sha256:84e9ae337793ded868784b106ef46501f4875860287d56d3e0444a4812bdad24",
    "bundle-3 linuxkit": "sha256:3df426c1a2c72beb9bf40679a70d52c7d59db549f42fe02cdc590b9ccfb04414",
    "files-1": "sha256:2d176abbab6465f2eca6309eb763961de1b1fb6121a96a588bb570803d5cade6",
    "kernel-1 modules-1": "sha256:16230c59547e19c962f898df933335735f4638fff7a3eda06a175eb7821b0ddf",
    "layout-1": "sha256:deb0bcec12137205abc57b00b11a0a651cf1f1eb5b61a3642a37c101abac6bb4",
    "packages-1": "sha256:71abedbfbc5a330868c44d8b4a63a990ceb9960897e7296219ea3ea6c809c127",
    "unpack-1": "sha256:d199e567cf828eb8bec4201507479ec08b83911572982824803d8874aa420f2c",
    "volume-1": "sha256:bea184b670b9f7a3051553bdc3b957f98d792120665d8ed37602ed1afec0adc8",
}
"""Result of each stage by its name and its module's VERSION: what it gives may only change with that, or trees'."""
TREES = 3


def test_golden_digests_by_version(store: Store, tmp_path: Path) -> None:
    label = {"capabilities": ["CAP_NET_ADMIN"], "binds": ["/dev:/dev"], "net": "new"}
    tree = tree_of(store, "bin/sh", "etc/passwd = root:x:0:0::/:", "lib/apk/db/installed = P:a", "dev/null c 1 3")
    given = image(store, tree, label, Cmd=["/bin/sh"], Env=["A=é"])
    shape: Json = {"prefix": "containers/onboot/000-a", "epoch": EPOCH}
    said: Json = {"entry": {"binds.add": ["/v:/v:ro"]}, "ids": {}, "shared": None, "arch": "amd64"}
    entries = [entry("etc/a", contents="x"), entry("d", kind="directory"), entry("l", kind="symlink", target="a")]
    boot = tree_of(store, "kernel")
    boot["kernel.tar"] = File(0o644, 0, 0, STAMP, (), store.content(modules_tar(tmp_path)))
    found = {
        f"bundle-{bundle.VERSION}": bundle.bundle(store, given.manifest, given.tree, **shape, **said),
        f"bundle-{bundle.VERSION} linuxkit": bundle.bundle(
            store, given.manifest, given.tree, **shape, **said, linuxkit=True
        ),
        f"files-{files.VERSION}": files.files(store, given.tree, entries=entries, ids={}, known=[], epoch=EPOCH),
        f"kernel-{kernel.VERSION}": kernel_tree(store, store.put_tree(boot.ordered()), **KERNEL),
        f"layout-{volume.VERSION}": volume.layout(store, given.manifest, reference="a", platforms=[], **shape),
        f"packages-{root_image.VERSION}": root_image.packages(store, given.tree, given.tree, epoch=EPOCH),
        f"unpack-{root_image.VERSION}": root_image.unpack(store, given.tree, epoch=EPOCH),
        f"volume-{volume.VERSION}": volume.volume(store, given.tree, **shape),
    }
    assert columns.VERSION == TREES
    assert found == GOLDEN
