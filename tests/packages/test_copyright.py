"""Licences out of machine-readable copyright files, as SPDX has them."""

from __future__ import annotations

import pytest

from pipeline.packages.copyright import expression, licenses, references

HEAD = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"


def test_the_licences_of_all_paragraphs_are_found() -> None:
    text = HEAD + "Files: *\nLicense: GPL-2+\n long\n text\n\nFiles: a\nLicense:  Expat \n\nLicense: GPL-2+\n text\n"
    assert licenses(text) == ("Expat", "GPL-2+")


def test_another_format_has_none() -> None:
    assert licenses("This package is under the GPL.\nLicense: GPL-2\n") == ()
    assert licenses("Format: https://example.org/other\nLicense: GPL-2\n") == ()
    assert licenses("") == ()


@pytest.mark.parametrize(("synopses", "wanted"), [
    ([], ""),
    (["GPL-2+"], "GPL-2.0-or-later"),
    (["Zlib", "Expat", "MIT"], "MIT AND Zlib"),
    (["Artistic or GPL-1+"], "Artistic-1.0-Perl OR GPL-1.0-or-later"),
    (["Artistic or GPL-1+", "Expat"], "(Artistic-1.0-Perl OR GPL-1.0-or-later) AND MIT"),
    (["GPL-2 and Expat, or ISC"], "(GPL-2.0-only AND MIT) OR ISC"),
    (["GPL-2+ with OpenSSL exception"], "LicenseRef-Debian-GPL-2-with-OpenSSL-exception"),
    (["public-domain"], "LicenseRef-Debian-public-domain"),
    (["???"], "LicenseRef-Debian-unnamed"),
])  # fmt: skip
def test_expression(synopses: list[str], wanted: str) -> None:
    assert expression(synopses) == wanted


def test_the_references_of_an_expression() -> None:
    text = expression(["public-domain or Expat", "MIT/X11", "ISC"])
    assert references(text) == ["LicenseRef-Debian-MIT-X11", "LicenseRef-Debian-public-domain"]
