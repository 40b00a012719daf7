"""The files that were read and lie there still: how old they are, and who can be taken out of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from clinicrelay import files
from clinicrelay.contracts import Leftover
from connectors.csv.archives import blocks, is_packed
from connectors.csv.giving_back import encodings
from connectors.csv.options import Options
from connectors.csv.text import open_text, survey

PLACES = ("processed", "quarantine")
_QUOTE = '"'


def leftovers(folder: Path) -> Iterator[Leftover]:
    """Yield what lies in the folders of an inbox that nothing is read from again; no link is followed.

    A file is as old as what it says: it carries the time at which it was written.
    """
    for place in PLACES:
        for within, _, names in os.walk(folder / place):
            for name in sorted(names):
                path = Path(within) / name
                if path.is_file() and not path.is_symlink():
                    yield Leftover(path, datetime.fromtimestamp(path.stat().st_mtime, UTC))


def holds(path: Path, options: Options, mentions: Callable[[str], bool]) -> bool:
    """Whether a file has a record that mentions somebody. Raises OSError."""
    if is_packed(path):
        return mentions(b"".join(blocks(path)).decode("utf-8", "replace"))
    return any(mentions(record) for record in _records(path, options))


def cut(path: Path, options: Options, mentions: Callable[[str], bool]) -> None:
    """Take the records that mention somebody out of a file, every other byte left as it was.

    A file that is packed is deleted, and so is one that still mentions them afterwards. Raises OSError.
    """
    if is_packed(path):
        path.unlink(missing_ok=True)
        return
    before, encoding = path.stat(), _encoding(path, options)
    kept = [record for record in _records(path, options) if not mentions(record)]
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    files.replace(path, "".join(kept).encode(encoding, errors), mode=before.st_mode & 0o777)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if holds(path, options, mentions):
        path.unlink(missing_ok=True)


def _encoding(path: Path, options: Options) -> str:
    return survey(path, *encodings(path.name, options)).encoding


def _records(path: Path, options: Options) -> Iterator[str]:
    """Yield a file record by record: a line, or several where a quoted cell goes over its end.

    A stray quote would swallow the rest of a file, so where one is left open its lines stand alone.
    """
    with open_text(path, _encoding(path, options)) as text:
        lines = list(text)
    at = 0
    while at < len(lines):
        end = at + 1
        if lines[at].count(_QUOTE) % 2:
            while end < len(lines) and lines[end].count(_QUOTE) % 2 == 0:
                end += 1
            end = end + 1 if end < len(lines) else at + 1
        yield "".join(lines[at:end])
        at = end
