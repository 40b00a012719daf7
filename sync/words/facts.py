"""What a text may say of a visit, and the closed list of names a template may use for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from clinicrelay.actions import MessageKind
from clinicrelay.model import Channel, Modality

# A reminder a calendar day ahead is 25 hours ahead in the night when clocks go back.
LINK_AHEAD = timedelta(hours=25)
REMOTE = (Modality.VIDEO, Modality.PHONE)

# The closed list, each with what it says. `call`, `visit`, `when`, `also`, `later` and `before` are made
# of the others by the small files beside the texts, in the text's language.
VISIT_NAMES = {
    "clinic": "the clinic's name; in an SMS to a number that several patients share, where the text "
    "does without `visit`, with the first name of whose it is: `Riverside Family Clinic (Anna)`",
    "phone": "the clinic's telephone, or nothing",
    "when": "day, time and, where it matters, the zone: what most texts need",
    "visit": "what it is: an appointment, a video visit, a phone visit; in an SMS to a number that "
    "several patients share with the first name of whose it is: `appointment (Anna)`",
    "also": "in a reminder: the sentence that names the person's other visits there on that day, "
    "or nothing; a text of your own that leaves it out is sent for each visit",
    "call": "the sentence whom to call if one cannot come",
    "day": "the day; short in an SMS, with its year only when that is far",
    "time": "the time, as people write it there",
    "city": "the city whose time it is, where the reader's clocks may differ, else nothing",
    "modality": "`in_person`, `video`, `phone` or `unknown`: to choose by, not to print",
    "place": "the site's name; without one, in an e-mail about a visit in person, the clinic's address; "
    "or nothing; only for a visit in person",
    "join_url": "the link to a video visit, from a day before it on, else nothing",
    "call_in": "the number to dial for a phone visit, from a day before it on, else nothing",
    "we_call": "true for a phone visit without a number to dial, at any time; else false",
    "later": "the sentence that the link, or the number to dial, comes with the last reminder; nothing "
    "where there is none or it may be shown by now",
    "changes": "in a change: which of `time`, `place` (also from or to video or phone), `link` (a new "
    "link or number to dial), `practitioner`, `reinstated` it holds; `reinstated` is alone, or with "
    "`time`: on again, at another time",
    "before": "in a change: day and time before it",
    "before_day": "in a change: the day before it",
    "before_time": "in a change: the time before it",
    "before_place": "in a change: the site before it, or nothing",
    "before_modality": "in a change: the `modality` before it",
}
DIGEST_NAMES = {
    "clinic": "the clinic's name",
    "phone": "the clinic's telephone, or nothing",
    "day": "the day that the digest is of",
    "count": "how many visits there are",
    "first": "the time of the first visit",
    "last": "the time of the last visit",
    "days": "a list to go over with `for`: each has a `.day` and `.visits`, and each of those "
    "`.time`, `.initials`, `.modality` and `.day`",
    "changed": "a list of what changed since the last digest, the first 20: each has `.what` "
    "(`booked`, `moved`, `cancelled` or `reassigned`), `.day`, `.time`, `.initials`, `.modality`, and "
    "where it moved `.before_day` and `.before_time`",
    "changed_count": "how many changes there are, those too that are not listed",
}
# Who is meant and who is visited stand in no text that shows on a locked telephone.
EMAIL_NAMES = {
    "first_name": "the patient's first name, or nothing; never in a digest",
    "practitioner": "who is visited, or nothing; in a doctor's reminder or digest: who reads it",
}


@dataclass(frozen=True, slots=True)
class Other:
    """Another visit of the same person at the same place on the same day."""

    start: datetime
    practitioner_name: str | None = None


@dataclass(frozen=True, slots=True)
class DigestLine:
    """One visit in a doctor's digest; whoever comes is never more than initials."""

    start: datetime
    modality: Modality = Modality.IN_PERSON
    initials: str = ""


@dataclass(frozen=True, slots=True)
class DigestChange:
    """A visit that changed since the last digest: booked, moved, cancelled or reassigned."""

    what: str
    line: DigestLine
    before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """Everything a text can be made of; what may be shown where is decided in here, not outside.

    `at` is when the text is written: a join link is shown a day ahead, or by the last message before
    the visit. `start` of a digest is
    any instant of its day. `names_whom` says that a short text names the patient too, because others
    read it. `kind_of_change` is of `time`, `place`, `link`, `practitioner`, `reinstated`.
    """

    at: datetime
    start: datetime
    timezone: str
    end: datetime | None = None
    modality: Modality = Modality.IN_PERSON
    place: str | None = None
    join_url: str | None = None
    call_in: str | None = None
    practitioner_name: str | None = None
    first_name: str | None = None
    names_whom: bool = False
    others: tuple[Other, ...] = ()
    recipient_timezone: str | None = None
    kind_of_change: Collection[str] = frozenset()
    before_start: datetime | None = None
    before_place: str | None = None
    before_modality: Modality | None = None
    reminded_again: bool = True  # by a later message, which may show a link
    visits: tuple[DigestLine, ...] = ()
    changed: tuple[DigestChange, ...] = ()

    @property
    def remote(self) -> bool:
        """Whether nobody travels, so that a street address would mislead."""
        return self.modality in REMOTE

    @property
    def number(self) -> str:
        """The number to dial for a phone visit where it may be shown by now."""
        return self._number if self._near else ""

    @property
    def link(self) -> str:
        """The link to a video visit where it may be shown by now, and is one."""
        return self._link if self._near else ""

    @property
    def comes_later(self) -> bool:
        """Whether a link or a number may not be shown yet, and a reminder is to come that shows it."""
        return not self._near and bool(self._link or self._number)

    @property
    def we_call(self) -> bool:
        """Whether the patient of a phone visit has nothing to dial, now or later."""
        return self.modality is Modality.PHONE and not self._number

    @property
    def _near(self) -> bool:
        return self.start - self.at <= LINK_AHEAD or not self.reminded_again

    @property
    def _number(self) -> str:
        return one_line(self.call_in) if self.modality is Modality.PHONE else ""

    @property
    def _link(self) -> str:
        # Of a visit whose modality nobody understood no place is told, so it is where its link leads.
        video = self.modality in (Modality.VIDEO, Modality.UNKNOWN)
        return web_link(self.join_url) if video else ""


def web_link(text: str | None) -> str:
    """Return a link that a browser opens, or nothing where the text is none."""
    url = (text or "").strip()
    good = url.startswith(("https://", "http://")) and not any(c.isspace() for c in url)
    return url if good else ""


def variables(kind: MessageKind, channel: Channel) -> frozenset[str]:
    """Return the names that a template of this kind may use on this channel."""
    names = DIGEST_NAMES if kind is MessageKind.DIGEST else VISIT_NAMES
    return frozenset(names | EMAIL_NAMES if channel is Channel.EMAIL else names)


def one_line(text: str | None) -> str:
    """Return a value without line ends, control and direction marks: it cannot leave its place."""
    words = " ".join((text or "").split())
    if words.isprintable():
        return words
    return "".join(c for c in words if c.isprintable() or c in "\u200c\u200d")


def greeted(name: str | None) -> str:
    """Return a first name to greet with, or nothing where it holds what no name does.

    Names come from whoever books; mail programs would make `evil.example` a link.
    """
    line = one_line(name)
    return line if all(unicodedata.category(c)[0] in "LM" or c in " -'’" for c in line) else ""


def shortened(text: str, most: int) -> str:
    """Return the text cut at a space so that an SMS keeps room for what matters."""
    return text if len(text) <= most else text[: most + 1].rpartition(" ")[0] or text[:most]
