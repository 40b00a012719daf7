"""A patient who was erased: nothing of them is left, and nothing of them comes back by itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sync import erasure
from sync.store import audit
from sync.store.tables import metadata

if TYPE_CHECKING:
    from sync.clinic import Clinic
    from sync.erasure import Erasure
    from tests.line.conftest import Line

CANARY = {
    "patient_id": "CANARYKEY",
    "patient_name": "Canaryfirst Canarylast",
    "mobile": "+4915155512345",
    "email": "canary@mail.example",
    "notes": "CANARYNOTE",
    "guardian_name": "Canaryguardian Canarylast",
    "guardian_phone": "+4915155567890",
    "guardian_email": "canaryguardian@mail.example",
}
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
STRINGS = ("canary", "5155512345", "5155567890")
FULL = {"files": {"type": "ics", "event": {"detail": "full", "phi_acknowledged": True,
        "domains": ["riverside.example"]}}}  # fmt: skip


@pytest.fixture
def planted(line: Line) -> Line:
    """A clinic with a patient whose every string is a canary, to whom everything has happened."""
    line.set(calendars=FULL)
    line.book(1, "2026-11-23 16:00", **CANARY)
    line.book_many(20)
    line.drop()
    line.sync()
    line.change(1, start="2026-11-23 17:30")
    line.book(2, "2026-11-24 08:00", **CANARY)
    line.book(3, "2026-11-24 08:30", **{**CANARY, "status": "CANARYSTATUS"})
    line.drop()
    line.sync("2026-11-23 10:00")
    line.sync("2026-11-23 17:00")
    line.change(2, status="cancelled")
    line.drop()
    line.sync("2026-11-23 18:45")
    assert found_in(line)["store"]
    assert found_in(line)["files"]
    return line


def forget(line: Line, who: str = "reception/CANARYKEY", **asked: bool) -> Erasure:
    def erased(at_work: Clinic) -> Erasure:
        (one,) = erasure.find(at_work, who)
        return erasure.erase(at_work, one, by="anna@desk", **asked)

    return line.at_work(erased)


def found_in(line: Line) -> dict[str, list[str]]:
    """Return where a canary is: rows of the store, its very file, all other files but the inbox."""
    rows = line.queries(f"SELECT {name}.* FROM {name}" for name in metadata.tables)
    store = [
        f"{name}: {row}"
        for name, some in zip(metadata.tables, rows, strict=True)
        for row in some
        if is_canary(repr(row))
    ]
    files = [str(path) for path in line.folder.rglob("*") if path.is_file() and held_by(path)]
    return {"store": store, "files": files}


def held_by(path: Path) -> bool:
    content = path.read_bytes()
    unfolded = content.replace(b"\r\n ", b"").replace(b"=\r\n", b"").replace(b"=\n", b"")
    return is_canary((content + unfolded).decode("utf-8", "replace"))


def is_canary(text: str) -> bool:
    return any(one in text.casefold() for one in STRINGS)


def test_no_string_of_theirs_is_left_in_any_row_or_file(planted: Line) -> None:
    others = {
        name: one
        for name, one in planted.visits().items()
        if name.partition("/")[2] not in ("1", "2", "3")
    }
    assert len(others) == 20
    done = forget(planted)
    assert done.done, done
    assert found_in(planted) == {"store": [], "files": []}
    assert planted.visits().keys() == others.keys() == planted.visits().keys()
    assert len(planted.events()) == 20  # theirs have left the calendar, nobody else's
    exports = [*(planted.folder / "drops" / "reception" / "processed").rglob("visits*.csv")]
    assert all(
        path.read_text().count("Sample") == 20 for path in exports if "rejects" not in path.name
    )


@ON_SQLITE
def test_the_file_of_the_store_keeps_nothing_in_its_free_space(planted: Line) -> None:
    file = Path(planted.store_url.partition("///")[2])
    forget(planted)
    for end in ("", "-wal", "-shm"):
        part = file.with_name(file.name + end)
        assert not part.exists() or not held_by(part)
    with sqlite3.connect(file) as look:
        assert look.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_same_records_do_not_come_back_and_nothing_is_sent(planted: Line) -> None:
    forget(planted)
    before, book = planted.outbox(), planted.visits()
    planted.change(1, location="elsewhere", notes="CANARYNOTE again")
    planted.change(3, minutes="45")  # still bad, and said in other words
    assert planted.after("2026-11-24 10:00") == []
    assert planted.after("2026-11-25 10:00") == []
    assert planted.outbox() == before
    assert planted.visits() == book
    assert planted.set_aside() == []
    assert found_in(planted)["store"] == []


@ON_SQLITE
def test_old_visits_under_new_numbers_stay_away_and_a_new_booking_is_a_new_beginning(
    planted: Line,
) -> None:
    forget(planted)
    planted.book(71, "2026-11-23 16:00", **CANARY)  # the same visit, numbered anew
    planted.book(72, "2026-11-30 16:00", **CANARY)  # one that nobody knew of
    said = planted.after("2026-11-24 10:00")
    assert "reception/71" not in planted.visits()
    assert "reception/72" in planted.visits()
    assert {to for _, to in said} == {CANARY["guardian_email"]}


@ON_SQLITE
def test_visits_still_to_come_are_a_conflict_unless_they_are_meant_as_well(line: Line) -> None:
    line.set(calendars=FULL)
    line.book(1, "2026-12-01 16:00", **CANARY)
    line.book_many(5)
    line.drop()
    line.sync()

    def ahead(at_work: Clinic) -> list[str]:
        (who,) = erasure.find(at_work, "CANARYKEY")
        return [one.key for one in erasure.holdings(at_work, who).ahead]

    assert line.at_work(ahead) == ["1"]
    assert forget(line, ahead=True).done
    before = line.outbox()
    line.change(1, start="2026-12-02 09:00")
    assert line.after("2026-11-23 12:00") == []
    assert line.after("2026-12-01 16:00") == []
    assert [one for one in line.outbox() if one not in before and is_canary(repr(one))] == []
    assert line.visits().keys() == {f"reception/{n}" for n in range(100, 105)}
    assert len(line.events()) == 5
    assert found_in(line)["store"] == []


@ON_SQLITE
def test_others_keep_what_is_theirs_though_they_share_a_telephone(planted: Line) -> None:
    sibling = {"patient_id": "P9", "patient_name": "Bo Canarylast", "mobile": CANARY["mobile"],
               "email": "bo@mail.example", "notes": ""}  # fmt: skip
    planted.book(900, "2026-12-10 10:00", **sibling)
    planted.drop()
    planted.sync("2026-11-23 19:00")
    told = planted.query("SELECT count(*) FROM messages m WHERE m.recipient = 'patient/P9'")
    found = planted.at_work(lambda at_work: erasure.find(at_work, CANARY["mobile"]))
    assert {one.key for one in found} == {"CANARYKEY", "P9"}  # a person says which
    forget(planted)
    assert planted.query("SELECT count(*) FROM messages m WHERE m.recipient = 'patient/P9'") == told
    assert "reception/900" in planted.visits()
    processed = planted.folder / "drops" / "reception" / "processed"
    exports = [path for path in processed.rglob("*.csv") if "rejects" not in path.name]
    latest = max(exports, key=lambda path: path.stat().st_mtime)
    assert "Bo Canarylast" in latest.read_text()
    assert "CANARYKEY" not in latest.read_text()


def test_an_erasure_leaves_a_hash_and_who_did_it(planted: Line) -> None:
    forget(planted)

    def look(at_work: Clinic) -> tuple[str, list[str], int]:
        mark = erasure.erased_as(at_work, "reception/CANARYKEY")
        visit = erasure.erased_as(at_work, "1")
        assert mark is not None
        assert visit is not None
        assert mark.done_at is not None
        with at_work.store.read() as connection:
            deeds = [e for e in audit.entries(connection, "riverside") if e.action == "forget"]
            assert audit.verify(connection, "riverside").broken == []
        assert deeds[0].about == f"patient/{mark.mark}"
        return mark.who, [e.actor for e in deeds], json.loads(deeds[0].details)["visits"]

    assert planted.at_work(look) == ("anna@desk", ["anna@desk"], 2)


@ON_SQLITE
def test_a_wish_for_no_messages_outlives_whose_it_was(planted: Line) -> None:
    def opted_out(at_work: Clinic) -> None:
        with at_work.store.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO contacts (clinic, address, channel, state, reason, notifier, recipient, "
                "attempt, learned_at, note) VALUES ('riverside', 'crx', 'sms', 'closed', "
                "'opted_out', 'outbox', 'patient/CANARYKEY', 'cry', 1, 'Canaryfirst called')"
            )

    planted.at_work(opted_out)
    forget(planted)
    assert planted.query("SELECT address, state, recipient, note FROM contacts") == [
        ("crx", "closed", "", None)
    ]


@ON_SQLITE
def test_an_event_whose_calendar_cannot_be_written_goes_later(
    planted: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from calendars.ics import Ics

    def broken(*_: object) -> None:
        raise OSError(28, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(Ics, "_write", broken)
        done = forget(planted)
        assert done.events_left
        assert not done.done
    assert found_in(planted)["store"] == []  # but for an event of nobody
    planted.sync("2026-11-24 07:00")
    assert len(planted.events()) == 20
    finished = planted.at_work(erasure.go_on)
    assert finished is not None
    assert finished.done
    assert planted.at_work(erasure.go_on) is None
    assert found_in(planted) == {"store": [], "files": []}


def test_who_comes_back_with_a_restored_backup_is_erased_again(
    planted: Line, tmp_path: Path, house: Callable[..., Line]
) -> None:
    from sync.store import backup, opened, restore

    file = tmp_path / "before.zip"
    with opened(planted.store_url) as engine:
        backup.backup(engine, file, now=planted.now)
    forget(planted)
    with opened(planted.store_url) as engine:
        restore.restore(
            engine, file, clinic="riverside", replace=True, now=planted.now, who="anna@desk"
        )
    assert found_in(planted)["store"] != []
    done = planted.at_work(erasure.go_on)
    assert done is not None
    assert done.done, done
    assert found_in(planted)["store"] == []

    def deeds(at_work: Clinic) -> list[str]:
        with at_work.store.read() as connection:
            assert audit.verify(connection, "riverside").broken == []
            return [one.action for one in audit.entries(connection, "riverside")]

    assert planted.at_work(deeds)[-3:] == ["forget", "store.restore", "forget.again"]
