"""From bytes to text: which encoding a file has, and whether it is the file we saw before (C-05)."""

from __future__ import annotations

import codecs
import hashlib
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

BLOCK = 1 << 18  # bytes; a megabyte, decoded, is more than a processor's cache holds

# First bytes of what is not text, and what people call it.
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file (.xls)"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16, so it is looked for first
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Survey(NamedTuple):
    """What one pass over the bytes tells: identity, encoding, and what a person should hear."""

    sha256: str
    encoding: str
    nul: bool
    notes: tuple[str, ...]
    plain: bool = False  # UTF-8 from end to end: may be read as bytes


class Trait(NamedTuple):
    """What a file looks like from outside; it changes when somebody writes to it."""

    size: int
    mtime_ns: int
    inode: int


def trait_of(path: Path) -> Trait:
    """Return what tells two states of a file apart without reading it. Raises OSError."""
    stat = path.stat(follow_symlinks=False)
    return Trait(stat.st_size, stat.st_mtime_ns, stat.st_ino)


def sha256_of(path: Path) -> str:
    """Return the hash of the bytes; an unchanged file is hashed once a process. Raises OSError."""
    return _pass(path, trait_of(path)).sha256


def survey(path: Path, encoding: str, fallback: str) -> Survey:
    """Decide how to read a file: settings, then mark, UTF-16 pattern, UTF-8, fallback.

    Single-byte code pages are never guessed from the text: charset detectors take one for another,
    and a wrong letter in a name is seen by a patient. Raises OSError.
    """
    seen = _pass(path, trait_of(path))
    name, notes = _decide(seen, encoding, fallback)
    # UTF-16 is made of NULs; those are no defect and vanish with the decoding.
    stray_nul = seen.nul and not name.startswith(("utf-16", "utf-32"))
    if stray_nul:
        notes.append("NUL bytes were removed")
    # Without a line feed up to here the lines may end in CR alone, which a text file knows how to read.
    plain = seen.utf8 and name.startswith("utf-8") and not seen.nul and b"\n" in seen.head
    return Survey(seen.sha256, name, stray_nul, tuple(notes), plain)


def open_text(path: Path, encoding: str) -> TextIOWrapper:
    """Open for reading line by line, line ends as they are.

    Bytes that the encoding does not know come out as lone surrogates, so that only their own record
    is lost (UTF-16 has no such way: there they become U+FFFD). Raises OSError.
    """
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    return path.open(encoding=encoding, errors=errors, newline="")


def disguise_of(path: Path) -> str | None:
    """Name the well-known format a file has instead of CSV, or None. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for mark, name in _SIGNATURES if head.startswith(mark)), None)


class _Pass(NamedTuple):
    sha256: str
    head: bytes
    nul: bool
    utf8: bool


@lru_cache(maxsize=64)
def _pass(path: Path, trait: Trait) -> _Pass:
    """Hash a file and try it as UTF-8; `trait` is there for the cache."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    head, nul, utf8 = b"", False, True
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            head = head or block[:4096]
            digest.update(block)
            nul = nul or b"\0" in block
            utf8 = utf8 and _decodes(decoder, block)
    return _Pass(digest.hexdigest(), head, nul, utf8 and _decodes(decoder, b"", final=True))


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _decide(seen: _Pass, encoding: str, fallback: str) -> tuple[str, list[str]]:
    if encoding != "auto":
        return _with_mark(encoding), []
    for mark, name in _BYTE_ORDER_MARKS:
        if seen.head.startswith(mark):
            return name, []
    if seen.nul and (wide := _utf16_pattern(seen.head)):
        return wide, ["UTF-16 without a byte order mark"]
    if seen.utf8:
        return "utf-8", []
    return _with_mark(fallback), [f"not UTF-8: read as {fallback} (fallback_encoding)"]


def _with_mark(encoding: str) -> str:
    """Let UTF-8 swallow a byte order mark should there be one."""
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _utf16_pattern(head: bytes) -> str | None:
    """In Western text every second byte of UTF-16 is NUL, and none of the others is."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > half * 0.4 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.05:
        return "utf-16-be"
    return None
