"""Messages as files."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

import icalendar

from clinicrelay import Attachment, EventWrite, Message, Outcome, ical
from clinicrelay.testing import NOW, Arrived, NotifierContract, an_email, an_sms, kit
from clinicrelay.testing.kits import CLINIC
from notifiers.outbox import Options, Outbox, file_name


def outbox(folder: Path) -> Outbox:
    return Outbox(Options(), kit(folder))


def read(path: Path) -> EmailMessage:
    parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def sent(folder: Path, message: Message) -> EmailMessage:
    result = outbox(folder).send(message)
    assert result.provider_id
    return read(folder / "outbox" / result.provider_id)


class TestOutboxKeepsTheContract(NotifierContract):
    def make(self, folder: Path) -> Outbox:
        return outbox(folder)

    def arrived(self, folder: Path) -> Sequence[Arrived]:
        there = folder / "outbox"
        files = sorted(there.iterdir()) if there.is_dir() else []
        return [_mail(p) if p.suffix == ".eml" else _text(p) for p in files]

    def break_destination(self, folder: Path) -> None:
        there = folder / "outbox"
        if there.is_dir():
            there.rename(folder / "moved")
        there.write_text("a file where the folder should be")


def _mail(path: Path) -> Arrived:
    mail = read(path)
    assert not mail.defects
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    shown = html.get_content() if html else None
    return Arrived(mail["To"], text.get_content(), mail["Subject"], shown)


def _text(path: Path) -> Arrived:
    head, _, text = path.read_bytes().decode().partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    return Arrived(fields["To"], text)


def test_a_mail_has_the_headers_that_well_behaved_machines_send(tmp_path: Path) -> None:
    seen = sent(tmp_path, an_email())
    assert seen["From"] == "Riverside Family Clinic <frontdesk@riverside.example>"
    assert seen["Message-ID"] == "<cr0123abcd@riverside.clinicrelay>"
    assert seen["Auto-Submitted"] == "auto-generated"
    assert seen["Date"].datetime == NOW
    assert seen["Content-Language"] == "en"


def test_a_sender_from_the_settings_wins(tmp_path: Path) -> None:
    seen = sent(tmp_path, an_email(sender="Praxis Müller <noreply@riverside.example>"))
    assert seen["From"].addresses[0].display_name == "Praxis Müller"
    assert seen["From"].addresses[0].addr_spec == "noreply@riverside.example"


def test_a_sender_that_is_none_is_refused_and_the_setting_named(tmp_path: Path) -> None:
    result = outbox(tmp_path).send(an_email(sender="reception"))
    assert (result.outcome, result.reason) == (Outcome.REJECTED, "address_invalid")
    assert "`from`" in result.detail


def test_a_clinics_name_with_quotes_and_line_ends_stays_a_name(tmp_path: Path) -> None:
    from dataclasses import replace

    odd = replace(CLINIC, name='Clinic "X", <a@evil.example>\r\nBcc: b@evil.example', email=None)
    result = Outbox(Options(), kit(tmp_path, clinic=odd)).send(an_email())
    assert result.provider_id
    seen = read(tmp_path / "outbox" / result.provider_id)
    assert seen["Bcc"] is None
    assert [a.addr_spec for a in seen["From"].addresses] == ["noreply@riverside.clinicrelay"]


def test_an_invitation_is_both_a_part_that_programs_act_on_and_a_file(tmp_path: Path) -> None:
    text = ical.invite(
        EventWrite("r1", put=True, start=NOW, title="Appointment – Riverside"),
        "appt-1@riverside.clinicrelay",
        organizer=ical.Person("frontdesk@riverside.example"),
        attendee=ical.Person("jo@patient.example"),
    )
    invite = Attachment("invite.ics", "text/calendar; method=REQUEST", text)
    seen = sent(tmp_path, an_email(attachments=(invite,)))
    assert seen.get_content_type() == "multipart/mixed"
    alternative, file = seen.iter_parts()
    kinds = [p.get_content_type() for p in alternative.iter_parts()]
    assert kinds == ["text/plain", "text/html", "text/calendar"]
    part = list(alternative.iter_parts())[2]
    assert part["Content-Type"].params["method"] == "REQUEST"
    assert file.get_filename() == "invite.ics"
    assert file.get_content() == text.encode()
    for content in (part.get_content(), file.get_content()):
        assert icalendar.Calendar.from_ical(content)["METHOD"] == "REQUEST"


def test_the_file_name_says_when_what_and_how_but_not_who(tmp_path: Path) -> None:
    assert file_name(an_email()) == "20261123T080000Z-confirmation-email-cr0123abcd.eml"
    assert file_name(an_sms(kind="reminder")) == "20261123T080000Z-reminder-sms-cr0123abcd.txt"


def test_an_sms_says_what_it_would_cost(tmp_path: Path) -> None:
    result = outbox(tmp_path).send(an_sms(text="Olá! 🏥", language="pt"))
    assert result.provider_id
    assert (tmp_path / "outbox" / result.provider_id).read_text() == (
        "To: +12025550143\nChannel: sms\nLanguage: pt\nSegments: 1 (UCS-2)\n\nOlá! 🏥"
    )


def test_messages_are_for_the_owners_eyes(tmp_path: Path) -> None:
    result = outbox(tmp_path).send(an_email())
    assert result.provider_id
    assert (tmp_path / "outbox" / result.provider_id).stat().st_mode & 0o077 == 0


def test_an_attempt_written_twice_has_the_same_bytes_but_for_mime_borders(tmp_path: Path) -> None:
    first = outbox(tmp_path).send(an_sms())
    assert first.provider_id
    path = tmp_path / "outbox" / first.provider_id
    before = path.read_bytes()
    assert outbox(tmp_path).send(an_sms()) == first
    assert path.read_bytes() == before
