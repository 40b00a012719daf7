"""What is this machine, and what is not."""

from __future__ import annotations

import pytest

from clinicrelay import loopback


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("[::1]", True),
        ("0:0:0:0:0:0:0:1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:127.0.0.1", False),
        ("127.1", False),
        ("2130706433", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_a_host_is_this_machine_only_where_its_name_says_so(host: str, here: bool) -> None:
    assert loopback.is_loopback(host) is here
    assert loopback.stays_here(host, 2525) is here


@pytest.mark.parametrize("port", [25, 465, 587])
def test_a_mail_server_of_this_machine_passes_on_what_it_gets(port: int) -> None:
    assert not loopback.stays_here("127.0.0.1", port)
    assert not loopback.url_stays_here(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8085/calendar/v3", True),
        ("http://localhost", True),
        ("https://[::1]:9601/2010-04-01", True),
        ("https://api.twilio.example", False),
        ("http://127.0.0.1@evil.example/", False),
        ("http://evil.example/127.0.0.1", False),
        ("http://localhost:port/", False),
        ("127.0.0.1:8085", False),
        ("", False),
    ],
)
def test_an_address_is_judged_by_its_host_and_port(url: str, here: bool) -> None:
    assert loopback.url_stays_here(url) is here
