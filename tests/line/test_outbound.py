"""A whole line calls the hosts that settings name and no other, whatever their answers say (R-065)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clinicrelay.testing import Asked, HttpServer, Reply, serving
from tests.line.outward import AT, SECRETS, Clinic

LINES = (["check", "--connect"], ["sync", "-v", "--now", AT])


@pytest.fixture
def trap() -> Iterator[HttpServer]:
    """Another host, by its name: it gives whatever is asked for."""
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 3600, "items": []}
    with serving(lambda asked: Reply(token)) as server:
        yield server


def elsewhere(trap: HttpServer) -> str:
    return trap.url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("status", [303, 308])
def test_no_redirect_leads_anywhere_else(tmp_path: Path, trap: HttpServer, status: int) -> None:
    away = Reply(status=status, headers={"Location": f"{elsewhere(trap)}/x"})
    with serving(lambda asked: away) as evil:
        clinic = Clinic(tmp_path, evil.url)
        clinic.write()
        ran = clinic.run(*LINES)
    asked = {one.path.split("/")[1] for one in evil.log}
    assert {"fhir", "header", "query", "bearer", "basic", "oauth", "google", "twilio"} <= asked
    assert {"aws", "sendgrid"} & asked
    assert (ran.strangers, trap.log) == ([], [])
    assert not [name for name, secret in SECRETS.items() if secret in ran.text]


def test_no_link_in_an_answer_leads_anywhere_else(tmp_path: Path, trap: HttpServer) -> None:
    def answer(asked: Asked) -> Reply:
        there = elsewhere(trap)
        if asked.path.endswith("smart-configuration"):
            return Reply({"token_endpoint": f"{there}/token"})
        if asked.path.startswith(("/google/batch", "/google/calendar")):
            # What is tried no more, as the library follows no link anyway.
            reason = {"errors": [{"reason": "accessNotConfigured"}]}
            return Reply({"error": reason, "selfLink": there}, 403, {"Location": there})
        if "token" in asked.path:
            return Reply({"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
        if asked.path.endswith("/bookings"):
            return Reply({"items": [{"appointment_id": "1"}], "next": f"{there}/bookings?page=2"})
        return Reply({"uri": f"{there}/x", "next_page_uri": f"{there}/y", "nextPageToken": "n"})

    with serving(answer) as evil:
        clinic = Clinic(tmp_path, evil.url)
        clinic.write()
        ran = clinic.run(*LINES)
    assert (ran.strangers, trap.log) == ([], [])
    assert "leads to another host" in ran.text
    assert "no host of its domain" in ran.text


def test_the_guard_would_see_a_stranger(tmp_path: Path) -> None:
    with serving(lambda asked: Reply({})) as here, serving(lambda asked: Reply({})) as other:
        clinic = Clinic(tmp_path, here.url)
        clinic.more = {
            "sources": {"x": {**clinic.settings["sources"]["bearer"], "base_url": other.url}}
        }
        clinic.write()
        ran = clinic.run(["sync", "--now", AT])
    assert other.url.rpartition(":")[2] in str(ran.strangers)
    assert other.log == []
