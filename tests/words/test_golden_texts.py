"""Every text of every language, written out for one made-up visit: what a reviewer reads.

After a text was changed on purpose, write the files anew and read what changed:

    python tests/words/test_golden_texts.py && git diff tests/words/golden
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clinicrelay.actions import MessageKind, Role
from clinicrelay.contracts import ClinicFacts
from clinicrelay.model import Appointment, Channel, Modality, Patient, Place, Status
from clinicrelay.sms import segments
from sync.words import DigestChange, DigestLine, Rendered, TextFacts, Words
from sync.words.facts import Other
from sync.words.templates import languages
from sync.words.titles import event_text, invitation_link, invitation_number, invitation_text

GOLDEN = Path(__file__).parent / "golden"
# The marks around what runs from left to right in an Arabic text: a reviewer must see them.
SEEN = str.maketrans({"\u2066": "<ltr ", "\u2068": "<", "\u2069": ">"})
CLINIC = ClinicFacts(
    id="riverside",
    name="Riverside Clinic",
    timezone="Europe/Berlin",
    country="DE",
    language="en",
    phone="+4930555010",
)
START = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)  # a Tuesday, the first of a month
VISIT = TextFacts(
    at=START - timedelta(hours=20),
    start=START,
    timezone="Europe/Berlin",
    place="North branch",
    practitioner_name="Dr. Elif Acar",
    first_name="Robin",
    before_start=START - timedelta(days=6, hours=20, minutes=30),
    before_place="Main site",
)
ELSEWHERE = replace(VISIT, recipient_timezone="Asia/Tokyo")
LATER = replace(VISIT, at=START - timedelta(days=400))
VIDEO = replace(VISIT, modality=Modality.VIDEO, join_url="https://meet.example/k7x2")
PHONE = replace(VISIT, modality=Modality.PHONE)
DIALLED = replace(PHONE, call_in="+493055501234")
EARLY = START - timedelta(days=6)
SEVERAL = replace(
    VISIT,
    others=(
        Other(START + timedelta(hours=2), "Dr. Ana Costa"),
        Other(START + timedelta(hours=5)),
    ),
)
SHARED = replace(VISIT, names_whom=True)
DAY = replace(
    VISIT,
    visits=(
        DigestLine(START, Modality.IN_PERSON, "R.M."),
        DigestLine(START + timedelta(hours=1), Modality.VIDEO, "K.L."),
        DigestLine(START + timedelta(hours=4), Modality.PHONE, "A.B."),
    ),
)
ONE = replace(DAY, visits=DAY.visits[:1])
NEWS = replace(
    ONE,
    changed=tuple(
        DigestChange(what, line, VISIT.before_start)
        for what, line in zip(
            ("booked", "moved", "cancelled", "reassigned"),
            (*DAY.visits, DigestLine(START, initials="B.B.")),
            strict=True,
        )
    ),
)


def changed(facts: TextFacts, *what: str) -> TextFacts:
    return replace(facts, kind_of_change=frozenset(what))


def was(before: Modality, facts: TextFacts, *what: str) -> TextFacts:
    return replace(changed(facts, *(what or ("place",))), before_modality=before)


# What is rendered: a heading, the kind, who gets it, by SMS, by e-mail, and of which visit.
SAMPLES: tuple[tuple[str, str, Role, bool, bool, TextFacts], ...] = (
    ("confirmation", "confirmation", Role.PATIENT, True, True, VISIT),
    ("confirmation, next year", "confirmation", Role.PATIENT, True, False, LATER),
    ("reminder", "reminder", Role.PATIENT, True, False, VISIT),
    ("reminder of a video visit", "reminder", Role.PATIENT, True, True, VIDEO),
    ("reminder of a phone visit", "reminder", Role.PATIENT, True, False, PHONE),
    ("reminder of several visits", "reminder", Role.PATIENT, True, True, SEVERAL),
    ("reminder to a shared telephone", "reminder", Role.PATIENT, True, False, SHARED),
    ("reminder, to another zone", "reminder", Role.PATIENT, True, False, ELSEWHERE),
    ("change of time", "change", Role.PATIENT, True, False, changed(VISIT, "time")),
    ("change of time and place", "change", Role.PATIENT, True, True, changed(VISIT, "time", "place")),
    ("change of doctor", "change", Role.PATIENT, True, False, changed(VISIT, "practitioner")),
    ("change of place", "change", Role.PATIENT, True, True, changed(VISIT, "place")),
    ("now by video", "change", Role.PATIENT, True, True, was(Modality.IN_PERSON, VIDEO)),
    ("now by phone", "change", Role.PATIENT, True, True, was(Modality.IN_PERSON, PHONE)),
    ("now by phone, to dial, early", "change", Role.PATIENT, True, True,
     replace(was(Modality.VIDEO, DIALLED, "place", "link"), at=EARLY)),
    ("no longer by video", "change", Role.PATIENT, True, True, was(Modality.VIDEO, VISIT)),
    ("no longer by phone, no place", "change", Role.PATIENT, True, True,
     was(Modality.PHONE, replace(VISIT, place=None))),
    ("moved, and now by phone", "change", Role.PATIENT, True, True,
     was(Modality.IN_PERSON, PHONE, "time", "place")),
    ("moved, and now by video, early", "change", Role.PATIENT, True, True,
     replace(was(Modality.PHONE, VIDEO, "time", "place", "link"), at=EARLY)),
    ("moved, and no longer by video", "change", Role.PATIENT, True, True,
     was(Modality.VIDEO, VISIT, "time", "place")),
    ("moved, and another link", "change", Role.PATIENT, True, True,
     changed(VIDEO, "time", "link")),
    ("moved, and another number, early", "change", Role.PATIENT, True, True,
     replace(changed(DIALLED, "time", "link"), at=EARLY)),
    ("now by phone, to a shared telephone", "change", Role.PATIENT, True, False,
     was(Modality.IN_PERSON, replace(PHONE, names_whom=True))),
    ("another link", "change", Role.PATIENT, True, True, changed(VIDEO, "link")),
    ("another link, early", "change", Role.PATIENT, True, True,
     replace(changed(VIDEO, "link"), at=EARLY)),
    ("another number", "change", Role.PATIENT, True, False, changed(DIALLED, "link")),
    ("another number, early", "change", Role.PATIENT, True, True,
     replace(changed(DIALLED, "link"), at=EARLY)),
    ("on again", "change", Role.PATIENT, True, True,
     replace(changed(VISIT, "reinstated"), before_start=START)),
    ("on again, at another time", "change", Role.PATIENT, True, True, changed(VISIT, "reinstated")),
    ("cancellation", "cancellation", Role.PATIENT, True, True, VISIT),
    ("doctor's reminder", "reminder", Role.DOCTOR, True, True, VIDEO),
    ("doctor's digest", "digest", Role.DOCTOR, True, True, DAY),
    ("doctor's digest of one", "digest", Role.DOCTOR, True, False, ONE),
    ("doctor's digest with changes", "digest", Role.DOCTOR, True, True, NEWS),
    ("doctor's digest of none", "digest", Role.DOCTOR, True, True, VISIT),
)  # fmt: skip
NOBODY = (
    ("change of doctor, nobody named", "change", Role.PATIENT, False, True,
     replace(changed(VISIT, "practitioner"), practitioner_name=None, first_name=None)),
)  # fmt: skip


def golden(language: str) -> str:
    """Return all that people read in one language."""
    return "\n".join([*_messages(language), _events(language)]).translate(SEEN) + "\n"


def _messages(language: str) -> Iterator[str]:
    words = Words(language, CLINIC, None)
    for heading, kind, role, sms, mail, facts in (*SAMPLES, *NOBODY):
        for channel, wanted in ((Channel.SMS, sms), (Channel.EMAIL, mail)):
            if wanted:
                made = words.render(MessageKind(kind), role, channel, language, facts)
                assert not made.issues
                yield f"--- {heading}, {_sent_as(made)}\n{_shown(made)}"
    whole = words.render(MessageKind.REMINDER, Role.PATIENT, Channel.EMAIL, language, VISIT)
    yield f"--- reminder, e-mail, with its spaces\n[{whole.subject}]\n\n{whole.text}"
    bare = Words(language, replace(CLINIC, phone=None), None)
    for kind in ("reminder", "cancellation"):
        made = bare.render(MessageKind(kind), Role.PATIENT, Channel.EMAIL, language, VISIT)
        yield f"--- {kind}, e-mail, without the clinic's telephone\n{_shown(made)}"


def _sent_as(made: Rendered) -> str:
    return f"SMS ({made.segments}, {segments(made.text).encoding})" if made.segments else "e-mail"


def _shown(made: Rendered) -> str:
    """Return an SMS as it is, and a mail without its blank lines and the clinic's name below."""
    if made.subject is None:
        return made.text
    lines = [line for line in made.text.split("\n") if line]
    end = next(n for n, line in enumerate(lines) if line.strip("\u2068\u2069") == CLINIC.name)
    return "\n".join([f"[{made.subject}]", *lines[:end]])


def _events(language: str) -> str:
    lines = ["--- calendar"]
    for modality in (Modality.IN_PERSON, Modality.VIDEO, Modality.PHONE):
        visit = Appointment(
            source="main",
            key="7",
            status=Status.BOOKED,
            timezone="Europe/Berlin",
            start=START,
            modality=modality,
            patients=(Patient("p1", "Robin Moss"),),
            location=Place("loc-3", "North branch"),
            join_url="https://meet.example/patient",
            call_in="+493055501234",
            join_url_practitioner="https://meet.example/doctor",
        )
        texts: list[Any] = [event_text("initials", visit, CLINIC, language)]
        beside = invitation_link(visit), invitation_number(visit)
        texts += [invitation_text(visit, CLINIC, language, *beside)]
        lines += [" | ".join(part.replace("\n", " / ") for part in text) for text in texts]
    lines.append(event_text("busy", visit, CLINIC, language).title)
    return "\n".join(lines)


@pytest.mark.parametrize("language", languages())
def test_every_text_is_as_it_was_reviewed(language: str) -> None:
    file = GOLDEN / f"{language}.txt"
    assert file.is_file(), f"write {file.name}: see the first lines of this file"
    assert golden(language) == file.read_text("utf-8")


def test_no_golden_file_outlives_its_language() -> None:
    assert sorted(file.stem for file in GOLDEN.iterdir()) == languages()


if __name__ == "__main__":
    for one in languages():
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / f"{one}.txt").write_text(golden(one), "utf-8")
