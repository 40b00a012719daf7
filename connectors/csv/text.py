"""From bytes to text: which encoding a file has, and whether it is the file we saw before."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

from connectors.csv import archives

BLOCK = 1 << 18  # bytes; a megabyte, decoded, is more than a processor's cache holds

# First bytes of what is not text, and what people call it.
_SIGNATURES = (
    (b"\xd0\xcf\x11\xe0", "an old Excel or Office file (.xls)"),
    (b"%PDF", "a PDF"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
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
    ended: bool = True  # the last line has its end, as that of a file cut off has not
    trouble: str = ""  # why there is nothing to read in it: a sentence for a person


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
    ended = b"\n" in seen.tail or b"\r" in seen.tail
    return Survey(seen.sha256, name, stray_nul, tuple(notes), plain, ended, seen.trouble)


def open_text(path: Path, encoding: str) -> TextIOWrapper:
    """Open for reading line by line, line ends as they are.

    Bytes that the encoding does not know come out as lone surrogates, so that only their own record
    is lost (UTF-16 has no such way: there they become U+FFFD). Raises OSError.
    """
    errors = "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
    return TextIOWrapper(archives.opened(path), encoding=encoding, errors=errors, newline="")


class _Pass(NamedTuple):
    sha256: str
    head: bytes
    tail: bytes
    nul: bool
    utf8: bool
    trouble: str = ""


@lru_cache(maxsize=64)
def _pass(path: Path, trait: Trait) -> _Pass:
    """Hash a file and try what it holds as UTF-8; `trait` is there for the cache."""
    packed = archives.is_packed(path)
    digest = _digest(path) if packed else hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    head, tail, nul, utf8 = b"", b"", False, True
    try:
        for block in archives.blocks(path) if packed else _blocks(path, digest):
            head, tail = head or block[:4096], (tail + block[-4:])[-4:]
            nul = nul or b"\0" in block
            utf8 = utf8 and _decodes(decoder, block)
    except archives.Sealed as why:
        return _Pass(digest.hexdigest(), b"", b"", False, False, str(why))
    utf8 = utf8 and _decodes(decoder, b"", final=True)
    return _Pass(digest.hexdigest(), head, tail, nul, utf8, _disguise(head))


def _digest(path: Path) -> hashlib._Hash:
    """Hash an archive as it lies there: a file is known again by its own bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _blocks(path: Path, digest: hashlib._Hash) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            yield block


def _disguise(head: bytes) -> str:
    """Say what well-known format this is instead of CSV."""
    names = (name for mark, name in _SIGNATURES if head.startswith(mark))
    return next((f"this is {name}; export it as CSV" for name in names), "")


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
