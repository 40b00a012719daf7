"""What a clinic says of the one message that a test is about, and the visit that it is about."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from sync.explain import stories
from sync.explain_json import message_json
from sync.health import health

if TYPE_CHECKING:
    from tests.crash.scene import Scene

IMPORTED = "2026-11-23T09:00"
TOMORROW, FAR_AHEAD = datetime(2026, 11, 24, 12), datetime(2026, 12, 10, 12)
DONE = 0


def visit(start: datetime, **cells: str) -> dict[str, str]:
    return {
        "appointment_id": "7",
        "start": f"{start:%Y-%m-%d %H:%M}",
        "status": "scheduled",
        "patient_id": "P7",
        "patient_name": "Pat Sample",
        "mobile": "+4915155500007",
        "email": "p7@mail.example",
        "doctor_id": "acar",
        **cells,
    }


def imported(scene: Scene, start: datetime) -> None:
    for old in (scene.folder / "drops" / "reception").iterdir():
        old.unlink()
    scene.drop([visit(start)], 1)
    assert scene.sync_here(IMPORTED) == DONE


class Told(NamedTuple):
    """What `why` and `status` say of the one message."""

    state: str
    reason: str | None
    answer: str
    unknown: int
    needs: list[str]


def told(scene: Scene, now: str) -> Told:
    with scene.opened(now) as at_work:
        with at_work.store.read() as connection:
            (number,) = connection.exec_driver_sql("SELECT id FROM appointments").one()
        (story,) = stories(at_work, [number])
        (message,) = map(message_json, story.messages)
        found = health(at_work)
        return Told(
            message["state"],
            message["reason"],
            story.answer,
            found.json()["messages"]["unknown"],
            [need.what for need in found.needs if "arrived" in need.what],
        )
