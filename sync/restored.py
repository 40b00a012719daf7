"""After a store was put back from a copy: what may have left before is asked about, not said again.

The copy knows nothing of what was sent after it was made. So whatever is due when it is put back, and
whatever each source's first read afterwards makes due, is kept back as an attempt that nobody knows the
end of. `sync.settle` asks the providers about it: what they have counts as sent, what they prove that
they never had leaves, and what nobody can tell is left to a person (ADR 26).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from clinicrelay.contracts import Absent, Attempt, CannotTell, Found, Message, Proof
from sync import planner, ways
from sync.case import Case, look_up
from sync.store import attempts, gap, progress

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from clinicrelay.contracts import Connector
    from sync.clinic import Clinic
    from sync.gate import Go
    from sync.store.gap import Gap, Tally
    from sync.store.leases import Lease
    from sync.store.said import Due, Open

_AT_ONCE = 200


def open_gap(clinic: Clinic) -> Gap | None:
    """Return what the store does not know of, while anything that becomes due may have left before."""
    return None if clinic.dry else _open(clinic)


def foretells_too_much(clinic: Clinic) -> bool:
    """Whether some of what a plan says will leave may have left before, and is asked about first."""
    return clinic.dry and _open(clinic) is not None


def is_open(connection: Connection, clinic: Clinic) -> bool:
    """Whether anything that becomes due may have left before."""
    return _open_in(connection, clinic) is not None


def _open(clinic: Clinic) -> Gap | None:
    with clinic.store.read() as connection:
        return _open_in(connection, clinic)


def _open_in(connection: Connection, clinic: Clinic) -> Gap | None:
    found = gap.find(connection, clinic.store.clinic)
    return None if found is None or found.is_over else found


def plan(clinic: Clinic, lease: Lease) -> int:
    """Plan, and keep back what may have left before."""
    found = open_gap(clinic)
    if found is None:
        return planner.plan(clinic, lease)
    store, named = clinic.store.clinic, clinic.settings.sources
    with clinic.store.read() as connection:
        read = gap.read_since(connection, store, found, named, now=clinic.now)
    looked_at = planner.plan(clinic, lease)
    keep_back(clinic, lease)
    if not clinic.ending.is_set():
        with clinic.store.write() as connection:
            lease.fence(connection)
            gap.close(connection, store, read)
    return looked_at


def begin(clinic: Clinic, lease: Lease) -> None:
    """Keep back what was due before any source is read: what is read afterwards may be new."""
    found = open_gap(clinic)
    if found is None or found.begun:
        return
    planner.plan(clinic, lease)
    keep_back(clinic, lease)
    with clinic.store.write() as connection:
        lease.fence(connection)
        gap.close(connection, clinic.store.clinic, ())


def take_back(clinic: Clinic, name: str, connector: Connector) -> None:
    """Let a source read again what it had put away meanwhile. Raises Refused."""
    found = open_gap(clinic)
    if found is None or name not in found.sources or found.sources[name].back:
        return
    with clinic.store.read() as connection:
        known = progress.progress(connection, clinic.store.clinic, name)
    number = connector.take_back(found.since, known.cursor)
    with clinic.store.write() as connection:
        gap.taken_back(connection, clinic.store.clinic, name, found=number)


def tally(clinic: Clinic) -> Tally | None:
    """Return what became of what may have left before; None where the store was never put back."""
    with clinic.store.read() as connection:
        found = gap.find(connection, clinic.store.clinic)
        return None if found is None else gap.tally(connection, clinic.store.clinic, found)


def unread(clinic: Clinic) -> list[str]:
    """Return the sources that have not told yet what changed in the time that is lost."""
    found = open_gap(clinic)
    return [] if found is None else sorted(found.sources)


def keep_back(clinic: Clinic, lease: Lease) -> None:
    """Let what is due and may have left before be asked about, before it leaves."""
    found = open_gap(clinic)
    if found is None:
        return
    after, sources = 0, found.sources if found.begun else None
    while sources is None or sources:
        with clinic.store.read() as connection:
            batch = gap.doubtful(
                connection,
                clinic.store.clinic,
                sources,
                now=clinic.now,
                after=after,
                limit=_AT_ONCE,
            )
        if not batch:
            return
        after = batch[-1].id
        _doubt(clinic, lease, batch)


def _doubt(clinic: Clinic, lease: Lease, batch: Collection[Due]) -> None:
    standing, known = clinic.standing(), look_up(clinic, [*batch])
    begun = []
    for due in batch:
        case = known.case(due, standing)
        road = next(iter(case.roads()), None)
        if road is not None:
            begun.append((due, case, road, case.message(road, ())))
    with clinic.store.write() as connection:
        lease.fence(connection)
        found = gap.find(connection, clinic.store.clinic)
        if found is None:
            return
        for due, _, road, message in begun:
            attempts.begin(
                connection,
                clinic.store.clinic,
                due,
                message,
                road.notifiers[0],
                contact=ways.contact(clinic.opaque, due.say.recipient, road.channel, road.address),
                run=clinic.run,
                now=min(due.say.due_at, clinic.now),
            )
        made = [(message.id, due.id) for due, _, _, message in begun]
        gap.doubt(connection, made, found, now=clinic.now)
        gap.keep(connection, clinic.store.clinic, asked=found.asked + len(made))


def proof(clinic: Clinic, attempt: Open, asked: Callable[[Message], Attempt]) -> Proof:
    """Return what all those say together by whom a message may have left before."""
    case = look_up(clinic, [attempt.due]).case(attempt.due, clinic.standing())
    proofs = [_of_one(clinic, case, road, asked) for road in case.roads()]
    if not proofs:  # it would not leave now, so nobody has to know
        return clinic.notifier(attempt.notifier).lookup(asked(attempt.body))
    if found := next((one for one in proofs if isinstance(one, Found)), None):
        return found
    if all(isinstance(one, Absent) for one in proofs):
        return Absent()
    waits = [one.retry_after for one in proofs if isinstance(one, CannotTell) and one.retry_after]
    return CannotTell(min(waits, default=None))


def _of_one(clinic: Clinic, case: Case, road: Go, asked: Callable[[Message], Attempt]) -> Proof:
    return clinic.notifier(road.notifiers[0]).lookup(asked(case.message(road, ())))
