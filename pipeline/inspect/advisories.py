"""Advisories about packages, out of files: an export of Debian's security tracker, or OSV records.

Sources: Debian security tracker, tracker/data/json; OSV schema 1.6 (a file, a folder or a zip of records, as osv.dev
exports them for each ecosystem); CVSS 3.1 specification, 7.1.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.model.errors import BadInput
from pipeline.packages import apk_version, version

SEVERITIES = ("unknown", "unimportant", "low", "medium", "high", "critical")
"""From the least on. A severity that a database does not have is unknown."""
SIZE_LIMIT = 1 << 30
"""Maximum size of a database's file, or of all members of a zip, in bytes: ten times Debian's export."""
CODENAMES = {"bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "focal": "20.04", "jammy": "22.04",
             "noble": "24.04"}  # fmt: skip
"""Codename of a release -> its number, as OSV's ecosystems have it."""
ALPINE = "alpine"
"""The distribution whose versions have the order of apk."""
WORDS = {"moderate": "medium", "negligible": "unimportant"}
"""Other words for severities."""


class Advisory(NamedTuple):
    """A vulnerability of a source package in a release. release: codename or number.

    introduced, fixed, last: versions; "" for none. versions: listed ones, which count besides the range.
    """

    name: str
    distribution: str
    release: str
    source: str
    severity: str
    introduced: str = ""
    fixed: str = ""
    last: str = ""
    versions: tuple[str, ...] = ()

    def affects(self, installed: str) -> bool:
        """Returns whether a version of the source package is affected; by the order of its distribution's versions."""
        is_older = apk_version.is_older if self.distribution == ALPINE else version.is_older
        if installed in self.versions:
            return True
        if self.versions and not (self.introduced or self.fixed or self.last):
            return False
        since = not is_older(installed, self.introduced) if self.introduced not in ("", "0") else True
        before = is_older(installed, self.fixed) if self.fixed else True
        until = not is_older(self.last, installed) if self.last else True
        return since and before and until


def read(path: Path) -> list[Advisory]:
    """Returns the advisories of a database: a file, a folder or a zip. BadInput."""
    try:
        return [each for document in _documents(path) for each in _advisories(document)]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: not a database ({error}): Debian's tracker JSON, or OSV records") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: a record is not as its format has it ({type(error).__name__}: {error})") from None


def _documents(path: Path) -> Iterator[Any]:
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield _parsed(file)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if each.filename.endswith(".json")]
            if sum(member.file_size for member in members) > SIZE_LIMIT:
                raise ValueError(f"more than {SIZE_LIMIT >> 20} MiB")
            for member in members:
                yield json.loads(archive.read(member))
    else:
        yield _parsed(path)


def _parsed(path: Path) -> Any:
    if path.stat().st_size > SIZE_LIMIT:
        raise ValueError(f"more than {SIZE_LIMIT >> 20} MiB")
    return json.loads(path.read_bytes())


def _advisories(document: Any) -> Iterator[Advisory]:
    if not isinstance(document, dict):
        raise TypeError("not an object")
    yield from _osv(document) if "affected" in document or "id" in document else _tracker(document)


def _tracker(document: Mapping[str, Any]) -> Iterator[Advisory]:
    """Yields the advisories of Debian's tracker: source -> CVE -> releases -> status, fixed_version, urgency."""
    for source, vulnerabilities in document.items():
        for name, record in vulnerabilities.items():
            for release, state in record["releases"].items():
                fixed = state.get("fixed_version", "") if state["status"] == "resolved" else ""
                if fixed != "0":  # never affected
                    yield Advisory(name, "debian", release, source, _word(state.get("urgency", "")), fixed=fixed)


def _osv(record: Mapping[str, Any]) -> Iterator[Advisory]:
    if record.get("withdrawn"):
        return
    for affected in record.get("affected", ()):
        package = affected["package"]
        distribution, _, release = package["ecosystem"].partition(":")
        base = Advisory(
            _cve(record), distribution.lower(), release.partition(":")[0], package["name"], _severity(record, affected)
        )
        versions = tuple(affected.get("versions", ()))
        ranges = [each for each in affected.get("ranges", ()) if each["type"] == "ECOSYSTEM"]
        if versions and not ranges:
            yield base._replace(versions=versions)
        for each in ranges:
            yield from (one._replace(versions=versions) for one in _intervals(base, each["events"]))


def _intervals(base: Advisory, events: list[Mapping[str, str]]) -> Iterator[Advisory]:
    """Yields an advisory for each interval of a range's events, which stand in order."""
    introduced = ""
    for event in events:
        if "introduced" in event:
            if introduced:
                yield base._replace(introduced=introduced)
            introduced = event["introduced"]
        elif introduced and ("fixed" in event or "last_affected" in event):
            yield base._replace(
                introduced=introduced, fixed=event.get("fixed", ""), last=event.get("last_affected", "")
            )
            introduced = ""
    if introduced:
        yield base._replace(introduced=introduced)


def _cve(record: Mapping[str, Any]) -> str:
    """Returns the CVE of a record, which is an alias of its own identifier or a part of it; else that."""
    names = [record["id"], *record.get("aliases", ()), *record.get("upstream", ())]
    return str(next((name[name.index("CVE-") :] for name in names if "CVE-" in name), record["id"]))


def _severity(record: Mapping[str, Any], affected: Mapping[str, Any]) -> str:
    """Returns the severity: a distribution's own word, the record's, or that of a CVSS 3 vector's base score."""
    own = affected.get("ecosystem_specific") or {}
    general = record.get("database_specific") or {}
    for value in (own.get("urgency"), own.get("severity"), general.get("severity")):
        if isinstance(value, str) and (word := _word(value)) != SEVERITIES[0]:
            return word
    vectors = [*affected.get("severity", ()), *record.get("severity", ())]
    return next((_rated(score(each["score"])) for each in vectors if each["type"] == "CVSS_V3"), SEVERITIES[0])


def _word(value: str) -> str:
    word = WORDS.get(value.lower(), value.lower()).rstrip("*")
    return word if word in SEVERITIES else SEVERITIES[0]


def _rated(value: float) -> str:
    """Returns the qualitative severity of a score (CVSS 3.1, 5)."""
    bounds = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
    return next((word for bound, word in bounds if value >= bound), "unimportant")


WEIGHTS = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
"""Metric -> value -> weight (CVSS 3.1, 7.4), but for PR, which depends on the scope."""
PRIVILEGES = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
"""Scope -> privileges required -> weight."""


def score(vector: str) -> float:
    """Returns the base score of a CVSS 3 vector (7.1). ValueError for another vector."""
    metrics = dict(part.partition(":")[::2] for part in vector.split("/"))
    try:
        scope = metrics["S"]
        weight = {name: WEIGHTS[name][metrics[name]] for name in WEIGHTS}
        privileges = PRIVILEGES[scope][metrics["PR"]]
    except KeyError:
        raise ValueError(f"{vector!r} is not a vector of CVSS 3") from None
    base = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 6.42 * base if scope == "U" else 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15
    if impact <= 0:
        return 0.0
    exploitability = 8.22 * weight["AV"] * weight["AC"] * privileges * weight["UI"]
    whole = impact + exploitability if scope == "U" else 1.08 * (impact + exploitability)
    return _up(min(whole, 10.0))


def _up(value: float) -> float:
    """Rounds up to one decimal, as annex A of CVSS 3.1 has it."""
    number = round(value * 100_000)
    return number / 100_000 if number % 10_000 == 0 else (math.floor(number / 10_000) + 1) / 10
