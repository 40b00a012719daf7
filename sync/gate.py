"""The last question before a message leaves: is it still true, still useful, still wanted.

Asked again on data as fresh as there is, immediately before each send. Whatever happened between
the decision and the send (a cancellation, a move, a corrected number) is caught here and nowhere
else, so no way into the data has to remember to stop a reminder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from clinicrelay import times
from clinicrelay.actions import INVITATION, Facts, MessageKind, Role, Say, Told, facts_of
from clinicrelay.model import Appointment, Channel, Patient, Practitioner, Status
from sync.doors import CAP_REACHED, Closed, closed
from sync.due import min_gap
from sync.plan import URGENT, hears_nothing, recipients
from sync.quiet import quiet_period

if TYPE_CHECKING:
    from clinicrelay.settings.schema import QuietHours, Settings

LOOK_AGAIN = timedelta(minutes=5)
_NEXT_RUN = timedelta(seconds=30)
GIVEN_AWAY = "given_to_another"
STALE, HELD, PAUSED = "source_stale", "change_held", "paused"
NO_NOTIFIER = "no_notifier"
OPEN_ENDED = (STALE, HELD, NO_NOTIFIER)  # it waits, and nobody knows until when
_NEWS = (MessageKind.CONFIRMATION, MessageKind.CHANGE)
_OF_NO_VISIT = (MessageKind.DIGEST, MessageKind.ALERT)
_IN_ITS_HOUR = (MessageKind.REMINDER, MessageKind.DIGEST)
CLOSED_DOOR = (MessageKind.CHANGE, MessageKind.CANCELLATION)
_ASKED_FOR = (Status.PROPOSED, Status.PENDING, Status.WAITLIST, Status.UNKNOWN)

# The truth had moved on: if it moves back, the same message is owed after all.
_MOVED_ON = frozenset(
    {
        "already_arrived",
        "as_told",
        "cancelled",
        "gone",
        "no_show",
        "not_booked",
        "not_on_visit",
        "reinstated",
        "superseded_by_reschedule",
        "unscheduled",
    }
)
# When no channel is open, the reason that tells a person most about what to mend comes first.
_TELLING = (
    CAP_REACHED,
    "only_recipients",
    "opted_out",
    "stop_received",
    "landline",
    "address_refused",
    "address_invalid",
    "not_on_whatsapp",
    "not_opted_in",
    "channel_off",
    "invalid_contact",
    "minor_no_guardian",
    "no_contact",
    "no_notifier",
)
# What keeps a person from being reached; the others are what the clinic chose, or pass by themselves.
_UNREACHABLE = frozenset(_TELLING) - {CAP_REACHED, "only_recipients", "channel_off", "no_notifier"}


@dataclass(frozen=True, slots=True)
class Go:
    """Send it now, on this channel to this address, with the first notifier that can."""

    channel: Channel
    address: str
    notifiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now: ask again at `until`."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Never: the reason code, and the setting that caused it where one did.

    `no_way` says that it would be worth saying, and no channel to the person is open; `too_late`
    that it was, and there is no time left for it.
    """

    reason: str
    setting: str = ""
    no_way: bool = field(default=False, compare=False)
    too_late: bool = field(default=False, compare=False)


Verdict: TypeAlias = Go | Wait | Drop


def reopens(kind: MessageKind, reason: str) -> bool:
    """Return whether a message dropped for this reason may be taken up when it is planned again.

    Its key is the same, so the ledger would otherwise refuse it for ever: B when A→B→A→B passes
    within a night, or a cancellation to a number that has been corrected since. A reminder comes
    back for such a correction, and not because the settings were edited: that would send at once
    all that they had kept back.
    """
    mended = _UNREACHABLE if kind is MessageKind.REMINDER else _TELLING
    return reason in mended or reason in _MOVED_ON


def needs_a_call(say: Say, reason: str) -> bool:
    """Return whether somebody has to tell by telephone what no message could, for this reason.

    Nobody is to stand in front of a closed door because the clinic thought that they were told; nor
    does a program know for sure that a visit given to somebody else is nobody's any more.
    """
    unsaid = reason in _UNREACHABLE or reason == GIVEN_AWAY
    return say.kind in CLOSED_DOOR and say.step != INVITATION and unsaid


def is_known_anyhow(kind: MessageKind, reason: str) -> bool:
    """Return whether people know of a visit although nothing was said, for this reason.

    A confirmation that reaches nobody leaves a visit that its patient has arranged with somebody.
    """
    return kind is MessageKind.CONFIRMATION and reason not in _MOVED_ON and reason != "already_sent"


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What settings and standing orders say about one message.

    `senders` are the notifiers by channel in the order of fallback, `zone` is the clinic's.
    `closed` says why a channel is of no use for this message to this person (see `sync.ways`),
    `full` until when they get no more reminders and confirmations on it (see `sync.caps`). `paused`
    holds everything, `stale` (the source that was silent for too long) what is to be said in its
    hour: reminders and digests; `change_held` (by a guard) the visit's reminders, `unasked`
    this one, until its source was asked once more, and `in_flight` this one too, until it is known
    whether another one that says the same arrived. `lost` are channels on which nobody sends any more,
    though somebody did. `waited` is what kept the message back till now.
    Who is younger than `minors_until` is reached through a guardian. A doctor needs no consent.
    """

    order: tuple[str, ...]
    order_setting: str
    senders: Mapping[Channel, tuple[str, ...]]
    consent: Mapping[Channel, Literal["recorded", "implied", "off"]]
    zone: str
    quiet: QuietHours | None = None
    only_recipients: tuple[str, ...] | None = None
    closed: Mapping[Channel, str] = field(default_factory=dict)
    full: Mapping[Channel, datetime] = field(default_factory=dict)
    paused: bool = False
    stale: str = ""
    change_held: bool = False
    unasked: bool = False
    in_flight: bool = False
    lost: frozenset[Channel] = frozenset()
    waited: str | None = None
    minors_until: int = 0


def options_for(
    say: Say,
    settings: Settings,
    senders: Mapping[Channel, tuple[str, ...]],
    *,
    paused: bool = False,
    stale: str = "",
) -> GateOptions:
    """Return what the settings say about a message.

    `senders` are all notifiers by channel; where `channels` names its own, those hold.
    """
    order, order_setting = _order_of(say, settings)
    chosen = {channel: settings.channels.named(channel) for channel in Channel}
    return GateOptions(
        order=order,
        order_setting=order_setting,
        senders={
            channel: senders.get(channel, ()) if names is None else names
            for channel, names in chosen.items()
        },
        consent=settings.channels.consent,
        zone=settings.clinic.timezone,
        quiet=settings.quiet_hours,
        only_recipients=settings.safety.only_recipients,
        paused=paused,
        stale=stale,
        minors_until=settings.reminders.patient.guardian_until if settings.reminders.patient else 0,
    )


def _order_of(say: Say, settings: Settings) -> tuple[tuple[str, ...], str]:
    """Return the channels a message may take, and the setting that says so."""
    if say.step == INVITATION:
        return (Channel.EMAIL,), "reminders.patient.confirmation.invite"
    own = _own_channels(say, settings)
    if own is None:
        return settings.channels.order, "channels.order"
    return own, f"{say.setting}.channels"


def _own_channels(say: Say, settings: Settings) -> tuple[Channel, ...] | None:
    patient, doctor = settings.reminders.patient, settings.reminders.doctor
    if say.kind is MessageKind.DIGEST:
        return doctor.digest.channels if doctor and doctor.digest else None
    if say.kind is MessageKind.CONFIRMATION:
        return patient.confirmation.channels if patient and patient.confirmation else None
    if say.kind is not MessageKind.REMINDER:
        return None
    rules = patient if say.role is Role.PATIENT else doctor
    steps = rules.steps if rules else ()
    return next((step.channels for step in steps if step.name == say.step), None)


def gate(
    say: Say,
    *,
    fresh: Appointment | None,
    gone: bool,
    told: Told | None,
    person: Patient | Practitioner | None,
    addresses: Mapping[Channel, str | None],
    options: GateOptions,
    now: datetime,
) -> Verdict:
    """Decide about one message on current data; `fresh` is the visit as it stands this moment.

    `told` is what the person was last told by any other message: pass None where it was this very
    one, on its way over a second channel. A digest is about a day and an alert
    about no visit at all, so their `fresh` is None.
    """
    drop = (
        (None if say.kind in _OF_NO_VISIT else _untrue(say, fresh, told, gone=gone))
        or _said_already(say, told)
        or _too_late(say, options, now)
        or _not_to_be_reached(person)
    )
    if drop is not None:
        return drop
    if wait := _not_yet(say, options, now):
        return wait
    way = _way(say, fresh, person, addresses, options, now)
    if not isinstance(way, Go):
        return way
    return _after_the_night(say, _zone(fresh, person, options), options, now) or way


# --- is it still true --------------------------------------------------------------------------


def _untrue(say: Say, fresh: Appointment | None, told: Told | None, *, gone: bool) -> Drop | None:
    if say.kind is MessageKind.CANCELLATION:
        if fresh is None or not facts_of(fresh, gone=gone).on:
            return None
        still_theirs = say.recipient in recipients(fresh, say.role)
        return Drop("reinstated" if still_theirs else GIVEN_AWAY)
    if fresh is None or gone:
        return Drop("gone")
    return _not_on(fresh) or _not_the_same(say, fresh, told)


def _not_on(fresh: Appointment) -> Drop | None:
    if fresh.status.called_off:
        return Drop("cancelled")
    if fresh.start is None:
        return Drop("unscheduled")
    if fresh.status.reminds:
        return None
    if fresh.status is Status.NO_SHOW:
        return Drop("no_show")
    return Drop("not_booked" if fresh.status in _ASKED_FOR else "already_arrived")


def _not_the_same(say: Say, fresh: Appointment, told: Told | None) -> Drop | None:
    if (facts := facts_of(fresh)) != say.facts:
        back = say.kind is MessageKind.CHANGE and told is not None and told.facts == facts
        return Drop("as_told" if back else "superseded_by_reschedule")
    if say.recipient not in recipients(fresh, say.role):
        return Drop("not_on_visit")
    return None


def _said_already(say: Say, told: Told | None) -> Drop | None:
    """Refuse what the person heard since it was planned, by another message than this."""
    of_no_news = (
        say.kind is MessageKind.DIGEST or say.step == INVITATION
    )  # their calendar heard not
    if told is None or told.by is None or of_no_news:
        return None
    if _knows_newer(say, told):
        return Drop("superseded_by_reschedule", say.setting)
    if say.kind is MessageKind.CANCELLATION:
        return None if told.facts.on else Drop("already_sent", say.setting)
    if told.facts != say.facts:
        return None
    if say.kind is not MessageKind.REMINDER:
        return Drop("already_sent", say.setting)
    return _reminded_already(say, told)


def _knows_newer(say: Say, told: Told) -> bool:
    """Whether another message told the person what this one does not correct, since it was decided.

    What is owed since then is measured by that, and stands in the ledger under a key of its own: this
    one would tell of a move from where they no longer think that the visit is.
    """
    return (
        say.before is not None
        and told.at > say.due_at
        and told.facts not in (say.before, say.facts)
    )


def _reminded_already(say: Say, told: Told) -> Drop | None:
    gap = min_gap(times.parse_span(say.step).length)
    if told.kind in _NEWS and told.at > say.due_at - gap:
        return Drop("told_recently", say.setting)
    if told.kind is MessageKind.REMINDER and told.at >= say.due_at:
        return Drop("superseded_by_later_step", say.setting)
    return None


def _too_late(say: Say, options: GateOptions, now: datetime) -> Drop | None:
    start = _expected(say)
    past = start is not None and now >= start and say.kind is not MessageKind.DIGEST
    if not past and now < say.useless_after:
        return None
    if say.kind in _IN_ITS_HOUR and options.stale:
        return Drop(STALE, f"sources.{options.stale}.stale_after", too_late=True)
    if say.kind is MessageKind.REMINDER and options.change_held:
        return Drop(HELD, too_late=True)
    if options.paused:
        return Drop(PAUSED, too_late=True)
    if options.waited:
        return Drop(options.waited, too_late=True)
    return Drop("past_visit" if past else "cut_off_passed", say.setting, too_late=True)


def _expected(say: Say) -> datetime | None:
    """Return the start that the message is about: of a cancelled visit, the one that was told."""
    about: Facts = say.facts
    if say.kind is MessageKind.CANCELLATION and say.before is not None:
        about = say.before
    return about.start


def _not_to_be_reached(person: Patient | Practitioner | None) -> Drop | None:
    if not isinstance(person, Patient):
        return None
    if silent := hears_nothing(person):
        return Drop(silent)
    # The source's word for a patient who wants no messages: a no on every channel.
    if person.preferred_channel == "none":
        return Drop("opted_out", "patient.preferred_channel")
    return None


# --- does anything keep it back -----------------------------------------------------------------


def _not_yet(say: Say, options: GateOptions, now: datetime) -> Wait | None:
    if options.paused:
        return Wait(now + LOOK_AGAIN, PAUSED)
    if options.stale and say.kind in _IN_ITS_HOUR:
        return Wait(now + LOOK_AGAIN, STALE)
    if options.change_held and say.kind is MessageKind.REMINDER:
        return Wait(now + LOOK_AGAIN, HELD)
    if options.in_flight:
        return Wait(now + _NEXT_RUN, "same_in_flight")
    return Wait(now + _NEXT_RUN, "not_asked_yet") if options.unasked else None


# --- which way to the person ------------------------------------------------------------------


def _way(
    say: Say,
    fresh: Appointment | None,
    person: Patient | Practitioner | None,
    addresses: Mapping[Channel, str | None],
    options: GateOptions,
    now: datetime,
) -> Verdict:
    """Return the first open channel, else the most telling of the reasons why none is.

    Where it is only that they got enough for now, it waits as long as that is of use; and for a
    notifier that was there before, as nobody may have noticed that it is not.
    """
    shut: list[Closed] = []
    for channel in _wanted(options.order, person):
        address = addresses.get(channel)
        why = closed(channel, address, say, fresh, person, options)
        if why is None and address is not None:
            return Go(channel, address, options.senders[channel])
        if why is not None:
            shut.append(why)
    if not shut:
        return Drop("channel_off", options.order_setting, no_way=True)
    if any(
        _only_lacks_a_notifier(channel, addresses.get(channel), say, fresh, person, options)
        for channel in _wanted(options.order, person)
    ):
        return Wait(now + LOOK_AGAIN, NO_NOTIFIER)
    reason, setting = min(shut, key=_told_first)
    if reason == CAP_REACHED:
        full = (options.full.get(channel) for channel in _wanted(options.order, person))
        until = min(end for end in full if end is not None)
        if until < say.useless_after:
            return Wait(until, reason)
    return Drop(reason, setting, no_way=True)


def _only_lacks_a_notifier(
    channel: Channel,
    address: str | None,
    say: Say,
    fresh: Appointment | None,
    person: Patient | Practitioner | None,
    options: GateOptions,
) -> bool:
    """Whether a channel would be open if only somebody still sent on it."""
    if channel not in options.lost or not address:
        return False
    as_before = replace(options, senders={channel: ("as before",)})
    return closed(channel, address, say, fresh, person, as_before) is None


def _told_first(why: Closed) -> int:
    """Return the place of a reason among others; a provider's own, of this one message, comes first."""
    return _TELLING.index(why.reason) if why.reason in _TELLING else -1


def _wanted(order: tuple[str, ...], person: Patient | Practitioner | None) -> Iterator[Channel]:
    own = person.preferred_channel if isinstance(person, Patient) else None
    words = dict.fromkeys(own if word == "preferred" else word for word in order)
    return (channel for word in words for channel in Channel if channel == word)


# --- at which hour ----------------------------------------------------------------------------


def _after_the_night(
    say: Say, zone: str, options: GateOptions, now: datetime
) -> Wait | Drop | None:
    """Hold a message until quiet hours end, if it is then of use; None lets it go."""
    night = quiet_period(now, options.quiet, zone)
    if night is None or _wakes(say, options, zone, now):
        return None
    _, morning = night
    if morning < say.useless_after:
        return Wait(morning, "quiet_hours_deferred")
    # Nobody is to stand in front of a closed door for the sake of the night's rest.
    if say.kind in CLOSED_DOOR:
        return None
    return Drop("cut_off_passed", "quiet_hours", too_late=True)


def _zone(
    fresh: Appointment | None, person: Patient | Practitioner | None, options: GateOptions
) -> str:
    """Return in which zone a person's night falls: their own, else where the visit is."""
    own = person.timezone if isinstance(person, Patient) else None
    return own or (fresh.timezone if fresh is not None else options.zone)


def _wakes(say: Say, options: GateOptions, zone: str, now: datetime) -> bool:
    """Return whether the night is no reason to wait: urgent, or a digest set to that very hour."""
    if say.kind is MessageKind.DIGEST:
        return quiet_period(say.due_at, options.quiet, zone) is not None
    start = _expected(say)
    near = start is not None and start - now < URGENT
    return say.urgent or (near and say.kind in CLOSED_DOOR)
