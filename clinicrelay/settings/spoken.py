"""Whether what is to be said can reach anybody: rules that silence each other, ways that are closed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

from clinicrelay import plugins
from clinicrelay.contracts import Notifier
from clinicrelay.model import Channel
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.telling import PatientReminders, Step
from clinicrelay.settings.tree import Tree, Where


def check_rules(tree: Tree, settings: Settings) -> None:
    """Report steps of one time, and warn of channels named twice and of rules that reach nobody."""
    patient, doctor = settings.reminders.patient, settings.reminders.doctor
    for role, told in (("patient", patient), ("doctor", doctor)):
        _steps_apart(tree, ("reminders", role, "steps"), told.steps if told else ())
    _named_once(tree, ("channels", "order"), settings.channels.order)
    for where, channels in _rules(settings):
        _some_way(tree, settings, where, channels)


def check_channels(tree: Tree, settings: Settings, served: Collection[Channel]) -> None:
    """Report rules that name a channel which nobody sends, or that have none to be said on."""
    for where, channel in _named_channels(tree, settings):
        if channel not in served:
            _unserved(tree, where, channel)
    for where in _open_channels(settings):
        if not served:
            tree.report(
                tree.key_mark(where),
                where,
                "nobody_sends",
                "something is to be said, and no notifier is there to say it",
                "add `notifiers: {outbox: {type: outbox}}`, or delete this section",
            )
    confirmation = settings.reminders.patient and settings.reminders.patient.confirmation
    if confirmation and confirmation.invite:
        _invitation(tree, confirmation.channels, served)


# --- rules ---------------------------------------------------------------------------------------


def _steps_apart(tree: Tree, base: Where, steps: tuple[Step, ...]) -> None:
    """Of steps that fall due together at most one is said: each takes the other for a later one."""
    if any(opaque[: len(base)] == base for opaque in tree.opaque):
        return  # those that nobody knows are left out, and the others have moved up
    first: dict[timedelta, Step] = {}
    for place, step in enumerate(steps):
        earlier = first.setdefault(step.before.length, step)
        if earlier is not step:
            same = earlier.before[:2] == step.before[:2]
            report = _same_time if same else _nearly_same_time
            report(tree, (*base, place), step, earlier)


def _same_time(tree: Tree, where: Where, step: Step, earlier: Step) -> None:
    tree.report(
        tree.mark(where),
        where,
        "same_time",
        f"{step.name} is the time of {earlier.name} above, and steps of one time silence each other",
        "delete one of the two; a single step tries several channels in turn: "
        f"{{before: {earlier.name}, channels: [email, sms]}}",
    )


def _nearly_same_time(tree: Tree, where: Where, step: Step, earlier: Step) -> None:
    tree.report(
        tree.mark(where),
        where,
        "same_time",
        f"{step.name} is the time of {earlier.name} above but for days when clocks change: only one of "
        "the two is said, and on those days both, an hour apart",
        "delete one of the two",
        "warning",
    )


def _named_once(tree: Tree, base: Where, names: tuple[str, ...]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            where: Where = (*base, place)
            message = f"{name} stands here a second time, and is tried once"
            tree.report(tree.mark(where), where, "named_twice", message, "delete it", "warning")


def _rules(settings: Settings) -> Iterator[tuple[Where, Collection[Channel]]]:
    """Yield the channels that are tried for what is to be said, and where they are named."""
    usual = [Channel(name) for name in settings.channels.order if name != "preferred"]
    patient, doctor = settings.reminders.patient, settings.reminders.doctor
    if any(_open_channels(settings)):
        yield ("channels",), usual or [*Channel]
    if patient and patient.confirmation:
        yield ("reminders", "patient", "confirmation"), patient.confirmation.channels or ()
    for role, told in (("patient", patient), ("doctor", doctor)):
        for place, step in enumerate(told.steps if told else ()):
            yield ("reminders", role, "steps", place), step.channels or ()
    if doctor and doctor.digest:
        yield ("reminders", "doctor", "digest"), doctor.digest.channels


def _some_way(tree: Tree, settings: Settings, where: Where, channels: Collection[Channel]) -> None:
    """Warn where each channel is closed: a slip, or meant, and then nobody is to be stopped by it."""
    closed = {c: _closed(settings, c, doctors="doctor" in where) for c in channels}
    if closed and all(closed.values()):
        tree.report(
            tree.key_mark(where),
            where,
            "nobody_reached",
            "nobody is reached by this: " + ", ".join(f"{c} {why}" for c, why in closed.items()),
            "open one of them under channels, or name another channel",
            "warning",
        )


def _closed(settings: Settings, channel: Channel, *, doctors: bool) -> str:
    """Return what closes a channel, or nothing. A doctor needs no consent."""
    if settings.channels.named(channel) == ():
        return "has no notifier left"
    off = settings.channels.consent[channel] == "off" and not doctors
    return "is closed by consent: off" if off else ""


# --- channels ------------------------------------------------------------------------------------


def _invitation(
    tree: Tree, channels: tuple[Channel, ...] | None, served: Collection[Channel]
) -> None:
    if channels is None and Channel.EMAIL in served:
        return
    if channels is not None and Channel.EMAIL in channels:
        return  # whether anything sends it is asked where the channel is named
    where: Where = ("reminders", "patient", "confirmation", "invite")
    message = "an invitation travels by e-mail, and the confirmation does not"
    fix = "add email to the confirmation's channels, or write invite: false"
    tree.report(tree.mark(where), where, "invite_without_email", message, fix)


def _unserved(tree: Tree, where: Where, channel: Channel) -> None:
    tree.report(
        tree.mark(where),
        where,
        "channel_unserved",
        f"no notifier sends {channel.value}",
        f"add a notifier of type {' or '.join(_types_for(channel)) or 'outbox'}",
    )


def _types_for(channel: Channel) -> Iterator[str]:
    for name in plugins.names("notifiers"):
        try:
            plugin = plugins.find("notifiers", name)
        except ImportError:  # its library is not installed: it still is an answer worth naming
            continue
        if issubclass(plugin, Notifier) and channel in plugin.channels:
            yield name


def _named_channels(tree: Tree, settings: Settings) -> Iterator[tuple[Where, Channel]]:
    """Yield the channels that are asked for by name; defaults of the digest count as named."""
    patient, doctor = settings.reminders.patient, settings.reminders.doctor
    base: Where = ("reminders", "patient")
    if patient:
        if patient.confirmation:
            yield from _items((*base, "confirmation"), patient.confirmation.channels)
        yield from _of_steps(base, patient.steps)
    base = ("reminders", "doctor")
    if doctor:
        yield from _of_steps(base, doctor.steps)
        if doctor.digest:
            yield from _items((*base, "digest"), doctor.digest.channels)
    if patient or doctor:
        for place, name in enumerate(settings.channels.order):
            where: Where = ("channels", "order", place)
            if name != "preferred" and where in tree.values:
                yield where, Channel(name)


def _of_steps(base: Where, steps: tuple[Step, ...]) -> Iterator[tuple[Where, Channel]]:
    for place, step in enumerate(steps):
        yield from _items((*base, "steps", place), step.channels)


def _items(where: Where, channels: tuple[Channel, ...] | None) -> Iterator[tuple[Where, Channel]]:
    for place, channel in enumerate(channels or ()):
        yield (*where, "channels", place), channel


def _open_channels(settings: Settings) -> Iterator[Where]:
    """Yield the sections that say something on whatever channel there is."""
    patient, doctor = settings.reminders.patient, settings.reminders.doctor
    if patient and _says_anyhow(patient):
        yield ("reminders", "patient")
    if doctor and any(s.channels is None for s in doctor.steps):
        yield ("reminders", "doctor")


def _says_anyhow(patient: PatientReminders) -> bool:
    confirms = patient.confirmation is not None and patient.confirmation.channels is None
    changes = patient.on_change or patient.on_cancel or patient.on_gone
    return confirms or changes or any(s.channels is None for s in patient.steps)
