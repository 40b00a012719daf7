"""What makes the pages of the repository the pages of a site (see mkdocs.yml); they stay as they are.

On GitHub a page may link to any file of the repository and name a block's file behind its fence. A
site holds pages only: those at the top are taken in, links to anything else become plain words, and
the name of a block's file becomes its title.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

AT_THE_TOP = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w+) (\S+)$", re.MULTILINE)
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, *, config: Any) -> Files:
    """Take in the pages at the top of the repository."""
    root = Path(config.docs_dir).parent
    for name in AT_THE_TOP:
        files.append(File.generated(config, name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Bring a page's links and fences to what the site has."""
    name = page.file.src_uri
    here = name if name in AT_THE_TOP else f"docs/{name}"
    titled = _FENCE.sub(r'```\1 title="\2"', markdown)
    parts = _CODE.split(titled)
    parts[::2] = [_LINK.sub(lambda link: _led(link, here), part) for part in parts[::2]]
    return "".join(parts)


def _led(link: re.Match[str], here: str) -> str:
    """Return a link as it leads within the site; one that leads out of it, as its words."""
    image, words, target = link.groups()
    if re.match(r"[a-z]+:|#", target):
        return link[0]
    path, mark, anchor = target.partition("#")
    there = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    inside = there.removeprefix("docs/")
    if inside == there and there not in AT_THE_TOP:
        return words
    start = posixpath.dirname(here.removeprefix("docs/")) or "."
    return f"{image}[{words}]({posixpath.relpath(inside, start)}{mark}{anchor})"
