"""Status, people, places and keys: what the words of a record become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clinicrelay import Appointment, BadRecord, Channel, Issue, Modality, Refused, Status
from clinicrelay.model import Kind

Apply = Callable[..., Appointment]
START = "start: {path: start, zone: clinic}"
WHEN = {"start": "2026-12-01 09:30"}


# --- status ------------------------------------------------------------------------------------

STATUS = "status: {path: st, default: booked, table: {Nicht erschienen: no_show, '*': arrived}}"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("nicht-erschienen", Status.NO_SHOW),
        ("NICHT ERSCHIENEN", Status.NO_SHOW),
        ("*", Status.ARRIVED),
        ("Checked In", Status.CHECKED_IN),
        ("", Status.BOOKED),
    ],
)
def test_status_words_are_compared_folded_and_symbols_as_they_are(
    visit: Apply, word: str, expected: Status
) -> None:
    assert visit(STATUS, _key="1", st=word).status is expected


def test_the_word_as_it_was_sent_is_kept(visit: Apply) -> None:
    assert visit(STATUS, _key="1", st=" Nicht erschienen ").status_raw == "Nicht erschienen"


@pytest.mark.parametrize(
    ("word", "named"),
    [("XQ", True), ("Pre-reg done", True), ("%", False), ("call 0151 23456789 first", False)],
)
def test_an_unknown_status_sets_the_record_aside_and_names_only_a_code(
    visit: Apply, word: str, named: bool
) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit(STATUS, _key="7", st=word)
    assert (wrong.value.reason, wrong.value.field, wrong.value.key) == (
        "unknown_status",
        "status",
        "7",
    )
    assert (word in wrong.value.detail) is named


def test_unknown_can_be_given_a_meaning_and_is_then_told(visit: Apply) -> None:
    got = visit("status: {path: st, unknown: unknown}", _key="1", st="XQ")
    assert got.status is Status.UNKNOWN
    assert Issue("unknown_status", "status") in got.issues


def test_another_unknown_word_takes_the_default_with_an_issue(visit: Apply) -> None:
    got = visit("modality: {path: m, table: {tele: video}, default: phone}", _key="1", m="pigeon")
    assert got.modality is Modality.PHONE
    assert Issue("unknown_modality", "modality") in got.issues


FLAGS = (
    "status: {path: st}\nstatus.deleted: {path: deleted}\nstatus.cancelled: {path: cancelled}\n"
    "status.no_show: {path: no_show}\nstatus.checked_out: {path: out}\n"
    "status.in_progress: {path: going}\nstatus.arrived: {path: arrived}\n"
    "status.confirmed: {path: confirmed}"
)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"st": "booked", "deleted": "1", "cancelled": "yes"}, "entered_in_error"),
        ({"st": "booked", "cancelled": "2026-11-20", "no_show": "x"}, "cancelled"),
        ({"st": "booked", "cancelled": "3/4/2026"}, "cancelled"),
        ({"st": "booked", "no_show": "ja", "out": "ja"}, "no_show"),
        ({"st": "booked", "out": "true", "going": "true"}, "fulfilled"),
        ({"st": "booked", "going": "Y", "arrived": "Y"}, "in_progress"),
        ({"st": "booked", "arrived": "Sí"}, "arrived"),
        ({"st": "booked", "arrived": "no", "cancelled": "0", "deleted": ""}, "booked"),
        ({"st": "pending", "confirmed": "yes"}, "booked"),
        ({"st": "cancelled", "confirmed": "yes"}, "cancelled"),
        ({"st": "fulfilled", "arrived": "yes"}, "fulfilled"),
        ({"st": "", "cancelled": True}, "cancelled"),
    ],
)
def test_of_flags_and_words_the_gravest_wins(
    visit: Apply, cells: dict[str, Any], expected: str
) -> None:
    assert visit(FLAGS, _key="1", **cells).status == expected


def test_a_flag_that_cannot_be_read_could_mean_a_cancellation(visit: Apply) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit(FLAGS, _key="1", st="booked", cancelled="patient is ill")
    assert (wrong.value.reason, wrong.value.field) == ("unreadable_flag", "status.cancelled")
    assert "ill" not in wrong.value.detail


# --- people and places ---------------------------------------------------------------------------

PATIENT = (
    "patient.key: {path: pid}\npatient.name: {path: name}\npatient.phone: {path: phone}\n"
    "patient.email: {path: mail}\npatient.language: {path: lang}\n"
    "patient.birth_date: {path: born}"
)


def test_contact_data_is_brought_into_one_form(visit: Apply) -> None:
    got = visit(
        PATIENT,
        _key="1",
        pid=17.0,
        name="  Ada\u00a0 Sample ",
        phone="0151 23456789",
        mail="Ada <Ada.S@Mail.Example>",
        lang="Deutsch",
    )
    (patient,) = got.patients
    assert (patient.key, patient.name) == ("17", "Ada Sample")
    assert (patient.phone, patient.email) == ("+4915123456789", "Ada.S@mail.example")
    assert patient.language == "de"
    assert got.kind is Kind.VISIT


def test_contact_data_nobody_can_use_is_left_out_and_told(visit: Apply) -> None:
    got = visit(PATIENT, _key="1", pid="1", phone="ask mother", mail="ada@", lang="klingon")
    (patient,) = got.patients
    assert (patient.phone, patient.email, patient.language) == (None, None, None)
    assert {(i.code, i.field) for i in got.issues} >= {
        ("invalid_phone", "patient.phone"),
        ("invalid_email", "patient.email"),
        ("invalid_language", "patient.language"),
    }


def test_a_patient_without_id_is_known_again_by_name_and_birth_date(visit: Apply) -> None:
    def key(**cells: str) -> str:
        return visit(PATIENT, _key="1", **cells).patients[0].key

    ada = key(name="Ada Sample", born="1990-01-01", phone="0151 23456789")
    assert ada == key(name="ADA  SAMPLE", born="1990-01-01", phone="0151 99999999")
    assert ada != key(name="Ada Sample", born="1991-01-01", phone="0151 23456789")
    assert ada.startswith("auto-")
    assert len(ada) == len("auto-") + 16
    assert key(name="Ada Sample", mail="a@mail.example") != key(
        name="Ada Sample", mail="b@mail.example"
    )


def test_without_a_patient_it_is_a_block(visit: Apply) -> None:
    got = visit(PATIENT + "\npractitioner.name: {path: doc}", _key="1", pid="", name="", doc="Dr X")
    assert got.kind is Kind.BLOCK
    assert got.patients == ()


def test_a_practitioner_without_id_is_known_by_mail_or_else_by_name(visit: Apply) -> None:
    fields = "practitioner.name: {path: doc}\npractitioner.email: {path: mail}"
    by_mail = visit(fields, _key="1", doc="Dr. Élif Acar", mail="Elif@Riverside.Example")
    by_name = visit(fields, _key="1", doc="Dr. Élif Acar", mail="")
    assert by_mail.practitioners[0].key == "elif@riverside.example"
    assert by_name.practitioners[0].key == "dr-elif-acar"
    assert visit(fields, _key="1", doc="", mail="").practitioners == ()


def test_a_place_is_whatever_is_known_of_it(visit: Apply) -> None:
    fields = "location.key: {path: id}\nlocation.name: {path: name}"
    place = visit(fields, _key="1", id="", name="Main").location
    assert place is not None
    assert (place.key, place.name) == (None, "Main")
    assert visit(fields, _key="1", id="", name="").location is None


def test_a_preferred_channel_a_zone_and_a_death_are_taken_along(visit: Apply) -> None:
    fields = (
        PATIENT + "\npatient.preferred_channel: {path: way}\npatient.timezone: {path: tz}\n"
        "patient.deceased: {path: dead}"
    )
    got = visit(fields, _key="1", pid="1", way="WhatsApp", tz="Europe/Lisbon", dead="2026-01-01")
    (patient,) = got.patients
    assert patient.preferred_channel == Channel.WHATSAPP
    assert (patient.timezone, patient.deceased) == ("Europe/Lisbon", True)
    lost = visit(fields, _key="1", pid="1", way="", tz="Lisbon", dead="")
    assert lost.patients[0].timezone is None
    assert Issue("unknown_timezone", "patient.timezone") in lost.issues


CONSENT = (
    PATIENT
    + "\n"
    + "\n".join(f"patient.consent.{one}: {{path: {one}}}" for one in ("sms", "whatsapp", "email"))
)


def test_a_channel_is_agreed_to_refused_or_neither(visit: Apply) -> None:
    (patient,) = visit(CONSENT, _key="1", pid="1", sms="x", whatsapp="No", email="").patients
    assert (patient.opted_in, patient.opted_out) == ((Channel.SMS,), (Channel.WHATSAPP,))


def test_a_consent_that_nobody_can_read_is_neither_and_told(visit: Apply) -> None:
    got = visit(CONSENT, _key="1", pid="1", sms="perhaps", whatsapp="", email="")
    assert (got.patients[0].opted_in, got.patients[0].opted_out) == ((), ())
    assert Issue("invalid_bool", "patient.consent.sms") in got.issues


@pytest.mark.parametrize(
    ("word", "refused"), [("stopped", True), ("Nein", True), ("fine", False), ("ja", False)]
)
def test_a_flag_may_have_words_of_its_own_beside_yes_and_no(
    visit: Apply, word: str, refused: bool
) -> None:
    field = "patient.consent.sms: {path: sms, table: {stopped: 'no', fine: true}}"
    (patient,) = visit(f"{PATIENT}\n{field}", _key="1", pid="1", sms=word).patients
    assert bool(patient.opted_out) is refused
    assert bool(patient.opted_in) is not refused


# --- keys ------------------------------------------------------------------------------------------


def test_the_connectors_own_key_wins(visit: Apply) -> None:
    assert visit("key: {path: id}", _key="abc", id="7").key == "abc"
    assert visit("key: {path: id}", id=" 7 ").key == "7"


def test_a_required_key_that_is_missing_sets_the_record_aside(visit: Apply) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit("key: {path: id, required: true}", id="")
    assert (wrong.value.reason, wrong.value.field) == ("missing", "key")


def test_without_an_id_the_key_is_made_of_who_with_whom_and_when(visit: Apply) -> None:
    fields = f"{START}\npatient.key: {{path: pid}}\npractitioner.key: {{path: doc}}"

    def key(**cells: str) -> str:
        return visit(fields, **{"pid": "1", "doc": "2", **WHEN, **cells}).key

    assert key() == key(start="01.12.2026 09:30")
    assert len({key(), key(pid="2"), key(doc="3"), key(start="2026-12-01 09:45")}) == 4
    assert key().startswith("auto-")


@pytest.mark.parametrize("cells", [{"start": "", "pid": "1"}, {**WHEN, "pid": ""}])
def test_too_little_to_make_a_key_of_sets_the_record_aside(
    visit: Apply, cells: dict[str, str]
) -> None:
    with pytest.raises(BadRecord) as wrong:
        visit(f"{START}\npatient.key: {{path: pid}}", **cells)
    assert (wrong.value.reason, wrong.value.field) == ("missing", "key")


# --- text --------------------------------------------------------------------------------------------


def test_text_is_composed_clean_and_trimmed(visit: Apply) -> None:
    fields = "service: {path: s}\nnotes: {path: n}"
    got = visit(fields, _key="1", s="\u00a0Zoe\u0308\x07 \ud800one\r\ntwo\u200b ", n=" a\r\nb\x00 ")
    assert got.service == "Zoë one two"
    assert got.notes == "a\nb"


def test_long_text_is_cut_with_an_issue_and_a_long_key_is_not(visit: Apply) -> None:
    got = visit("service: {path: s}\nnotes: {path: n}", _key="1", s="a" * 300, n="b" * 3000)
    assert (len(got.service or ""), len(got.notes or "")) == (255, 2000)
    assert got.issues[-2:] == (Issue("cut", "service"), Issue("cut", "notes"))
    with pytest.raises(BadRecord, match="too_long"):
        visit("key: {path: id}", id="7" * 256)


def test_words_for_nothing_are_nothing_in_any_case(visit: Apply) -> None:
    got = visit("service: {path: s}", 'nulls: ["n/a"]\n', _key="1", s=" N/A ")
    assert got.service is None


# --- transforms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "cell", "expected"),
    [
        ("{path: s, regex: '#(\\d+)'}", "visit #12 b", "12"),
        ("{path: s, regex: '\\d+'}", "visit 12", "12"),
        ("{path: s, regex: '\\d+'}", "none", None),
        ("{path: s, split: {on: '|', take: 1}}", "a | b", "b"),
        ("{path: s, split: {on: '|', take: 5}}", "a | b", None),
        ("{path: s, split: '|'}", "a | b", "a"),
        ("{path: s, strip: '#*'}", "#*x*", "x"),
        ("{path: s, lower: true}", "ABC", "abc"),
        ("{path: s, lower: true, strip: 'a'}", "ABA", "b"),
        ("{literal: Checkup}", "x", "Checkup"),
        ("{path: s, table: {a: Alpha}}", "A", "Alpha"),
        ("{path: s, table: {a: Alpha}, default: Other}", "z", "Other"),
        ("{path: s, table: {a: Alpha}, unknown: Odd}", "z", "Odd"),
        ("{path: nowhere, default: Other}", "z", "Other"),
        ("{path: s, type: date}", "1. Dezember 2026", "2026-12-01"),
        ("{path: s, type: time}", "9.30 Uhr", "09:30:00"),
    ],
)
def test_every_transform_does_what_it_says(
    visit: Apply, field: str, cell: str, expected: str | None
) -> None:
    assert visit(f"service: {field}", _key="1", s=cell).service == expected


def test_any_takes_the_first_that_holds_something_and_join_what_there_is(visit: Apply) -> None:
    fields = "service: {any: [a, {join: [b, c], with: '-'}]}"
    assert visit(fields, _key="1", a="x", b="y", c="z").service == "x"
    assert visit(fields, _key="1", a="", b="y", c="z").service == "y-z"
    assert visit(fields, _key="1", a="", b="", c="z").service == "z"


def test_what_is_to_be_skipped_is_no_visit(visit: Apply) -> None:
    skip = "skip_if: {path: type, equals: [Break, lunch]}\n"
    assert visit("service: {path: type}", skip, _key="1", type="BREAK") is None
    assert visit("service: {path: type}", skip, _key="1", type="checkup") is not None


# --- where things are -------------------------------------------------------------------------------


def test_columns_are_found_by_synonym_and_two_for_one_are_refused_by_name(visit: Apply) -> None:
    fields = "service: {path: service, also: [Leistung, 'visit type']}"
    assert visit(fields, _key="1", LEISTUNG="x").service == "x"
    assert visit(fields, _key="1", Visit_Type="x").service == "x"
    with pytest.raises(Refused, match=r'"Leistung" and "Visit-Type"|"Visit-Type" and "Leistung"'):
        visit(fields, _key="1", **{"Leistung": "x", "Visit-Type": "y"})


def test_a_table_without_a_required_column_is_refused_with_what_it_needs(visit: Apply) -> None:
    with pytest.raises(Refused, match="no column for key") as wrong:
        visit("key: {path: id, also: [nr], required: true}", other="7")
    assert "id" in wrong.value.fix
