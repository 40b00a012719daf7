"""Reads an answer that may be neither endless nor for ever on its way, nor swell beyond measure."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from clinicrelay.http.errors import NotAnswered, TooSlow, Unwelcome

if TYPE_CHECKING:
    import httpx

    from clinicrelay.http.opening import Line

LARGEST = 64 << 20  # bytes of an answer, unpacked
_LESS = "ask for less at once: smaller pages, or a shorter window"
ACCEPTED = "gzip, deflate"
_OTHERS = ("br", "zstd", "compress", "lzma", "xz", "bzip2")
_CHARSET = re.compile(r"charset=\s*\"?([\w.:-]{1,40})", re.ASCII | re.IGNORECASE)
# Longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WIDE = ("utf-16", "utf-32")
_CODE_PAGES = (*_WIDE, "iso8859", "cp", "koi8", "mac", "shift", "euc", "gb", "big5")
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
    """Send a request and return the answer with its content, unpacked and in UTF-8, in so many seconds.

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
            content = _whole(_unpacked(parts, response, host), host, largest)
            return response, in_utf8(content, response.headers.get("content-type", ""))
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
                fix=_LESS if largest == LARGEST else "check auth: this is nothing that tokens need",
            )
        kept.append(part)
    return b"".join(kept)


def in_utf8(content: bytes, content_type: str) -> bytes:
    """Return text in UTF-8 without a mark before it; signs that its code page has not are replaced.

    JSON is UTF-8 (RFC 8259 section 8.1), and some servers write another code page all the same. One
    that they only name, as Java does by itself, counts where the text is no UTF-8.
    """
    for mark, code_page in _MARKS.items():
        if content.startswith(mark):
            return _as_utf8(content, code_page)
    named = _code_page(content_type)
    if named.startswith(_WIDE) or (named and not is_utf8(content)):
        return _as_utf8(content, named)
    return content


def _as_utf8(content: bytes, code_page: str) -> bytes:
    return content.decode(code_page, "replace").encode()


def is_utf8(content: bytes) -> bool:
    """Whether an answer is text as JSON has to be."""
    try:
        return content.isascii() or bool(content.decode())
    except ValueError:
        return False


def _code_page(content_type: str) -> str:
    """Return what a header says a text is written in, of those that people write in, else nothing."""
    found = _CHARSET.search(content_type)
    try:
        name = codecs.lookup(found[1]).name if found else ""
    except LookupError:
        return ""
    return name if name.startswith(_CODE_PAGES) else ""


def _too_slow(host: str) -> TooSlow:
    return TooSlow(f"{host} takes too long to finish its answer")


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
