"""What our texts will look like: rendered for a made-up person, and what an SMS of them costs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from clinicrelay import plugins, sms
from clinicrelay.actions import MessageKind, Role
from clinicrelay.contracts import ClinicFacts, TheirText
from clinicrelay.model import Channel, Modality
from clinicrelay.settings import Settings
from clinicrelay.times import day_of, from_wall
from sync.words import DigestLine, Rendered, TextFacts, Words
from sync.words.templates import TEXTS, Text, name_of

if TYPE_CHECKING:
    from clinicrelay.settings.schema import NotifierSettings

_GSM7 = "GSM-7"


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the texts there are, such as `reminder` or `doctor_reminder`."""

    name: str
    kind: MessageKind
    role: Role
    channels: tuple[Channel, ...]
    languages: tuple[str, ...]
    own: tuple[str, ...]  # the clinic's own files for it


@dataclass(frozen=True, slots=True)
class Cost:
    """What an SMS costs: `used` of `room` places (septets, or UTF-16 units) in so many messages.

    `costly` are the characters that GSM-7 does not have: one of them makes all of the text UCS-2,
    which has less than half the room. `without` is how many messages it would be without them.
    `script` is the one that the text is written in, if GSM-7 cannot write it at all.
    """

    encoding: str
    messages: int
    used: int
    room: int
    costly: tuple[str, ...] = ()
    without: int = 0
    script: str = ""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What leaves instead of a text: the provider's own, by its id; None where there is none for it.

    `values` are what is put into its places, by their numbers.
    """

    notifier: str
    id: str | None = None
    language: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview:
    """A text as it would leave; `template` is the file it was made from.

    Where a provider has texts of its own, `theirs` leaves, with pieces of ours.
    """

    name: str
    channel: Channel
    asked: str
    rendered: Rendered
    template: Text
    cost: Cost | None = None
    theirs: Theirs | None = None


def words_of(settings: Settings) -> Words:
    """Return a clinic's texts; neither its store nor its sources are needed for them."""
    clinic = settings.clinic
    return Words(clinic.language, clinic.facts(), settings.templates)


def kinds(words: Words) -> list[Kind]:
    """Return the texts there are, in the order they are met in a visit's life."""
    return [_kind(words, kind, role, channels) for (kind, role), channels in TEXTS.items()]


def _kind(words: Words, kind: MessageKind, role: Role, channels: tuple[Channel, ...]) -> Kind:
    name = name_of(kind, role)
    texts = [t for found in words.templates.texts.values() for t in found if t.name == name]
    languages = sorted({text.language for text in texts})
    own = [text.path.name for text in texts if text.key.startswith("clinic/")]
    there = dict.fromkeys((*channels, Channel.WHATSAPP))
    return Kind(name, kind, role, tuple(there), tuple(languages), tuple(own))


def previews(
    words: Words,
    kind: Kind,
    channel: Channel,
    language: str | None,
    *,
    zone: str,
    now: datetime,
    notifiers: Mapping[str, NotifierSettings] | None = None,
) -> Iterator[Preview]:
    """Yield a text in a language (None: the clinic's), or in all there are (`all`).

    `notifiers` are those of the settings: one that has texts of its own sends those.
    """
    languages = kind.languages if language == "all" else (language or words.default,)
    facts = made_up(kind.kind, words.clinic, zone=zone, now=now)
    for asked in languages:
        sender, their = _their_text(notifiers or {}, kind, channel, asked, words.default)
        spoken = _spoken(asked, their)
        made = words.render(kind.kind, kind.role, channel, spoken, facts)
        template = _template(words, kind, channel, spoken, made)
        cost = cost_of(made.text) if channel is Channel.SMS else None
        theirs = _filled(sender, their, made) if sender else None
        yield Preview(kind.name, channel, asked, made, template, cost, theirs)


def _their_text(
    notifiers: Mapping[str, NotifierSettings], kind: Kind, channel: Channel, asked: str, own: str
) -> tuple[str, TheirText | None]:
    """Return the notifier that has its own texts for a channel, if it is the one, and the text."""
    without = ""
    for name, entry in notifiers.items():
        plugin: Any = plugins.find("notifiers", entry.type)
        if channel not in plugin.channels:
            continue
        texts = plugin.texts(entry.options)
        if texts is None or kind.name in texts:
            their = plugin.their_text(entry.options, kind.name, asked.replace("_", "-"), own)
            return (name if their else ""), their
        without = without or name
    return without, None


def _spoken(asked: str, their: TheirText | None) -> str:
    """Return the language that the pieces of a text are written in."""
    if their is None or _primary(their.language) == _primary(asked):
        return asked
    return their.language


def _primary(tag: str) -> str:
    return tag.replace("_", "-").partition("-")[0].lower()


def _filled(notifier: str, their: TheirText | None, made: Rendered) -> Theirs:
    if their is None:
        return Theirs(notifier)
    values = {str(n): made.values.get(name) or "–" for n, name in enumerate(their.values, 1)}
    return Theirs(notifier, their.id, their.language, values)


def _template(words: Words, kind: Kind, channel: Channel, asked: str, made: Rendered) -> Text:
    """Find the template that a text was made from: the first that is not known to be broken."""
    broken = {issue.detail for issue in made.issues if issue.code == "template_broken"}
    channels = [channel, Channel.SMS] if channel is Channel.WHATSAPP else [channel]
    languages = words.languages_for(asked.replace("_", "-"))
    candidates = words.templates.candidates(kind.name, channels, languages)
    return next(text for text in candidates if text.path.name not in broken or _is_ours(text))


def _is_ours(text: Text) -> bool:
    return text.key.startswith("ours/")


def cost_of(text: str) -> Cost:
    """Reckon what an SMS costs, and which characters make it dear."""
    encoding, messages = sms.segments(text)
    costly = tuple(sms.foreign(text))
    without = "".join("?" if c in costly else c for c in text)
    alone, shared = (160, 153) if encoding == _GSM7 else (70, 67)
    room = alone if messages <= 1 else shared * messages
    fewer = sms.segments(without).messages
    return Cost(encoding, messages, sms.length(text), room, costly, fewer, _script(text, costly))


def _script(text: str, costly: tuple[str, ...]) -> str:
    """Name the script that a text is written in where GSM-7 lacks it; a name or a letter is no text.

    Names, links and the clinic's are often in Latin letters, so a quarter of all letters is enough.
    """
    letters = [c for c in text if c.isalpha()]
    foreign = [c for c in letters if c in costly and not _is_latin(c)]
    if not foreign or len(foreign) * 4 < len(letters):
        return ""
    named = unicodedata.name(foreign[0], "").partition(" ")[0].capitalize()
    return "Chinese" if named == "Cjk" else named


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN")


def made_up(kind: MessageKind, clinic: ClinicFacts, *, zone: str, now: datetime) -> TextFacts:
    """Return a visit of a made-up patient: tomorrow at 10:30, moved there from a day later."""
    start = _at(now, zone, days=1, hour=10)
    place = None if clinic.address else "Room 3"  # the texts put the address in where there is room
    facts: dict[str, Any] = {
        "at": now,
        "start": start,
        "end": start + timedelta(minutes=30),
        "timezone": zone,
        "place": place,
        "practitioner_name": "Dr. Sample",
        "first_name": "Maria",
        "before_start": _at(now, zone, days=2, hour=15),
        "before_place": place,
    }
    if kind is MessageKind.CHANGE:
        facts["kind_of_change"] = frozenset({"time"})
    if kind is MessageKind.DIGEST:
        facts["visits"] = tuple(_list_of_a_day(now, zone))
    return TextFacts(**facts)


def _list_of_a_day(now: datetime, zone: str) -> Iterator[DigestLine]:
    day = ((9, Modality.IN_PERSON, "M.S."), (10, Modality.VIDEO, "J.R."), (14, Modality.PHONE, ""))
    for hour, modality, initials in day:
        yield DigestLine(_at(now, zone, days=1, hour=hour), modality, initials)


def _at(now: datetime, zone: str, *, days: int, hour: int) -> datetime:
    day = day_of(now, zone) + timedelta(days=days)
    wall = datetime(day.year, day.month, day.day, hour, 30)  # noqa: DTZ001 - the clinic's wall
    return from_wall(wall, zone).instant
