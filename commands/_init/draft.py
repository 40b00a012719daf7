"""The settings.yaml that init writes: commented, and with every answer quoted so that it stays one."""

from __future__ import annotations

from collections.abc import Iterator

from clinicrelay.settings.quoting import scalar
from commands._init.questions import CONTENTS, NOBODY, SOURCE, Given, steps_of

SCHEMA = "settings.schema.json"
# Which answers are secrets, and the variables of .env that hold them.
SECRETS = {"smtp_user": "SMTP_USER", "smtp_password": "SMTP_PASSWORD"}


def settings_yaml(given: Given, *, schema: bool) -> str:
    """Return the file; `schema` says that its JSON Schema lies beside it."""
    parts = (_head(schema=schema), _clinic(given), _source(given), _calendars(), _messages(given))
    return "\n".join(line for part in parts for line in (*part, ""))[:-1] + "\n"


def _head(*, schema: bool) -> Iterator[str]:
    if schema:
        yield f"# yaml-language-server: $schema={SCHEMA}"
    yield "# Written by `clinicrelay init`; yours to edit. `clinicrelay check` tells every mistake."
    yield "#"
    yield "# Nobody outside this machine is reached before `clinicrelay live`. What protects is on"
    yield "# without being written: quiet hours from 21:00 to 08:00, guards that hold mass changes, at"
    yield "# most 500 messages a run."
    yield "version: 1"


def _clinic(given: Given) -> Iterator[str]:
    yield "clinic:"
    yield f"  id: {scalar(given['id'])}  # never changes: it is part of every identity"
    yield f"  name: {scalar(given['name'])}  # patients read it"
    yield f"  timezone: {scalar(given['timezone'])}"
    yield f"  country: {scalar(given['country'].upper())}  # local phone numbers are read for it"
    yield f"  language: {scalar(given['language'])}  # to people whose own is unknown"
    if given["phone"]:
        yield f"  phone: {scalar(given['phone'])}  # for patients to call"
    else:
        yield '  # phone: "+12025550100"  # for patients to call; in quotes, with its country code'
    yield "  # email: frontdesk@riverside.example  # for patients to write to"
    yield ""
    yield "data: var  # store, log, calendars, outbox: back this folder up, and keep it private"


def _source(given: Given) -> Iterator[str]:
    contents = given["contents"]
    yield "sources:"
    yield f"  {SOURCE}:"
    yield "    type: csv"
    yield f"    contents: {contents}  # {CONTENTS[contents]}"
    yield f"    # inbox: drops/{SOURCE}  # where files are dropped; this is the default"
    yield "    # mapping: clinic_csv  # which column means what: `clinicrelay map clinic_csv FILE`"


def _calendars() -> Iterator[str]:
    yield "calendars:"
    yield "  files: {type: ics}  # var/calendars, one file a doctor"
    yield ""
    yield "# Links practitioners to calendars: `clinicrelay doctors` prints the lines."
    yield "# doctors:"
    yield "#   - {id: acar, match: {reception: D17}, calendar: elif.acar@riverside.example}"


def _messages(given: Given) -> Iterator[str]:
    if given["send"] == NOBODY:
        yield "# No notifier: nobody is written to. Add one, and what is to be said, such as"
        yield "# notifiers: {outbox: {type: outbox}}"
        yield '# reminders: {patient: {steps: [1d]}, doctor: {digest: {at: "18:00"}}}'
        return
    yield from _notifier(given)
    yield ""
    yield "reminders:"
    yield "  patient:"
    yield "    confirmation: {channels: [email], invite: true}  # of each new booking"
    if steps := steps_of(given["steps"]):
        yield f"    steps: [{', '.join(steps)}]  # before the visit"
    else:
        yield "    # steps: [3d, 1d, 1h]  # before the visit"
    yield '  # doctor: {steps: [1h], digest: {at: "18:00"}}  # what doctors are told'


def _notifier(given: Given) -> Iterator[str]:
    yield "notifiers:"
    if given["send"] == "folder":
        yield "  outbox: {type: outbox}  # var/outbox, one file a message"
        return
    yield "  smtp:"
    yield "    type: smtp"
    yield f"    host: {scalar(given['smtp_host'])}"
    yield f"    from: {scalar(given['smtp_from'])}"
    if given["smtp_user"]:
        yield "    # Both from .env beside this file, or from the environment."
        yield f'    username: "${{{SECRETS["smtp_user"]}}}"'
        yield f'    password: "${{{SECRETS["smtp_password"]}}}"'
