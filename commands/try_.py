"""`clinicrelay try`: one real message to yourself, or one real event that is taken out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clinicrelay.contracts import Finding
from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import DONE, NEEDS_PERSON
from commands._frame import Answer, only

if TYPE_CHECKING:
    from clinicrelay.model import Channel
    from sync.clinic import Clinic
    from sync.trial import Tried


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    program.command("try")(shared(try_))


def try_(
    call: Call,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A notifier or calendar, by its name in settings; or `alerts`."
        ),
    ],
    to: Annotated[
        str | None, typer.Option("--to", help="Your own phone or e-mail, for a notifier.")
    ] = None,
    doctor: Annotated[
        str | None, typer.Option("--doctor", metavar="ID", help="Whose calendar, for a calendar.")
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", help="The text's language, else the clinic's.")
    ] = None,
) -> int:
    """Send a made-up patient's reminder to yourself, or put an event and take it out again.

    `try alerts` sends an alert to all who are told when something is wrong.

    Works in rehearsal as well: it reaches whom you name, and touches no visit.
    """

    def tried(at_work: Clinic) -> Answer:
        from sync import trial
        from sync.checklist import ALERTS

        _refuse_under_another_clock(at_work, _sender(at_work, name))
        if name in at_work.settings.notifiers:
            return _answer(name, _message(at_work, name, to, language))
        if name in at_work.settings.calendars:
            return _answer(name, _event(at_work, name, doctor))
        if name == ALERTS and at_work.settings.monitoring.alerts:
            return _answer(name, trial.alerts(at_work))
        there = ", ".join(_plugins(at_work)) or "none"
        raise typer.BadParameter(f"there is no {name!r}; there are: {there}", param_hint="NAME")

    return only(call, tried, writes=True)


def _sender(at_work: Clinic, name: str) -> str:
    """Return the plugin that is tried: for alerts, the notifier that takes them."""
    from sync.checklist import ALERTS

    alerts = at_work.settings.monitoring.alerts
    return alerts.via if alerts and name == ALERTS and name not in _plugins(at_work) else name


def _plugins(at_work: Clinic) -> list[str]:
    return [*at_work.settings.notifiers, *at_work.settings.calendars]


def _answer(name: str, tried: Tried) -> Answer:
    told = {"name": name, "ok": tried.ok, "steps": [*tried.steps]}
    return Answer(told, tried.steps, DONE if tried.ok else NEEDS_PERSON)


def _refuse_under_another_clock(at_work: Clinic, name: str) -> None:
    settings = at_work.settings
    plugin = (
        at_work.notifier(name)
        if name in settings.notifiers
        else at_work.calendar(name)
        if name in settings.calendars
        else None
    )
    if plugin is not None and plugin.outside and at_work.rehearsed:
        message = "nothing leaves this machine under a clock that was set by hand"
        finding = Finding("error", "now_given", message, "leave out --now", path="--now")
        raise SettingsError([finding])


def _message(at_work: Clinic, name: str, to: str | None, language: str | None) -> Tried:
    from sync import trial

    if not to:
        raise typer.BadParameter("say to whom: your own phone or e-mail", param_hint="--to")
    channel, address = _recipient(at_work, name, to)
    return trial.message(at_work, name, address, channel=channel, language=language)


def _recipient(at_work: Clinic, name: str, to: str) -> tuple[Channel, str]:
    """Return the way to an address. Raises typer.BadParameter where the notifier knows none."""
    from clinicrelay.model import Channel
    from clinicrelay.phones import read_phone

    channels = at_work.notifier(name).channels
    if "@" in to:
        channel, address = Channel.EMAIL, to.strip()
    else:
        reading = read_phone(to, at_work.settings.clinic.country)
        if reading.number is None:
            raise typer.BadParameter("this is neither a phone nor an e-mail", param_hint="--to")
        channel = next((c for c in channels if c is not Channel.EMAIL), Channel.SMS)
        address = reading.number
    if channel not in channels:
        ways = " and ".join(c.value for c in channels)
        raise typer.BadParameter(f"{name} sends {ways} only", param_hint="--to")
    return channel, address


def _is_known(at_work: Clinic, doctor: str) -> bool:
    """Whether settings or visits know a doctor; before the first read everybody may be one."""
    from sync import live
    from sync.store import looking

    if doctor in {one.id for one in at_work.settings.doctors} or live.visits_of(at_work, doctor):
        return True
    with at_work.store.read() as connection:
        return not looking.sources(connection, at_work.store.clinic)


def _event(at_work: Clinic, name: str, doctor: str | None) -> Tried:
    from sync import trial

    if not doctor:
        raise typer.BadParameter("say whose calendar: a doctor's id", param_hint="--doctor")
    address = trial.address_of(at_work, name, doctor)
    if address is not None and not _is_known(at_work, doctor):
        message = f"no visit ahead is with {doctor!r} (see: clinicrelay doctors)"
        raise typer.BadParameter(message, param_hint="--doctor")
    if address is None:
        known = ", ".join(one.id for one in at_work.settings.doctors) or "none"
        message = f"{doctor!r} has no calendar in {name}; the doctors in settings are: {known}"
        raise typer.BadParameter(message, param_hint="--doctor")
    return trial.event(at_work, name, address)
