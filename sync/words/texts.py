"""One message, rendered: the right template in the right language, made to fit its channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from clinicrelay.actions import MessageKind, Role
from clinicrelay.contracts import ClinicFacts
from clinicrelay.model import Channel, Issue, Modality
from clinicrelay.sms import plain, segments
from sync.words import dates
from sync.words.facts import (
    REMOTE,
    DigestChange,
    TextFacts,
    greeted,
    one_line,
    shortened,
    variables,
)
from sync.words.page import Emphasis, isolated, page
from sync.words.short import MOST_SEGMENTS, TIGHT, cheap, ever_shorter
from sync.words.templates import PART_NAMES, PARTS, Templates, Text, broken, name_of

_MOST_PIECES = 1_000  # a day's hours, in the languages of a clinic
_MOST_CHANGES = 20  # of a digest's list of changes; the others are counted
_MOST_LETTERS = 40  # of a clinic's name or a place in an SMS
_MOST_NAME = 20  # of a patient's first name there

_BRACKETS = {"zh": "（{}）"}  # around a patient's name: it then needs no case in any language
_SPACES = re.compile(r" {2,}")
_MUCH_SPACE = re.compile(r"\n{3,}")
_TWO_STOPS = re.compile(r"(?<=[^.])\.\.(?=\s|$)", re.MULTILINE)  # `10:30 a.m.` ends a sentence
_SUBJECT = re.compile(r"\s*Subject:[ \t]*(?P<subject>[^\n]*)\n(?P<text>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text as it leaves; `segments` is what an SMS costs (0 for other channels).

    `values` are its pieces by name, for a provider that has the words; `locale` is what they follow.
    """

    subject: str | None
    text: str
    html: str | None
    language: str
    segments: int = 0
    issues: tuple[Issue, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    locale: str = ""


class Words:
    """What a clinic says, in the languages there are templates for."""

    def __init__(self, language_default: str, clinic: ClinicFacts, folder: Path | None) -> None:
        self.default = language_default
        self.clinic = clinic
        self.templates = Templates(folder, language_default)
        self.passed_over: set[str] = set()  # the clinic's own files that failed, ours were used
        self._made: dict[tuple[str, tuple[str, ...]], dict[str, str]] = {}

    def render(
        self,
        kind: MessageKind,
        role: Role,
        channel: Channel,
        language: str | None,
        facts: TextFacts,
    ) -> Rendered:
        """Return the text for one person, in their language or the nearest there is.

        A clinic's own template that fails is passed over for ours, with an issue: a visit is not
        forgotten over a typing error. Raises LookupError for a text we do not have.
        """
        wanted = (language or self.default).replace("_", "-")
        name = name_of(kind, role)
        faults: list[Issue] = []
        channels = [channel, Channel.SMS] if channel is Channel.WHATSAPP else [channel]
        for text in self.templates.candidates(name, channels, self.languages_for(wanted)):
            try:
                return self.fill(text, kind, channel, facts, wanted=wanted, issues=faults)
            except broken():
                self.passed_over.add(text.path.name)
                faults.append(Issue("template_broken", detail=text.path.name))
        raise LookupError(f"there is no text {name!r} for {channel.value}")

    def tells_of_others(
        self, kind: MessageKind, role: Role, channel: Channel, language: str | None
    ) -> bool:
        """Whether the text that one would get has a place for their other visits of that day."""
        wanted = (language or self.default).replace("_", "-")
        texts = self.templates.candidates(
            name_of(kind, role), [channel], self.languages_for(wanted)
        )
        text = next(texts, None)
        return text is not None and "also" in self.templates.names_in(text)

    def language_of(
        self, kind: MessageKind, role: Role, channel: Channel, language: str | None
    ) -> str | None:
        """Return in which language one would get a text; None where there is none at all."""
        wanted = (language or self.default).replace("_", "-")
        channels = [channel, Channel.SMS] if channel is Channel.WHATSAPP else [channel]
        languages = self.languages_for(wanted)
        text = next(self.templates.candidates(name_of(kind, role), channels, languages), None)
        return text.language if text is not None else None

    def languages_for(self, wanted: str) -> list[str]:
        """Return which languages to try: `es-MX`, `es`, the clinic's own, English."""
        chain = [*_ever_plainer(wanted), *_ever_plainer(self.default), "en"]
        return list(dict.fromkeys(chain))

    def fill(
        self,
        text: Text,
        kind: MessageKind,
        channel: Channel,
        facts: TextFacts,
        *,
        wanted: str,
        issues: Sequence[Issue] = (),
    ) -> Rendered:
        """Fill one template in. Raises what `templates.broken()` lists."""
        same = _primary(text.language) == _primary(wanted)
        written_as = wanted if same else text.language
        names = self._variables(kind, channel, facts, text.language, written_as)
        found = list(issues) + ([] if same else [_other_language(text)])
        if channel is Channel.EMAIL:
            filled = self.templates.render(text, names)
            return self._mail(filled, text.language, _link(facts), _emphasis(names), found)
        naming = self._naming(text, names, _whom(kind, channel, facts, text.language))
        if channel is Channel.SMS:
            return self._sms(text, naming, found)
        return Rendered(
            None,
            plain(_tidy(self.templates.render(text, naming))),
            None,
            text.language,
            issues=tuple(found),
            values=_pieces(names),
            locale=written_as,
        )

    def names(self, kind: MessageKind, channel: Channel, facts: TextFacts) -> dict[str, Any]:
        """Return what a template's names say, in the clinic's language."""
        return self._variables(kind, channel, facts, self.default, self.default)

    def _naming(self, text: Text, names: dict[str, Any], whom: str) -> dict[str, Any]:
        """Return the names of a text so that it says whose visit it is, if it is to.

        Most say it with `visit`, which not every sentence has a place for; all begin with the clinic.
        """
        if not whom or whom.casefold() in self.templates.render(text, names).casefold():
            return names
        return names | {"clinic": names["clinic"] + whom}

    def _mail(
        self, filled: str, language: str, link: str, emphasis: Emphasis, issues: list[Issue]
    ) -> Rendered:
        parts = _SUBJECT.fullmatch(filled)
        if parts is None:
            issues.append(Issue("no_subject"))
        subject = _tidy(parts["subject"]) if parts else one_line(self.clinic.name)
        body = _tidy(parts["text"] if parts else filled)
        html = page(self.templates, body, subject, language, link, emphasis)
        return Rendered(subject, body, html, language, issues=tuple(issues))

    def _sms(self, text: Text, names: dict[str, Any], issues: list[Issue]) -> Rendered:
        language = _primary(text.language)
        said = cheap(_tidy(self.templates.render(text, names)), language)
        tight = language in TIGHT and not text.own
        for shorter in ever_shorter(names) if tight else ():
            if segments(said).messages <= MOST_SEGMENTS:
                break
            again = cheap(_tidy(self.templates.render(text, shorter)), language)
            said = min(said, again, key=lambda one: segments(one).messages)
        count = segments(said).messages
        if count > MOST_SEGMENTS:
            issues.append(Issue("sms_too_long", detail=f"{count} segments"))
        return Rendered(None, said, None, text.language, count, tuple(issues))

    def _variables(
        self, kind: MessageKind, channel: Channel, facts: TextFacts, language: str, locale: str
    ) -> dict[str, Any]:
        values = _Values(self.clinic, channel, facts, language, locale)
        names = values.of_digest() if kind is MessageKind.DIGEST else values.of_visit()
        if kind is not MessageKind.DIGEST:
            names |= self._parts(names, language, _whom(kind, channel, facts, language))
        allowed = variables(kind, channel)
        return {name: value for name, value in names.items() if name in allowed}

    def _parts(self, names: dict[str, Any], language: str, whom: str) -> dict[str, str]:
        """Return the pieces that most texts share; a language may lack them, save for `when`."""
        day, time, *others = (names[name] for name in PART_NAMES)
        made = self._shared(language, (day, time, *others))
        before = self._shared(language, (names["before_day"], names["before_time"], *others))
        found = {**made, "before": before["when"]}
        for name, needed in (("also", names["others"]), ("later", names["comes_later"])):
            part = self.templates.part(name, language) if needed else None
            found[name] = self.templates.render(part, names).strip() if part else ""
        if "visit" in found:
            found["visit"] += whom
        return found

    def _shared(self, language: str, said: tuple[str, ...]) -> dict[str, str]:
        """Return the pieces for these values of `PART_NAMES`, made once for all who are told them."""
        if (language, said) not in self._made:
            if len(self._made) >= _MOST_PIECES:
                self._made.clear()
            self._made[language, said] = self._make(
                language, dict(zip(PART_NAMES, said, strict=True))
            )
        return self._made[language, said]

    def _make(self, language: str, names: dict[str, str]) -> dict[str, str]:
        made = {"when": _when(names)}
        for name in PARTS:
            part = self.templates.part(name, language)
            if part:
                made[name] = self.templates.render(part, names).strip()
        return made


class _Values:
    """The values of a template's names for one message."""

    def __init__(
        self, clinic: ClinicFacts, channel: Channel, facts: TextFacts, language: str, locale: str
    ) -> None:
        self.clinic = clinic
        self.facts = facts
        self.short = channel is not Channel.EMAIL
        self.language = language
        self.locale = (locale, clinic.country)

    def of_visit(self) -> dict[str, Any]:
        facts, start = self.facts, self.facts.start
        before, was = facts.before_start or start, facts.before_modality or facts.modality
        zone_matters = facts.remote or dates.differs(
            start, facts.timezone, facts.recipient_timezone
        )
        return self._clinic() | {
            "day": self._day(start),
            "time": self._time(start),
            "city": self._line(dates.city(facts.timezone, *self.locale)) if zone_matters else "",
            "modality": facts.modality.value,
            "place": self._place(),
            "join_url": _link(facts),
            "call_in": self._line(facts.number),
            "we_call": facts.we_call,
            "comes_later": facts.comes_later,
            "changes": self._changes(before),
            "before_day": self._day(before),
            "before_time": self._time(before),
            "before_place": self._fit(facts.before_place) if was is Modality.IN_PERSON else "",
            "before_modality": was.value,
            "first_name": self._line(greeted(facts.first_name)),
            "others": self._others(),
            "practitioner": self._line(facts.practitioner_name),
        }

    def of_digest(self) -> dict[str, Any]:
        visits = sorted(self.facts.visits, key=lambda v: v.start)
        lines = [
            {
                "day": self._day(v.start),
                "time": self._time(v.start),
                "modality": v.modality.value,
                "initials": self._line(v.initials),
            }
            for v in visits
        ]
        return self._clinic() | {
            "day": self._day(self.facts.start),
            "count": len(lines),
            "first": lines[0]["time"] if lines else "",
            "last": lines[-1]["time"] if lines else "",
            "days": [
                {"day": day, "visits": list(of_day)}
                for day, of_day in groupby(lines, key=lambda line: line["day"])
            ],
            "changed": [self._change(one) for one in self.facts.changed[:_MOST_CHANGES]],
            "changed_count": len(self.facts.changed),
            "first_name": "",
            "practitioner": self._line(self.facts.practitioner_name),
        }

    def _change(self, one: DigestChange) -> dict[str, str]:
        before = one.before or one.line.start
        return {
            "what": one.what,
            "day": self._day(one.line.start),
            "time": self._time(one.line.start),
            "initials": self._line(one.line.initials),
            "modality": one.line.modality.value,
            "before_day": self._day(before),
            "before_time": self._time(before),
        }

    def _clinic(self) -> dict[str, Any]:
        return {"clinic": self._fit(self.clinic.name), "phone": self._line(self.clinic.phone)}

    def _changes(self, before: datetime) -> frozenset[str]:
        """Return what changed; what is on again at another time than people last knew says that too."""
        changes, start = frozenset(self.facts.kind_of_change), self.facts.start
        known = (self._day(before), self._time(before)) == (self._day(start), self._time(start))
        return changes if known or "reinstated" not in changes else changes | {"time"}

    def _others(self) -> str:
        """Return when else one is to come; with whom, where that may be shown."""
        named = [
            (self._time(one.start), "" if self.short else self._line(one.practitioner_name))
            for one in self.facts.others
        ]
        words = [f"{at} ({who})" if who else at for at, who in named]
        return dates.listed(words, *self.locale) if words else ""

    def _place(self) -> str:
        """Return where to go: the clinic's address where nothing else is known and there is room."""
        facts = self.facts
        if facts.modality is not Modality.IN_PERSON:
            return ""
        if facts.place is None and not self.short:
            return self._fit(self.clinic.address)
        return self._fit(facts.place)

    def _fit(self, text: str | None) -> str:
        line = one_line(text)
        return self._line(shortened(line, _MOST_LETTERS) if self.short else line)

    def _line(self, text: str | None) -> str:
        return isolated(one_line(text), self.language)

    def _day(self, instant: Any) -> str:
        zone = self.facts.timezone
        if self.short:
            year = dates.far(instant, self.facts.at)
            return dates.short_day(instant, zone, *self.locale, year=year)
        return dates.day(instant, zone, *self.locale)

    def _time(self, instant: Any) -> str:
        return dates.clock(instant, self.facts.timezone, *self.locale)


def _whom(kind: MessageKind, channel: Channel, facts: TextFacts, language: str) -> str:
    """Return in brackets whose visit it is, in a short text that others may read as theirs."""
    if kind is MessageKind.DIGEST or channel is Channel.EMAIL or not facts.names_whom:
        return ""
    name = isolated(one_line(shortened(greeted(facts.first_name), _MOST_NAME)), language)
    return _BRACKETS.get(_primary(language), " ({})").format(name) if name else ""


def _emphasis(names: Mapping[str, Any]) -> Emphasis:
    days = frozenset(_tidy(of_day["day"]) for of_day in names.get("days", ()))
    return Emphasis(_tidy(names.get("when", "")), days, _tidy(names["clinic"]))


def _link(facts: TextFacts) -> str:
    """Return the join link, if nothing in it is hidden: a mark could turn round what it shows."""
    return facts.link if facts.link.isprintable() else ""


def _when(names: dict[str, Any]) -> str:
    """Say a time where a language has no sentence for it."""
    return f"{names['day']}, {names['time']}" + (f" ({names['city']})" if names["city"] else "")


def _pieces(names: Mapping[str, Any]) -> dict[str, str]:
    """Return what a text is made of, as far as it is words; where to be is one of them."""
    found = {
        name: str(value)
        for name, value in names.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
    remote = names.get("modality") in REMOTE
    instead = found.get("visit" if remote else "clinic", "")
    found["place_or_link"] = next(
        filter(None, map(found.get, ("join_url", "call_in", "place"))), instead
    )
    return found


def _tidy(text: str) -> str:
    text = "\n".join([line.strip() for line in _SPACES.sub(" ", text).split("\n")])
    if ".." in text:
        text = _TWO_STOPS.sub(".", text)
    return _MUCH_SPACE.sub("\n\n", text).strip()


def _other_language(text: Text) -> Issue:
    return Issue("language_fallback", "language", text.language)


def _primary(language: str) -> str:
    return language.lower().split("-")[0]


def _ever_plainer(tag: str) -> list[str]:
    subtags = tag.split("-")
    return ["-".join(subtags[:n]) for n in range(len(subtags), 0, -1)]
