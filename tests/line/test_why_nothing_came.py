"""Planted causes for which no message came or no event stands: `why` tells each by its own code.

Each scene is lived through once, with real runs over exports; then `why REF --json` is asked of every
cause that was planted in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from clinicrelay import plugins
from clinicrelay.testing.diary import Diary
from sync.other_names import OTHER_NAMES
from sync.reasons import REASONS, base, in_words, to_do
from tests.line.conftest import Line, houses
from tests.line.planted import FRIDAY, PATIENT, SCENES, typed

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "reason-codes.md"


class Cause(NamedTuple):
    """A cause that a scene plants: what is asked for, and the code, setting and words that are told."""

    what: str
    scene: str
    ask: str
    code: str
    setting: str | None
    words: str


CAUSES = [Cause(**one) for one in YAML(typ="safe").load(Path(__file__).with_name("causes.yaml"))]
# Causes that are one and the same to a clinic, and have one code: what differs is said in the answer.
ALIKE = {
    "outside_policy": "the settings do not ask for it",
    "superseded_by_reschedule": "the new time is told instead",
    "paused": "a person paused it",
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Line]]:
    """Live through a scene once, for all causes that are planted in it."""
    find = plugins.find

    def found(room: str, name: str) -> Any:
        return Diary if (room, name) == ("calendars", "diary") else find(room, name)

    @cache
    def live(scene: str) -> Line:
        folder = tmp_path_factory.mktemp("scene")
        with pytest.MonkeyPatch.context() as patch:
            line = houses(f"sqlite:///{folder}/store.db", folder, patch)()
            SCENES[scene](line)
        return line

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "find", found)
        yield live


def asked(line: Line, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(typed(line, "why", reference, "--json"))
    return found


def told(found: Mapping[str, Any]) -> set[tuple[str, str | None]]:
    """Return every code that an answer gives, each with the setting that it names."""
    lines = [*found["history"], *found["messages"], found]
    if found["next"]:
        lines.append(found["next"])
    return {(one["reason"], one["setting"]) for one in lines if one["reason"]}


def reference(line: Line, ask: str) -> str:
    """Return what is asked for: as it stands, or the id of something that belongs to a visit."""
    what, of, key = ask.rpartition(" of ")
    if not of:
        return ask
    if what == "our id":
        of_visit = f"JOIN appointments a ON a.id = m.appointment WHERE a.source_key = '{key}'"
        return f"m{line.query(f'SELECT max(m.id) FROM messages m {of_visit}')[0][0]}"
    found = asked(line, key)
    if what == "event":
        return str(found["events"][0]["ref"])
    return str(found["messages"][0]["attempts"][0]["provider_id"])


@pytest.mark.parametrize("cause", CAUSES, ids=lambda one: one.what)
def test_each_planted_cause_is_told_by_its_code_its_setting_and_what_to_do(
    lived: Callable[[str], Line], cause: Cause
) -> None:
    line = lived(cause.scene)
    found = asked(line, reference(line, cause.ask))
    codes = told(found)
    assert (cause.code, cause.setting) in codes, codes
    assert cause.words in found["answer"], found["answer"]
    assert found["reason"] is None or found["to_do"]


STOPPED = {
    "1": "no_contact",
    "2": "invalid_contact",
    "3": "landline",
    "4": "opted_out",
    "5": "minor_no_guardian",
    "6": "deceased",
    "7": "test_patient",
    "9": "invalid_contact",
}


@pytest.mark.parametrize("key", STOPPED)
@pytest.mark.parametrize("scene", ["people_of_wednesday", "unconfirmed_people_of_wednesday"])
def test_what_stops_every_message_is_the_reason_and_not_the_step_that_came_too_late(
    lived: Callable[[str], Line], scene: str, key: str
) -> None:
    found = asked(lived(scene), key)
    assert found["reason"] == STOPPED[key], found["answer"]
    assert found["next"]["reason"] == STOPPED[key]
    assert in_words(STOPPED[key]) in found["answer"]
    assert found["to_do"] == to_do(STOPPED[key])
    late = [line["what"] for line in found["history"] if line["reason"] == "late_booking"]
    assert late == ["reminder 3d skipped"]


def test_no_reminder_is_promised_while_its_notifier_sends_nothing(
    lived: Callable[[str], Line],
) -> None:
    line = lived("locked_out_since")
    found = asked(line, "1")
    assert (found["reason"], found["setting"]) == ("account_refused", "notifiers.outbox")
    assert (found["next"]["reason"], found["next"]["channel"]) == ("account_refused", "sms")
    assert found["to_do"] == to_do("account_refused")
    assert ", sms: waits, account_refused" in typed(line, "why", "1")


def test_paused_calendars_are_the_reason_and_no_message_is(lived: Callable[[str], Line]) -> None:
    found = asked(lived("calendars_paused"), "1")
    assert (found["reason"], found["setting"]) == ("paused", "clinicrelay pause calendars")
    assert found["to_do"] == "clinicrelay resume calendars"
    assert "messages" not in found["answer"]
    (event,) = found["events"]
    assert (event["reason"], event["fix"]) == ("paused", "clinicrelay resume calendars")
    assert {
        (line["what"], line["setting"]) for line in found["history"] if line["reason"] == "paused"
    } == {("calendar is to be written", "clinicrelay pause calendars")}


def test_a_record_that_was_mended_has_its_story_and_no_other_reason(
    lived: Callable[[str], Line],
) -> None:
    line = lived("mended")
    new, known = asked(line, "1"), asked(line, "2")
    assert [(one["at"], one["what"], one["reason"]) for one in new["history"]] == [
        ("2026-11-23T08:10:00Z", "record set aside", "unknown_status"),
        ("2026-11-24T14:00:00Z", "record mended, taken in", None),
        ("2026-11-24T14:00:00Z", "first seen", "mended"),
        ("2026-11-24T14:00:00Z", "reminder 3d skipped", "late_booking"),
    ]
    assert new["reason"] == "mended"
    assert "The reminder 3d fell due while it was set aside" in new["answer"]
    whats = [one["what"] for one in known["history"]]
    after = whats[whats.index("record set aside") :]
    assert after[1:] == [
        "record mended, taken in",
        "rescheduled",
        "reminder 3d sent",
        "change sent",
    ]
    assert known["reason"] is None
    assert json.loads(typed(line, "quarantine", "list", "--json")) == []


def test_what_is_wrong_again_after_it_was_mended_is_set_aside_anew(line: Line) -> None:
    line.set(reminders={"patient": PATIENT}, calendars={})
    line.book(99, "2026-12-24 10:00")
    line.book(1, FRIDAY)
    line.after("2026-11-23 09:00")
    for status in ("XQ", "scheduled", "XQ"):
        line.change(1, status=status)
        line.after()
    found = asked(line, "1")
    assert found["reason"] == "unknown_status"
    aside = [one["at"] for one in found["history"] if one["what"] == "record set aside"]
    assert aside == ["2026-11-23T08:15:00Z"]
    (one,) = json.loads(typed(line, "quarantine", "list", "--json"))
    assert (one["key"], one["count"]) == ("1", 1)


@pytest.mark.parametrize(
    ("key", "language", "words"),
    [
        (
            "1",
            "de",
            "It was written in de, as there are no texts in fa, the patient's language: write",
        ),
        ("2", "fr", "(confirmation). The next reminder"),
        ("3", "fr", "It was written in fr; the patient's language is es now. The next"),
    ],
)
def test_a_text_in_another_language_than_the_patients_is_told(
    lived: Callable[[str], Line], key: str, language: str, words: str
) -> None:
    found = asked(lived("another_language"), key)
    (message,) = found["messages"]
    assert message["language"] == language
    assert words in found["answer"]
    detail = next(one["detail"] for one in found["history"] if one["what"] == "confirmation sent")
    assert ("in de, not fa" in detail) is (key == "1")


def test_the_causes_are_many_and_have_codes_of_their_own() -> None:
    codes = [one.code for one in CAUSES]
    twice = {code for code in codes if codes.count(code) > 1}
    assert len(set(codes)) >= 50
    assert twice <= ALIKE.keys()
    assert len({one.words for one in CAUSES}) == len(CAUSES)


@pytest.mark.parametrize("code", sorted({base(one.code) for one in CAUSES}))
def test_each_code_stands_in_the_table_and_on_the_page(code: str) -> None:
    assert code in REASONS
    assert f"| `{code}` |" in PAGE.read_text()


# What people who run such systems ask for, by the names that they know.
WELL_KNOWN = """
no_contact invalid_contact channel_off opted_out(source) not_opted_in minor_no_guardian
already_confirmed already_sent too_late_when_seen past_visit quiet_hours_deferred cut_off_passed
outside_policy(type,_location,_doctor) new_doctor_unmapped doctor_calendar_unlinked
credential_expired provider_rejected undelivered rate_or_quota cap_reached paused quarantined(field)
source_stale awaiting_approval superseded_by_reschedule cancelled told_recently rehearsal
only_recipients contact_changed gone
"""


@pytest.mark.parametrize("name", WELL_KNOWN.replace(",_", ", ").split("\n")[1:-1])
def test_each_well_known_reason_is_a_code_or_stands_beside_one(name: str) -> None:
    planted = {base(one.code) for one in CAUSES}
    for one in re.split(r" (?![^(]*\))", name):
        other = OTHER_NAMES.get(one)
        assert one in planted or other is not None, one
        for code in other.codes if other else ():
            assert code in REASONS
        if other:
            assert f"| {one} |" in PAGE.read_text()
