"""Which of the next visits lack a calendar or texts of their language, and which channels a notifier.

What lacked from the first look on is as the clinic began, and nobody is told of it (`clinicrelay
doctors` lists it). What comes to lack later, as a link, a column or a file went away, goes unnoticed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from clinicrelay.model import Channel, Practitioner
from sync.store import calendars, memory, seconds, silent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic

_OWNER = "sync/lacking"
_NEXT, _MOST = timedelta(days=14), 2000  # visits
_ENOUGH = timedelta(days=30)  # whoever was told by then means it so
_OURS = Path(__file__).parent / "words"
_LANGUAGE = re.compile(r"\.([A-Za-z0-9-]+)\.j2")
KNOWN, THERE, MISSED = "known", "there", "missed"


class _Patient(msgspec.Struct, frozen=True):
    language: str | None = None
    phone: str | None = None
    email: str | None = None


class _Visit(msgspec.Struct, frozen=True):
    """As much of a visit's content as is needed here: the rest is skipped, not decoded."""

    practitioners: tuple[Practitioner, ...] = ()
    patients: tuple[_Patient, ...] = ()


_decode = msgspec.json.Decoder(_Visit).decode


@dataclass(slots=True)
class Next:
    """What the next visits have and lack: visits by (calendar, `SOURCE/KEY`), and by language.

    `unreached` counts those of whom no way is left to a patient, as a channel has no notifier any more.
    """

    linked: set[tuple[str, str]] = field(default_factory=set)
    unlinked: Counter[tuple[str, str]] = field(default_factory=Counter)
    spoken: set[str] = field(default_factory=set)
    unspoken: Counter[str] = field(default_factory=Counter)
    channels: Mapping[Channel, bool] = field(default_factory=dict)
    unreached: int = 0

    def things(self) -> Iterator[tuple[str, str, bool]]:
        """Yield each thing by what it belongs to and its name, and whether it is there."""
        yield from ((calendar, _sign(who), True) for calendar, who in self.linked)
        yield from ((calendar, _sign(who), False) for calendar, who in self.unlinked)
        yield from ((_SPOKEN, language, True) for language in self.spoken)
        yield from ((_SPOKEN, language, False) for language in self.unspoken)
        yield from ((_CHANNELS, channel.value, sent) for channel, sent in self.channels.items())


_SPOKEN, _CHANNELS = "languages:", "channels:"  # no calendar is called so


def lost(clinic: Clinic) -> frozenset[Channel]:
    """Return the channels that no notifier sends on any more: what they are for waits for one."""
    with clinic.store.read() as connection:
        kept = memory.recall(connection, clinic.store.clinic, _OWNER)
    return frozenset(
        channel
        for channel, sent in _sent(clinic).items()
        if not sent and kept.get(f"{_CHANNELS}/{channel.value}", {}).get("is") in (THERE, MISSED)
    )


def _sent(clinic: Clinic) -> dict[Channel, bool]:
    """Return of each channel whether a notifier sends on it."""
    named = clinic.settings.channels.named
    return {
        channel: bool(clinic.senders[channel] if named(channel) is None else named(channel))
        for channel in Channel
    }


def missed(connection: Connection, clinic: Clinic) -> Next:
    """Return what the next visits lack and did not from the first."""
    found = look(connection, clinic)
    kept = memory.recall(connection, clinic.store.clinic, _OWNER)
    return Next(
        unlinked=Counter(
            {
                (calendar, who): number
                for (calendar, who), number in found.unlinked.items()
                if _is_missed(kept, calendar, _sign(who))
            }
        ),
        unspoken=Counter(
            {
                language: number
                for language, number in found.unspoken.items()
                if _is_missed(kept, _SPOKEN, language)
            }
        ),
        unreached=found.unreached,
    )


def _is_missed(kept: Mapping[str, Any], whose: str, name: str) -> bool:
    begun = f"{whose}/" in kept
    return begun and kept.get(f"{whose}/{name}", {}).get("is") != KNOWN


def take_stock(clinic: Clinic) -> None:
    """Remember what is there and what lacks; written only where that is something new."""
    with clinic.store.read() as connection:
        before = memory.recall(connection, clinic.store.clinic, _OWNER)
        found = look(connection, clinic)
    after = dict(before)
    for whose, name, there in found.things():
        first = f"{whose}/" not in before
        after[f"{whose}/"] = {"is": THERE}
        after[f"{whose}/{name}"] = _state(
            before.get(f"{whose}/{name}"), there=there, first=first, now=seconds(clinic.now)
        )
    if after != before:
        with clinic.store.write() as connection:
            memory.remember(connection, clinic.store.clinic, _OWNER, before, after)


def _state(kept: dict[str, Any] | None, *, there: bool, first: bool, now: int) -> dict[str, Any]:
    if there:
        return {"is": THERE}
    if first:
        return {"is": KNOWN}
    if kept is None or kept["is"] == THERE:
        return {"is": MISSED, "since": now}
    if kept["is"] == MISSED and now - kept["since"] > _ENOUGH.total_seconds():
        return {"is": KNOWN}
    return kept


def look(connection: Connection, clinic: Clinic) -> Next:
    """Look at the next visits, found by an index."""
    found, store = Next(channels=_sent(clinic)), clinic.store.clinic
    end = clinic.now + _NEXT
    visits = silent.next_visits(connection, store, now=clinic.now, end=end, most=_MOST)
    used = _used(connection, clinic)
    places: dict[tuple[str, Practitioner], frozenset[str]] = {}
    texts = _texts(clinic)
    for visit in visits:
        content = _decode(visit.content)
        for who in content.practitioners:
            if (key := (visit.source, who)) not in places:
                links = clinic.calendars_of(visit.source, who)
                places[key] = frozenset(link.partition(":")[0] for link in links)
            for calendar in used:
                one = calendar, f"{visit.source}/{who.key}"
                if calendar in places[key]:
                    found.linked.add(one)
                else:
                    found.unlinked[one] += 1
        found.unreached += any(_is_unreached(clinic, patient) for patient in content.patients)
        for patient in content.patients:
            language = (patient.language or clinic.settings.clinic.language).lower()
            if _ever_plainer(language) & texts:
                found.spoken.add(language.split("-")[0])
            else:
                found.unspoken[language.split("-")[0]] += 1
    for one in found.linked:  # two records of one doctor: one of them is enough
        found.unlinked.pop(one, None)
    for language in found.spoken:
        found.unspoken.pop(language, None)
    return found


def _is_unreached(clinic: Clinic, patient: _Patient) -> bool:
    """Whether a channel that has no notifier any more was the only way to a patient."""
    if not clinic.lost:
        return False
    order = clinic.settings.channels.order
    ways = {
        channel
        for channel in Channel
        if (patient.email if channel is Channel.EMAIL else patient.phone)
        and (channel in order or "preferred" in order)
    }
    sent = _sent(clinic)
    return bool(ways & clinic.lost) and not any(sent[channel] for channel in ways)


def _used(connection: Connection, clinic: Clinic) -> list[str]:
    """Return the calendars of the settings that anything was ever written to: others rehearse."""
    written = {
        calendar.partition(":")[0]
        for calendar in calendars.written(connection, clinic.store.clinic)
    }
    return [name for name in clinic.settings.calendars if name in written]


def _texts(clinic: Clinic) -> frozenset[str]:
    """Return the languages that there are texts in, without reading one: in small letters."""
    folder = clinic.settings.templates
    own = [path.name for path in folder.glob("*.j2")] if folder and folder.is_dir() else []
    ours = [path.parent.name.lower() for path in _OURS.glob("*/when.j2")]
    return frozenset((*ours, *filter(None, map(language_of, own))))


def language_of(text: str) -> str:
    """Return the language of a text of the clinic's own, by the name of its file, in small letters."""
    named = _LANGUAGE.search(text)
    return named[1].lower() if named else ""


def _ever_plainer(tag: str) -> frozenset[str]:
    subtags = tag.replace("_", "-").split("-")
    return frozenset("-".join(subtags[:n]) for n in range(1, len(subtags) + 1))


def _sign(who: str) -> str:
    """Return what a practitioner is remembered by: keys may be longer than a name in the store."""
    return sha256(who.encode()).hexdigest()[:16]
