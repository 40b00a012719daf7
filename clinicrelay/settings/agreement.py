"""What each part of the settings cannot see alone: whether the parts agree with each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from clinicrelay import plugins
from clinicrelay.contracts import Calendar, Notifier
from clinicrelay.model import Channel
from clinicrelay.settings import texts
from clinicrelay.settings.folders import inboxes, outboxes
from clinicrelay.settings.monitoring import channel_of
from clinicrelay.settings.plugged import Plugged
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.telling import PatientReminders, Step
from clinicrelay.settings.tree import Tree, Where


def check_all(tree: Tree, settings: Settings, plugged: Plugged) -> None:
    """Report what does not fit together. Settings may lack parts that were reported already."""
    _sources(tree, settings)
    _calendars(tree, settings)
    _idle_keys(tree, plugged)
    _doctors(tree, settings)
    _quiet_hours(tree, settings)
    _caps(tree, settings)
    if not any(where[0] == "notifiers" for where in plugged.unknown):
        served = _served(plugged)
        _named_notifiers(tree, settings, served)
        _alerts(tree, settings, served)
        _spoken_channels(tree, settings, {c for channels in served.values() for c in channels})
    _callbacks(tree, settings)
    _texts_elsewhere(tree, settings, plugged)


# --- sources and doctors ---------------------------------------------------------------------


def _sources(tree: Tree, settings: Settings) -> None:
    if not tree.data.get("sources"):
        tree.report(
            tree.key_mark(("sources",)),
            ("sources",),
            "no_sources",
            "no source is named, so there is nothing to read",
            "add `sources: {reception: {type: csv, contents: snapshot}}`",
        )
    _apart(tree, inboxes(settings), "same_inbox", "read the same folder and would take")


def _calendars(tree: Tree, settings: Settings) -> None:
    _apart(tree, outboxes(settings, "calendars"), "same_folder", "share a folder and would mend")


def _apart(tree: Tree, named: Iterable[tuple[Where, Path]], code: str, verb: str) -> None:
    first: dict[Path, str] = {}
    for where, folder in named:
        section, name, _ = map(str, where)
        other = first.setdefault(folder, name)
        if other != name:
            message = f"{name} and {other} {verb} each other's files"
            fix = f"give each {section.removesuffix('s')} a folder of its own"
            tree.report(tree.mark(where), where, code, message, fix)


def _doctors(tree: Tree, settings: Settings) -> None:
    ids: dict[str, int] = {}
    for place, doctor in enumerate(settings.doctors):
        where: Where = ("doctors", place)
        if ids.setdefault(doctor.id, place) != place:
            mark = tree.mark((*where, "id"))
            message = f"there is a doctor {doctor.id!r} above already"
            tree.report(mark, (*where, "id"), "same_doctor", message, "give each an id of its own")
        _links(tree, (*where, "match"), doctor.match, tree.data.get("sources"), "source")
        _links(tree, (*where, "calendar"), doctor.calendar, tree.data.get("calendars"), "calendar")


def _links(
    tree: Tree,
    where: Where,
    link: dict[str, str] | str | None,
    named: Any,
    thing: str,
) -> None:
    known = list(named) if isinstance(named, dict) else []
    for name in link if isinstance(link, dict) else ():
        if name not in known:
            fix = _nearest(name, known, thing)
            place = (*where, name)
            message = f"there is no {thing} {name!r}"
            tree.report(tree.key_mark(place), place, f"no_such_{thing}", message, fix)


def _nearest(name: str, known: Iterable[str], thing: str) -> str:
    from difflib import get_close_matches

    known = list(known)
    if near := get_close_matches(name, known, n=1):
        return f"did you mean {near[0]!r}?"
    return f"write one of {', '.join(known)}" if known else f"add a {thing} of that name"


def _quiet_hours(tree: Tree, settings: Settings) -> None:
    if settings.quiet_hours is None:
        tree.report(
            tree.mark(("quiet_hours",)),
            ("quiet_hours",),
            "quiet_hours_off",
            "quiet hours are off: people may be written to in the middle of the night",
            'delete the line, or write {from: "21:00", to: "08:00"}',
            "warning",
        )


def _caps(tree: Tree, settings: Settings) -> None:
    if settings.safety.caps is None:
        tree.report(
            tree.mark(("safety", "caps")),
            ("safety", "caps"),
            "caps_off",
            "caps are off: nothing limits how many reminders one patient gets",
            "delete the line, or write {day: 3, week: 6}",
            "warning",
        )


def _idle_keys(tree: Tree, plugged: Plugged) -> None:
    """Warn of keys that every entry may have and this one's plugin makes nothing of."""
    for place, plugin in plugged.found.items():
        for key in ("timeout", "rate", "budget", "gone_after", "if_doctor"):
            where: Where = (*place, key)
            if where in tree.values and not _is_heeded(key, plugin):
                kind = tree.data[place[0]][place[1]]["type"]
                message = f"`{key}` changes nothing here: {kind} has no use for it"
                tree.report(
                    tree.key_mark(where), where, "no_effect", message, "delete it", "warning"
                )


def _is_heeded(key: str, plugin: plugins.Plugin) -> bool:
    """Whether a key that every entry may have makes a difference to this plugin."""
    if key == "if_doctor":
        return issubclass(plugin, Calendar) and plugin.looks
    paced = key == "rate" and issubclass(plugin, Notifier) and plugin.outside
    return bool(paced) or key in plugin.Options.model_fields


# --- messages --------------------------------------------------------------------------------


def _served(plugged: Plugged) -> dict[str, tuple[Channel, ...]]:
    return {
        str(where[1]): plugin.channels
        for where, plugin in plugged.found.items()
        if issubclass(plugin, Notifier)
    }


def _named_notifiers(
    tree: Tree, settings: Settings, served: dict[str, tuple[Channel, ...]]
) -> None:
    for channel in Channel:
        for place, name in enumerate(settings.channels.named(channel) or ()):
            where: Where = ("channels", channel.value, place)
            able = [n for n, channels in served.items() if channel in channels]
            if name not in served:
                message = f"there is no notifier {name!r}"
            elif name not in able:
                message = f"{name} does not send {channel.value}"
            else:
                continue
            fix = _nearest(name, able, "notifier")
            tree.report(tree.mark(where), where, "no_such_notifier", message, fix)


def _alerts(tree: Tree, settings: Settings, served: dict[str, tuple[Channel, ...]]) -> None:
    """Report a notifier for alerts that is not there, or that does not reach who is to be told."""
    alerts = settings.monitoring.alerts
    if alerts is None:
        return
    where: Where = ("monitoring", "alerts", "via")
    if alerts.via not in served:
        fix = _nearest(alerts.via, served, "notifier")
        message = f"there is no notifier {alerts.via!r}"
        tree.report(tree.mark(where), where, "no_such_notifier", message, fix)
        return
    for place, address in enumerate(alerts.to):
        channel = channel_of(address)
        if channel not in served[alerts.via]:
            at: Where = ("monitoring", "alerts", "to", place)
            what = "an e-mail address" if channel is Channel.EMAIL else "a phone"
            message = f"this is {what}, and {alerts.via} does not send {channel.value}"
            fix = f"name a notifier under via that sends {channel.value}, or another address"
            tree.report(tree.mark(at), at, "channel_unserved", message, fix)


def _callbacks(tree: Tree, settings: Settings) -> None:
    """Warn of an address that providers are told to call and nobody answers at."""
    if settings.callbacks.url is not None:
        where: Where = ("callbacks", "url")
        address = settings.callbacks.of(settings.clinic.id, "NAME")
        tree.report(
            tree.mark(where),
            where,
            "nobody_listens",
            f"providers are told to report to {address}, and clinicrelay does not listen there yet",
            "nothing is lost by it, as they are asked as well; delete it unless something of your "
            "own listens there",
            "warning",
        )


def _texts_elsewhere(tree: Tree, settings: Settings, plugged: Plugged) -> None:
    """Report a text that would leave by a notifier which sends only what its settings name."""
    for place, plugin in plugged.found.items():
        notifier = settings.notifiers.get(str(place[1])) if place[0] == "notifiers" else None
        if notifier is None or notifier.options is None or not issubclass(plugin, Notifier):
            continue
        if (has := plugin.texts(notifier.options)) is None:
            continue
        name, where = str(place[1]), (*place, "templates")
        for text in texts.wanted(settings, name, plugin.channels):
            if text not in has:
                message = (
                    f"{name} has no template for {text}, and the settings would send it that way"
                )
                fix = f"add {text} here, or give it channels without {plugin.channels[0].value}"
                tree.report(tree.key_mark(where), where, "no_template", message, fix)


def _spoken_channels(tree: Tree, settings: Settings, served: set[Channel]) -> None:
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


def _invitation(tree: Tree, channels: tuple[Channel, ...] | None, served: set[Channel]) -> None:
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
