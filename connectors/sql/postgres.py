"""PostgreSQL: a REPEATABLE READ, read-only transaction, read through a server-side cursor."""

from __future__ import annotations

import re
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
    "42702": troubles.AMBIGUOUS,
    "42701": troubles.TWO_ALIKE,
    "42501": troubles.NO_RIGHT,
    "42804": troubles.TYPES,
    "42883": troubles.TYPES,
    "42725": troubles.NO_FUNCTION,
    "42846": troubles.TYPES,
    "22007": troubles.NO_VALUE,
    "22008": troubles.NO_VALUE,
    "22P02": troubles.NO_VALUE,
    "22003": troubles.TOO_LARGE,
    "22012": troubles.BY_ZERO,
    "21000": troubles.SEVERAL,
    "57014": troubles.TOO_LONG,
    "57P03": troubles.STARTING,
    "55P03": troubles.LOCKED,
    "40P01": troubles.LOCKED,
    "40001": troubles.LOCKED,
    "25006": troubles.WROTE,
    "25P03": troubles.LOST,
}
_CLASSES = {
    "08": troubles.LOST,
    "57": troubles.LOST,
    "53": troubles.BUSY,
    "22": troubles.CANNOT,
    "42": troubles.SYNTAX,
}
# Before there is a session libpq gives no code, only words, the server's in its own language. The
# longer ones stand first: a database may be called ssl, and a role password.
_WORDS = (
    (r"could not translate host name|name or service not known|no address assoc", troubles.NO_HOST),
    (r"temporary failure in name resolution", troubles.NO_NAMES),
    (r"failed to resolve host", troubles.NO_HOST),
    (r"certificate file .* does not exist|could not (?:read|load) .*(?:certificate|key)",
     troubles.NO_CERTIFICATE),
    (r'role "[^"]*" does not exist', troubles.NO_USER),
    (r'database "[^"]*" does not exist', troubles.NO_DATABASE),
    (r"is not permitted to log in", troubles.NO_LOGIN),
    (r"pg_hba\.conf|permission denied for database|not currently accepting connections",
     troubles.NOT_ALLOWED_IN),
    (r"password", troubles.PASSWORD),
    (r"too many (?:connections|clients)|connection slots", troubles.BUSY),
    (r"starting up|shutting down|recovery mode", troubles.STARTING),
    (r"invalid response to ssl|expected authentication request", troubles.OTHER_KIND),
    (r"closed the connection", troubles.CLOSED),
    (r"\bssl\b|\btls\b|certificate", troubles.TLS),
    (r"fatal:", troubles.UNKNOWN_REFUSAL),
)  # fmt: skip

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
        if code := getattr(error, "sqlstate", None):
            return _by_code(error, code)
        if not isinstance(error, self.driver.OperationalError):
            return troubles.OTHER
        if self._connection is not None:
            return troubles.LOST
        said = str(error).lower()
        return next((trouble for words, trouble in _WORDS if re.search(words, said)), troubles.AWAY)

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


def _by_code(error: Any, code: str) -> Trouble:
    # One code for an unknown function and an unknown operator: only the place in the source differs,
    # and that is in no language. One, too, for a timeout and somebody's order.
    if code == "42883" and error.diag.source_function == "ParseFuncOrColumn":
        return troubles.NO_FUNCTION
    if code == "57014" and "user request" in str(error):
        return troubles.STOPPED
    return _CODES.get(code) or _CLASSES.get(code[:2]) or troubles.OTHER


def _take_texts(connection: Any) -> None:
    from psycopg.types.string import TextLoader

    for kind in _AS_TEXT:
        with suppress(KeyError):
            connection.adapters.register_loader(kind, TextLoader)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
