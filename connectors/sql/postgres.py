"""PostgreSQL: a REPEATABLE READ, read-only transaction, read through a server-side cursor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from clinicrelay.errors import Refused
from connectors.sql import troubles
from connectors.sql.server import Clock, Server, Table, gathered
from connectors.sql.troubles import Trouble

_CODES = {
    "42P01": troubles.NO_TABLE,
    "3F000": troubles.NO_TABLE,
    "42703": troubles.NO_COLUMN,
    "42702": troubles.TWO_ALIKE,
    "42701": troubles.TWO_ALIKE,
    "42501": troubles.NO_RIGHT,
    "42601": troubles.SYNTAX,
    "42883": troubles.TYPES,
    "42804": troubles.TYPES,
    "42725": troubles.TYPES,
    "57014": troubles.TOO_LONG,
    "55P03": troubles.LOCKED,
    "40P01": troubles.LOCKED,
    "40001": troubles.LOCKED,
    "53300": troubles.BUSY,
    "25006": troubles.WROTE,
    "28P01": troubles.PASSWORD,
    "28000": troubles.NOT_ALLOWED_IN,
    "3D000": troubles.NO_DATABASE,
}
_CLASSES = {"08": troubles.LOST, "57": troubles.LOST, "53": troubles.BUSY, "22": troubles.TYPES}
# Before there is a session libpq gives no code, only words; all but the last are never translated
# by more than the server's language.
_WORDS = (
    ("password", troubles.PASSWORD),
    ("could not translate host name", troubles.NO_HOST),
    ("failed to resolve host", troubles.NO_HOST),
    ("pg_hba.conf", troubles.NOT_ALLOWED_IN),
    ("does not exist", troubles.NO_DATABASE),
    ("too many", troubles.BUSY),
    ("starting up", troubles.BUSY),
    ("ssl", troubles.TLS),
    ("certificate", troubles.TLS),
    ("refused", troubles.AWAY),
    ("timeout", troubles.AWAY),
    ("timed out", troubles.AWAY),
    ("no route", troubles.AWAY),
    ("unreachable", troubles.AWAY),
    ("no such file", troubles.AWAY),
    ("invalid", troubles.TLS),
)

# A time that Python has no date for (infinity, before Christ) must not end the read: they come as
# PostgreSQL writes them. So do the others that would only be made to be written again.
_AS_TEXT = (
    "timestamp",
    "timestamptz",
    "date",
    "time",
    "timetz",
    "interval",
    "json",
    "jsonb",
    "uuid",
    "inet",
    "money",
)

_SESSION = (
    "SET default_transaction_read_only = on",
    "SET TimeZone = 'UTC'",
    "SET DateStyle = 'ISO, YMD'",
    "SET IntervalStyle = 'postgres'",
    "SET bytea_output = 'hex'",
    "SET standard_conforming_strings = on",
    "SET client_min_messages = error",
    "SET lock_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '10min'",
)
# In one statement, before the snapshot: a transaction that begins after it can only stamp later.
_CLOCK = """
SELECT now(), has.it, CASE WHEN has.it THEN least(
    (SELECT min(xact_start) FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND backend_xid IS NOT NULL AND datname = current_database()),
    (SELECT min(prepared) FROM pg_prepared_xacts)) END
FROM (SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS it) has
"""
# Of a table that may be read in part, those columns; of one that may not, all of them, to be judged by.
_TABLES = """
SELECT pg_table_is_visible(c.oid), n.nspname::text, c.relname::text, a.attname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND left(n.nspname, 4) <> 'pg_t'
  AND (has_column_privilege(c.oid, a.attnum, 'SELECT')
    OR NOT has_any_column_privilege(c.oid, 'SELECT'))
ORDER BY 1 DESC, 2, 3, a.attnum
"""
_WRITES = """
SELECT CASE
    WHEN (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
      THEN 'do anything: it is a superuser'
    WHEN pg_has_role(current_user, 'pg_write_server_files', 'USAGE')
      OR pg_has_role(current_user, 'pg_execute_server_program', 'USAGE')
      THEN 'write files and start programs'
    WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) THEN 'write tables'
    ELSE '' END
"""


class Postgres(Server):
    """PostgreSQL, and what speaks like it."""

    backend = "postgresql"
    extra = "postgres"
    tested = True

    @property
    def driver(self) -> Any:
        import psycopg

        return psycopg

    def opened(self) -> Any:
        import psycopg

        dialect = self.url.get_dialect()()
        _, options = dialect.create_connect_args(self.url)
        options["connect_timeout"] = max(2, min(10, round(self.timeout.total_seconds())))
        options.setdefault("application_name", "clinicrelay")
        connection: psycopg.Connection[Any] = psycopg.connect(**options, autocommit=True)
        milliseconds = round(self.timeout.total_seconds() * 1000)
        for statement in (*_SESSION, f"SET statement_timeout = {milliseconds}"):
            connection.execute(statement)
        _take_texts(connection)
        return connection

    def cursor(self) -> Any:
        connection = self.connection
        if connection.autocommit:
            connection.autocommit = False
            connection.read_only = True
            connection.isolation_level = self.driver.IsolationLevel.REPEATABLE_READ
        return connection.cursor(
            name="clinicrelay"
        )  # DECLARE by the extended protocol: one statement

    def done(self) -> None:
        super().done()
        if self._connection is not None:
            with self.forgiven():
                self._connection.autocommit = True

    def moment(self, wall: datetime) -> Any:
        # Typed, so that `:watermark - interval '1 hour'` works; the session is in UTC, and a column
        # without a zone is compared by the same digits.
        return wall.replace(tzinfo=UTC)

    def clock(self) -> Clock:
        try:
            ((now, sees, oldest),) = self.look(_CLOCK)
        except Refused:  # something that only speaks like PostgreSQL
            ((now,),) = self.look("SELECT now()")
            return Clock(datetime.fromisoformat(now))
        return Clock(datetime.fromisoformat(now), _instant(oldest), bool(sees))

    def trouble_of(self, error: Exception) -> Trouble:
        code = getattr(error, "sqlstate", None)
        if code:
            return _CODES.get(code) or _CLASSES.get(code[:2]) or troubles.OTHER
        if isinstance(error, self.driver.OperationalError):
            said = str(error).lower()
            if self._connection is not None:
                return troubles.LOST
            return next((trouble for word, trouble in _WORDS if word in said), troubles.AWAY)
        return troubles.OTHER

    def may_write(self) -> str:
        ((what,),) = self.look(_WRITES)
        return str(what)

    def grants(self, tables: Sequence[str]) -> str:
        on = ", ".join(tables) or "the tables of the query"
        return (
            f"CREATE ROLE clinicrelay LOGIN PASSWORD '…'; GRANT SELECT ON {on} TO clinicrelay; "
            "GRANT pg_read_all_stats TO clinicrelay; and use that account"
        )

    def tables(self) -> list[Table]:
        return gathered(self.look(_TABLES))


def _take_texts(connection: Any) -> None:
    from psycopg.types.string import TextLoader

    for kind in _AS_TEXT:
        with suppress(KeyError):
            connection.adapters.register_loader(kind, TextLoader)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
