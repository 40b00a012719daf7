"""What databases say no with: told apart by what a person can do, and never in a driver's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from clinicrelay.errors import StoreBusy, StoreRefused
from sync.store import Store, dialects, exists, open_store, opened, troubles

ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


ON_SERVERS = pytest.mark.parametrize("store_url", ["postgresql", "mysql"], indirect=True)


@pytest.fixture
def server(store_url: str) -> URL:
    """A server that is there."""
    return make_url(store_url)


def said(url: URL | str) -> StoreBusy | StoreRefused:
    plain = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    with pytest.raises((StoreBusy, StoreRefused)) as caught:
        exists(plain)
    error = caught.value
    assert isinstance(error, StoreBusy | StoreRefused)
    assert not any(word in str(error) for word in ("canary", "127.0.0.1", "invalid"))
    return error


def code(error: StoreBusy | StoreRefused) -> str:
    assert isinstance(error, StoreRefused)
    [found] = error.findings
    assert found.fix
    assert not any(word in found.fix for word in ("canary", "127.0.0.1"))
    return found.code


@ON_SERVERS
def test_a_database_or_user_that_is_not_there_is_for_a_person_to_mend(server: URL) -> None:
    assert code(said(server.set(database="canary"))) == "store_no_database"
    assert code(said(server.set(username="canary", password="canary"))) == "store_not_let_in"


@ON_SERVERS
@pytest.mark.parametrize(
    "options", [{"canary": "1"}, {"connect_timeout": "canary"}, {"sslmode": "canary"}]
)
def test_an_option_that_is_none_is_for_a_person_to_mend(
    server: URL, options: dict[str, str]
) -> None:
    assert code(said(server.update_query_dict(options))) == "store_option"


@ON_SERVERS
def test_tls_that_a_server_does_not_have_is_for_a_person_to_mend(server: URL) -> None:
    asked = {"postgresql": {"sslmode": "require"}, "mysql": {"ssl_ca": "/canary.pem"}}
    assert code(said(server.update_query_dict(asked[server.get_backend_name()]))) == "store_option"


@ON_SERVERS
def test_a_server_that_does_not_answer_may_do_so_later(server: URL) -> None:
    refused = said(server.set(port=1))
    assert (
        str(refused) == "the store does not answer: nobody takes a connection at its host and port"
    )
    nameless = said(server.set(host="canary.invalid"))
    assert str(nameless) == "the store does not answer: the name of its host is not known here"
    assert isinstance(refused, StoreBusy)
    assert isinstance(nameless, StoreBusy)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ('failed: FATAL:  database "time" does not exist', "store_no_database"),
        ("failed: FATAL:  Datenbank »x« existiert nicht", "store_not_let_in"),
        ("failed: FATAL:  the database system is starting up", ""),
        ("failed: FATAL:  sorry, too many clients already", ""),
        ("failed: server closed the connection unexpectedly", ""),
        ("connection timeout expired", ""),
    ],
)
def test_what_postgresql_says_before_there_is_a_connection(words: str, expected: str) -> None:
    import psycopg
    from sqlalchemy.exc import OperationalError

    engine = dialects.connect("postgresql+psycopg://h/n")
    found = troubles.trouble(OperationalError("", None, psycopg.OperationalError(words)), engine)

    assert found is not None
    assert found.code == expected


def test_a_table_that_is_not_there_is_for_a_person_to_mend(store_url: str, now: datetime) -> None:
    store = open_store(store_url, "riverside", now=now)
    with opened(store_url) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE told")
    with pytest.raises(StoreRefused) as refused, store.read() as connection:
        connection.exec_driver_sql("SELECT * FROM told")
    assert code(refused.value) == "store_changed"
    with pytest.raises(StoreRefused), store.read() as connection:
        dialects.fetch(connection, "SELECT * FROM told", ())
    store.close()


# --- SQLite --------------------------------------------------------------------------------------


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    refused = said(f"sqlite:///{tmp_path}")

    assert code(refused) == "store_no_file"
    assert f"{tmp_path} is a folder" in str(refused)


def test_a_file_below_a_file_is_no_store(tmp_path: Path, now: datetime) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(StoreRefused) as refused:
        open_store(f"sqlite:///{tmp_path}/var/store.db", "riverside", now=now)
    assert code(refused.value) == "store_read_only"
    assert refused.value.findings[0].path == "data"


@ON_SQLITE
@pytest.mark.parametrize(
    ("statement", "expected"),
    [("PRAGMA query_only = on", "store_read_only"), ("PRAGMA max_page_count = 1", "full")],
)
def test_what_cannot_be_written_is_told_as_what_it_is(
    store_url: str, now: datetime, statement: str, expected: str
) -> None:
    store = open_store(store_url, "riverside", now=now)
    with pytest.raises((StoreBusy, StoreRefused)) as caught, store.write() as connection:
        connection.exec_driver_sql(statement)
        connection.exec_driver_sql("CREATE TABLE more (x)")
    if expected == "full":
        assert str(caught.value) == "the disk of the store is full"
    else:
        assert isinstance(caught.value, StoreRefused)
        assert code(caught.value) == expected


@pytest.fixture
def damaged(store_url: str, tmp_path: Path, now: datetime, fill: Callable[..., None]) -> Store:
    """A store in a file, the middle of which is gone."""
    fill(store_url, now)
    store = open_store(store_url, "riverside", now=now)
    store.close()
    file = tmp_path / "store.db"
    content = bytearray(file.read_bytes())
    content[40960:81920] = bytes(40960)
    file.write_bytes(content)
    return store


@ON_SQLITE
def test_damage_is_told_wherever_it_shows(damaged: Store) -> None:
    tables = ("appointments", "people", "told", "events", "messages", "sightings")
    met = set()
    for table in tables:
        try:
            with damaged.read() as connection:
                dialects.fetch(connection, f"SELECT * FROM {table}", ())
        except StoreRefused as refused:
            met.add(code(refused))
    assert met == {"store_damaged"}
