"""doit serve: what was built, over HTTP, for machines that start from the network."""

from __future__ import annotations

from pipeline.host.terminal import say
from pipeline.host.user_command import user_command
from pipeline.model.errors import BadInput, NodekilnError
from pipeline.project.project import Project

DOC = "serve the node's files over HTTP, for machines that boot from the network (^C ends it)"
PARAMS = [
    {"name": "port", "long": "port", "type": int, "default": 8080, "help": "TCP port; 0 for any that is free"},
    {"name": "bind", "long": "bind", "default": "127.0.0.1", "help": "address to listen at; 0.0.0.0 for every one"},
    {
        "name": "names",
        "long": "name",
        "default": "",
        "help": "names by which machines ask for this server, by commas, besides its addresses and own name",
    },
    {"name": "arch", "long": "arch", "default": "", "help": "architecture (default: the first that the spec names)"},
]
EVERYWHERE = "0.0.0.0"
GATEWAY = "http://10.0.2.2"
"""What QEMU's user network calls this host."""


def run(
    project: Project, name: str, port: int = 8080, bind: str = "127.0.0.1", names: str = "", arch: str = ""
) -> None:
    """Serve build/NAME until somebody ends it. names: of this server, by commas, besides its addresses."""
    from pipeline.run.httpd import Server

    spec = project.load(name)
    arch = arch or spec.build.arch[0]
    if arch not in spec.build.arch:
        raise BadInput(f"{spec.path} is built for {', '.join(spec.build.arch)}, not for {arch}")
    folder = project.results(name, arch if len(spec.build.arch) > 1 else "")
    if not folder.is_dir():
        raise NodekilnError(f"{folder} is not there: {user_command(f'build:{name}')} first")
    try:
        server = Server(folder, (bind, port), say, filter(None, names.split(",")))
    except (OSError, OverflowError) as error:
        raise NodekilnError(f"cannot listen at {bind}, port {port}: {error}") from None
    with server:
        hints = _hints(server.url, name, (folder / f"{name}.ipxe").exists())
        say("\n".join([f"{folder} is at {server.url}", *hints]))
        server.serve_forever()


def run_all(project: Project, **options: object) -> None:
    """The same where there is one node only."""
    names = project.names()
    if len(names) != 1:
        raise BadInput(f"which one? {user_command('serve:NAME')}, with NAME of {', '.join(names)}")
    run(project, names[0], **options)  # type: ignore[arg-type]


def _hints(url: str, name: str, bootable: bool) -> list[str]:
    """How machines get there."""
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
