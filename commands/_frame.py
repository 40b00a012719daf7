"""What every command does around its own work: open the clinic, say the first line, print, end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from clinicrelay.errors import SettingsError, StoreRefused
from clinicrelay.ids import ulid
from commands import _stopping
from commands._call import Call
from commands._ending import DONE, STOPPED, gravest, guarded, say
from commands._table import Table, show
from commands._who import actor

if TYPE_CHECKING:
    from clinicrelay.log import Log
    from clinicrelay.settings import Broken, Loaded, Settings
    from sync.clinic import Clinic
    from sync.store import Store


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says of one clinic: to a program, to a person, and as its exit code.

    `lines` follow the first line, which `headed` False leaves out (it was said before). A `json`
    that is an iterator is printed item by item. With -q only what is `new` is said.
    """

    json: Any = None
    lines: Iterable[str | Table] = ()
    exit: int = DONE
    new: bool = True
    headed: bool = True


Work: TypeAlias = "Callable[[Clinic], Answer]"
Told: TypeAlias = "dict[str, Any] | None"  # the JSON of several clinics; None: there is one only
Each: TypeAlias = "Callable[[Loaded, Told], int]"
# A clinic, the exit code of its run, and what was said of one that went wrong.
Ended: TypeAlias = "Callable[[Loaded | Broken, int, dict[str, Any]], None]"


def unheard(_one: Loaded | Broken, _code: int, _ending: dict[str, Any]) -> None:
    """Take the ending of a run that nobody watches."""


def each(
    call: Call,
    work: Work,
    *,
    scratch: bool = False,
    writes: bool = False,
    verdict: Callable[[Iterable[int]], int] = gravest,
    ended: Ended = unheard,
) -> int:
    """Do a command's work for every clinic that is meant, and return the exit code.

    A clinic whose settings are broken, or whose run fails, stops no other. `scratch` and `writes`
    are those of `clinic`, `ended` is that of `loop`.
    """
    return loop(
        call,
        lambda one, told: _opened(call, one, work, told, scratch=scratch, writes=writes),
        verdict=verdict,
        ended=ended,
    )


def each_unopened(call: Call, work: Callable[[Loaded], Answer]) -> int:
    """Do a command's work for every clinic that is meant with its settings: no store is opened."""

    def done(loaded: Loaded, told: Told) -> int:
        answer, name = work(loaded), loaded.settings.clinic.name
        first = f"{name} · {loaded.file}" if answer.headed else ""
        tell(call, answer, told, name=name_of(loaded), first=first)
        return answer.exit

    return loop(call, done)


def loop(
    call: Call,
    work: Each,
    *,
    verdict: Callable[[Iterable[int]], int] = gravest,
    ended: Ended = unheard,
) -> int:
    """Do something for every clinic that is meant, whose JSON goes into one object by their ids.

    A clinic whose settings are broken stops no other. `ended` hears how it went with each.
    """
    clinics = call.clinics()
    told: Told = {} if len(clinics) > 1 else None
    codes: list[int] = []
    for one in clinics:
        said: dict[str, Any] = {}
        heard = _ends_in(call, told, name_of(one), said)
        codes.append(guarded(lambda one=one: _one(one, work, told), heard))  # type: ignore[misc]
        ended(one, codes[-1], said)
        if codes[-1] == STOPPED or _stopping.told.is_set():
            break
    if call.as_json and told is not None:
        print_json(told)
    return verdict(codes)


def only(call: Call, work: Work, *, scratch: bool = False, writes: bool = False) -> int:
    """Do a command's work for the one clinic that it is about. Raises SettingsError."""
    return _opened(call, one_of(call), work, None, scratch=scratch, writes=writes)


def one_of(call: Call) -> Loaded:
    """Return the one clinic that a command is about. Raises SettingsError."""
    from clinicrelay.settings import Broken

    clinics = call.clinics()
    whole = [one for one in clinics if not isinstance(one, Broken)]
    if len(clinics) > 1:
        from clinicrelay.contracts import Finding

        fix = "name one with --clinic: " + ", ".join(name_of(one) for one in whole)
        message = f"this command is about one clinic, and there are {len(clinics)}"
        raise SettingsError([Finding("error", "which_clinic", message, fix)])
    if isinstance(clinics[0], Broken):
        raise SettingsError(clinics[0].findings)
    return clinics[0]


def _one(loaded: Loaded | Broken, work: Each, told: Told) -> int:
    from clinicrelay.settings import Broken

    if isinstance(loaded, Broken):
        raise SettingsError(loaded.findings)
    return work(loaded, told)


def _ends_in(
    call: Call, told: Told, name: str, said: dict[str, Any]
) -> Callable[[dict[str, Any]], None]:
    """Return where the JSON of a clinic goes that something went wrong with: into `said` as well."""

    def heard(ending: dict[str, Any]) -> None:
        said.update(ending)
        if told is not None:
            told[name] = ending
        elif call.as_json:
            print_json(ending)

    return heard


def _opened(
    call: Call, loaded: Loaded, work: Work, told: Told, *, scratch: bool, writes: bool
) -> int:
    with clinic(call, loaded, scratch=scratch, writes=writes) as at_work:
        answer = work(at_work)
        first = headline(at_work) if answer.headed and not call.as_json else ""
        tell(call, answer, told, name=name_of(loaded), first=first)
        return answer.exit


def tell(call: Call, answer: Answer, told: Told, *, name: str, first: str) -> None:
    """Print an answer, after the first line of its clinic where there is one."""
    if call.as_json:
        _print_answer(answer, told, name)
    elif answer.new or not call.quiet:
        _print_lines(call, first, answer)


def _print_answer(answer: Answer, told: Told, name: str) -> None:
    if told is not None:
        told[name] = [*answer.json] if isinstance(answer.json, Iterator) else answer.json
    elif isinstance(answer.json, Iterator):
        _print_list(answer.json)
    else:
        print_json(answer.json)


def _print_lines(call: Call, first: str, answer: Answer) -> None:
    if first:
        print(first)
    for line in answer.lines:
        if isinstance(line, Table):
            show(call, line)
        else:
            print(line)


def name_of(loaded: Loaded | Broken) -> str:
    """Return what a clinic is called beside others: its id, or its file while that is broken."""
    from clinicrelay.settings import Broken

    return loaded.file.name if isinstance(loaded, Broken) else loaded.settings.clinic.id


@contextmanager
def clinic(
    call: Call, loaded: Loaded, *, scratch: bool = False, writes: bool = False
) -> Iterator[Clinic]:
    """Open the clinic that the settings describe.

    `scratch`: on a copy whose writes vanish. `writes`: the command changes what the clinic's people
    rely on, so a live store must be this very one, and refuses a clock that was set by hand.
    Raises SettingsError or StoreBusy.
    """
    from sync import store as stores
    from sync import whereabouts
    from sync.clinic import Clinic

    settings = loaded.settings
    now = call.moment(settings.clinic.timezone)
    run = ulid(datetime.now(UTC))

    @contextmanager
    def at_work(store: stores.Store) -> Iterator[Clinic]:
        opened = Clinic(
            settings=settings,
            store=store,
            run=run,
            now=now,
            file=loaded.file,
            rehearsed=call.now is not None,
            dry=scratch,
            watched=call.on_terminal,
            who=actor,
            ending=_stopping.told,
        )
        try:
            yield opened
        finally:
            opened.close()

    with placed_in(loaded):
        if scratch:
            with (
                stores.scratch(settings.store_url, settings.clinic.id, now=now) as store,
                at_work(store) as opened,
            ):
                yield opened
            return
        with _open(settings, now) as store, at_work(store) as opened:
            if told := whereabouts.look_around(opened):
                say(told)
            if not writes:
                yield opened
                return
            _refuse_where_live(opened)
            with _stopping.ends_when_told():
                yield opened


@contextmanager
def placed_in(loaded: Loaded) -> Iterator[None]:
    """Give what is wrong with the store its place in the settings file."""
    try:
        yield
    except StoreRefused as error:
        from clinicrelay.settings.tree import placed

        found = [placed(finding, loaded.file) for finding in error.findings]
        raise StoreRefused(found) from error


@contextmanager
def _open(settings: Settings, now: datetime) -> Iterator[Store]:
    from sync import opening

    store = opening.open_store(settings, now=now, tell=say, who=actor)
    try:
        yield store
    finally:
        store.close()


def _refuse_where_live(opened: Clinic) -> None:
    """Raises SettingsError where a live store is not to be worked on like this."""
    from sync import outward

    if wrong := outward.not_to_be_worked_on(opened):
        raise SettingsError([wrong])


def log_of(clinic: Clinic, call: Call) -> Log:
    """Return the log of a clinic, echoed on stderr with -v."""
    from clinicrelay.log import Log

    settings = clinic.settings
    echo = sys.stderr if call.verbose else None
    return Log(settings.log_file, level=settings.logging.level, echo=echo, tell=say)


def headline(clinic: Clinic) -> str:
    """Return the first line of every command: the mode, the clinic, the file, the run."""
    name = clinic.settings.clinic.name
    return f"{clinic.standing().headline(clinic.now)} · {name} · {clinic.file} · run {clinic.run}"


def print_json(value: Any) -> None:
    """Print JSON for other programs."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def _print_list(items: Iterable[Any]) -> None:
    """Print a JSON list item by item: a million visits need no more memory than one."""
    lead = "[\n"
    for item in items:
        print(lead + json.dumps(item, ensure_ascii=False), end="")
        lead = ",\n"
    print("[]" if lead == "[\n" else "\n]")
