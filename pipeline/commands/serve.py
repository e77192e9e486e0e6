"""doit serve: what was built, over HTTP, for machines that start from the network."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import NodekilnError
from pipeline.project.project import Project
from pipeline.tasks.command import command, one

EVERYWHERE = "0.0.0.0"  # noqa: S104
GATEWAY = "http://10.0.2.2"
"""This host in QEMU's user network."""


@command(
    "serve the node's files over HTTP, for machines that boot from the network (^C ends it)",
    port="TCP port; 0 for any that is free",
    bind="address to listen at; 0.0.0.0 for every one",
    name="names by which machines ask for this server, by commas, besides its addresses and own name",
    arch="architecture (default: the first that the spec names)",
)
def run(
    project: Project, names: Sequence[str], port: int = 8080, bind: str = "127.0.0.1", name: str = "", arch: str = ""
) -> None:
    """Serves build/NAME until somebody ends it."""
    from pipeline.run.httpd import Server

    spec = one(names, "serve", project)
    folder = project.target(spec, arch).folder
    if not folder.is_dir():
        raise NodekilnError(f"{folder} is not there: {user_command(f'build:{spec}')} first")
    try:
        server = Server(folder, (bind, port), say, filter(None, name.split(",")))
    except (OSError, OverflowError) as error:
        raise NodekilnError(f"cannot listen at {bind}, port {port}: {error}") from None
    with server:
        hints = _hints(server.url, spec, (folder / f"{spec}.ipxe").exists())
        say("\n".join([f"{folder} is at {server.url}", *hints]))
        server.serve_forever()


def _hints(url: str, name: str, bootable: bool) -> list[str]:
    """Returns what machines are told to get there."""
    from urllib.parse import quote, urlsplit

    if not bootable:
        return [f"there is no iPXE script in it: {user_command(f'build:{name}:netboot')} makes one"]
    script = f"{quote(name)}.ipxe"
    there = url.replace(EVERYWHERE, "ADDRESS-OF-THIS-HOST") + script
    return [
        f"iPXE:     chain {there}",
        f"QEMU:     -nic user,model=virtio-net-pci,bootfile={GATEWAY}:{urlsplit(url).port}/{script}",
        "dnsmasq:  dhcp-match=set:ipxe,175",
        f"          dhcp-boot=tag:ipxe,{there}",
        "          dhcp-boot=tag:!ipxe,undionly.kpxe  # a machine's own PXE gets iPXE first, by TFTP (tftp-root)",
    ]
