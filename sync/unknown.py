"""What is told of a reference under which no visit is known: what was set aside, and what is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from clinicrelay.times import local
from sync.because import Because
from sync.chronicle import Line, aside_line
from sync.health import health
from sync.reasons import advice, in_words, setting_of, to_do
from sync.searching import set_aside_like
from sync.store import quarantine

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.health import SourceHealth

_MOST = 3  # of several that look alike
_NOT_KNOWN = "not_known"
_READS_ALL = ("csv",)  # a file is read whole, whatever the window


class Unknown(NamedTuple):
    """What is told where nothing is known, line by line and in short."""

    history: list[Line]
    answer: str
    because: Because


def unknown(clinic: Clinic, wanted: str) -> Unknown:
    """Tell what looks like a reference and was set aside, and for which days each source is read."""
    from sync.erasure import erased_as, erased_words

    if mark := erased_as(clinic, wanted):
        return Unknown([], erased_words(clinic, mark), Because("erased", "", to_do("erased")))
    numbers = set_aside_like(clinic, wanted)
    with clinic.store.read() as connection:
        found = [quarantine.one(connection, clinic.store.clinic, n) for n in numbers[:_MOST]]
    alike = [{**one, "last_seen_at": int(one["last_seen_at"])} for one in found if one]
    parts = ["Nothing is known under this.", *_lookalikes(alike, numbers), *_reads(clinic)]
    return Unknown([aside_line(one) for one in alike], " ".join(parts), _because(clinic, alike))


def _because(clinic: Clinic, alike: list[dict[str, Any]]) -> Because:
    if alike:
        code = alike[0]["reason"]
        return Because(code, setting_of(code, source=alike[0]["source"]), to_do(code))
    windows = [name for name in clinic.settings.sources if _has_window(clinic, name)]
    setting = f"sources.{windows[0]}.window" if windows else ""
    return Because(_NOT_KNOWN, setting, to_do(_NOT_KNOWN))


def _lookalikes(alike: list[dict[str, Any]], numbers: list[int]) -> Iterator[str]:
    if not alike:
        return
    some = ", ".join(str(number) for number in numbers[:_MOST])
    many = "A record that looks" if len(numbers) == 1 else f"{len(numbers)} records that look"
    was = "was" if len(numbers) == 1 else "were"
    first = alike[0]
    field = f", {first['field']}" if first["field"] else ""
    yield (
        f"{many} like it {was} set aside ({some}{field}): {in_words(first['reason'])}. "
        f"{advice(first['reason'])} clinicrelay quarantine show {numbers[0]}."
    )


def _reads(clinic: Clinic) -> Iterator[str]:
    for name, one in health(clinic).sources.items():
        last = clinic.when(one.last_complete) if one.last_complete else "never"
        state = "" if one.state in ("ok", "new") else f" ({one.state})"
        yield f"{name} was last read completely {last}{state}.{_for_which_days(clinic, name, one)}"


def _for_which_days(clinic: Clinic, name: str, one: SourceHealth) -> str:
    if not _has_window(clinic, name):
        return ""
    window = clinic.window(name)
    first, last = (
        local(at, clinic.zone).strftime("%-d %b %Y") for at in (window.start, window.end)
    )
    return f" It is read for visits from {first} to {last} (sources.{name}.window)."


def _has_window(clinic: Clinic, name: str) -> bool:
    source = clinic.settings.sources.get(name)
    return source is not None and source.type not in _READS_ALL
