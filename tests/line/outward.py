"""A clinic that reaches out in every way there is, each with a secret of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from clinicrelay.auth.keys import new_key
from clinicrelay.testing import Asked, Reply
from tests.line.conftest import export, visit

ROOT = Path(__file__).resolve().parents[2]
AT = "2026-11-23T10:00"

# By environment, as a clinic would. No two share a part, and none looks like anything else.
SECRETS = {
    "SMTP_PASSWORD": "sesame-smtp-1x7Qa",
    "SENDGRID_KEY": "SG.sesamesendgrid2x.8Qb",
    "TWILIO_TOKEN": "5e5a3e7w1110aa3x9qc0ffee00112233",
    "AWS_SECRET": "sesameAws4x0QdSecretAccessKey",
    "DB_PASSWORD": "sesame-db-5x1Qe",
    "HEADER_KEY": "sesame-header-6x2Qf",
    "QUERY_KEY": "sesame-query-7x3Qg",
    "BEARER_TOKEN": "sesame-bearer-8x4Qh",
    "BASIC_PASSWORD": "sesame-basic-9x5Qi",
    "CLIENT_SECRET": "sesame-client-10x6Qj",
    "BROKER_PASSWORD": "sesame-broker-11x7Qk",
    "HEARTBEAT_KEY": "sesame-heartbeat-14x0Qn",
    "GOOGLE_SECRET": "sesame-google-12x8Ql",
    "REFRESH_TOKEN": "sesame-refresh-13x9Qm",
}
PATIENT = {
    "patient_name": "Canaryfirst Canarylast",
    "mobile": "+4915155512345",
    "email": "canary.mail@mail.example",
    "notes": "CANARYNOTE",
}
PATIENTS = ("canary", "15155512345")

# What runs in a process of its own: each command line in turn, and whoever is called besides `allowed`.
# Between two tries nobody waits.
_DRIVER = """
import contextlib, io, json, sys, time
time.sleep = lambda seconds: None
given = json.load(sys.stdin)
allowed, strangers = set(given["allowed"]), []
def look(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        place = arguments[1][:2]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        place = tuple(arguments[:2])
    else:
        return
    if str(place[0]) not in allowed and f"{place[0]}:{place[-1]}" not in allowed:
        strangers.append([event, str(place)])
        raise OSError("called from outside the settings")
sys.addaudithook(look)
import commands
said = []
for words in given["lines"]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            commands.main(words)
        except SystemExit as end:
            code = end.code
    said.append([code, out.getvalue()])
json.dump({"said": said, "strangers": strangers}, sys.stdout)
"""


class Said(NamedTuple):
    """What a command line ended with and printed."""

    line: str
    code: int
    text: str


class Ran(NamedTuple):
    """What a process said, and whom it called that settings do not name."""

    said: list[Said]
    strangers: list[Any]

    @property
    def text(self) -> str:
        return "\n".join(one.text for one in self.said)


@dataclass
class Clinic:
    """A clinic in a folder. `url` is where everybody lives with whom it speaks."""

    folder: Path
    url: str
    more: dict[str, Any] = field(default_factory=dict)

    def write(self) -> None:
        """Write settings, secrets and an export."""
        secrets = self.folder / "secrets"
        secrets.mkdir(exist_ok=True)
        (secrets / "ehr.pem").write_bytes(new_key("ec")[0])
        key = {
            "client_id": "google-client",
            "client_secret": SECRETS["GOOGLE_SECRET"],
            "token_uri": f"{self.url}/google/token",
        }
        (secrets / "google.json").write_text(json.dumps({"installed": key}))
        (self.folder / "settings.yaml").write_text(json.dumps(self.settings | self.more, indent=1))
        inbox = self.folder / "drops" / "reception"
        inbox.mkdir(parents=True, exist_ok=True)
        rows = [visit(n, f"2026-11-24 10:1{n}", **PATIENT) for n in range(3)]
        (inbox / "visits.csv").write_text(export(rows))

    @property
    def settings(self) -> dict[str, Any]:
        host, _, port = self.url.partition("://")[2].partition(":")
        rest = {
            "type": "rest",
            "request": {"path": "/bookings"},
            "records": "items",
            "mapping": "clinic_csv",
            "timeout": "1s",
            "paging": {"type": "link", "next": "next"},
        }
        sources = {
            name: {**rest, "base_url": f"{self.url}/{name}", "auth": auth}
            for name, auth in {
                "header": {"type": "header", "name": "X-Key", "value": "${HEADER_KEY}"},
                "query": {"type": "query", "name": "key", "value": "${QUERY_KEY}"},
                "bearer": {"type": "bearer", "token": "${BEARER_TOKEN}"},
                "basic": {"type": "basic", "username": "us", "password": "${BASIC_PASSWORD}"},
                "oauth": {
                    "type": "oauth2",
                    "token_url": f"{self.url}/oauth/token",
                    "client_id": "us",
                    "client_secret": "${CLIENT_SECRET}",
                },
            }.items()
        }
        smart = {
            "type": "smart_backend",
            "client_id": "us",
            "private_key": "${file:secrets/ehr.pem}",
        }
        quick = {"timeout": "1s"}
        return {
            "version": 1,
            "clinic": {
                "id": "riverside",
                "name": "Riverside",
                "timezone": "Europe/Berlin",
                "country": "DE",
                "language": "de",
                "phone": "+493012345678",
            },
            "sources": {
                "reception": {"type": "csv", "contents": "snapshot", "ready": {"settle": "0s"}},
                "fhir": {"type": "fhir", "base_url": f"{self.url}/fhir", "auth": smart, **quick},
                "db": {
                    "type": "sql",
                    "url": f"postgresql+psycopg://us:${{DB_PASSWORD}}@{host}:{port}/ehr",
                    "query": "SELECT appointment_id, appointment_date FROM visits",
                    "mapping": "reception_sql",
                    **quick,
                },
                **sources,
            },
            "calendars": {
                "google": {
                    "type": "google",
                    "mode": "oauth",
                    "credentials": "${file:secrets/google.json}",
                    "tokens": {"acar@riverside.example": "${REFRESH_TOKEN}"},
                    "base_url": f"{self.url}/google",
                    **quick,
                }
            },
            "notifiers": {
                "smtp": {
                    "type": "smtp",
                    "host": host,
                    "port": int(port),
                    "security": "none",
                    "username": "us",
                    "password": "${SMTP_PASSWORD}",
                    "from": "a@riverside.example",
                    **quick,
                },
                "sendgrid": {
                    "type": "sendgrid",
                    "api_key": "${SENDGRID_KEY}",
                    "from": "a@riverside.example",
                    "base_url": f"{self.url}/sendgrid",
                    **quick,
                },
                "twilio": {
                    "type": "twilio_sms",
                    "account_sid": "AC" + "0" * 32,
                    "auth_token": "${TWILIO_TOKEN}",
                    "from": "+4930987654321",
                    "base_url": f"{self.url}/twilio",
                    **quick,
                },
                "aws": {
                    "type": "aws_sms",
                    "region": "eu-central-1",
                    "access_key_id": "AKIASESAME14X",
                    "secret_access_key": "${AWS_SECRET}",
                    "from": "+4930555000111",
                    "base_url": f"{self.url}/aws",
                    **quick,
                },
            },
            "monitoring": {"heartbeat": f"{self.url}/ping/${{HEARTBEAT_KEY}}"},
            "runner": {"broker": f"amqp://us:${{BROKER_PASSWORD}}@{host}:{port}/clinic"},
            "channels": {
                "order": ["sms", "email"],
                "sms": ["twilio", "aws"],
                "email": ["smtp", "sendgrid"],
                "consent": {"sms": "implied", "email": "implied"},
            },
            "reminders": {
                "patient": {"confirmation": {"channels": ["email", "sms"]}, "steps": ["1d"]},
                "doctor": {"steps": ["1h"]},
            },
        }

    def run(self, *lines: Sequence[str], environ: Mapping[str, str] = {}) -> Ran:
        """Run command lines one after another, and see whom they call."""
        place = self.url.partition("://")[2]
        given = {"lines": lines, "allowed": [place, f"{place.partition(':')[0]}:None"]}
        ran = subprocess.run(
            [sys.executable, "-c", _DRIVER],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.folder),
                "TMPDIR": str(self.folder),
                **SECRETS,
                **environ,
            },
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        said = [
            Said(" ".join(line), code, text)
            for line, (code, text) in zip(lines, found["said"], strict=True)
        ]
        said.append(Said("stderr", 0, ran.stderr))
        return Ran(said, found["strangers"])

    def everything_written(self) -> str:
        """All that lies in the folder but what a person put there, as text."""
        given = {self.folder / "settings.yaml", *(self.folder / "secrets").iterdir()}
        return "\n".join(
            path.read_bytes().decode("latin-1")
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and path not in given and "drops" not in path.parts
        )


def echo(status: int) -> Any:
    """Answer as the most talkative of servers does: with all that it was sent."""

    def answer(asked: Asked) -> Reply:
        said = json.dumps(dict(asked.headers)) + asked.path + str(asked.query)
        body = said.encode() + b" " + asked.body
        error = {"error": "invalid_client", "error_description": body.decode("latin-1")}
        return Reply({**error, "message": error["error_description"], "code": 20003}, status)

    return answer
