"""Reads an answer that may be neither endless nor for ever on its way, nor swell beyond measure."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clinicrelay.http.errors import NotAnswered, Unwelcome

if TYPE_CHECKING:
    import httpx

    from clinicrelay.http.opening import Line

LARGEST = 64 << 20  # bytes of an answer, unpacked (F-30)
ACCEPTED = "gzip, deflate"
_OTHERS = ("br", "zstd", "compress", "lzma", "xz", "bzip2")
_AT_ONCE = 1 << 20  # bytes unpacked in one go: a bomb of 64 kB holds 64 MB, and packed twice 64 GB


def exchange(
    line: Line,
    method: str,
    url: str,
    given: Mapping[str, Any],
    *,
    host: str,
    clock: Callable[[], float],
    seconds: float,
    largest: int = LARGEST,
) -> tuple[httpx.Response, bytes]:
    """Send a request and return the answer with its unpacked content, all within so many seconds.

    Raises Unwelcome for one that is too large or cannot be unpacked, NotAnswered for one that is not
    whole in time, and httpx's own errors. Each piece counts as it arrives: a byte now and then is no
    answer.
    """
    import httpx

    until = clock() + seconds
    extensions = {"trace": line.watch.trace}
    try:
        with (
            line.watch.over(seconds),
            line.stream(method, url, extensions=extensions, **given) as response,
        ):
            parts = _in_time(response, host, clock, until)
            return response, _whole(_unpacked(parts, response, host), host, largest)
    except httpx.HTTPError as error:
        if line.watch.cut:
            raise _too_slow(host) from error
        raise


def _whole(parts: Iterable[bytes], host: str, largest: int) -> bytes:
    kept, size = [], 0
    for part in parts:
        size += len(part)
        if size > largest:
            raise Unwelcome(
                f"{host} sent an answer of more than {largest >> 20} MB",
                fix="ask for less at once: smaller pages, or a shorter window",
            )
        kept.append(part)
    return b"".join(kept)


def _too_slow(host: str) -> NotAnswered:
    return NotAnswered(f"{host} takes too long to finish its answer")


def _in_time(
    response: httpx.Response, host: str, clock: Callable[[], float], until: float
) -> Iterator[bytes]:
    for part in response.iter_raw():
        if clock() > until:
            raise _too_slow(host)
        yield part


def _unpacked(parts: Iterable[bytes], response: httpx.Response, host: str) -> Iterable[bytes]:
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing in ("", "identity"):
        return parts
    if packing in ("gzip", "x-gzip", "deflate"):
        return _inflated(parts, host, perhaps_bare=packing == "deflate")
    shown = packing if packing in _OTHERS else "twice, or one nobody knows"
    raise Unwelcome(f"{host} packs its answer in a way we did not ask for ({shown})")


def _inflated(parts: Iterable[bytes], host: str, *, perhaps_bare: bool) -> Iterator[bytes]:
    """Unpack gzip or zlib, whichever it is; some servers mean the bare bytes by `deflate`."""
    unpacker, begun = zlib.decompressobj(wbits=47), False
    try:
        for part in parts:
            if perhaps_bare and not begun and (part[0] & 15) != 8:
                unpacker = zlib.decompressobj(wbits=-15)
            begun, rest = True, part
            while rest:
                if unpacker.eof:  # gzip may consist of several members
                    unpacker = zlib.decompressobj(wbits=47)
                yield unpacker.decompress(rest, _AT_ONCE)
                rest = unpacker.unconsumed_tail or unpacker.unused_data
    except zlib.error as error:
        raise Unwelcome(
            f"{host} sends an answer that cannot be unpacked",
            fix="look at what stands between: a proxy may pack an answer and not say so",
        ) from error
    if begun and not unpacker.eof:
        raise NotAnswered(f"{host} broke its answer off")
