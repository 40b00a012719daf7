"""What a source said last is recalled: right or not at all, and in the usual cases always."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.reading import Met
from sync.recall import Recall
from sync.store.sightings import Sheet

PAGE = 4


def digest(visit: int) -> bytes:
    return visit.to_bytes(16)


def pages(visits: Sequence[int]) -> Iterator[list[bytes]]:
    for start in range(0, len(visits), PAGE):
        yield [digest(visit) for visit in visits[start : start + PAGE]]


class Source:
    """Sheets as the store keeps them: each is overwritten while the next read goes on."""

    def __init__(self, visits: Sequence[int]) -> None:
        self.sheets: dict[int, Sheet] = {}
        self.read(visits)

    def read(self, visits: Sequence[int]) -> list[int]:
        """Read these visits; return whose the records were taken for."""
        recall, found = Recall(self.sheets.get), []
        for number, said in enumerate(pages(visits)):
            sheet = recall.whose(said)
            assert sheet.digests == b"".join(said)
            assert [start // 10 for start in sheet.starts] == list(sheet.visits)
            found += sheet.visits
            whose = array("q", (int.from_bytes(one) for one in said))
            self.sheets[number] = Sheet(
                sheet.digests, whose, array("q", (10 * one for one in whose))
            )
        return found


def test_the_same_again_is_known_from_its_first_record_to_its_last() -> None:
    visits = range(1, 30)
    assert Source(visits).read(visits) == list(visits)


def test_a_first_read_knows_nothing() -> None:
    assert Source([]).read(range(1, 9)) == [0] * 8


@pytest.mark.parametrize("at", [0, 1, 5, 17, 29])
@pytest.mark.parametrize("new", [[100], [100, 101, 102, 103, 104]])
def test_rows_that_came_in_between_hide_none_of_the_others(at: int, new: list[int]) -> None:
    visits = list(range(1, 30))
    found = Source(visits).read([*visits[:at], *new, *visits[at:]])
    assert found == [*visits[:at], *[0] * len(new), *visits[at:]]


@pytest.mark.parametrize("first", [1, 4, 9])
def test_rows_that_went_hide_none_of_the_others(first: int) -> None:
    visits = list(range(1, 30))
    left = [*visits[first:12], *visits[13:]]
    assert Source(visits).read(left) == left


def test_changed_rows_are_unknown_and_no_other() -> None:
    visits = list(range(1, 30))
    changed = [visit + 100 if visit % 7 == 0 else visit for visit in visits]
    assert Source(visits).read(changed) == [v if v < 100 else 0 for v in changed]


def test_an_export_in_another_order_is_known() -> None:
    visits = list(range(1, 60))
    assert Source(visits).read(visits[::-1]) == visits[::-1]


def test_a_record_that_was_nobodys_is_nobodys_also_where_its_text_comes_twice() -> None:
    sheets = {0: Sheet(digest(1) + digest(1), array("q", [7, 0]), array("q", [70, 0]))}
    same = Recall(sheets.get).whose([digest(1), digest(1)])
    other = Recall(sheets.get).whose([digest(1), digest(2)])
    assert (list(same.visits), list(other.visits)) == ([7, 0], [7, 0])


@given(st.lists(st.integers(1, 25), max_size=40), st.lists(st.integers(1, 25), max_size=40))
def test_nobody_is_ever_taken_for_another(before: list[int], now: list[int]) -> None:
    for visit, found in zip(now, Source(before).read(now), strict=True):
        assert found in (visit, 0)
        assert not found or visit in before or now.count(visit) > 1


_NUMBERS = st.integers(0, 40) | st.integers((1 << 24) - 3, (1 << 24) + 3) | st.just(1 << 50)


@given(st.lists(st.lists(_NUMBERS, max_size=12), max_size=5))
def test_which_visits_were_met_before_is_known_whatever_their_numbers(
    reads: list[list[int]],
) -> None:
    met, seen = Met(), set[int]()
    for numbers in reads:
        before = []
        for place, number in enumerate(numbers):
            if number in seen:
                before.append(place)
            seen |= {number} - {0}
        assert met.add(numbers) == before
        assert all(number in met for number in seen)
