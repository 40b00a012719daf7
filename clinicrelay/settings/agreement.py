"""What each part of the settings cannot see alone: whether the parts agree with each other."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from clinicrelay import plugins
from clinicrelay.contracts import Calendar, Notifier
from clinicrelay.model import Channel
from clinicrelay.settings import spoken, texts
from clinicrelay.settings.folders import inboxes, outboxes
from clinicrelay.settings.monitoring import channel_of
from clinicrelay.settings.plugged import Plugged
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.tree import Tree, Where


def check_all(tree: Tree, settings: Settings, plugged: Plugged) -> None:
    """Report what does not fit together. Settings may lack parts that were reported already."""
    _sources(tree, settings)
    _calendars(tree, settings)
    _idle_keys(tree, plugged)
    _doctors(tree, settings)
    _quiet_hours(tree, settings)
    _caps(tree, settings)
    spoken.check_rules(tree, settings)
    if not any(where[0] == "notifiers" for where in plugged.unknown):
        served = _served(plugged)
        _named_notifiers(tree, settings, served)
        _alerts(tree, settings, served)
        spoken.check_channels(tree, settings, {c for able in served.values() for c in able})
    _callbacks(tree, settings)
    _broker(tree, settings)
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

    _matched_once(tree, settings)


def _matched_once(tree: Tree, settings: Settings) -> None:
    """Report a practitioner whom two entries claim: the second would win without a word.

    One without a source stands for all of them, and yields to one that names its source.
    """
    only = next(iter(settings.sources), "") if len(settings.sources) == 1 else ""
    first: dict[tuple[str, str], str] = {}
    for place, doctor in enumerate(settings.doctors):
        match = doctor.match if isinstance(doctor.match, dict) else {"": doctor.match}
        for source, key in match.items():
            where: Where = ("doctors", place, "match", *([source] if source else ()))
            other = first.setdefault((source or only, key), doctor.id)
            if other != doctor.id:
                message = f"{other} above is this practitioner already"
                fix = "delete one of the two, or correct its match"
                tree.report(tree.mark(where), where, "same_match", message, fix)


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
    elif (awake := settings.quiet_hours.open) < timedelta(hours=1):
        tree.report(
            tree.mark(("quiet_hours",)),
            ("quiet_hours",),
            "hardly_open",
            f"only {awake // timedelta(minutes=1)} minutes of a day are left for messages",
            'write when the night is: {from: "21:00", to: "08:00"}',
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
    elif settings.safety.caps.week < settings.safety.caps.day:
        caps = settings.safety.caps
        tree.report(
            tree.mark(("safety", "caps")),
            ("safety", "caps"),
            "no_effect",
            f"`day: {caps.day}` changes nothing: no more than {caps.week} are said in a whole week",
            f"write week: {caps.day} or more, or a smaller day",
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


def _broker(tree: Tree, settings: Settings) -> None:
    """Warn of a RabbitMQ that is spoken to in the open, and of a file of certificates not there."""
    runner = settings.runner
    if runner.is_open_to_others:
        where: Where = ("runner", "broker")
        message = "the login of RabbitMQ, and which clinic does what, travel readable for others"
        fix = "write amqps://, or a RabbitMQ on this machine"
        tree.report(tree.mark(where), where, "broker_in_the_open", message, fix, "warning")
    if runner.ca is not None and not runner.ca.is_file():
        where = ("runner", "ca")
        message, fix = f"there is no file {runner.ca}", "correct the path"
        tree.report(tree.mark(where), where, "no_such_file", message, fix)


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
