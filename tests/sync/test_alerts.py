"""When the clinic's own people are told: once when something lasts, once when it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sync.alerts import OPENED, RESOLVED, Condition, judge
from sync.store.alerts import Episode

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = {"notifier/twilio": 0, "notifier/smtp": 30, "source/ehr": 15}

# What is wrong at each of a series of looks, and how many minutes lie between them.
LOOKS = st.lists(
    st.tuples(st.integers(1, 20), st.sets(st.sampled_from(sorted(PATIENCE)))), max_size=40
)


def wrong(name: str, since: datetime, patience: int = 0) -> Condition:
    return Condition(name, f"{name} is wrong", "", "clinicrelay status", since, patience * MINUTE)


class Clinic:
    """What a series of looks tells, and since when each thing was really wrong."""

    def __init__(self) -> None:
        self.known: dict[str, Episode] = {}
        self.since: dict[str, datetime] = {}
        self.told: list[tuple[datetime, str, str]] = []
        self.now = NOW

    def look(self, names: set[str]) -> None:
        self.since = {name: self.since.get(name, self.now) for name in names}
        conditions = {n: wrong(n, self.since[n], PATIENCE[n]) for n in names}
        for step in judge(conditions, self.known, now=self.now):
            name = (step.after or step.before).name  # type: ignore[union-attr]
            if step.tells:
                self.told.append((self.now, name, step.tells))
            if step.after is None or step.after.closed_at:
                del self.known[name]
            else:
                self.known[name] = step.after
        assert judge(conditions, self.known, now=self.now) == [], "a second look finds nothing new"


@given(LOOKS)
def test_each_beginning_is_told_once_and_each_end_once_after_it(
    looks: list[tuple[int, set[str]]],
) -> None:
    clinic = Clinic()
    for minutes, names in looks:
        clinic.now += minutes * MINUTE
        clinic.look(names)
    for name in PATIENCE:
        steps = [step for _, one, step in clinic.told if one == name]
        assert steps == [OPENED, RESOLVED] * (len(steps) // 2) + [OPENED] * (len(steps) % 2)
        assert (len(steps) % 2 == 1) == (name in clinic.known and bool(clinic.known[name].told_at))


@given(LOOKS)
def test_what_lasts_longer_than_patience_is_told_and_nothing_else(
    looks: list[tuple[int, set[str]]],
) -> None:
    clinic = Clinic()
    for minutes, names in looks:
        clinic.now += minutes * MINUTE
        clinic.look(names)
        for name in names:
            lasted = clinic.now - clinic.since[name] >= PATIENCE[name] * MINUTE
            assert bool(clinic.known[name].told_at) == lasted
        for at, name, step in clinic.told:
            if at == clinic.now:
                assert (step == OPENED) == (name in names)


def test_what_is_told_stays_as_it_was_told() -> None:
    first = wrong("held/7", NOW)
    (step,) = judge({"held/7": first}, {}, now=NOW)
    assert step.after is not None
    later = first._replace(follows="more waits by now")
    assert judge({"held/7": later}, {"held/7": step.after}, now=NOW + MINUTE) == []


def test_a_clock_that_goes_back_tells_of_what_needs_a_person_at_once() -> None:
    (step,) = judge({"held/7": wrong("held/7", NOW)}, {}, now=NOW - timedelta(hours=1))
    assert step.tells == OPENED
