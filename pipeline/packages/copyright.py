"""Licences of a Debian package: machine-readable copyright files, and their SPDX expressions.

Source: Debian, "Machine-readable debian/copyright file", 1.0 (DEP 5); SPDX 2.3, annex D.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FORMAT = "copyright-format/1.0"
"""End of the URL in the field Format of such a file."""
REFERENCE = "LicenseRef-Debian-"
"""Start of the identifier of a licence that SPDX has no identifier for; its short name follows."""

SPDX = {
    "Apache-2.0": "Apache-2.0", "Artistic": "Artistic-1.0-Perl", "Artistic-2.0": "Artistic-2.0",
    "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause", "BSD-4-clause": "BSD-4-Clause",
    "BSL-1.0": "BSL-1.0", "CC0-1.0": "CC0-1.0", "CC-BY-4.0": "CC-BY-4.0", "CC-BY-SA-4.0": "CC-BY-SA-4.0",
    "Expat": "MIT", "FSFAP": "FSFAP", "FTL": "FTL", "GPL-1+": "GPL-1.0-or-later", "GPL-1": "GPL-1.0-only",
    "GPL-2+": "GPL-2.0-or-later", "GPL-2": "GPL-2.0-only", "GPL-2.0-only": "GPL-2.0-only",
    "GPL-2.0-or-later": "GPL-2.0-or-later", "GPL-3+": "GPL-3.0-or-later", "GPL-3": "GPL-3.0-only",
    "AGPL-3": "AGPL-3.0-only", "AGPL-3+": "AGPL-3.0-or-later", "ISC": "ISC", "LGPL-2+": "LGPL-2.0-or-later",
    "LGPL-2": "LGPL-2.0-only", "LGPL-2.1+": "LGPL-2.1-or-later", "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-3+": "LGPL-3.0-or-later", "LGPL-3": "LGPL-3.0-only", "GFDL-1.2+": "GFDL-1.2-or-later",
    "GFDL-1.3+": "GFDL-1.3-or-later", "MIT": "MIT", "MPL-1.1": "MPL-1.1", "MPL-2.0": "MPL-2.0",
    "OFL-1.1": "OFL-1.1", "Unlicense": "Unlicense", "Zlib": "Zlib", "zlib": "Zlib",
}  # fmt: skip
"""Short name of DEP 5 -> identifier of SPDX, where both name the same text."""

_FIELD = re.compile(r"^([A-Za-z-]+):[ \t]*(.*)$")
_JOINS = (re.compile(r",\s+or\s+"), re.compile(r",\s+and\s+"), re.compile(r"\s+or\s+"), re.compile(r"\s+and\s+"))
"""Joints of a licence's synopsis, the loosest first: a comma binds less than a word."""
_OPERATORS = (" OR ", " AND ", " OR ", " AND ")


def licenses(text: str) -> tuple[str, ...]:
    """Returns the synopses in the fields License of a copyright file, sorted; () for one in another format."""
    fields = [match.groups() for line in text.splitlines() if (match := _FIELD.match(line))]
    formats = [value for name, value in fields if name.lower() in ("format", "format-specification")]
    if not formats or not formats[0].rstrip("/").endswith(FORMAT):
        return ()
    return tuple(sorted({" ".join(value.split()) for name, value in fields if name.lower() == "license" and value}))


def expression(synopses: Iterable[str]) -> str:
    """Returns the SPDX expression for all of `synopses`; "" for none. A licence without identifier is a REFERENCE."""
    terms = sorted({_expression(each) for each in synopses})
    return " AND ".join(f"({term})" if " OR " in term and len(terms) > 1 else term for term in terms)


def references(expression_text: str) -> list[str]:
    """Returns the REFERENCEs in an expression, sorted."""
    return sorted(set(re.findall(rf"{REFERENCE}[A-Za-z0-9.-]+", expression_text)))


def _expression(synopsis: str) -> str:
    for joint, operator in zip(_JOINS, _OPERATORS, strict=True):
        parts = joint.split(synopsis)
        if len(parts) > 1:
            terms = sorted({_expression(part) for part in parts})
            return operator.join(f"({term})" if " " in term else term for term in terms)
    return SPDX.get(synopsis) or REFERENCE + (re.sub(r"[^A-Za-z0-9.-]+", "-", synopsis).strip("-") or "unnamed")
