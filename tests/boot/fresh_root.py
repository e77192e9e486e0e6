"""Debian as a newcomer has it: a root file system from debootstrap, in which an unprivileged user works.

A root is made once a month and kept. Each use lies above it (overlayfs, in a mount namespace of its own), so that all
begin alike. The resolver, certificates, proxies and the package index are those of this machine.
"""

from __future__ import annotations

import datetime
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.packages.error import UnknownMirror
from pipeline.packages.mirrors import Mirrors
from tests.formats.node import cache
from tests.judges import alone, need, run

USER = 1000
HOME = "home/user"
PACKAGES = "python3,python3-venv,ca-certificates"
"""Packages that a newcomer is told to install."""
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
APT = ("etc/apt", "usr/bin/apt*", "usr/bin/dpkg*", "usr/lib/apt", "usr/lib/dpkg", "var/lib/apt", "var/lib/dpkg")
"""Files of apt and dpkg, for a root that is not Debian's any more."""
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
PIP_SETTING = re.compile(r"^\S+\.(index-url|extra-index-url|proxy|trusted-host)='(https?://.+)'$", re.MULTILINE)
ENTER = """\
set -eu
mount -t overlay none -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
if [ -e "$5" ]; then mount --bind "$5" "$4$6"; fi
mount --bind /etc/resolv.conf "$4/etc/resolv.conf"
mount -t proc none "$4/proc"
mount --rbind /dev "$4/dev"
mount -t tmpfs -o mode=1777 none "$4/tmp"
root=$4 user=$7
shift 7
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all env -i "$@"
"""
"""Arguments: lower, upper and work folder, mount point, certificates here and there, user; then what `env -i` takes."""


class FreshRoot:
    """A root of `suite` in `folder`, or one without apt and dpkg."""

    def __init__(self, folder: Path, suite: str, bare: bool = False) -> None:
        self.lower = _made(suite)
        self.upper, self.work, self.mount = (folder / name for name in ("upper", "work", "mount"))
        self.home = self.upper / HOME
        for path in (self.home, self.work, self.mount, self.upper / "etc"):
            path.mkdir(parents=True)
        shutil.copy(self.lower / "etc/passwd", self.upper / "etc")
        with (self.upper / "etc/passwd").open("a") as passwd:
            passwd.write(f"user:x:{USER}:{USER}::/{HOME}:/bin/sh\n")
        os.chown(self.home, USER, USER)
        if bare:
            self._without_apt()

    def _without_apt(self) -> None:
        """Hides apt and dpkg by whiteouts, which are device files 0:0."""
        for path in (path for pattern in APT for path in self.lower.glob(pattern)):
            white = self.upper / path.relative_to(self.lower)
            white.parent.mkdir(parents=True, exist_ok=True)
            run("mknod", white, "c", 0, 0)

    def run(self, script: str, seconds: float, **variables: str) -> str:
        """Runs a shell script in the user's home, and returns what it prints. It ends at the first failure."""
        (self.home / "script").write_text(script)
        environment = {"PATH": "/usr/bin:/bin", "HOME": f"/{HOME}", "LANG": "C.UTF-8", **_network(), **variables}
        places = [self.lower, self.upper, self.work, self.mount, _certificates(), CERTIFICATES, USER]
        words = ["-C", f"/{HOME}", *(f"{name}={value}" for name, value in environment.items()), "sh", "-eux", "script"]
        command = ["unshare", "--mount", "sh", "-c", ENTER, "enter", *map(str, places), *words]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout


def packages() -> str:
    """Returns the URL above the host's mirror of Debian; skips the test where none is known."""
    try:
        return Mirrors().require("debian")[0].removesuffix("/debian")
    except UnknownMirror as error:
        pytest.skip(str(error))


def _made(suite: str) -> Path:
    """Returns the kept root of `suite`, which is made if it is not of this month."""
    today = datetime.datetime.now(datetime.UTC)
    kept = cache() / "roots" / f"{suite}-{today:%Y-%m}"
    with alone("debootstrap"):
        if not kept.exists():
            for old in kept.parent.glob(f"{suite}-*"):
                shutil.rmtree(old)
            kept.parent.mkdir(exist_ok=True)
            partial = kept.with_name(f"{suite}-partial")
            options = ["--variant=minbase", f"--include={PACKAGES}"]
            run(need("debootstrap"), *options, suite, partial, f"{packages()}/debian")
            partial.rename(kept)
    return kept


def _network() -> dict[str, str]:
    """Returns the variables by which programs in the root reach what those outside reach."""
    listed = run(sys.executable, "-m", "pip", "config", "list").stdout
    settings = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in PIP_SETTING.findall(listed)}
    proxies = {name: os.environ[name] for name in (*VARIABLES, *map(str.upper, VARIABLES)) if name in os.environ}
    trusted = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"), CERTIFICATES)
    return {**settings, **proxies, **(trusted if _certificates() else {})}


def _certificates() -> str:
    """Returns the file with this machine's own certificates, or ""."""
    return next((path for name in ("SSL_CERT_FILE", "PIP_CERT") if (path := os.environ.get(name, ""))), "")


def shell(text: str, code: int = 0) -> str:
    """Returns a line of a script that runs `text`, which must end with `code`."""
    return text if code == 0 else f"ended=0; {text} || ended=$?; [ $ended = {code} ]"


def file(path: str, text: str) -> str:
    """Returns lines of a script that write a file."""
    folder, quoted = shlex.quote(os.path.dirname(path) or "."), shlex.quote(path)
    return f"mkdir -p {folder}\ncat >{quoted} <<'END OF FILE'\n{text}END OF FILE"
