"""The tables, declared once: an empty database is made from these, migrations are tested against them.

Nothing on an idle run imports this module (SQLModel takes a third of a second): statements are plain
SQL, and bulk writes learn columns and keys from here the first time something has to be written.

Every table carries `clinic`; what a source names is unique by (clinic, source, key). Instants are
whole seconds since 1970 UTC in one column type. No name here is a reserved word of any database, so that
plain SQL needs no quotes; but for `absences.reads`, which MySQL takes only with its table before it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as whole seconds: the same number in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value.timestamp())

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromtimestamp(value, UTC)


def _instant() -> Column[datetime]:
    return Column(Instant, nullable=False)


def _maybe() -> Column[datetime]:
    return Column(Instant, nullable=True)


# SQLite gives a row its number by itself only where the key is declared INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")


# 64 kB are not enough for a page, and some databases stop there unless they are told.
_Long = LargeBinary(1 << 20)


def _number() -> Column[int]:
    return Column(_Number, primary_key=True, autoincrement=True)


def _of_some(name: str, column: str) -> Index:
    """Return an index of a clinic's rows that have a value there, where the database knows such.

    Each message would else touch two pages more, to say that it has none yet and then that it has,
    and most patients have no guardian.
    """
    some = text(f"{column} IS NOT NULL")
    return Index(name, "clinic", column, sqlite_where=some, postgresql_where=some)


class Clinic(SQLModel, table=True):
    """What is known of a clinic as a whole: the key its opaque ids are made with."""

    __tablename__ = "clinics"
    clinic: str = Field(primary_key=True, max_length=64)
    instance_key: bytes
    created_at: datetime = Field(sa_column=_instant())
    policy: str = Field(default="", max_length=64)  # fingerprint of what plan decides by
    audit_head: str = Field(  # the last entry of `audit`: its number and hash
        default="", max_length=100, sa_column_kwargs={"server_default": ""}
    )


class Live(SQLModel, table=True):
    """A part of a clinic that reaches people; without any it is in rehearsal."""

    __tablename__ = "live"
    clinic: str = Field(primary_key=True, max_length=64)
    part: str = Field(primary_key=True, max_length=16)  # calendars | doctors | patients
    doctor: str = Field(primary_key=True, max_length=255)  # "": all; else that doctor's patients
    since_at: datetime = Field(sa_column=_instant())
    place: str = Field(sa_type=Text)  # where the store was then: see `sync.store.places`
    who: str = Field(max_length=120)


class Pause(SQLModel, table=True):
    """What a person stopped."""

    __tablename__ = "pauses"
    clinic: str = Field(primary_key=True, max_length=64)
    scope: str = Field(primary_key=True, max_length=64)  # a part, a plugin's name; "": everything
    reason: str = Field(sa_type=Text)
    until_at: datetime | None = Field(default=None, sa_column=_maybe())
    since_at: datetime = Field(sa_column=_instant())
    who: str = Field(max_length=120)


class Source(SQLModel, table=True):
    """How far a source was read, and how it stands."""

    __tablename__ = "sources"
    clinic: str = Field(primary_key=True, max_length=64)
    source: str = Field(primary_key=True, max_length=64)
    state: str = Field(max_length=16)
    error: str | None = Field(default=None, sa_type=Text)
    cursor_json: str | None = Field(default=None, sa_type=Text)
    fingerprint: bytes | None = None  # of the mapping that its digests were made under
    imported_at: datetime | None = Field(default=None, sa_column=_maybe())
    last_read_at: datetime | None = Field(default=None, sa_column=_maybe())
    last_complete_at: datetime | None = Field(default=None, sa_column=_maybe())
    last_count: int | None = None
    first_day: str | None = Field(
        default=None, max_length=10
    )  # days the last complete read covered
    last_day: str | None = Field(default=None, max_length=10)


class Memory(SQLModel, table=True):
    """What a plugin instance wants to remember, written with the page it belongs to."""

    __tablename__ = "memory"
    clinic: str = Field(primary_key=True, max_length=64)
    owner: str = Field(primary_key=True, max_length=80)
    name: str = Field(primary_key=True, max_length=120)
    value: str = Field(sa_type=Text)


class Appointment(SQLModel, table=True):
    """A visit as it stands. `content` is its canonical JSON, the other columns are what is searched.

    `wake_at` is when plan has to look at it next (0: at once, for it changed; 1: at once; null:
    never again), `baseline` the version that everybody counts as told of because it came with an
    import or at going live.
    """

    __tablename__ = "appointments"
    __table_args__ = (
        # What tells visits apart comes first: without statistics a database may well look through
        # all that share a clinic and a source.
        UniqueConstraint("source_key", "source", "clinic", name="appointments_key"),
        Index("appointments_wake", "clinic", "wake_at"),
        # What is to come of a source is counted at every read: the index alone answers.
        Index("appointments_start", "clinic", "start_at", "source", "status", "gone_at"),
        Index("appointments_patient", "patient"),
    )
    id: int | None = Field(default=None, sa_column=_number())
    clinic: str = Field(max_length=64)
    source: str = Field(max_length=64)
    source_key: str = Field(max_length=255)
    status: str = Field(max_length=20)
    start_at: datetime | None = Field(default=None, sa_column=_maybe())
    patient: str | None = Field(default=None, max_length=255)
    practitioner: str | None = Field(default=None, max_length=255)
    version: int = 1
    baseline: int | None = None
    content: str = Field(sa_type=Text)
    wake_at: datetime | None = Field(default=None, sa_column=_maybe())
    first_run: str = Field(max_length=26)
    first_seen_at: datetime = Field(sa_column=_instant())
    changed_at: datetime = Field(sa_column=_instant())
    gone_at: datetime | None = Field(default=None, sa_column=_maybe())
    gone_reason: str | None = Field(default=None, max_length=40)
    replaces: int | None = Field(default=None, sa_type=BigInteger)
    replaced_by: int | None = Field(default=None, sa_type=BigInteger)


class Sighting(SQLModel, table=True):
    """A page of what a source said last, in its order: see `sync.store.sightings`."""

    __tablename__ = "sightings"
    clinic: str = Field(primary_key=True, max_length=64)
    source: str = Field(primary_key=True, max_length=64)
    page: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    fingerprint: bytes  # of the mapping that the visits were read with
    digests: bytes = Field(sa_type=_Long)  # 16 bytes a record
    visits: bytes = Field(sa_type=_Long)  # 8 bytes a record: whose it is, 0 where it is nobody's
    starts: bytes = Field(sa_type=_Long)  # 8 bytes a record: seconds, 0 if it will not take place


class Absence(SQLModel, table=True):
    """A coming visit that the last complete reads, one after the other, did not name."""

    __tablename__ = "absences"
    clinic: str = Field(max_length=64)
    source: str = Field(max_length=64)
    appointment: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    reads: int


class Version(SQLModel, table=True):
    """A version of a visit that was replaced: when, by which run, and what that changed."""

    __tablename__ = "versions"
    clinic: str = Field(max_length=64)
    appointment: int = Field(primary_key=True, sa_type=BigInteger)
    version: int = Field(primary_key=True)
    content: str = Field(sa_type=Text)
    what: str = Field(max_length=120)
    replaced_at: datetime = Field(sa_column=_instant())
    run: str = Field(max_length=26)


class Person(SQLModel, table=True):
    """Patients by what somebody would search them by; the visits hold the truth."""

    __tablename__ = "people"
    __table_args__ = (
        Index("people_phone", "phone"),  # by it is found, too, whether several share a number
        _of_some("people_guardian_phone", "guardian_phone"),
        _of_some("people_guardian_email", "guardian_email"),
        {"sqlite_with_rowid": False},
    )
    clinic: str = Field(primary_key=True, max_length=64)
    source: str = Field(primary_key=True, max_length=64)
    source_key: str = Field(primary_key=True, max_length=255)
    name: str | None = Field(default=None, max_length=255)
    phone: str | None = Field(default=None, max_length=20)
    email: str | None = Field(default=None, max_length=255)
    guardian_phone: str | None = Field(default=None, max_length=20)
    guardian_email: str | None = Field(default=None, max_length=255)


class Incoming(SQLModel, table=True):
    """A change to a known visit that waits for the guard, or for a person once it is held."""

    __tablename__ = "incoming"
    clinic: str = Field(primary_key=True, max_length=64)
    source: str = Field(primary_key=True, max_length=64)
    source_key: str = Field(primary_key=True, max_length=255)
    appointment: int = Field(sa_type=BigInteger)
    what: str = Field(max_length=120)
    start_at: datetime | None = Field(default=None, sa_column=_maybe())
    new_start_at: datetime | None = Field(default=None, sa_column=_maybe())
    content: str | None = Field(default=None, sa_type=Text)
    run: str = Field(max_length=26)
    held: int | None = Field(default=None, sa_type=BigInteger)
    rejected: bool = False


class Held(SQLModel, table=True):
    """What a guard stopped, in numbers."""

    __tablename__ = "held"
    id: int | None = Field(default=None, sa_column=_number())
    clinic: str = Field(max_length=64, index=True)
    source: str = Field(max_length=64)
    guard: str = Field(max_length=20)
    visits: int
    known: int
    since: datetime = Field(sa_column=_instant())
    summary: str = Field(sa_type=Text)
    state: str = Field(max_length=16)  # open | released | rejected | dissolved
    closed_at: datetime | None = Field(default=None, sa_column=_maybe())


class Quarantine(SQLModel, table=True):
    """A record, event or message that was set aside, with its raw text."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("clinic", "fingerprint", name="quarantine_fingerprint"),)
    id: int | None = Field(default=None, sa_column=_number())
    clinic: str = Field(max_length=64)
    fingerprint: str = Field(max_length=32)
    kind: str = Field(max_length=8)
    source: str = Field(max_length=64)
    source_key: str | None = Field(default=None, max_length=255)
    place: str = Field(max_length=300)
    line_no: int | None = None
    column_no: int | None = None
    field: str | None = Field(default=None, max_length=80)
    reason: str = Field(max_length=40)
    detail: str = Field(sa_type=Text)
    raw: str = Field(sa_type=Text)
    first_seen_at: datetime = Field(sa_column=_instant())
    last_seen_at: datetime = Field(sa_column=_instant())
    times: int = 1
    run: str = Field(max_length=26)
    first_run: str = Field(max_length=26)


class Event(SQLModel, table=True):
    """A visit's place in one calendar: what is wanted, what was written, and how that went."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_state", "clinic", "state"),
        Index("events_ref", "clinic", "ref"),
        Index("events_calendar", "calendar", "clinic", "state"),
        Index("events_touched", "clinic", "touched_at"),
    )
    clinic: str = Field(max_length=64)
    appointment: int = Field(primary_key=True, sa_type=BigInteger)
    calendar: str = Field(primary_key=True, max_length=320)  # NAME:ADDRESS
    ref: str = Field(max_length=64)
    state: str = Field(max_length=16)  # put | remove | synced | removed | blocked | hidden | held
    sequence: int = 0
    written: bytes | None = None  # fingerprint of what was last written
    memo: str = Field(default="{}", sa_type=Text)
    tries: int = 0
    next_try_at: datetime | None = Field(default=None, sa_column=_maybe())
    reason: str = Field(default="", max_length=40)
    detail: str = Field(default="", sa_type=Text)
    changed_at: datetime = Field(sa_column=_instant())
    hands: str | None = Field(default=None, sa_type=Text)  # what others did: see `sync.hands`
    touched_at: datetime | None = Field(default=None, sa_column=_maybe())  # the last time
    wish: int = Field(  # another one each time something is wanted
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")}
    )
    # put | remove: what else was wanted since the calendar last answered, and may have been done
    doubt: str = Field(default="", max_length=8, sa_column_kwargs={"server_default": ""})


class Unlinked(SQLModel, table=True):
    """An event that stands in a calendar which nobody of its visit is linked to any more."""

    __tablename__ = "unlinked"
    __table_args__ = (Index("unlinked_clinic", "clinic", "calendar"),)
    clinic: str = Field(max_length=64)
    appointment: int = Field(primary_key=True, sa_type=BigInteger)
    calendar: str = Field(primary_key=True, max_length=320)


class Calendar(SQLModel, table=True):
    """A calendar that something was ever to be written to, and whether it takes it.

    `cursor_json` is where the last look at it ended, `strangers` the other installations whose events
    may stand there. `tries` looks in a row ended in a wait; nothing is tried before `retry_at`.
    """

    __tablename__ = "calendars"
    clinic: str = Field(primary_key=True, max_length=64)
    calendar: str = Field(primary_key=True, max_length=320)
    state: str = Field(max_length=16)  # ok | blocked | stopped: as all of its account
    reason: str = Field(default="", max_length=40)
    fix: str = Field(default="", sa_type=Text)
    since: datetime = Field(sa_column=_instant())
    cursor_json: str | None = Field(default=None, sa_type=Text)
    retry_at: datetime | None = Field(default=None, sa_column=_maybe())
    tries: int | None = None
    done_at: datetime | None = Field(default=None, sa_column=_maybe())
    looked_at: datetime | None = Field(default=None, sa_column=_maybe())
    strangers: str | None = Field(default=None, sa_type=Text)


class Told(SQLModel, table=True):
    """What one person was last told of one visit."""

    __tablename__ = "told"
    clinic: str = Field(max_length=64)
    appointment: int = Field(primary_key=True, sa_type=BigInteger)
    recipient: str = Field(primary_key=True, max_length=300)
    facts: str = Field(sa_type=Text)
    told_at: datetime = Field(sa_column=_instant())
    told_by: str | None = Field(default=None, max_length=40)
    channel: str | None = Field(default=None, max_length=16)
    kind: str | None = Field(default=None, max_length=16)


class Contact(SQLModel, table=True):
    """What was learned of an address (known by an opaque id): it wants no messages, or gets none.

    `state` is closed, or open once a person said so.
    """

    __tablename__ = "contacts"
    clinic: str = Field(primary_key=True, max_length=64)
    address: str = Field(primary_key=True, max_length=40)
    channel: str = Field(max_length=16)
    state: str = Field(max_length=12)
    reason: str = Field(max_length=60)
    notifier: str = Field(max_length=64)
    recipient: str = Field(max_length=300)
    attempt: str = Field(max_length=40)
    learned_at: datetime = Field(sa_column=_instant())
    note: str | None = Field(default=None, sa_type=Text)


class Message(SQLModel, table=True):
    """The ledger: each thing owed to a person, once, with what became of it and why."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("clinic", "dedupe", name="messages_dedupe"),
        Index("messages_state", "clinic", "state", "due_at"),
        Index("messages_appointment", "appointment"),
    )
    id: int | None = Field(default=None, sa_column=_number())
    clinic: str = Field(max_length=64)
    dedupe: str = Field(max_length=32)
    appointment: int | None = Field(default=None, sa_type=BigInteger)
    recipient: str = Field(max_length=300)
    role: str = Field(max_length=8)
    kind: str = Field(max_length=16)
    step: str = Field(max_length=20)
    say: str = Field(sa_type=Text)
    setting: str = Field(max_length=80)
    state: str = Field(
        max_length=12
    )  # planned | sending | joined | sent | skipped | failed | unknown | unproven | held
    reason: str | None = Field(default=None, max_length=60)
    due_at: datetime = Field(sa_column=_instant())
    useless_after: datetime = Field(sa_column=_instant())
    next_try_at: datetime | None = Field(default=None, sa_column=_maybe())
    channel: str | None = Field(default=None, max_length=16)
    notifier: str | None = Field(default=None, max_length=64)
    tries: int = 0
    run: str = Field(max_length=26)
    created_at: datetime = Field(sa_column=_instant())
    settled_at: datetime | None = Field(default=None, sa_column=_maybe())
    held: int | None = Field(default=None, sa_type=BigInteger)
    shard: int = 0  # see sync.store.shards


class Together(SQLModel, table=True):
    """A message that leaves within another one: several visits of one person on one day."""

    __tablename__ = "together"
    __table_args__ = (Index("together_told_with", "told_with"),)
    clinic: str = Field(max_length=64)
    message: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    told_with: int = Field(sa_type=BigInteger)


class Attempt(SQLModel, table=True):
    """One call to one notifier, written before the first byte leaves."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("attempts_state", "clinic", "state"),
        _of_some("attempts_provider", "provider_id"),
        _of_some("attempts_look", "look_at"),
        Index("attempts_contact", "contact", "started_at"),
    )
    id: str = Field(primary_key=True, max_length=40)
    clinic: str = Field(max_length=64)
    message: int = Field(sa_type=BigInteger, index=True)
    notifier: str = Field(max_length=64)
    state: str = Field(
        max_length=12
    )  # sending | accepted | rejected | undelivered | not_sent | unknown | abandoned; handed_over once
    reason: str = Field(default="", max_length=60)
    detail: str = Field(default="", sa_type=Text)
    provider_id: str | None = Field(default=None, max_length=255)
    body: str | None = Field(default=None, sa_type=Text)
    started_at: datetime = Field(sa_column=_instant())
    finished_at: datetime | None = Field(default=None, sa_column=_maybe())
    run: str = Field(max_length=26)
    # No provider can have it from before: the earlier of business time and the real clock.
    begun_at: datetime | None = Field(default=None, sa_column=_maybe())
    nothing_since: datetime | None = Field(default=None, sa_column=_maybe())  # looks found nothing
    delivery: str | None = Field(default=None, max_length=12)  # how far it came, once accepted
    look_at: datetime | None = Field(default=None, sa_column=_maybe())  # when to ask for that
    contact: str | None = Field(default=None, max_length=40)  # this person at this address, opaque


class Alert(SQLModel, table=True):
    """Something that needs a person, from its beginning to its end: see `sync.alerts`."""

    __tablename__ = "alerts"
    __table_args__ = (Index("alerts_open", "clinic", "closed_at"),)
    id: int | None = Field(default=None, sa_column=_number())
    clinic: str = Field(max_length=64)
    name: str = Field(max_length=160)  # such as notifier/NAME: what it is that is wrong
    since_at: datetime = Field(sa_column=_instant())
    what: str = Field(sa_type=Text)
    follows: str = Field(sa_type=Text)
    command: str = Field(sa_type=Text)
    told_at: datetime | None = Field(default=None, sa_column=_maybe())  # the message was written
    closed_at: datetime | None = Field(default=None, sa_column=_maybe())


class Erased(SQLModel, table=True):
    """Who was erased, as nothing but a keyed hash: so that a record that is read again stays away.

    `kind` is patient, visit, or record for one that was set aside; `done_at` when nothing of them was
    left, which takes until their events have left the calendars.
    """

    __tablename__ = "erased"
    clinic: str = Field(primary_key=True, max_length=64)
    mark: str = Field(primary_key=True, max_length=40)
    kind: str = Field(max_length=8)
    erased_at: datetime = Field(sa_column=_instant())
    who: str = Field(max_length=120)
    done_at: datetime | None = Field(default=None, sa_column=_maybe())


class Audit(SQLModel, table=True):
    """What a person did that altered something; only ever added to: see `sync.store.audit`."""

    __tablename__ = "audit"
    clinic: str = Field(primary_key=True, max_length=64)
    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    done_at: datetime = Field(sa_column=_instant())  # by the database's clock
    actor: str = Field(max_length=120)
    action: str = Field(max_length=40)
    about: str = Field(max_length=120)  # KIND/ID, never a name
    reason: str = Field(sa_type=Text)
    details: str = Field(sa_type=Text)
    before_hash: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class Lease(SQLModel, table=True):
    """Who may work on what, until when; the token fences off an owner that came back from the dead."""

    __tablename__ = "leases"
    clinic: str = Field(primary_key=True, max_length=64)
    name: str = Field(primary_key=True, max_length=80)
    owner: str = Field(max_length=160)
    token: int = Field(sa_type=BigInteger)
    until: float


class Run(SQLModel, table=True):
    """One run of the program on a clinic."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_started", "clinic", "started_at"),)
    id: str = Field(primary_key=True, max_length=26)
    clinic: str = Field(max_length=64)
    command: str = Field(max_length=16)
    started_at: datetime = Field(sa_column=_instant())
    finished_at: datetime | None = Field(default=None, sa_column=_maybe())
    business_time: datetime = Field(sa_column=_instant())
    exit_code: int | None = None
    report: str | None = Field(default=None, sa_type=Text)


metadata = SQLModel.metadata
