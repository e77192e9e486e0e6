"""apt(8) as the judge of a resolution: it gets the same indexes, and answers from them alone."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pipeline.packages.universe import Index
from tests import judges

_URI = re.compile(r"^'[^']*' (?P<name>[^_]+)_(?P<version>[^_]+)_\S+\.deb ", re.MULTILINE)
_AUTOMATIC = {500: "", 100: "NotAutomatic: yes\nButAutomaticUpgrades: yes\n", 1: "NotAutomatic: yes\n"}
"""Fields of a Release file, by the priority that they mean (apt_preferences(5))."""
CONFIGURATION = """\
Dir "{folder}/";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}/";
Dir::State::lists "{folder}/lists/";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/";
Dir::Cache::srcpkgcache "";
Dir::Cache::archives "{folder}/archives/";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
"""


class Apt:
    """apt with the indexes of `install`'s caller in `folder`, no installed package and no setting of the host."""

    def __init__(self, folder: Path, indexes: Sequence[Index], architecture: str) -> None:
        self._program = judges.need("apt-get", "apt")
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        self.config = folder / "apt.conf"
        self.config.write_text(CONFIGURATION.format(folder=folder, architecture=architecture))
        lines = []
        for number, index in enumerate(indexes):
            prefix = f"lists/_{number}_dists_{index.suite}"
            release = f"Origin: judge\nCodename: {index.suite}\nComponents: {index.component}\n"
            (folder / f"{prefix}_Release").write_text(release + _AUTOMATIC[index.priority])
            (folder / f"{prefix}_{index.component}_binary-{architecture}_Packages").write_bytes(index.data)
            lines.append(f"deb [trusted=yes] file:/{number} {index.suite} {index.component}\n")
        (folder / "sources.list").write_text("".join(lines))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "APT_CONFIG": str(self.config)}
        return subprocess.run([self._program, *arguments], env=environment, capture_output=True, text=True, check=False)

    def install(self, *packages: str) -> set[tuple[str, str]] | None:
        """Returns name and version of what apt installs for these packages; None if it cannot."""
        process = self.run("install", "--print-uris", "-qq", "--no-install-recommends", "--", *packages)
        if process.returncode:
            return None
        matches = _URI.finditer(process.stdout)
        unquoted = (
            (match["name"], re.sub("%(..)", lambda code: chr(int(code[1], 16)), match["version"])) for match in matches
        )
        return set(unquoted)

    def repairs(self, *packages: str) -> bool:
        """Returns whether apt's first choice has unmet dependencies or conflicts, which its second pass repairs."""
        output = self.run("install", "-s", "-o", "Debug::pkgProblemResolver=true", "--", *packages).stderr
        counts = re.findall(r"^Starting pkgProblemResolver with broken count: (\d+)", output, re.MULTILINE)
        return any(int(count) for count in counts)
