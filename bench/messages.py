"""`python -m bench.messages [--n N] [--rounds R] [--write]`: what a message costs beside its bare call.

The yardsticks are the providers' own libraries as they come, and `smtplib` with mails that were made
beforehand, each talking to the same small server in a process of its own. Ours are reminders that are
due: gate, text, write-ahead, the call, what became of it and what the person knows from now on.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import urlopen

from bench.clinic import drop
from bench.peers import apart
from bench.spent import Spent, spending
from bench.table import Line, show, write
from commands import GARBAGE

if TYPE_CHECKING:
    from sync.clinic import Clinic

BOOKED = datetime(2026, 11, 23, 7, tzinfo=UTC)
DUE = datetime(2026, 12, 1, 11, tzinfo=UTC)  # the day before the visits
FIRST = datetime(2026, 12, 2, 8)  # noqa: DTZ001 - wall-clock time, as exports hold it
SETTINGS = """
version: 1
store: {{url: "{store}"}}
clinic: {{id: bench, name: Bench Clinic, timezone: Europe/Berlin, country: DE, language: de,
  phone: "+4930123456", email: hello@bench.example}}
sources:
  reception: {{type: csv, contents: snapshot, ready: {{settle: 0s}}}}
notifiers:
  peer: {{{notifier}}}
channels: {{order: [{channel}], consent: {{sms: implied, email: implied}}}}
reminders:
  patient: {{steps: [1d], on_change: false}}
safety: {{max_messages_per_run: 100000000, hold_if: {{storm: 100000000x}}}}
"""
ACCOUNT, TOKEN = "AC0123456789abcdef0123456789abcdef", "0123456789abcdef"
FROM = "noreply@bench.example"


class Way(NamedTuple):
    """A way to people: which server, our settings for it, and what is measured beside it."""

    label: str
    peer: str
    channel: str
    notifier: str
    bare: Callable[[str, int], Spent]


# --- the yardsticks ------------------------------------------------------------------------------


def twilio(there: str, messages: int) -> Spent:
    """Create messages with Twilio's library and the HTTP client that it brings."""
    from twilio.rest import Client

    client, text = Client(ACCOUNT, TOKEN), said("sms").text
    client.api.base_url = f"http://{there}"
    with spending() as spent:
        for n in range(messages):
            client.messages.create(to=phone(n), from_="+12025550100", body=text)
    return spent[0]


def sendgrid(there: str, messages: int) -> Spent:
    """Send mails that are ready with SendGrid's library."""
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    client, words = SendGridAPIClient(TOKEN, host=f"http://{there}"), said("email")
    mails = [Mail(FROM, address(n), words.subject, words.text, words.html) for n in range(messages)]
    with spending() as spent:
        for mail in mails:
            client.send(mail)
    return spent[0]


def smtp(there: str, messages: int) -> Spent:
    """Send bytes that are ready with `smtplib` on one connection."""
    import smtplib

    from clinicrelay import Message
    from clinicrelay.model import Channel
    from notifiers import _mail

    host, _, port = there.partition(":")
    words = said("email")
    mail = Message(
        "cr0", Channel.EMAIL, address(0), words.text, "de", subject=words.subject, html=words.html
    )
    sender = _mail.Mailbox(FROM)
    content = _mail.compose(mail, sender=sender, domain=sender.domain, date=DUE).as_bytes()
    with spending() as spent, smtplib.SMTP(host, int(port)) as client:
        for n in range(messages):
            client.sendmail(FROM, address(n), content)
    return spent[0]


def said(channel: str) -> Any:
    """Return what ours says to each patient."""
    from clinicrelay.actions import MessageKind, Role
    from clinicrelay.contracts import ClinicFacts
    from clinicrelay.model import Channel
    from sync.words import Words
    from sync.words.facts import TextFacts

    clinic = ClinicFacts("bench", "Bench Clinic", "Europe/Berlin", "DE", "de", "+4930123456")
    facts = TextFacts(at=DUE, start=DUE + timedelta(hours=20), timezone="Europe/Berlin")
    words = Words("de", clinic, None)
    return words.render(MessageKind.REMINDER, Role.PATIENT, Channel(channel), "de", facts)


def phone(n: int) -> str:
    return f"+1202555{n % 10_000:04d}"


def address(n: int) -> str:
    return f"patient{n}@mail.example"


WAYS = {
    "twilio SDK, messages.create": Way(
        "Twilio",
        "http",
        "sms",
        f"type: twilio_sms, account_sid: {ACCOUNT}, auth_token: '${{{{file:token}}}}', "
        "from: '+12025550100', base_url: 'http://{there}'",
        twilio,
    ),
    "sendgrid SDK, send": Way(
        "SendGrid",
        "http",
        "email",
        f"type: sendgrid, api_key: '${{{{file:token}}}}', from: {FROM}, base_url: 'http://{{there}}'",
        sendgrid,
    ),
    "smtplib, ready bytes, one connection": Way(
        "SMTP",
        "smtp",
        "email",
        f"type: smtp, host: {{host}}, port: {{port}}, security: none, from: {FROM}",
        smtp,
    ),
}


# --- ours ----------------------------------------------------------------------------------------


@contextmanager
def clinic(
    way: Way, there: str, messages: int, store_url: str = "sqlite:///clinicrelay.db"
) -> Iterator[Clinic]:
    """Open a clinic that owes so many patients a reminder, and has sent none."""
    from clinicrelay.ids import ulid
    from clinicrelay.settings import load
    from sync import reads, steps
    from sync.clinic import Clinic
    from sync.store import open_store

    folder = Path(tempfile.mkdtemp(prefix="clinicrelay-bench-"))
    host, _, port = there.partition(":")
    notifier = way.notifier.format(there=there, host=host, port=port)
    text = SETTINGS.format(notifier=notifier, channel=way.channel, store=store_url)
    file = folder / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    (folder / "token").chmod(0o600)
    export(folder / "export.csv", messages)
    drop(folder, folder / "export.csv")
    settings = load(file).settings
    store = open_store(settings.store_url, settings.clinic.id, now=BOOKED)

    def at(now: datetime) -> Clinic:
        run = ulid(datetime.now(UTC))
        return Clinic(settings, store, run=run, now=now, file=file, rehearsed=True)

    opened = at(DUE)
    try:
        before = at(BOOKED)
        reads.pull(before, "reception")
        steps.plan(before)
        steps.plan(opened)
        yield opened
    finally:
        opened.close()
        store.close()
        shutil.rmtree(folder)


def export(file: Path, visits: int) -> None:
    """Write visits of one morning, a quarter of an hour each."""
    names = ("appointment_id", "date", "time", "duration", "status", "patient_id", "patient_name",
             "phone", "email", "doctor_id", "doctor_name")  # fmt: skip
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(names)
        for n in range(visits):
            start = FIRST + timedelta(minutes=15 * (n % 16))
            rows.writerow(
                (f"A{n:06d}", f"{start:%Y-%m-%d}", f"{start:%H:%M}", 15, "scheduled", f"P{n}",
                 f"Pat {n}", phone(n), address(n), f"D{n % 40}", "Dr. Braun")
            )  # fmt: skip


class Cost(NamedTuple):
    """What all messages of a round cost: the whole, and of its CPU what the notifier took."""

    whole: Spent
    call: float


def ours(way: Way, there: str, messages: int) -> Cost:
    """Send what is due as a run does; every message has to be taken, and only once."""
    from sync import steps
    from sync.send import MessageRun

    before = taken(there) if way.peer == "http" else 0
    with clinic(way, there, messages) as opened:
        called, noting = by_the_clock(opened.notifier("peer"))
        run = MessageRun()
        with spending() as spent:
            steps.deliver_messages(opened, run)
    if run.sent != messages or (way.peer == "http" and taken(there) - before != messages):
        raise SystemExit(f"of {messages} messages {run.sent} were sent: {run}")
    return Cost(spent[0], sum(called) - sum(noting))


def by_the_clock(notifier: Any) -> tuple[list[float], list[float]]:
    """Return where CPU seconds of its calls will stand, and of what they have us write down."""
    called, noting = list[float](), list[float]()

    def clocked(work: Callable[[Any], Any], into: list[float]) -> Callable[[Any], Any]:
        def call(given: Any) -> Any:
            before = time.process_time()  # with the threads that it has beside it
            try:
                return work(given)
            finally:
                into.append(time.process_time() - before)

        return call

    notifier.kit = replace(notifier.kit, handing_over=clocked(notifier.kit.handing_over, noting))
    notifier.send = clocked(notifier.send, called)
    return called, noting


def taken(there: str) -> int:
    """Return how many messages the provider was given."""
    with urlopen(f"http://{there}/taken") as answer:
        return int(json.load(answer)["taken"])


# --- the table -----------------------------------------------------------------------------------


def main() -> None:
    """Print a line a figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.messages", description=__doc__)
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    asked = parser.parse_args()
    gc.set_threshold(*GARBAGE)
    found = show(lines(asked))
    if asked.write:
        write("messages", found, asked.rounds)


def lines(asked: argparse.Namespace) -> Iterator[Line]:
    """Yield the table. How many can be claimed in a second is for another one, named `claims`."""
    for name, way in WAYS.items():
        with apart(way.peer) as there:
            way.bare(there, 20), ours(way, there, 20)  # both have imported everything
            rounds = [
                (way.bare(there, asked.n), ours(way, there, asked.n)) for _ in range(asked.rounds)
            ]
        bare = statistics.median(base.cpu for base, _ in rounds) / asked.n * 1e6
        beside = f"{name} ({bare:.0f} µs)"
        own = statistics.median((one.whole.cpu - one.call) / base.cpu for base, one in rounds)
        whole = statistics.median(one.whole.cpu / base.cpu for base, one in rounds)
        speed = statistics.median(asked.n / one.whole.wall for _, one in rounds)
        limit, of_all = ("none set", "3x") if way.peer == "smtp" else ("1.3x", "none set")
        yield Line(f"{way.label}, all but the call, CPU", beside, f"{own:.2f}x", limit)
        yield Line("the same with the call", beside, f"{whole:.2f}x", of_all)
        yield Line("the same by the clock", "", f"{speed:.0f} messages/s", "none set")


if __name__ == "__main__":
    main()
