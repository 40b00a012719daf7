"""Mistakes in the settings of `type: google`, and what would be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google_peer.peer import GooglePeer
from pydantic import ValidationError

from calendars.google.options import Options
from tests.calendars.conftest import ROBOT, Ours

Reach = Callable[..., Ours]

CLIENT = {"client_id": "x", "client_secret": "y", "token_uri": "https://token.example"}


@pytest.mark.parametrize(
    ("said", "why", "fix"),
    [
        ({"credentials": "secrets/google.json"}, "not the content of a key file", "${file:"),
        ({"credentials": "{}"}, "lacks client_email, private_key, token_uri", "Service accounts"),
        ({"credentials": "[1]"}, "lacks client_email", "make a new one"),
        ({"credentials": json.dumps({"installed": CLIENT})}, "is for mode oauth", "other key file"),
        ({"mode": "oauth"}, "is for a service account", "write the mode it is for"),
        ({"reminders": ["-5m"]}, "", ""),
        ({"reminders": ["5w"]}, "four weeks", "10m"),
        ({"mode": "everybody"}, "shared", ""),
    ],
)
def test_a_mistake_in_the_settings_says_what_would_be_right(
    google: GooglePeer, said: dict[str, Any], why: str, fix: str
) -> None:
    key = json.dumps(google.service_account(ROBOT))
    with pytest.raises(ValidationError) as refusal:
        Options.model_validate({"credentials": key, **said})
    (error,) = refusal.value.errors()
    assert why in error["msg"]
    assert fix in error.get("ctx", {}).get("fix", "")
    assert "BEGIN PRIVATE KEY" not in error["msg"]


def test_a_key_file_without_an_address_for_tokens_is_refused(google: GooglePeer) -> None:
    key = json.dumps({**google.service_account(ROBOT), "token_uri": "elsewhere"})
    with pytest.raises(ValidationError, match="no address"):
        Options.model_validate({"credentials": key})


def test_what_the_shared_mode_cannot_do_is_advised_against(reach_google: Reach) -> None:
    shared = reach_google(meet=True, reminders=["10m"])
    assert {(one.severity, one.path) for one in shared.plugin.advise()} == {
        ("warning", "meet"),
        ("warning", "reminders"),
    }
    delegated = reach_google(meet=True, reminders=["10m"], mode="delegated")
    assert list(delegated.plugin.advise()) == []
