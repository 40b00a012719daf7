"""`python -m bench.google [--events N] [--quota] [--write]`: what Google calendars cost to keep.

Google is the tests' own small server, in a process of its own and without a quota unless asked. The
yardstick is Google's client alone: it logs in, lists each calendar and writes the same events in
batches of the same size. With `--quota` the published limits are enforced: minutes of waiting.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.clinic import drop
from bench.spent import Spent, spending
from bench.table import Line, show, write
from commands import GARBAGE

if TYPE_CHECKING:
    from sync.clinic import Clinic

_TESTS = Path(__file__).resolve().parent.parent / "tests" / "calendars"
NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
ROBOT = "relay@bench.example"
DOCTORS = 10
_OPTIMUM = (
    120.0  # seconds for 1,500 events at 600 in any 60: 600 at once, 600 after one, 300 after two
)
SETTINGS = """
version: 1
clinic: {{id: bench, name: Bench Clinic, timezone: Europe/Berlin, country: DE, language: de}}
sources:
  reception: {{type: csv, contents: snapshot, ready: {{settle: 0s}}}}
calendars:
  google: {{type: google, credentials: "${{file:key.json}}", base_url: "{url}", quota: {quota}}}
"""
FREE = "{per_user: 60000000/m, per_project: 60000000/m}"


@contextmanager
def google() -> Iterator[Any]:
    """Run a server of its own, with the doctors' calendars shared."""
    sys.path.insert(0, str(_TESTS))
    apart = import_module("google_peer.remote").apart
    with (
        tempfile.TemporaryDirectory(prefix="clinicrelay-bench-") as folder,
        apart(Path(folder)) as peer,
    ):
        for doctor in range(DOCTORS):
            peer.calendar(address(doctor), shared={ROBOT: "writer"})
        yield peer


def address(doctor: int) -> str:
    return f"dr{doctor}@bench.example"


# --- the yardstick -------------------------------------------------------------------------------


def bare(events: int) -> Spent:
    """Write events to a server of its own with Google's client alone."""
    with google() as peer:
        return _bare(peer, events)


def _bare(peer: Any, events: int) -> Spent:
    """Write events in batches with Google's client alone."""
    import httplib2
    from google.oauth2.service_account import Credentials
    from google_auth_httplib2 import AuthorizedHttp
    from googleapiclient.discovery import build
    from googleapiclient.http import BatchHttpRequest

    scope = ["https://www.googleapis.com/auth/calendar.events"]
    make: Any = Credentials.from_service_account_info
    key, at = peer.service_account(ROBOT), {"api_endpoint": f"{peer.url}/calendar/v3/"}
    with spending() as spent:
        http = AuthorizedHttp(make(key, scopes=scope), httplib2.Http())
        service = build("calendar", "v3", http=http, static_discovery=True, client_options=at)
        calls = service.events()
        for one in range(DOCTORS):
            calls.list(calendarId=address(one), maxResults=2500).execute()
        for first in range(0, events, 50):
            batch = BatchHttpRequest(batch_uri=f"{peer.url}/batch/calendar/v3")
            for n in range(first, min(events, first + 50)):
                doctor = address(n * DOCTORS // events)
                batch.add(calls.insert(calendarId=doctor, body=plain(n), sendUpdates="none"))
            batch.execute()
    http.close()
    return spent[0]


def plain(n: int) -> dict[str, Any]:
    """Return an event of the same size as ours."""
    start = NOW + timedelta(days=1, minutes=n)
    marks = dict.fromkeys(("csRef", "csInst", "csHash"), "0123456789abcdef")
    return {
        "id": f"bare{n:08d}",
        "summary": "Termin",
        "description": "Gebucht über Bench Clinic. Änderungen hier ändern den Termin nicht.",
        "location": "",
        "start": {"dateTime": start.isoformat(), "timeZone": "Europe/Berlin"},
        "end": {"dateTime": (start + timedelta(minutes=30)).isoformat(), "timeZone": "UTC"},
        "visibility": "private",
        "transparency": "opaque",
        "status": "confirmed",
        "extendedProperties": {"private": {**marks, "csApp": "1", "csGen": "0", "csVer": "1"}},
    }


# --- ours ----------------------------------------------------------------------------------------


@contextmanager
def clinic(peer: Any, visits: int, quota: str = FREE) -> Iterator[Clinic]:
    """Open a clinic that has read its visits and planned its events, and written none."""
    from clinicrelay.ids import ulid
    from clinicrelay.settings import load
    from sync import reads, steps
    from sync.clinic import Clinic
    from sync.store import open_store

    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    (folder / "key.json").write_text(json.dumps(peer.service_account(ROBOT)), encoding="utf-8")
    (folder / "key.json").chmod(0o600)
    text = SETTINGS.format(url=peer.url, quota=quota)
    (folder / "settings.yaml").write_text(text, encoding="utf-8")
    export(folder / "export.csv", visits)
    drop(folder, folder / "export.csv")
    settings = load(folder / "settings.yaml").settings
    store = open_store(settings.store_url, settings.clinic.id, now=NOW)
    opened = Clinic(settings, store, run=ulid(datetime.now(UTC)), now=NOW, rehearsed=True)
    try:
        reads.pull(opened, "reception")
        steps.plan(opened)
        yield opened
    finally:
        opened.close()
        store.close()
        shutil.rmtree(folder)


def export(file: Path, visits: int) -> None:
    """Write visits, half an hour each, spread over the doctors."""
    names = ("appointment_id", "date", "time", "duration", "status", "patient_id", "patient_name",
             "doctor_id", "doctor_email")  # fmt: skip
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(names)
        for n in range(visits):
            start = NOW + timedelta(days=1, minutes=10 * (n % 14_000))
            doctor = n % DOCTORS
            rows.writerow(
                (f"A{n:06d}", f"{start:%Y-%m-%d}", f"{start:%H:%M}", 30, "scheduled", f"P{n}",
                 f"Pat {n}", f"D{doctor}", address(doctor))
            )  # fmt: skip


def ours(events: int) -> Spent:
    """Write events to a server of its own as a run does."""
    with google() as peer, clinic(peer, events) as opened:
        return push(opened)


def push(opened: Clinic) -> Spent:
    """Bring every calendar up to date, store and all."""
    from sync import steps

    with spending() as spent:
        runs = steps.deliver_events(opened)
    if runs["google"].pending or runs["google"].blocked:
        raise SystemExit(f"the benchmark's calendars had trouble: {runs}")
    return spent[0]


def known(visits: int) -> tuple[Spent, Spent, int]:
    """Return what runs cost whose visits all stand in calendars already, and the calls of the last.

    The first of them is told of every event that was written; of the second on nothing is news.
    """
    with google() as peer, clinic(peer, visits) as opened:
        push(opened)
        first = again(opened)
        peer.forget_calls()
        return first, again(opened), len(peer.calls())


def again(opened: Clinic) -> Spent:
    """Plan and push once more."""
    from sync import steps

    with spending() as spent:
        steps.plan(opened)
        runs = steps.deliver_events(opened)
    if runs["google"].written or runs["google"].pending:
        raise SystemExit(f"nothing was to be written: {runs}")
    return spent[0]


def limited(by: str) -> tuple[float, float]:
    """Return seconds to write 1,500 events under the published quota, and the share refused."""
    quota = f"{{per_user: 600/m, per_project: 10000/m, by: {by}}}"
    with google() as peer, clinic(peer, 1500, quota) as opened:
        peer.limit(per_user=600, per_project=10_000)
        took = push(opened).wall
        calls = peer.calls()
    return took, sum(call["status"] in (403, 429) for call in calls) / len(calls)


# --- the table -----------------------------------------------------------------------------------


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.google", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--known", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quota", action="store_true", help="Also what the quota allows: minutes.")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    found = show(lines(asked))
    if asked.write:
        write("google", found, asked.rounds)


def lines(asked: argparse.Namespace) -> Iterator[Line]:
    """Yield the table."""
    bare(200), ours(200)  # both have imported everything
    rounds = [(bare(asked.events), ours(asked.events)) for _ in range(asked.rounds)]
    ratio = statistics.median(own.cpu / other.cpu for other, own in rounds)
    speed = statistics.median(asked.events / own.wall for _, own in rounds)
    what = f"{asked.events:,} events, look, store and all, CPU"
    yield Line(what, "Google's client, batches of 50", f"{ratio:.2f}x", "1.4x")
    yield Line("the same, by the clock", "", f"{speed:.0f} events/s", "at least 400 events/s")
    first, spent, calls = known(asked.known)
    what = f"{asked.known:,} known events, the run after they were written, CPU"
    yield Line(what, "", f"{first.cpu:.1f} s", "none set")
    yield Line("the runs after that, CPU", "", f"{spent.cpu:.2f} s", "1 s")
    yield Line("the same, calls", "a list a calendar", f"{calls / DOCTORS:.0f}", "1")
    if asked.quota:
        for by, limit in (("account", "1.15x"), ("doctor", "1/6 of that")):
            seconds, share = limited(by)
            figure = f"{seconds:.0f} s ({seconds / _OPTIMUM:.2f}x)"
            yield Line(f"1,500 events, 600/min, by {by}", "120 s", figure, limit)
            yield Line("the same, refused", "", f"{share:.1%}", "2 %")


if __name__ == "__main__":
    main()
