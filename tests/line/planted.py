"""Scenes in which causes are planted for which no message comes, or no event stands."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google_peer.peer import GooglePeer

import commands
import mappings
from clinicrelay.contracts import EventResult, Message, Outcome, SendResult
from clinicrelay.testing.diary import Diary, World
from clinicrelay.testing.http_server import Reply
from clinicrelay.times import iso
from notifiers.outbox import Outbox
from sync.store import standings
from tests.line.conftest import Line, visit
from tests.notifiers.peers import PROVIDERS, Peer

FRIDAY = "2026-11-27 10:00"
PATIENT: dict[str, Any] = {"confirmation": {"channels": ["email"]}, "steps": ["3d", "1d", "1h"]}
BY_SMS: dict[str, Any] = {"confirmation": {"channels": ["sms"]}, "steps": ["1d"]}


def typed(line: Line, *words: str) -> str:
    """Type a command at the clinic, and return what it says."""
    assert line.loaded  # the file is written by then
    said = io.StringIO()
    more = ["--settings", str(line.file), "--now", iso(line.now)]
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as end:
        commands.main([*words, *more])
    assert end.value.code in (0, 3)
    return said.getvalue()


def opened(line: Line, **said: Any) -> Line:
    """Let a clinic be there since Monday morning, with an import that is news to nobody."""
    line.set(**{"reminders": {"patient": PATIENT}, "calendars": {}, **said})
    line.book(99, "2026-12-24 10:00")
    line.after("2026-11-23 09:00")
    return line


def person(key: int) -> dict[str, str]:
    """Return the cells of an export that say whose visit it is."""
    same = visit(key)
    return {name: same[name] for name in ("patient_id", "patient_name", "mobile", "email")}


def people(line: Line, start: str = FRIDAY, rules: Mapping[str, Any] = BY_SMS) -> None:
    """Patients whom nobody can or may reach, as their source has them."""
    columns = (
        "guardian_name",
        "guardian_phone",
        "birth_date",
        "sms_consent",
        "deceased",
        "is_test",
    )
    opened(line, reminders={"patient": rules})
    for key, cells in {
        1: {"mobile": "", "email": ""},
        2: {"mobile": "12", "email": "nobody"},
        3: {"mobile": "030 123456"},
        4: {"sms_consent": "no"},
        5: {"mobile": "", "email": "", "birth_date": "2019-03-04"},
        6: {"deceased": "yes"},
        7: {"is_test": "yes"},
        8: {"patient_id": "", "patient_name": "", "mobile": "", "email": ""},
        9: {"mobile": "12345", "email": ""},
    }.items():
        line.book(key, start, **{**dict.fromkeys(columns, ""), **cells})
    line.after()


def people_of_wednesday(line: Line) -> None:
    """The same, whose visit is too near for the first reminder."""
    steps = [{"before": before, "channels": ["sms"]} for before in ("3d", "1d")]
    people(line, "2026-11-25 12:00", {**BY_SMS, "steps": steps})


def unconfirmed_people_of_wednesday(line: Line) -> None:
    steps = [{"before": before, "channels": ["sms"]} for before in ("3d", "1d")]
    people(line, "2026-11-25 12:00", {"steps": steps})


def by_mail(line: Line) -> None:
    """Consent, restrictions and channels of the settings."""
    opened(
        line,
        reminders={"patient": {**PATIENT, "steps": [{"before": "1d", "channels": ["sms"]}]}},
        channels={"consent": {"email": "recorded", "sms": "off"}},
        safety={"only_recipients": ["*@mail.example"]},
    )
    line.book(1, FRIDAY, email_consent="")
    line.book(2, FRIDAY, email="x@other.example", email_consent="yes")
    line.book(3, FRIDAY, email_consent="yes")
    line.after()


def no_notifier(line: Line) -> None:
    """The only notifier for SMS was taken out of the settings."""
    opened(line, reminders={"patient": BY_SMS}, channels={"sms": []})
    line.book(1, FRIDAY)
    line.after()


def silent(line: Line) -> None:
    """The settings ask for no message at all."""
    opened(line, reminders={"doctor": {"steps": ["1h"]}})
    line.book(1, FRIDAY)
    line.after()


def first_read(line: Line) -> None:
    line.set(reminders={"patient": PATIENT}, calendars={})
    line.book(1, FRIDAY)
    line.after("2026-11-23 09:00")


def week(line: Line) -> None:
    """What time and reception do to visits, and what the settings leave unsaid."""
    late = {"before": "3d", "latest": "12h"}
    opened(
        line, reminders={"patient": {**PATIENT, "steps": [late, "1d", "1h"], "on_cancel": False}}
    )
    line.book(1, "2026-11-24 09:15")
    line.book(2, "2026-11-24 12:00")
    for key in range(3, 12):
        line.book(key, f"2026-12-04 {key + 5:02}:00")
    line.book(12, "2026-11-27 10:00")
    line.book(13, "2026-11-28 10:30")
    line.book(14, "2026-12-01 10:00", location="Hafenweg")
    line.book(15, "2026-12-01 12:00", location="Hafenweg", **person(14))
    line.book(16, "2026-11-27 11:05")
    line.book(17, "2026-12-04 19:00")
    line.after("2026-11-23 09:30")
    line.quietly("2026-11-23 12:00")
    line.cancel(3)
    line.change(4, start="2026-12-04 09:02")
    line.change(5, status="entered-in-error")
    line.change(6, status="pending")
    line.change(7, start="")
    line.change(8, status="arrived")
    line.change(17, status="did not arrive")
    line.change(9, **person(77))
    line.cancel(10)
    line.book(20, "2026-12-05 11:00", **person(10))
    line.after()
    for key in (21, 22, 23):
        line.book(key, f"2026-12-04 {key - 6}:00")
    line.change(11, start="2026-12-05 18:00")
    line.after("2026-11-23 23:00")
    line.cancel(21)
    line.change(22, start="2026-12-05 14:00")
    line.change(11, start="2026-12-04 16:00")
    line.after("2026-11-23 23:30")
    line.quietly("2026-11-24 08:00")
    line.quietly("2026-11-27 11:00")
    line.quietly("2026-11-30 10:30")


def at_night(line: Line) -> None:
    opened(line)
    line.book(1, FRIDAY)
    line.after("2026-11-23 23:00")


def vanished(line: Line) -> None:
    opened(line)
    line.book_many(20)
    line.book(1, FRIDAY)
    line.after()
    del line.rows["1"]
    line.after()


def held(line: Line) -> None:
    """A guard holds a read that cancels everything."""
    line.set(reminders={"patient": PATIENT}, calendars={})
    line.book_many(20)
    line.book(1, "2026-11-24 09:30")
    line.after("2026-11-23 09:00")
    for key in list(line.rows):
        line.cancel(key)
    line.after()
    line.quietly("2026-11-24 08:40")


def flood(line: Line) -> None:
    opened(line, safety={"max_messages_per_run": 3})
    for key in range(1, 12):
        line.book(key, "2026-12-01 10:00")
    line.after()


def rejected(line: Line) -> None:
    """A person looks at a flood and wants none of it."""
    flood(line)
    typed(line, "held", "reject", "h1")


def capped(line: Line) -> None:
    opened(line, safety={"caps": {"day": 1, "week": 2}})
    for n in range(1, 5):
        line.book(n, f"2026-12-0{n} 10:00", **person(1))
    line.after()


def paused(line: Line, *scopes: str) -> None:
    """Patients and doctors are paused."""
    rules = {"doctor": {"steps": ["1h"]}, "patient": PATIENT}
    opened(line, reminders=rules)
    for scope in scopes or ("patients", "doctors"):
        stop(line, scope)
    line.book(1, "2026-11-24 12:00")
    line.after()
    line.after("2026-11-24 11:01")


def notifier_paused(line: Line) -> None:
    paused(line, "outbox")


def calendars_paused(line: Line) -> None:
    """Calendars are paused; a visit is booked whose first reminder's time is over."""
    opened(line, calendars={"files": {"type": "ics"}}, reminders={"patient": PATIENT})
    stop(line, "calendars")
    line.book(1, "2026-11-25 12:00")
    line.after()


def stop(line: Line, scope: str) -> None:
    def stopped(at_work: Any) -> None:
        with at_work.store.write() as connection:
            standings.pause(
                connection, at_work.store.clinic, scope, reason="wrong texts", until=None,
                since=at_work.now, who="test",
            )  # fmt: skip

    line.at_work(stopped)


def aside(line: Line) -> None:
    """Records that nobody can read: of a visit that is known, and of two that are not."""
    opened(line)
    line.book(1, FRIDAY)
    line.after()
    line.change(1, status="XQ")
    line.book(2, "soon")
    line.book(3, "2026-13-45 10:00")
    line.after()


def mended(line: Line) -> None:
    """A word is added to the mapping after two visits with it were set aside, one of them new."""
    opened(line)
    line.book(2, FRIDAY)
    line.after()
    line.book(1, FRIDAY, status="XQ")
    line.change(2, status="XQ", start="2026-11-27 12:00")
    line.after()
    ours = (Path(mappings.__file__).parent / "clinic_csv.yaml").read_text().partition("\ntests:")[0]
    known = "      scheduled: booked\n"
    (line.folder / "ours.yaml").write_text(ours.replace(known, f"{known}      xq: booked\n"))
    line.set(
        sources={
            "reception": {
                **line.settings["sources"]["reception"],
                "mapping": str(line.folder / "ours.yaml"),
            }
        }
    )
    line.quietly("2026-11-24 15:00")
    typed(line, "quarantine", "retry", "--all")
    line.quietly("2026-11-24 15:05")


def another_language(line: Line) -> None:
    """A patient's language has no texts; another's was corrected after they were told."""
    opened(line)
    line.book(1, FRIDAY, language="fa")
    line.book(2, FRIDAY, language="fr-CA")
    line.book(3, FRIDAY, language="fr")
    line.after()
    line.change(3, language="es")
    line.after()


def stale(line: Line) -> None:
    source = {**line.settings["sources"]["reception"], "stale_after": "2h"}
    opened(line, sources={"reception": source})
    line.book(1, "2026-11-24 14:00")
    line.after()
    line.quietly("2026-11-23 14:00")


def windowed(line: Line) -> None:
    """A database that is asked for a few days only."""
    line.folder.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(line.folder / "their.db") as theirs:
        theirs.execute("CREATE TABLE visits (id, start, patient_id, mobile)")
        theirs.execute("INSERT INTO visits VALUES (1, '2026-11-27 10:00', 'P1', '+4915155500001')")
        theirs.execute("INSERT INTO visits VALUES (2, '2027-11-27 10:00', 'P2', '+4915155500002')")
    theirs.close()
    query = "SELECT * FROM visits WHERE start >= :window_start AND start < :window_end"
    line.set(
        calendars={},
        sources={
            "billing": {
                "type": "sql",
                "url": f"sqlite:///{line.folder / 'their.db'}",
                "query": query,
                "strategy": "snapshot",
                "mapping": "clinic_csv",
                "window": {"future": "30d"},
            }
        },
    )
    line.sync("2026-11-23 09:00")


def rehearsal(line: Line) -> None:
    """Messages would leave the machine, and the clinic is not live."""
    smtp = {"type": "smtp", "host": "smtp.riverside.example", "from": "desk@riverside.example"}
    opened(line, notifiers={"mail": {**smtp, "username": "u", "password": "p"}})
    line.book(1, FRIDAY)
    line.after()


def twilio(line: Line) -> None:
    """A Twilio of our own that refuses, was told STOP, and says what did not arrive."""
    provider = PROVIDERS[0]
    peer = Peer(provider)
    try:
        sms = {**provider.options, "base_url": peer.door(), "timeout": "5s"}
        opened(line, reminders={"patient": BY_SMS}, notifiers={"twilio": sms})
        for key, (code, status) in enumerate(
            [(21610, 400), (21211, 400), (21614, 400), (21408, 403)], 1
        ):
            line.book(key, FRIDAY)
            peer.now = line.now
            said = Reply({"code": code, "message": "No.", "status": status}, status)
            peer.fate = lambda said=said: said  # type: ignore[misc]
            line.after(timedelta(minutes=20))
        peer.fate = lambda: None
        line.book(5, FRIDAY, **person(1))
        line.book(6, FRIDAY)
        line.after(timedelta(minutes=20))
        peer.exchange.messages[0] |= {"status": "undelivered", "error_code": 30003}
        line.quietly(timedelta(hours=3))
        line.quietly(timedelta(hours=3))
        line.set(notifiers={"twilio": {**sms, "rate": "1/h"}})
        line.book(7, FRIDAY)
        line.book(8, FRIDAY)
        line.after("2026-11-24 09:00")
    finally:
        peer.close()


def answering(result: SendResult) -> Callable[[Line], None]:
    """Let whoever sends answer a confirmation so."""

    def scene(line: Line) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Outbox, "send", lambda self, message: result)
            opened(line)
            line.book(1, FRIDAY)
            line.after()

    return scene


def locked_out_since(line: Line) -> None:
    """A patient was told, and then nobody else was: the account may send no more."""
    opened(line)
    line.book(1, FRIDAY)
    line.after()
    refused = SendResult(Outcome.NOT_SENT, "account_refused", pause=AWAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outbox, "send", lambda self, message: refused)
        line.book(2, FRIDAY)
        line.after()
    line.now += timedelta(hours=3)


def told_another_way(line: Line) -> None:
    """The mail server is away while a reminder leaves by SMS, and comes back after it."""

    def send(self: Outbox, message: Message) -> SendResult:
        if self.kit.name == "mails" and line.now < away:
            return SendResult(Outcome.NOT_SENT, "unreachable")
        return SendResult(Outcome.ACCEPTED)

    opened(
        line,
        notifiers={
            name: {"type": "outbox", "folder": f"out/{name}"} for name in ("mails", "texts")
        },
        channels={"email": ["mails"], "sms": ["texts"]},
        reminders={"patient": {**PATIENT, "steps": [{"before": "1d", "channels": ["sms"]}]}},
    )
    away = line.now + timedelta(hours=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Outbox, "send", send)
        line.book(1, "2026-11-24 13:00")
        line.after()
        line.quietly("2026-11-23 13:01")
        line.quietly("2026-11-23 18:00")


def diary(line: Line) -> None:
    """Calendars that are not shared, whose login ended, and a doctor who deletes."""
    world = Diary.world = World()
    opened(line, calendars={"diary": {"type": "diary"}})
    for doctor, code in (("acar", "not_shared"), ("braun", "account_key")):
        world.troubles[doctor] = EventResult("", Outcome.NOT_SENT, reason=code, blocks=True)
    for key, doctor in enumerate(("acar", "braun", "costa"), 1):
        line.book(key, FRIDAY, doctor_id=doctor, doctor_email="")
    line.after()
    world.delete("costa")
    line.quietly()


def google(line: Line) -> None:
    """Doctors without a calendar: one whom nobody entered, and one entered without it."""
    with GooglePeer(seed=7) as peer:
        key = json.dumps(peer.service_account("relay@riverside.example"))
        opened(
            line,
            calendars={"google": {"type": "google", "credentials": key, "base_url": peer.url}},
            doctors=[{"id": "dunn", "match": "dunn", "name": "Dr. Dunn"}],
        )
        line.book(1, FRIDAY, doctor_id="novak", doctor_email="")
        line.book(2, FRIDAY, doctor_id="dunn", doctor_email="")
        line.book(3, FRIDAY, doctor_id="", doctor="", doctor_email="")
        line.after()


AWAY = timedelta(minutes=15)
SCENES: Mapping[str, Callable[[Line], object]] = {
    one.__name__: one
    for one in (
        *(people, by_mail, no_notifier, silent, first_read, week, at_night, vanished, held, flood),
        *(rejected, capped, paused, notifier_paused, aside, stale, windowed, rehearsal, twilio),
        *(told_another_way, diary, google, people_of_wednesday, unconfirmed_people_of_wednesday),
        *(locked_out_since, calendars_paused, mended, another_language),
    )
} | {
    "locked out": answering(SendResult(Outcome.NOT_SENT, "credentials_refused", pause=AWAY)),
    "used up": answering(SendResult(Outcome.NOT_SENT, "quota_used_up", pause=AWAY)),
    "answer lost": answering(SendResult(Outcome.UNKNOWN, "answer_lost")),
}
