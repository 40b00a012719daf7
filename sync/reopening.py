"""Which messages that reached nobody are taken up again when they are owed once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sync import gate, ways
from sync.compose import Fresh, addresses_of, person_of
from sync.store.said import Due, Ended, Owed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from sync.clinic import Clinic
    from sync.store.wakes import Woken


def reopens(
    clinic: Clinic, connection: Connection, batch: Mapping[int, Woken], thing: Owed, ended: Ended
) -> bool:
    """Whether what reached nobody is to be tried anew: the reason is gone, or there is a new way."""
    if gate.reopens(thing.say.kind, ended.reason):
        return True
    visit = batch.get(thing.appointment or 0) if ended.tried else None
    return visit is not None and _has_a_new_way(clinic, connection, visit, thing, ended)


def _has_a_new_way(
    clinic: Clinic, connection: Connection, visit: Woken, thing: Owed, ended: Ended
) -> bool:
    """Whether a message can be tried at an address at which it was not: corrected, or given at last."""
    say, now = thing.say, clinic.now
    person = person_of(clinic, say, Fresh(visit, visit.visit, {}))
    addresses = addresses_of(person)
    if not {*filter(None, addresses.values())} - ended.tried:
        return False
    due = Due(ended.message, thing.dedupe, thing.appointment, say, ended.tries)
    known = ways.known(connection, clinic, [due], [addresses])
    rules = gate.options_for(say, clinic.settings, clinic.senders)
    verdict = gate.gate(
        say,
        fresh=visit.visit,
        gone=visit.gone_at is not None,
        told=None,
        person=person,
        addresses=addresses,
        options=known.left(due, addresses, rules, now=now),
        now=now,
    )
    return not isinstance(verdict, gate.Drop)
