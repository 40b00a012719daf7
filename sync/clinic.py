"""One clinic at work: its settings, its store, and its plugins, built when they are first needed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from threading import Event
from typing import TYPE_CHECKING, Any

from clinicrelay import plugins, times
from clinicrelay.contracts import Calendar, Connector, Kit, Notifier, Pace, Unpaced, Window
from clinicrelay.errors import Refused, SettingsError
from clinicrelay.ids import Opaque
from clinicrelay.model import Appointment, Channel, Patient, Practitioner
from sync.guardians import as_reached
from sync.pacing import pace_of, pace_of_notifier
from sync.pretend import AbsentNotifier, PretendedCalendar, PretendedNotifier
from sync.sliding import Sliding
from sync.standing import Live, Pause, Standing
from sync.store import Store, instant, memory, places, standings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from clinicrelay.settings.schema import Doctor, Settings
    from clinicrelay.times import Span
    from mappings import Context, Mapper, Mapping
    from sync.gate import GateOptions
    from sync.store.standings import LiveRow, PauseRow
    from sync.words import Words


# Another number makes plan look at every visit once more: facts of a visit are what they were not.
_UNDERSTOOD = 2


@dataclass(slots=False)
class Clinic:
    """What a run works with.

    `now` is business time. `rehearsed` says that it was given (`--now`), so nothing may leave this
    machine. `dry` is for plan: nothing but the store is touched, and that is a scratch one.
    `file` is where the settings came from.
    """

    settings: Settings
    store: Store
    run: str
    now: datetime
    file: Path | None = None
    rehearsed: bool = False
    dry: bool = False
    watched: bool = False
    tell: Callable[[str], None] = lambda text: None
    who: Callable[[], str] = lambda: "clinicrelay"  # whoever typed the command
    ending: Event = field(default_factory=Event)  # set when the run is told to end
    altered: dict[Any, Any] = field(default_factory=dict)  # what `sync.digest` has looked up
    overdue: frozenset[str] | None = None  # what `sync.freshness` has looked up
    held_back: dict[tuple[str, str], str | None] | None = None  # the same
    unasked: frozenset[tuple[str, str]] = frozenset()  # visits that `sync.second_look` left out
    rules: dict[Any, GateOptions] = field(default_factory=dict)  # what `sync.outward` has
    _plugins: dict[tuple[str, str], Any] = field(default_factory=dict)
    _handed: Callable[[str], None] | None = None  # hears of messages that may be accepted
    _stood: tuple[list[LiveRow], list[PauseRow], Standing] | None = None

    @cached_property
    def actor(self) -> str:
        """Who had this done, as the audit trail names them."""
        return self.who()

    @property
    def zone(self) -> str:
        return self.settings.clinic.timezone

    def when(self, instant: datetime) -> str:
        """Return an instant as the clinic's staff read it; one that is far off with its year."""
        return times.for_people(instant, self.zone, now=self.now)

    @cached_property
    def words(self) -> Words:
        from sync.words import Words

        clinic = self.settings.clinic
        return Words(clinic.language, clinic.facts(), self.settings.templates)

    def connector(self, name: str) -> Connector:
        """Return a source's connector, to be asked whether anything waits; it knows no mapping."""
        source = self.settings.sources[name]
        plugin: Any = plugins.find("connectors", source.type)
        found: Connector = plugin(source.options, self._source_kit(name))
        return found

    def mapping(self, name: str) -> tuple[Mapping, Context]:
        """Return a source's mapping, and the place it is applied in. Raises Refused."""
        import mappings

        source, clinic = self.settings.sources[name], self.settings.clinic
        plugin: Any = plugins.find("connectors", source.type)
        named = source.mapping or plugin.mapping
        if named is None:
            raise Refused(
                f"{name} names no mapping, and {source.type} has none of its own",
                fix=f"clinicrelay probe {name}",
            )
        return (
            mappings.find(named, self.settings.folder),
            mappings.Context(name, clinic.timezone, clinic.country, clinic.language),
        )

    def source(self, name: str) -> tuple[Connector, Mapper]:
        """Return a source's connector and its mapping, made for each other. Raises Refused."""
        mapping, context = self.mapping(name)
        mapper = mapping.compile(context)
        source = self.settings.sources[name]
        plugin: Any = plugins.find("connectors", source.type)
        kit = self._source_kit(name, find_columns=lambda: mapping.columns)
        return plugin(source.options, kit), mapper

    def _source_kit(self, name: str, **more: Any) -> Kit:
        return self._kit(
            "connectors",
            name,
            self.settings.folder,
            pace=pace_of(self.settings.sources[name], name, self.store),
            fresh_options=lambda: self._fresh_options(name),
            **more,
        )

    def _fresh_options(self, name: str) -> Any:
        """Read the settings again: a secret in a file may have been changed; None: they are broken."""
        from clinicrelay.settings import load

        if self.file is None:
            return None
        try:
            return load(self.file).settings.sources[name].options
        except (SettingsError, KeyError):
            return None

    def window(self, name: str) -> Window:
        """Return the stretch of time that a source is read for."""
        window = self.settings.sources[name].window
        ahead = self.now + window.future.length
        return Window(window.past.before(self.now, self.zone), ahead)

    def too_old(self, what: str) -> datetime:
        """Return since when things are kept of what a key under `retention` names."""
        kept: Span = getattr(self.settings.retention, what)
        return kept.before(self.now, self.zone)

    def calendar(self, name: str) -> Calendar:
        """Return a calendar plugin by its name in settings."""
        found: Calendar = self._plugin("calendars", name, self.settings.calendars[name])
        return found

    def notifier(self, name: str) -> Notifier:
        """Return a notifier plugin by its name in settings."""
        found: Notifier = self._plugin("notifiers", name, self.settings.notifiers[name])
        return found

    def receipts(self, name: str) -> bool:
        """Return whether a notifier can be asked later how far a message came."""
        return name in self.settings.notifiers and self.notifier(name).receipts

    def tells(self, name: str | None) -> bool:
        """Return whether a notifier can be asked what became of a message whose answer was lost."""
        return name in self.settings.notifiers and self.notifier(name).tells

    @cached_property
    def senders(self) -> dict[Channel, tuple[str, ...]]:
        """The notifiers of each channel, in the order of the settings file."""
        classes = {
            name: plugins.find("notifiers", entry.type)
            for name, entry in self.settings.notifiers.items()
        }
        return {
            channel: tuple(n for n, kind in classes.items() if channel in kind.channels)  # type: ignore[union-attr]
            for channel in Channel
        }

    @cached_property
    def lost(self) -> frozenset[Channel]:
        """The channels on which a notifier of the settings used to send, and none does now."""
        from sync import lacking

        return lacking.lost(self)

    @cached_property
    def rehearsal(self) -> Notifier:
        """What takes the messages that nobody is to get: files in `data/rehearsal`."""
        plugin: Any = plugins.find("notifiers", "outbox")
        options = plugin.Options(folder="rehearsal")
        found: Notifier = plugin(options, self._kit("notifiers", "rehearsal", self.settings.data))
        return PretendedNotifier(found) if self.dry else found

    def standing(self) -> Standing:
        """Return what is live and what is paused, as it stands at this moment."""
        with self.store.read() as connection:
            return self.standing_in(connection)

    def standing_in(self, connection: Connection) -> Standing:
        """Return the same as a transaction sees it: the very same object while nothing changes."""
        live = standings.live(connection, self.store.clinic)
        pauses = standings.pauses(connection, self.store.clinic)
        if self._stood is None or self._stood[:2] != (live, pauses):
            self._stood = live, pauses, self._standing_of(live, pauses)
        return self._stood[2]

    def _standing_of(self, live: list[LiveRow], pauses: list[PauseRow]) -> Standing:
        return Standing(
            tuple(Live(one.part, one.doctor, instant(one.since)) for one in live),
            tuple(
                Pause(p.scope, p.reason, instant(p.until) if p.until else None, instant(p.since))
                for p in pauses
            ),
            self._elsewhere({one.place for one in live}),
        )

    def _elsewhere(self, known: set[str]) -> str | None:
        """Return where the store belongs, if what is live of it went live in another place."""
        if not known:
            return None
        strange = [place for place in known if not places.same(place, self.place)]
        return places.called(min(strange)) if strange else None

    @cached_property
    def place(self) -> str:
        """Where the store is; unless nothing may be written, with the mark that tells it from a copy."""
        if not self.dry:
            places.mark(self.settings.store_url)
        return places.place_of(self.settings.store_url, self.store)

    def doctor(self, source: str, practitioner: Practitioner) -> Doctor | None:
        """Return the entry under `doctors` that means a practitioner of a source."""
        return self._doctors.get((source, practitioner.key)) or self._doctors.get(
            ("", practitioner.key)
        )

    @cached_property
    def _doctors(self) -> dict[tuple[str, str], Doctor]:
        found = {}
        for doctor in self.settings.doctors:
            match = doctor.match if isinstance(doctor.match, dict) else {"": doctor.match}
            found.update(dict.fromkeys(match.items(), doctor))
        return found

    def calendars_of(self, source: str, practitioner: Practitioner) -> list[str]:
        """Return the calendars (`NAME:ADDRESS`) that show a practitioner's visits."""
        doctor = self.doctor(source, practitioner)
        found = []
        for name in self.settings.calendars:
            own = doctor.calendar if doctor else None
            linked = own.get(name) if isinstance(own, dict) else own
            kind = self._kinds[name]
            address = linked or kind.address_of(self.as_named(source, practitioner))
            if address:
                found.append(f"{name}:{address}")
        return found

    @property
    def shown_since(self) -> datetime:
        """Return since when visits matter: as far back as a calendar is kept, else from now on."""
        windows = (one.window for one in self.settings.calendars.values())
        return min((w.past.before(self.now, self.zone) for w in windows), default=self.now)

    @cached_property
    def _kinds(self) -> dict[str, type[Calendar]]:
        settings: Any = self.settings.calendars
        return {name: plugins.find("calendars", one.type) for name, one in settings.items()}  # type: ignore[misc]

    def as_named(self, source: str, practitioner: Practitioner) -> Practitioner:
        """Return a practitioner the way settings name and reach them."""
        doctor = self.doctor(source, practitioner)
        if doctor is None:
            return practitioner
        return Practitioner(
            key=doctor.id,
            name=doctor.name or practitioner.name,
            email=doctor.email or practitioner.email,
            phone=doctor.phone or practitioner.phone,
        )

    def as_reached(self, patient: Patient, visit: Appointment) -> Patient:
        """Return a patient with the addresses of whoever is addressed for them (`sync.guardians`)."""
        rules = self.settings.reminders.patient
        return as_reached(patient, visit, rules.guardian_until if rules else 0)

    @cached_property
    def opaque(self) -> Opaque:
        """Makes ids that mean nothing to others and are always the same for the same parts."""
        return Opaque(self.store.instance_key)

    @cached_property
    def policy(self) -> str:
        """A fingerprint of what plan decides by: the settings, and how a visit is understood."""
        own = self.settings
        parts = (
            _UNDERSTOOD,
            own.clinic,
            own.doctors,
            own.calendars,
            own.channels,
            own.reminders,
            own.quiet_hours,
        )
        return sha256(repr(parts).encode()).hexdigest()[:32]

    @contextmanager
    def handing_over(self, note: Callable[[str], None]) -> Iterator[None]:
        """Have `note` called right before a notifier's bytes may make a provider accept a message."""
        self._handed = note
        try:
            yield
        finally:
            self._handed = None

    def hand_over(self, attempt: str) -> None:
        """Note that a provider may have accepted an attempt from now on."""
        if self._handed is not None:
            self._handed(attempt)

    def close(self) -> None:
        """Let the plugins go of what they hold open."""
        for plugin in self._plugins.values():
            plugin.close()

    def _plugin(self, room: str, name: str, entry: Any) -> Any:
        if (room, name) not in self._plugins:
            kind: Any = plugins.find(room, entry.type)
            pace = (
                self._calendar_pace(kind, name, entry)
                if room == "calendars"
                else pace_of_notifier(entry.rate, name, self.store)
            )
            told = self.settings.callbacks.of(self.settings.clinic.id, name)
            called = told if room == "notifiers" else None
            kit = self._kit(room, name, self.settings.data, pace=pace, callback_url=called)
            self._plugins[room, name] = self._pretended(room, kind, entry, kit)
        return self._plugins[room, name]

    def _pretended(self, room: str, kind: Any, entry: Any, kit: Kit) -> Any:
        """Return a plugin, in a plan one that pretends; only there may one have no options."""
        if self.dry and room == "notifiers" and entry.options is None:
            return AbsentNotifier(kind, kit)
        plugin = kind(entry.options, kit)
        if not self.dry:
            return plugin
        return PretendedCalendar(plugin) if room == "calendars" else PretendedNotifier(plugin)

    def _calendar_pace(self, kind: type[Calendar], name: str, entry: Any) -> Pace:
        limits = kind.limits(entry.options)
        return Sliding(self.store, f"pace/calendars/{name}", limits) if limits else Unpaced()

    def _kit(self, room: str, name: str, folder: Path, **more: Any) -> Kit:
        with self.store.read() as connection:
            remembered = memory.recall(connection, self.store.clinic, f"{room}/{name}")
        return Kit(
            name=name,
            clinic=self.settings.clinic.facts(),
            folder=folder,
            now=self.now,
            memory=remembered,
            instance_key=self.store.instance_key,
            wait=self.watched and not self.dry,
            tell=self.tell,
            handing_over=self.hand_over,
            rest=lambda seconds: not self.ending.wait(seconds),
            **more,
        )
