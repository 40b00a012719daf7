"""What a mended mapping only says in other words is no news: it counts as told, as it is said now.

A source did not change when its mapping did. Where somebody was told another time, that it is off, or
of another place, they have to hear it; "Uferstr." that is "Uferstrasse 5" now sends nobody astray.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clinicrelay.actions import Facts, facts_of
from clinicrelay.model import decode
from sync import seeing
from sync.plan import matters
from sync.store import told_state, wakes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.incoming import Waiting

_WORD = re.compile(r"\w+\.?")


def reword(
    clinic: Clinic,
    connection: Connection,
    changes: Sequence[Waiting],
    *,
    only_understood: bool = False,
) -> None:
    """Note what people were told in the words of the visits' next versions, where it is the same.

    `only_understood`: the source says what it said before, so whoever knows of a visit from others,
    and was told nothing by us, was never wrong. Called in the transaction that is about to apply the
    changes.
    """
    after = {one.appointment: facts_of(decode(one.content)) for one in changes if one.content}
    woken = wakes.by_ids(connection, [*after])
    for visit, told in seeing.told_of(clinic, connection, [*woken.values()]).items():
        for recipient, known in told.items():
            facts = after[visit]
            from_others = only_understood and known.by is None
            if known.facts != facts and (from_others or says_the_same(known.facts, facts)):
                told_state.reword(connection, clinic.store.clinic, visit, recipient, known, facts)


def says_the_same(told: Facts, true: Facts) -> bool:
    """Return whether who believes the one goes right by the other: same time, same place."""
    from msgspec.structs import replace

    words = [(told.place, true.place), (told.practitioner, true.practitioner)]
    if not all(alike(*pair) for pair in words):
        return False
    return not matters(
        replace(told, place=true.place, practitioner=true.practitioner),
        true,
    )


def alike(one: str | None, other: str | None) -> bool:
    """Return whether two names mean one thing: each word of the shorter is in the longer.

    A word with a dot may be cut short. What one of them does not name, it does not contradict.
    """
    if not one or not other:
        return True
    short, long = sorted((_words(one), _words(other)), key=len)
    return all(any(_is(word, its) for its in long) for word in short)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(sign for sign in plain if not unicodedata.combining(sign)))


def _is(word: str, other: str) -> bool:
    cut = [w for w in (word, other) if w.endswith(".") and not w[0].isdigit()]
    bare, its = word.rstrip("."), other.rstrip(".")
    return bare == its or (bool(cut) and (bare.startswith(its) or its.startswith(bare)))
