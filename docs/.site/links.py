"""Hook of mkdocs: files of the repository that the manual links to become part of the site, under `repository/`.

Links in documents are relative paths in the repository, so that they work there as well.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS, OUTSIDE = "docs/", "repository/"
LINK = re.compile(r"\]\(([^)#:\s]+)((?:#[^)\s]*)?)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files outside of docs/ to which pages lead, directly or by way of others."""
    root = Path(config.config_file_path).parent
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        for uri in _linked(root, waiting.pop()):
            path = root / _path(uri)
            if files.get_file_from_path(uri) is None and path.is_file():
                files.append(File.generated(config, uri, abs_src_path=str(path)))
                waiting += [uri] * (path.suffix == ".md")
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns the page with links that lead to the same files in the site."""
    here = page.file.src_uri

    def link(found: re.Match[str]) -> str:
        return f"]({posixpath.relpath(_target(here, found[1]), posixpath.dirname(here) or '.')}{found[2]})"

    return LINK.sub(link, markdown)


def _linked(root: Path, uri: str) -> Iterator[str]:
    """Yields the addresses in the site to which the page at `uri` leads."""
    text = (root / _path(uri)).read_text("utf-8")
    yield from (_target(uri, found[1]) for found in LINK.finditer(text))


def _path(uri: str) -> str:
    """Returns the path in the repository of the file at `uri` in the site."""
    return uri.removeprefix(OUTSIDE) if uri.startswith(OUTSIDE) else DOCS + uri


def _target(uri: str, link: str) -> str:
    """Returns the address in the site to which a link of the page at `uri` leads; for a folder, that of its README."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(_path(uri)), link))
    path += "/README.md" * (not posixpath.splitext(path)[1] and Path(path).is_dir())
    return path.removeprefix(DOCS) if path.startswith(DOCS) else OUTSIDE + path
