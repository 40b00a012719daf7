"""Reading what is packed: the one table in a .zip or .gz, as a stream.

Nothing is ever written to the disk, so the names inside an archive lead nowhere. How far it may
unpack is watched by `blocks`, which a file has to pass before any of its rows is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zipfile import ZipInfo

BLOCK = 1 << 18  # bytes
LARGEST = 2 << 30  # bytes that an archive may unpack to
RATIO = 200  # times its own size that it may unpack to; an export packs to a fifth or a tenth …
UNSUSPECTED = 64 << 20  # … but a small one of many equal rows to far less, and harms nobody

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_PACKED = (_GZIP, _ZIP, b"PK\x05\x06")  # the last is a zip with nothing in it
_TABLES = (".csv", ".txt", ".tsv", ".tab")
_SHEETS = {
    "[Content_Types].xml": "an Excel workbook (.xlsx)",
    "mimetype": "an OpenDocument spreadsheet (.ods)",
}


class Sealed(ValueError):
    """Why an archive is not read: a sentence for a person, with what to do instead."""


def is_packed(path: Path) -> bool:
    """Whether a file is an archive, whatever its name says. Raises OSError."""
    with path.open("rb") as file:
        return file.read(4).startswith(_PACKED)


def opened(path: Path) -> BufferedReader:
    """Open the bytes of a file, unpacked where it is an archive. Raises Sealed and OSError."""
    if not is_packed(path):
        return path.open("rb")
    with _sealing():
        return _unpacking(path)


def blocks(path: Path) -> Iterator[bytes]:
    """Yield what a file holds, unpacked, up to what is safe. Raises Sealed and OSError."""
    packed, total = path.stat().st_size, 0
    with _sealing(), opened(path) as file:
        while block := file.read(BLOCK):
            if not total and block.startswith(_PACKED):
                raise Sealed("this is an archive within an archive; pack the CSV itself")
            total += len(block)
            _watch(total, packed)
            yield block


def _watch(total: int, packed: int) -> None:
    if total > LARGEST or (total > UNSUSPECTED and total > RATIO * packed):
        raise Sealed(
            "this archive unpacks to far more than an export should; if it is right, drop the "
            "unpacked CSV instead"
        )


def _unpacking(path: Path) -> BufferedReader:
    with path.open("rb") as file:
        if file.read(2) == _GZIP:
            from gzip import GzipFile

            # A reader of its own around it: its `readlines` is ten times as fast.
            return BufferedReader(GzipFile(path, "rb"), BLOCK)
    from zipfile import ZipFile

    with ZipFile(path) as archive:  # what was opened in it may outlive it
        member = _table_in([info for info in archive.infolist() if _counts(info)])
        return BufferedReader(archive.open(member), BLOCK)  # type: ignore[arg-type]


def _counts(info: ZipInfo) -> bool:
    """Whether a member is more than a folder or what a Mac adds by itself."""
    parts = info.filename.replace("\\", "/").split("/")
    return not info.is_dir() and parts[0] != "__MACOSX" and not parts[-1].startswith(".")


def _table_in(members: list[ZipInfo]) -> ZipInfo:
    """Return the one member that can be meant. Raises Sealed."""
    for info in members:
        if sheet := _SHEETS.get(info.filename):
            raise Sealed(f"this is {sheet}; export it as CSV")
    tables = [info for info in members if info.filename.lower().endswith(_TABLES)]
    meant = tables or members
    if len(meant) != 1:
        what = f"{len(meant)} files" if meant else "no file"
        raise Sealed(f"this archive holds {what}; pack one CSV into each archive")
    if meant[0].flag_bits & 0x1:
        raise Sealed("this archive is protected by a password; send it without one")
    return meant[0]


@contextmanager
def _sealing() -> Iterator[None]:
    """Turn what the libraries say of an archive into Sealed."""
    from gzip import BadGzipFile
    from lzma import LZMAError
    from zipfile import BadZipFile

    try:
        yield
    except NotImplementedError as error:
        raise Sealed(
            "this archive is packed or protected in a way that cannot be read; pack it as a plain "
            "zip or gzip, without a password"
        ) from error
    except (BadGzipFile, BadZipFile, EOFError, LZMAError, zlib.error) as error:
        raise Sealed("this archive is damaged or not whole; send it again") from error
