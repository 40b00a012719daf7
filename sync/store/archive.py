"""The portable copy of a store: one zip that any of the databases can be filled from.

`TABLE.jsonl` has a row a line, as a JSON list in the order of the manifest's columns; bytes are a list
of one base64 text. `manifest.json` comes last: a file without it was never finished.
"""

from __future__ import annotations

import errno
import os
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile, ZipInfo

import msgspec

from sync.store import troubles

if TYPE_CHECKING:
    from clinicrelay.errors import SettingsError

FORMAT = 1
_MANIFEST = "manifest.json"
_AT_ONCE = 1000
_PIECE = 1 << 20  # bytes

Told = Callable[[str, int], None]


class Table(msgspec.Struct, frozen=True):
    """One table of a copy: its columns in the order of the rows, and the digest of its lines."""

    columns: list[str]
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What a copy holds. `schema` is the version of the store it was made of."""

    format: int
    schema: str
    program: str
    made_at: str
    clinics: list[str]
    tables: dict[str, Table]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


# --- writing -------------------------------------------------------------------------------------


@contextmanager
def new(file: Path) -> Iterator[IO[bytes]]:
    """Open a file that has its name only once it is whole, and that nobody else may read.

    Raises SettingsError when it is there already, when somebody else is writing it just now, or when
    there is no room for it.
    """
    if file.exists():
        raise _there(file)
    part = file.with_name(f"{file.name}.part")
    handle = _ours(part, file)
    try:
        with handle:  # what is still to be written when it is closed may find no room, too
            handle.truncate(0)
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            put_in_place(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot_write(file, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _ours(part: Path, file: Path) -> IO[bytes]:
    """Open the file to be written, if nobody else is at it. Raises SettingsError."""
    try:
        handle = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
    except OSError as error:
        raise _cannot_write(file, error) from error
    if not _only_we(handle):
        handle.close()
        raise _refused(
            "backup_busy",
            f"another backup is being written to {file}",
            "wait for it, or name another file",
        )
    return handle


def _only_we(handle: IO[bytes]) -> bool:
    """Lock a file until it is closed, by us or by our death."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def put_in_place(part: Path, file: Path) -> None:
    """Give a finished file its name; never that of a file that is there. Raises SettingsError."""
    try:
        os.link(part, file)
    except FileExistsError:
        raise _there(file) from None
    except OSError:  # a file system without links
        part.rename(file)
    else:
        part.unlink()
    if os.name == "posix":
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def unused(folder: Path, name: str, suffix: str = "") -> Path:
    """Return a file of this name that is not there yet: with a number, if need be."""
    number = 1
    while (file := folder / f"{name}{f'-{number}' if number > 1 else ''}{suffix}").exists():
        number += 1
    return file


def add(
    archive: ZipFile, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], told: Told
) -> Table:
    """Write a table's rows into a copy."""
    digest, encode, number = sha256(), msgspec.json.Encoder().encode, 0
    told(name, 0)
    with archive.open(_member(f"{name}.jsonl"), "w", force_zip64=True) as member:
        lines: list[bytes] = []
        for row in rows:
            number += 1
            lines.append(encode([[v] if isinstance(v, bytes) else v for v in row]))
            if number % _AT_ONCE == 0:
                _write(member, lines, digest)
                told(name, number)
        _write(member, lines, digest)
    return Table(list(columns), number, digest.hexdigest())


def _write(member: IO[bytes], lines: list[bytes], digest: Any) -> None:
    piece = b"".join(line + b"\n" for line in lines)
    digest.update(piece)
    member.write(piece)
    lines.clear()


def end(archive: ZipFile, manifest: Manifest) -> None:
    """Write the manifest: only now is it a copy."""
    archive.writestr(_member(_MANIFEST), msgspec.json.format(msgspec.json.encode(manifest)))


def _member(name: str) -> ZipInfo:
    member = ZipInfo(name)
    member.compress_type = ZIP_DEFLATED
    member.external_attr = 0o600 << 16
    return member


# --- reading -------------------------------------------------------------------------------------


@contextmanager
def opened(file: Path | IO[bytes]) -> Iterator[tuple[ZipFile, Manifest]]:
    """Open a copy and read what it holds. Raises SettingsError when it is none, or not whole."""
    try:
        with ZipFile(file) as archive:
            manifest = msgspec.json.decode(archive.read(_MANIFEST), type=Manifest)
            if manifest.format != FORMAT:
                raise _refused(
                    "backup_newer",
                    f"{file} was made by a newer clinicrelay ({manifest.program})",
                    "restore it with that version, or a newer one",
                )
            yield archive, manifest
    except OSError as error:
        raise _refused(
            "backup_unreadable", f"{file} cannot be read: {error.strerror}", "name another file"
        ) from error
    except (BadZipFile, KeyError, EOFError, msgspec.DecodeError, zlib.error) as error:
        raise _damaged(file) from error


def verify(file: Path | IO[bytes], told: Told) -> Manifest:
    """Read a whole copy and compare it with what its manifest says. Raises SettingsError."""
    with opened(file) as (archive, manifest):
        for name, table in manifest.tables.items():
            digest, lines = sha256(), 0
            with archive.open(f"{name}.jsonl") as member:
                while piece := member.read(_PIECE):
                    digest.update(piece)
                    lines += piece.count(b"\n")
                    told(name, lines)
            if (digest.hexdigest(), lines) != (table.sha256, table.rows):
                raise _damaged(file)
        return manifest


def rows(archive: ZipFile, name: str) -> Iterator[list[Any]]:
    """Yield a table's rows, as they were put in."""
    decode = msgspec.json.Decoder(list[Any]).decode
    with archive.open(f"{name}.jsonl") as member:
        for line in member:
            yield [b64decode(v[0]) if isinstance(v, list) else v for v in decode(line)]


# --- what can go wrong ---------------------------------------------------------------------------


def _refused(code: str, message: str, fix: str) -> SettingsError:
    """Nothing is wrong with the settings here: it is about the file that was named."""
    return troubles.refused(code, message, fix, path="")


def _there(file: Path) -> SettingsError:
    return _refused("backup_there", f"{file} is there already", "name a new file; none is replaced")


def _cannot_write(file: Path, error: OSError) -> SettingsError:
    why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
    return _refused("backup_unwritable", f"{file} cannot be written: {why}", "name another place")


def _damaged(file: Path | IO[bytes]) -> SettingsError:
    name = file if isinstance(file, Path) else "what was written"
    return _refused(
        "backup_damaged",
        f"{name} is not a whole backup of a store: nothing was restored from it",
        "take another backup",
    )
