"""The log is read back whole, however it was rotated, cut off, or written to meanwhile."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sync import logbook
from sync.logbook import Line, Wanted

ALL = Wanted()


class Enough(Exception):
    """Nothing more is going to happen."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clinicrelay.jsonl"


def event(number: int, level: str = "info", run: str = "01A") -> str:
    return json.dumps({"event": f"e{number}", "level": level, "run": run}) + "\n"


def names(lines: list[Line]) -> list[str]:
    return [str(line.fields["event"]) for line in lines]


def last(file: Path, wanted: Wanted = ALL, most: int | None = None) -> list[str]:
    return names(logbook.last(file, wanted, most, end=logbook.whole_lines(file)))


def followed(file: Path, *happenings: Callable[[], object], after: int = 0) -> list[str]:
    """Follow a file in which something happens each time there is nothing to read."""
    todo, seen = list(happenings), []

    def wait() -> None:
        if not todo:
            raise Enough
        todo.pop(0)()

    with pytest.raises(Enough):
        seen.extend(_into(seen, logbook.follow(file, ALL, wait, after=after)))
    return names(seen)


def _into(seen: list[Line], lines: object) -> list[Line]:
    for line in lines:  # type: ignore[attr-defined]
        seen.append(line)
    return []


def append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(text)


# --- back ----------------------------------------------------------------------------------------


def test_there_need_not_be_a_log(file: Path) -> None:
    assert last(file) == []
    assert logbook.whole_lines(file) == 0


@pytest.mark.parametrize("number", [1, 2, 3000])
def test_the_last_lines_come_in_their_order_however_long_the_file_is(
    file: Path, number: int
) -> None:
    file.write_text("".join(event(n) for n in range(number)))

    assert last(file) == [f"e{n}" for n in range(number)]
    assert last(file, most=2) == [f"e{n}" for n in range(number)][-2:]


def test_lines_that_are_no_event_are_passed_over(file: Path) -> None:
    file.write_bytes(
        b'half a line"}\n' + event(1).encode() + b"[1]\n\n\xff\xfe\n42\n" + event(2).encode()
    )

    assert last(file) == ["e1", "e2"]


def test_a_line_that_is_still_being_written_is_left_for_later(file: Path) -> None:
    file.write_text(event(1) + event(2)[:20])

    assert last(file) == ["e1"]
    assert logbook.whole_lines(file) == len(event(1))


def test_level_and_run_narrow_the_lines(file: Path) -> None:
    file.write_text(event(1) + event(2, "error", "01B") + event(3, "warning") + event(4, "debug"))

    assert last(file, Wanted("warning")) == ["e2", "e3"]
    assert last(file, Wanted("info")) == ["e1", "e2", "e3"]
    assert last(file, Wanted(run="01B")) == ["e2"]


def test_older_lines_are_in_what_was_rotated_away(file: Path) -> None:
    older = (f"{file}-20261120.gz", f"{file}-20261121", f"{file}.1")
    for number, name in enumerate(older):
        path = Path(name)
        content = event(number).encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
        os.utime(path, (number, number))
    file.write_text(event(3))

    assert last(file) == ["e0", "e1", "e2", "e3"]
    assert last(file, most=2) == ["e2", "e3"]


def test_a_packed_file_that_was_cut_off_hides_no_other(file: Path) -> None:
    Path(f"{file}.1.gz").write_bytes(gzip.compress(event(1).encode() * 50)[:40])
    file.write_text(event(2))

    assert last(file) == ["e2"]


# --- on ------------------------------------------------------------------------------------------


def test_what_is_written_later_comes_as_it_is_written(file: Path) -> None:
    file.write_text(event(1))
    after = logbook.whole_lines(file)

    seen = followed(
        file, lambda: append(file, event(2)), lambda: append(file, event(3)), after=after
    )

    assert seen == ["e2", "e3"]


def test_a_line_in_two_pieces_is_one_line(file: Path) -> None:
    whole = event(1)
    file.write_text(whole[:7])

    assert followed(file, lambda: append(file, whole[7:])) == ["e1"]


def test_a_rotated_file_is_read_to_its_end_and_the_new_one_from_its_beginning(file: Path) -> None:
    file.write_text(event(1))

    def rotate() -> None:
        append(file, event(2))
        file.rename(f"{file}.1")

    assert followed(file, rotate, lambda: file.write_text(event(3))) == ["e1", "e2", "e3"]


def test_a_file_that_was_cut_short_is_read_from_its_beginning(file: Path) -> None:
    file.write_text(event(1) + event(2))

    assert followed(file, lambda: file.write_text(event(3))) == ["e1", "e2", "e3"]


def test_a_log_that_is_not_there_yet_is_waited_for(file: Path) -> None:
    assert followed(file, lambda: None, lambda: file.write_text(event(1))) == ["e1"]
