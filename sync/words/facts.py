"""What a text may say of a visit, and the closed list of names a template may use for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from clinicrelay.actions import MessageKind
from clinicrelay.model import Channel, Modality

# A reminder a calendar day ahead is 25 hours ahead in the night when clocks go back.
_LINK_AHEAD = timedelta(hours=25)

_VISIT = frozenset(
    {"clinic", "phone", "day", "time", "city", "modality", "place", "join_url", "changes"}
    | {"before_day", "before_time", "before_place", "when", "before", "visit", "call"}
)
_DIGEST = frozenset({"clinic", "phone", "day", "count", "first", "last", "days"})
# Who is meant and who is visited stand in no text that shows on a locked telephone.
_ONLY_EMAIL = frozenset({"first_name", "practitioner"})


@dataclass(frozen=True, slots=True)
class DigestLine:
    """One visit in a doctor's digest; whoever comes is never more than initials."""

    start: datetime
    modality: Modality = Modality.IN_PERSON
    initials: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """Everything a text can be made of; what may be shown where is decided in here, not outside.

    `at` is when the text is written: a join link is shown only a day ahead. `start` of a digest is
    any instant of its day. `changes` are of `time`, `place`, `practitioner`, `reinstated`.
    """

    at: datetime
    start: datetime
    timezone: str
    end: datetime | None = None
    modality: Modality = Modality.IN_PERSON
    place: str | None = None
    join_url: str | None = None
    practitioner_name: str | None = None
    first_name: str | None = None
    recipient_timezone: str | None = None
    kind_of_change: Collection[str] = frozenset()
    before_start: datetime | None = None
    before_place: str | None = None
    visits: tuple[DigestLine, ...] = ()

    @property
    def remote(self) -> bool:
        """Whether nobody travels, so that a street address would mislead."""
        return self.modality in (Modality.VIDEO, Modality.PHONE)

    @property
    def link(self) -> str:
        """The join link where it may be shown by now, and is one."""
        url = (self.join_url or "").strip()
        near = self.start - self.at <= _LINK_AHEAD
        good = url.startswith(("https://", "http://")) and not any(c.isspace() for c in url)
        return url if good and near and self.modality is not Modality.PHONE else ""


def variables(kind: MessageKind, channel: Channel) -> frozenset[str]:
    """Return the names that a template of this kind may use on this channel."""
    names = _DIGEST if kind is MessageKind.DIGEST else _VISIT
    return names | _ONLY_EMAIL if channel is Channel.EMAIL else names


def one_line(text: str | None) -> str:
    """Return a value without line ends, control and direction marks: it cannot leave its place."""
    words = " ".join((text or "").split())
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
