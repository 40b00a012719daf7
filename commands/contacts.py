"""`clinicrelay contacts`: which addresses providers call useless, and a person's word against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands._call import Call, shared
from commands._frame import Answer, each, only

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.store.contacts import Learned

Id = Annotated[str, typer.Argument(metavar="ID", help="The contact's id, as the list shows it.")]

_ENOUGH = 8  # characters of an id; fewer may begin one by chance


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="What was learned of addresses: list it, or reopen one.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list")(shared(list_))
    group.command("reopen")(shared(reopen))
    program.add_typer(group, name="contacts")


def list_(call: Call) -> int:
    """List addresses that nothing is sent to any more, by patient and reason; never the address."""
    return each(call, _list)


def reopen(
    call: Call,
    contact: Id,
    note: Annotated[
        str,
        typer.Option("--note", help="Why: who said so, and when. It is kept.", show_default=False),
    ],
) -> int:
    """Let messages go to an address again: only once the person said so, or the number works."""

    def reopened(at_work: Clinic) -> Answer:
        from sync.store import audit, contacts

        one = _find(at_work, contact)
        with at_work.store.write() as connection:
            contacts.reopen(connection, at_work.store.clinic, one.address, note, now=at_work.now)
            # The note may say who called: it can be erased, an entry of the trail cannot.
            deed = audit.Deed(at_work.actor, "contacts.reopen", f"contact/{one.address}")
            audit.note(connection, at_work.store.clinic, deed)
        line = f"{one.recipient}: {one.channel} is open again. Their next message goes there."
        return Answer({**_json(one), "state": "open", "note": note}, [line])

    return only(call, reopened, writes=True)


def _list(at_work: Clinic) -> Answer:
    all_ = _all(at_work)
    lines = [_line(at_work, one) for one in all_]
    end = "clinicrelay contacts reopen ID --note WHY" if all_ else "Nothing was learned so far."
    return Answer([_json(one) for one in all_], [*lines, end], new=bool(all_))


def _all(at_work: Clinic) -> list[Learned]:
    from sync.store import contacts

    with at_work.store.read() as connection:
        return contacts.listed(connection, at_work.store.clinic)


def _find(at_work: Clinic, contact: str) -> Learned:
    """Return a closed contact by its id, or enough of how that begins. Raises typer.BadParameter."""
    closed = [one for one in _all(at_work) if not one.open] if len(contact) >= _ENOUGH else []
    found = [one for one in closed if one.address.startswith(contact)]
    if len(found) != 1:
        why = "several begin so" if found else "there is none such that is closed"
        raise typer.BadParameter(f"{contact!r}: {why}: clinicrelay contacts list", param_hint="ID")
    return found[0]


def _line(at_work: Clinic, one: Learned) -> str:
    from clinicrelay.times import local
    from sync.reasons import in_words

    at = f"{local(one.learned_at, at_work.zone):%d %b %Y %H:%M}"
    if one.open:
        return f"{one.address}  {one.recipient}  {one.channel}  open again since {at}: {one.note}"
    said = f"{in_words(one.reason)} ({one.reason}, said by {one.notifier} {at})"
    return f"{one.address}  {one.recipient}  {one.channel}  {said}"


def _json(one: Learned) -> dict[str, Any]:
    from clinicrelay.times import iso

    return {
        "id": one.address,
        "recipient": one.recipient,
        "channel": one.channel.value,
        "state": "open" if one.open else "closed",
        "reason": one.reason,
        "notifier": one.notifier,
        "message": one.attempt,
        "since": iso(one.learned_at),
        "note": one.note,
    }
