"""Planted secrets and patients, every kind of failure: in no output, log or store (R-072, R-073)."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from clinicrelay.testing import serving
from tests.line.outward import AT, PATIENTS, SECRETS, Clinic, echo

LATER = "2026-11-23T10:20"
READING = (
    ["check", "--explain"],
    ["check", "--explain", "--json"],
    ["plan", "-v", "--now", LATER],
    ["status", "-v", "--now", LATER],
    ["why", "1", "-v", "--now", LATER],
    ["log"],
    ["messages", "list"],
    ["messages", "list", "--json"],
    ["verify", "messages"],
    ["audit", "list"],
    ["metrics"],
    ["held", "list"],
    ["quarantine", "list"],
    ["plugins", "smtp"],
    ["probe", "header"],
    ["probe", "db"],
)
FAILING = (
    ["check", "--connect", "-v"],
    ["sync", "-v", "--now", AT],
    ["sync", "--json", "--now", LATER],
    ["send", "-v"],
)


def leaks(text: str) -> list[str]:
    private = [line for line in PEM if line in text]
    return [name for name, secret in SECRETS.items() if secret in text] + private


PEM: list[str] = []


def planted(folder: Path, url: str) -> Clinic:
    clinic = Clinic(folder, url)
    clinic.write()
    PEM[:] = (folder / "secrets" / "ehr.pem").read_text().splitlines()[1:-1]
    return clinic


def test_the_markers_would_be_found(tmp_path: Path) -> None:
    planted(tmp_path, "http://127.0.0.1:9")
    assert leaks("…" + SECRETS["DB_PASSWORD"] + "…") == ["DB_PASSWORD"]
    assert leaks((tmp_path / "secrets" / "ehr.pem").read_text())


@pytest.mark.parametrize("status", [401, 500])
def test_servers_that_repeat_what_they_were_sent_make_nothing_known(
    tmp_path: Path, status: int
) -> None:
    with serving(echo(status)) as talkative:
        clinic = planted(tmp_path, talkative.url)
        ran = clinic.run(*FAILING, *READING)
    heard = json.dumps(
        [
            [one.path, dict(one.headers), one.query, one.body.decode("latin-1")]
            for one in talkative.log
        ]
    )
    sent = {name for name, secret in SECRETS.items() if secret in heard}
    assert sent >= {
        *("HEADER_KEY", "QUERY_KEY", "BEARER_TOKEN"),
        *("REFRESH_TOKEN", "GOOGLE_SECRET", "HEARTBEAT_KEY"),
    }
    nothing_is_known(clinic, ran.text)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_servers_that_are_not_there_or_speak_no_tls_make_nothing_known(
    tmp_path: Path, scheme: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        place = f"127.0.0.1:{gone.getsockname()[1]}"
    if scheme == "http":
        clinic = planted(tmp_path, f"http://{place}")
        nothing_is_known(clinic, clinic.run(*FAILING, *READING[:2]).text)
        return
    with serving(echo(200)) as plain:
        clinic = planted(tmp_path, plain.url.replace("http:", "https:"))
        nothing_is_known(clinic, clinic.run(*FAILING, *READING[:2]).text)


def nothing_is_known(clinic: Clinic, said: str) -> None:
    assert leaks(said) == []
    assert [word for word in PATIENTS if word in said.casefold()] == []
    assert "Traceback" not in said
    assert "mistake of ours" not in said
    assert leaks(clinic.everything_written()) == []
    log = (clinic.folder / "var" / "log" / "clinicrelay.jsonl").read_text()
    assert [word for word in PATIENTS if word in log.casefold()] == []
