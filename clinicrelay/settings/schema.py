"""The shape of settings.yaml: every key with its type, its default and what it is for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    model_validator,
)

from clinicrelay.contracts import ClinicFacts
from clinicrelay.settings.callbacks import Callbacks
from clinicrelay.settings.local import LocalPath
from clinicrelay.settings.monitoring import Alerts, Monitoring
from clinicrelay.settings.running import Runner
from clinicrelay.settings.telling import (
    Channels,
    Confirmation,
    Digest,
    DoctorReminders,
    PatientReminders,
    QuietHours,
    Reminders,
    Step,
)
from clinicrelay.settings.upkeep import HoldIf, Logging, Retention, Safety, Store
from clinicrelay.settings.values import (
    CalendarSpan,
    Country,
    Email,
    Language,
    Name,
    Phone,
    RateLimit,
    Said,
    Section,
    SomeTime,
    Whole,
    Zone,
    none_if_off,
    with_off,
    wrong,
)
from clinicrelay.times import Span

__all__ = [
    "Alerts",
    "CalendarSettings",
    "CalendarWindow",
    "Callbacks",
    "Channels",
    "Clinic",
    "Confirmation",
    "Digest",
    "Doctor",
    "DoctorReminders",
    "EventText",
    "HoldIf",
    "Logging",
    "Monitoring",
    "NotifierSettings",
    "PatientReminders",
    "QuietHours",
    "Reminders",
    "Retention",
    "Runner",
    "Safety",
    "Settings",
    "Source",
    "SourceWindow",
    "Step",
    "Store",
]


class Clinic(Section):
    """Whose appointments these are."""

    id: Name = Field(
        description="Short name that never changes; part of every identity in the store.",
        examples=["riverside"],
    )
    name: Said = Field(
        min_length=1,
        description="The name that patients read.",
        examples=["Riverside Family Clinic"],
    )
    timezone: Zone = Field(
        description="IANA time zone of the clinic; times without a zone are read in it.",
        examples=["Europe/Berlin"],
    )
    country: Country = Field(
        description="ISO 3166 code; phone numbers in local notation are read for it.",
        examples=["DE"],
    )
    language: Language = Field(
        description="Language of messages to people whose own is unknown or has no texts.",
        examples=["de"],
    )
    phone: Phone | None = Field(
        default=None,
        description="Number that patients may call, in quotes and with its country code.",
        examples=["+493012345678"],
    )
    email: Email | None = Field(
        default=None,
        description="Address that patients may write to.",
        examples=["frontdesk@riverside.example"],
    )
    address: str | None = Field(
        default=None,
        description="Where the clinic is, for messages and invitations.",
        examples=["Uferstrasse 5, 13357 Berlin"],
    )

    def facts(self) -> ClinicFacts:
        """Return what plugins may know of the clinic."""
        return ClinicFacts(
            id=self.id,
            name=self.name,
            timezone=self.timezone,
            country=self.country,
            language=self.language,
            phone=self.phone,
            email=self.email,
            address=self.address,
        )


def _days(count: int) -> Span:
    return Span(count, timedelta(), f"{count}d")


class SourceWindow(Section):
    """The stretch of time that is read, around now."""

    past: CalendarSpan = Field(default=_days(1), description="How far back.", examples=["1d"])
    future: CalendarSpan = Field(
        default=_days(120), description="How far ahead.", examples=["120d"]
    )


class Source(Section):
    """What every source has; all other keys are its type's own."""

    type: str = Field(description="The connector that reads it.", examples=["csv"])
    mapping: str | None = Field(
        default=None,
        description="What the source's words mean: a name in mappings/, or a path. Absent: the "
        "connector's own.",
        examples=["clinic_csv"],
    )
    stale_after: SomeTime = Field(
        default=timedelta(minutes=30),
        description="Without a complete read for so long, status turns red; without any, reminders "
        "and digests wait. Absent: three times its rhythm, and at least 30 minutes for status, 2 hours "
        "for reminders; those of files wait only where this is set, or their folder cannot be read.",
        examples=["30m"],
    )
    timeout: SomeTime = Field(
        default=timedelta(seconds=30), description="Longest wait for one answer.", examples=["30s"]
    )
    rate: RateLimit | None = Field(
        default=None, description="Most calls in a period. Absent: no limit.", examples=["5/s"]
    )
    budget: RateLimit | None = Field(
        default=None, description="Most calls in one run. Absent: no limit.", examples=["2000/run"]
    )
    gone_after: Whole | None = Field(
        default=None,
        ge=1,
        description="Complete reads without a visit before it counts as gone. Absent: the "
        "connector's own.",
        examples=[2],
    )
    verify_before_send: Literal["auto", "off"] = Field(
        default="auto",
        description="Before a reminder leaves, ask the source once more whether its visit stands; "
        "`auto` does so where it can be asked for single visits and was not read just now.",
        examples=["auto"],
    )
    window: SourceWindow = Field(
        default=SourceWindow(),
        description="The stretch of time that is read, around now.",
        examples=[{"past": "1d", "future": "120d"}],
    )
    options: Any = Field(default=None, description="The connector's own keys, in its own shape.")


class EventText(Section):
    """How much a doctor's calendar gives away about a visit."""

    detail: Literal["busy", "minimal", "initials", "full"] = Field(
        default="minimal",
        description="What an event's title says of the patient; the last two show personal data.",
        examples=["minimal"],
    )
    phi_acknowledged: bool = Field(
        default=False,
        description="Whether the clinic has decided that personal data may stand in calendars.",
        examples=[True],
    )
    domains: tuple[str, ...] = Field(
        default=(),
        description="Domains of the calendars that may show personal data.",
        examples=[["riverside.example"]],
    )

    @model_validator(mode="after")
    def _personal_data_is_acknowledged(self) -> EventText:
        bold = self.detail in ("initials", "full")
        if bold and not (self.phi_acknowledged and self.domains):
            raise wrong(
                f"detail {self.detail} puts personal data into calendars",
                "add phi_acknowledged: true and domains: [your.domain], or write detail: minimal",
            )
        return self


class CalendarWindow(Section):
    """The stretch of time that a calendar is kept for."""

    past: CalendarSpan = Field(
        default=_days(7), description="How far back events are kept in agreement.", examples=["7d"]
    )


class IfDoctor(Section):
    """What is done about a doctor's own changes to events; none of them changes an appointment."""

    deletes: Literal["respect", "restore", "ask"] = Field(
        default="respect",
        description="An event that the doctor deleted. respect: it stays away until the visit gets "
        "another time; restore: it is put back; ask: as respect, and somebody is to look at it.",
        examples=["respect"],
    )
    moves: Literal["revert", "keep", "propose"] = Field(
        default="revert",
        description="An event that the doctor moved. revert: it is put back; keep: it stays there "
        "until the visit changes; propose: as keep, and somebody is to look at it.",
        examples=["revert"],
    )


class CalendarSettings(Section):
    """What every calendar has; all other keys are its type's own."""

    type: str = Field(description="The kind of calendar.", examples=["ics"])
    event: EventText = Field(
        default=EventText(),
        description="How much an event gives away.",
        examples=[{"detail": "minimal"}],
    )
    window: CalendarWindow = Field(
        default=CalendarWindow(),
        description="The stretch of time that is kept; ahead it is whatever the source covers.",
        examples=[{"past": "7d"}],
    )
    if_doctor: IfDoctor = Field(
        default=IfDoctor(),
        description="What is done about a doctor's own changes to events.",
        examples=[{"deletes": "respect", "moves": "revert"}],
    )
    options: Any = Field(default=None, description="The calendar's own keys, in its own shape.")


class NotifierSettings(Section):
    """What every notifier has; all other keys are its type's own."""

    type: str = Field(description="The service that sends.", examples=["smtp"])
    timeout: SomeTime = Field(
        default=timedelta(seconds=30), description="Longest wait for one answer.", examples=["30s"]
    )
    rate: RateLimit | None = Field(
        default=None,
        description="Most messages in a period, of all processes together. Absent: no limit of ours.",
        examples=["1/s"],
    )
    at_once: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Most processes that use it at the same time, each with one request after the "
        "other, where the provider limits that. Absent: no limit of ours.",
        examples=[2],
    )
    when_no_receipt: Literal["next_channel", "nothing"] = Field(
        default="next_channel",
        description="What follows where the provider still cannot say that a reminder, change or "
        "cancellation arrived, two hours later or, less than half a day before the visit, a sixth of "
        "the time: it leaves by the next channel too, once, or `nothing`, for carriers that never say.",
        examples=["nothing"],
    )
    options: Any = Field(default=None, description="The notifier's own keys, in its own shape.")


def _kind_of_link(value: Any) -> str:
    return "each" if isinstance(value, dict) else "any"


Link: TypeAlias = Annotated[
    Annotated[dict[str, Said], Tag("each")] | Annotated[Said, Tag("any")],
    Discriminator(_kind_of_link),
]


class Doctor(Section):
    """One doctor: how sources call them, and where their calendar is."""

    id: str = Field(
        pattern=r"^[A-Za-z0-9._-]+$", description="Short name for commands.", examples=["acar"]
    )
    name: str | None = Field(
        default=None,
        description="Name to use instead of the source's.",
        examples=["Dr. Elif Acar"],
    )
    match: Link = Field(
        description="The practitioner's id in the sources: one for all of them, or one a source.",
        examples=[{"main_ehr": "Practitioner/17"}],
    )
    calendar: Link | None = Field(
        default=None,
        description="The doctor's calendar: one address, or one a calendar. Absent: the e-mail.",
        examples=["elif.acar@riverside.example"],
    )
    email: Email | None = Field(
        default=None,
        description="Where the doctor is written to.",
        examples=["acar@riverside.example"],
    )
    phone: Phone | None = Field(
        default=None, description="Where the doctor gets SMS.", examples=["+4915111111111"]
    )


class Settings(Section):
    """One clinic's settings, read and checked; all paths in it that are its own are absolute."""

    version: Literal[1] = Field(description="The version of this format.", examples=[1])
    clinic: Clinic = Field(
        description="Whose appointments these are.",
        examples=[
            {
                "id": "riverside",
                "name": "Riverside Family Clinic",
                "timezone": "Europe/Berlin",
                "country": "DE",
                "language": "de",
            }
        ],
    )
    data: LocalPath = Field(
        default=Path("var"),
        validate_default=True,
        description="Folder of everything that is kept: store, log, calendars, outbox. Back it up.",
        examples=["/var/lib/clinicrelay"],
    )
    store: Store = Field(default=Store(), description="Where the store is.")
    sources: dict[Name, Source] = Field(
        default={},
        description="Where appointments come from, each under a name of your choice.",
        examples=[{"reception": {"type": "csv", "contents": "snapshot"}}],
    )
    calendars: dict[Name, CalendarSettings] = Field(
        default={},
        description="Where doctors see them, each under a name of your choice. Absent: nowhere.",
        examples=[{"files": {"type": "ics"}}],
    )
    doctors: tuple[Doctor, ...] = Field(
        default=(),
        description="Links practitioners to calendars. Absent: their e-mail is the calendar.",
        examples=[[{"id": "acar", "match": "17", "calendar": "acar@riverside.example"}]],
    )
    notifiers: dict[Name, NotifierSettings] = Field(
        default={},
        description="What sends messages, each under a name of your choice. Absent: nothing.",
        examples=[{"outbox": {"type": "outbox"}}],
    )
    channels: Channels = Field(
        default=Channels(), description="Which way people are reached first, and consent."
    )
    reminders: Reminders = Field(
        default=Reminders(), description="What is said, and when. Absent: nothing."
    )
    quiet_hours: Annotated[QuietHours | None, BeforeValidator(none_if_off)] = Field(
        default=QuietHours(),
        json_schema_extra=with_off,
        description="When nobody is disturbed; `off` switches it off, with a warning.",
        examples=[{"from": "21:00", "to": "08:00"}],
    )
    templates: LocalPath | None = Field(
        default=None,
        description="Folder of the clinic's own texts. Absent: `templates` beside the settings file, if "
        "there is one and no other clinic's file.",
        examples=["templates"],
    )
    safety: Safety = Field(default=Safety(), description="What stops a disaster.")
    runner: Runner = Field(
        default=Runner(), description="What several workers wake each other by; only for `worker`."
    )
    logging: Logging = Field(default=Logging(), description="What is written down.")
    retention: Retention = Field(default=Retention(), description="How long things are kept.")
    monitoring: Monitoring = Field(
        default=Monitoring(), description="How the clinic hears that something is wrong."
    )

    callbacks: Callbacks = Field(
        default=Callbacks(), description="Where providers may report what became of messages."
    )

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    def model_post_init(self, context: Any, /) -> None:
        if context and "folder" in context:
            self._folder = context["folder"]

    @property
    def folder(self) -> Path:
        """The settings file's folder, absolute: where the relative paths of sources begin."""
        return self._folder

    @property
    def log_file(self) -> Path:
        """The log file, absolute."""
        return self.data / self.logging.file

    @property
    def store_url(self) -> str:
        """The store's URL as SQLAlchemy wants it; it may hold a password."""
        return self.store.resolved_url(self.data)
