"""The URL of the store: every mistake in it is told at its place, and never with a part of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clinicrelay import Finding, SettingsError
from clinicrelay.settings import Loaded, databases, load
from clinicrelay.settings.upkeep import Store

Read = Callable[..., Loaded]
Mistakes = Callable[..., list[Finding]]

BROKEN = [
    ("postgres://clinic:Summer@2026!x@db.example/x", "write @ as %40"),
    ("mysql://u:TOP@SECRETPW@db.example/x", "write @ as %40"),
    ("mysql://u:TOP/SECRETPW@db.example/x", "/ as %2F"),
    ("mysql://u:TOP#SECRETPW@db.example/x", "# as %23"),
    ("mysql://u:TOP?SECRETPW@db.example/x", "? as %3F"),
    ("mysql://TOP/u:SECRETPW@db.example/x", "/ as %2F"),
    ("postgres://u:SECRETPW@db.example/x#y", "# as %23"),
    ("postgres://u:SECRET PW@db.example/x", "a space as %20"),
    ("postgres://u:SECRETPW@db example/x", "a space as %20"),
    ("postgres://u:SECRETPW@[::1/x", "IPv6"),
    ("postgres://u:SECRETPW@db.example:port/x", "1 to 65535"),
    ("postgres://u:SECRETPW@db.example:99999/x", "1 to 65535"),
    ("postgres://u:SECRETPW@db.example:/x", "1 to 65535"),
    ("postgres://u:SECRETPW/x", "1 to 65535"),
    ("postgres://u:SECRETPW@db.example", "database's name"),
    ("postgres://u:SECRETPW@db.example/", "database's name"),
    ("postgres://u:SECRETPW@db.example/?sslmode=require", "database's name"),
    ("oracle://u:SECRETPW@db.example/x", "write sqlite:///clinicrelay.db"),
    ("postgresql+asyncpg://u:SECRETPW@db.example/x", "write sqlite:///clinicrelay.db"),
    ("jdbc:postgresql://db.example/x", "write sqlite:///clinicrelay.db"),
    ("clinicrelay.db", "write sqlite:///"),
    ("sqlite:///x.db?mode=ro", "delete everything from the ? on"),
]


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(("url", "fix"), BROKEN)
def test_a_broken_url_is_told_at_its_place_without_any_part_of_it(
    tmp_path: Path, read: Read, url: str, fix: str, *, variable: bool
) -> None:
    with pytest.raises(SettingsError) as refused:
        if variable:
            read("", CLINICRELAY__STORE__URL=url)
        else:
            read(f'store: {{url: "{url}"}}')
    [found] = [finding for finding in refused.value.findings if finding.severity == "error"]

    assert (found.path, found.file) == ("store.url", str(tmp_path / "settings.yaml"))
    assert (found.line, found.column) == ((0, 0) if variable else (4, 14))
    assert fix in found.fix
    assert variable is ("CLINICRELAY__STORE__URL" in found.message)
    for told in refused.value.findings:
        for secret in ("SECRET", "TOP", "PW", "Summer", "2026", "db.example"):
            assert secret not in told.message + told.fix


@pytest.mark.parametrize(
    "url",
    [
        "PostgreSQL://u@db.example/x",
        "postgres://u:p%40w:x!$&'()*+,;=~@db.example:5432/x?sslmode=require",
        "postgres:///x",
        "postgres://u@/x?host=/var/run/postgresql",
        "postgres://u@[2001:db8::1]:5432/x",
        "MARIADB://u:p@db_1/x",
        "sqlite:///a@b#c.db",
    ],
)
def test_a_url_that_is_one_is_taken(url: str) -> None:
    taken = Store(url=url).url

    assert taken.partition("://")[2] == url.partition("://")[2]
    assert taken.partition("://")[0] == url.partition("://")[0].lower()


def test_a_driver_that_is_not_there_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, mistakes: Mistakes
) -> None:
    monkeypatch.setattr(databases, "find_spec", lambda _name: None)
    [found] = mistakes("store: {url: mysql://u@h/n}")

    assert "clinicrelay[mysql]" in found.fix


def test_without_secrets_nothing_is_said_of_a_url_nobody_knows(tmp_path: Path, read: Read) -> None:
    read("store: {url: '${URL}'}", URL="postgres://h/n")

    assert load(tmp_path / "settings.yaml", environ={}, secrets=False).findings == ()
