"""Node reports: what a running node states of itself (images/init/attest). Its reader trusts nothing in it.

A report has files of Linux's proc, sysfs, securityfs and efivarfs under their own paths: texts, and binary ones in
hexadecimal. Sources: proc(5), Documentation/admin-guide/tainted-kernels.rst, Documentation/ABI/testing/sysfs-class-tpm,
Documentation/filesystems/efivarfs.rst.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from pipeline.host.terminal import printable
from pipeline.model import json_object
from pipeline.model.errors import BadInput
from pipeline.ondisk import event_log

VERSION = 1
"""Version of the document."""
MAX_ENTRIES = 200_000
"""Maximum number of entries of a root file system."""
EFIVARS = "/sys/firmware/efi/efivars"
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
LOG = "/sys/kernel/security/tpm0/binary_bios_measurements"
FOREIGN_CODE = {
    0: "proprietary module", 1: "module was force loaded", 3: "module was force unloaded",
    6: "taint requested by user space", 8: "ACPI table overridden", 10: "staging driver", 12: "out-of-tree module",
    13: "unsigned module", 15: "kernel live patched", 19: "in-kernel test run",
}  # fmt: skip
"""Bit of the kernel's taint -> its meaning, of those that say that other code than Debian's ran in it."""
PCR = re.compile(r"/sys/class/tpm/tpm0/pcr-(\w+)/(\d{1,2})")
MAPPING = re.compile(r"/sys/block/(dm-\d+)/dev")
ESCAPE = re.compile(r"\\([0-7]{3})")
SUM = re.compile(r"[0-9a-f]{64}")
LINK_MODE = 0o777
KINDS = frozenset("fdlcbps")
"""Letters of find(1) -type: kinds of entries."""


class BadReport(BadInput):
    """A reply that is not a node report."""


class Mount(NamedTuple):
    """A mount. identity: its number. root: what of its file system is mounted. options: those of the file system."""

    identity: int
    device: str
    root: str
    place: str
    kind: str
    options: Mapping[str, str]


class ReportedEntry(NamedTuple):
    """An entry of the root. kind: one of KINDS. value: SHA-256 of a file, target of a symbolic link, else "".

    mode: LINK_MODE of a symbolic link, whatever it is: file systems differ, and nothing reads it (symlink(7)).
    """

    kind: str
    mode: int
    uid: int
    gid: int
    value: str


class NodeReport:
    """A report that was read. files: path -> entry; None if the report has none. quote: two answers of the TPM."""

    def __init__(
        self, texts: Mapping[str, str], data: Mapping[str, bytes], uefi: bool,
        files: Mapping[str, ReportedEntry] | None = None, quote: tuple[bytes, bytes] | None = None,
    ) -> None:  # fmt: skip
        self._texts, self._data, self.uefi, self.files, self.quote = texts, data, uefi, files, quote

    @property
    def command_line(self) -> str:
        return self._text("/proc/cmdline")

    @property
    def release(self) -> str:
        """The kernel's release, as `uname -r` prints it."""
        return self._text("/proc/sys/kernel/osrelease")

    @property
    def boot_id(self) -> str:
        return self._text("/proc/sys/kernel/random/boot_id")

    @cached_property
    def uptime(self) -> float:
        """Seconds since the kernel started."""
        return float(self._text("/proc/uptime").split()[0])

    @cached_property
    def taint(self) -> list[str]:
        """Reasons why the kernel is tainted that are about code."""
        flags = int(self._text("/proc/sys/kernel/tainted"))
        return [meaning for bit, meaning in FOREIGN_CODE.items() if flags >> bit & 1]

    @cached_property
    def unsigned_modules(self) -> list[str]:
        """Names of loaded modules that are marked as not signed (E) or forced (F); a kernel may have no modules."""
        rows = (line.split() for line in self._texts.get("/proc/modules", "").splitlines())
        return [row[0] for row in rows if row[-1][:1] == "(" and {*"EF"} & {*row[-1]}]

    @cached_property
    def lockdown(self) -> str:
        """The state of lockdown: none, integrity or confidentiality; "" for a kernel without it."""
        found = re.search(r"\[(\w+)\]", self._texts.get("/sys/kernel/security/lockdown", ""))
        return found[1] if found else ""

    @property
    def secure_boot(self) -> str:
        """`on`, `off` or `setup mode`; "" without UEFI's variables."""
        state = self._data.get(f"{EFIVARS}/SecureBoot-{GLOBAL}", b"")
        if self._data.get(f"{EFIVARS}/SetupMode-{GLOBAL}", b"")[4:] == b"\1":
            return "setup mode"
        return {b"\1": "on", b"\0": "off"}.get(state[4:], "")  # behind four bytes of attributes

    @cached_property
    def registers(self) -> dict[str, dict[int, str]]:
        """The TPM's registers: bank -> number -> value, hexadecimal. Empty without a TPM 2.0."""
        banks: dict[str, dict[int, str]] = {}
        for path, text in self._texts.items():
            if found := PCR.fullmatch(path):
                banks.setdefault(found[1], {})[int(found[2])] = text.strip().lower()
        return banks

    @cached_property
    def events(self) -> list[event_log.Event] | None:
        """The events that firmware logged; None without a log."""
        return event_log.parse(self._data[LOG]) if LOG in self._data else None

    @cached_property
    def replayed(self) -> dict[int, str] | None:
        """The registers of the SHA-256 bank that the log gives, as `registers` has them; None without a log."""
        if self.events is None:
            return None
        return {number: value.hex() for number, value in event_log.replay(self.events, "sha256").items()}

    @cached_property
    def mounts(self) -> list[Mount]:
        """All mounts of the node's first process, in their order."""
        return [_mount(line) for line in self._text("/proc/self/mountinfo").splitlines()]

    @cached_property
    def root(self) -> Mount:
        """The root file system: the topmost mount at /."""
        return [each for each in self.mounts if each.place == "/"][-1]

    @property
    def root_mapping(self) -> str:
        """The UUID of the root's device-mapper device; "" if it is none, or has no UUID."""
        for path, text in self._texts.items():
            if (found := MAPPING.fullmatch(path)) and text.strip() == self.root.device:
                return self._texts.get(f"/sys/block/{found[1]}/dm/uuid", "").strip()
        return ""

    def _text(self, path: str) -> str:
        return self._texts[path].strip("\n")


def parse(data: bytes, source: str) -> NodeReport:
    """Reads a report and every part of it. BadReport, which names `source`, if it is not one."""
    try:
        document = json.loads(data.decode("utf-8", "surrogateescape"), object_pairs_hook=json_object.unique)
        if document["version"] != VERSION:
            raise ValueError(f"its version is {document['version']!r:.20}, not {VERSION}: nodekiln made another node")
        report = NodeReport(
            {path: _typed(text, str) for path, text in _typed(document["texts"], dict).items()},
            {path: bytes.fromhex(_typed(text, str)) for path, text in _typed(document["data"], dict).items()},
            _typed(document["efi"], bool), _files(document.get("files")), _quote(document.get("quote")),
        )  # fmt: skip
        _read_all(report)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{error.args[0]} is missing" if type(error) is KeyError else str(error)
        raise BadReport(f"{source}: not a node report: {printable(reason)[:200] or type(error).__name__}") from None
    return report


def _read_all(report: NodeReport) -> None:
    """Evaluates all that is read when it is needed, so that its errors are those of reading."""
    names = [name for name, value in vars(NodeReport).items() if isinstance(value, property | cached_property)]
    for name in names:
        getattr(report, name)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r:.40} is not a {kind.__name__}")
    return value


def _mount(line: str) -> Mount:
    fields = line.split(" ")
    middle = fields.index("-")
    place, root = (ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[at]) for at in (4, 3))
    options = dict(word.partition("=")[::2] for word in fields[middle + 3].split(","))
    return Mount(int(fields[0]), fields[2], root, place, fields[middle + 1], options)


def _files(value: Any) -> dict[str, ReportedEntry] | None:
    """Returns the entries of the root by path; None without any. ValueError, TypeError."""
    if value is None:
        return None
    if len(_typed(value, list)) > MAX_ENTRIES:
        raise ValueError(f"more than {MAX_ENTRIES} files")
    found = {}
    for path, kind, mode, uid, gid, text in value:
        if kind not in KINDS or (kind == "f" and not SUM.fullmatch(_typed(text, str))):
            raise ValueError(f"{path!r:.80} is neither a file with its SHA-256 nor another entry")
        mode, uid, gid = (_typed(number, int) for number in (mode, uid, gid))
        mode = LINK_MODE if kind == "l" else mode
        found[_typed(path, str)] = ReportedEntry(_typed(kind, str), mode, uid, gid, _typed(text, str))
    return found


def _quote(value: Any) -> tuple[bytes, bytes] | None:
    if value is None:
        return None
    created, signed = _typed(value, list)
    return bytes.fromhex(_typed(created, str)), bytes.fromhex(_typed(signed, str))
