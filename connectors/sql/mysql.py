"""MySQL and MariaDB: a session that is read-only as a whole, read row by row as they come."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from clinicrelay.errors import Refused
from connectors.sql import troubles
from connectors.sql.server import Clock, Server, Table, gathered
from connectors.sql.troubles import Trouble

_CODES = {
    **dict.fromkeys((1045, 1698), troubles.PASSWORD),
    **dict.fromkeys((1820, 1862, 3118, 4151), troubles.NO_LOGIN),
    **dict.fromkeys((1044, 1129, 1130), troubles.NOT_ALLOWED_IN),
    **dict.fromkeys((1040, 1203, 1226), troubles.BUSY),
    **dict.fromkeys((2026, 3159), troubles.TLS),
    **dict.fromkeys((1142, 1143, 1227, 1370), troubles.NO_RIGHT),
    **dict.fromkeys((1305, 1582, 1630), troubles.NO_FUNCTION),
    **dict.fromkeys((1064, 1111, 1222, 1248), troubles.SYNTAX),
    **dict.fromkeys((1205, 1213), troubles.LOCKED),
    **dict.fromkeys((1969, 3024), troubles.TOO_LONG),
    **dict.fromkeys((1927, 2006, 2013, 2014), troubles.LOST),
    **dict.fromkeys((1290, 1792), troubles.WROTE),
    1046: troubles.NAMELESS,
    1049: troubles.NO_DATABASE,
    1052: troubles.AMBIGUOUS,
    1053: troubles.STARTING,
    1054: troubles.NO_COLUMN,
    1060: troubles.TWO_ALIKE,
    1146: troubles.NO_TABLE,
    1242: troubles.SEVERAL,
    1267: troubles.TYPES,
    1317: troubles.STOPPED,
    1356: troubles.BROKEN_VIEW,
    1365: troubles.BY_ZERO,
    1690: troubles.TOO_LARGE,
}
_NO_CONNECTION = 2003
_OF_HOSTS = (
    ("temporary failure", troubles.NO_NAMES),
    ("name or service", troubles.NO_HOST),
    ("nodename", troubles.NO_HOST),
    ("getaddrinfo", troubles.NO_HOST),
    ("no address", troubles.NO_HOST),
    ("ssl", troubles.TLS),
    ("certificate", troubles.TLS),
)

# The SET that makes it read-only comes first: not START TRANSACTION READ ONLY, which a DDL ends.
# In a session in UTC a TIMESTAMP is UTC, and a DATETIME is left as it was written. Where a server
# keeps the result aside, a slow reader holds no lock on the clinic's tables (MyISAM).
_SESSION = (
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION sql_mode = '', time_zone = '+00:00', lock_wait_timeout = 5, "
    "innodb_lock_wait_timeout = 5, net_write_timeout = 600, sql_buffer_result = 1",
)
_TEMPORAL = (7, 10, 11, 12, 14)  # TIMESTAMP, DATE, TIME, DATETIME, NEWDATE
_PATIENCE = 10  # the server counts also the time that we take to read what it sends
_WRITES = re.compile(
    r"\b(ALL PRIVILEGES|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|FILE|SUPER|TRIGGER|EXECUTE|EVENT)\b"
)
_OF_A_DATABASE = re.compile(r"(?:`[^`]*`|\w+)+\.")
_TABLES = """
SELECT t.table_schema = DATABASE(), t.table_schema, t.table_name, c.column_name
FROM information_schema.tables t LEFT JOIN information_schema.columns c
  ON c.table_schema = t.table_schema AND c.table_name = t.table_name
WHERE t.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
  AND (DATABASE() IS NULL OR t.table_schema = DATABASE())
ORDER BY t.table_schema, t.table_name, c.ordinal_position
"""


class Mysql(Server):
    """MySQL or MariaDB; which of them it is, the server says itself."""

    backend = "mysql"
    extra = "mysql"
    tested = True
    _open_seen = True  # whether the account sees open transactions; false after the first refusal

    @property
    def driver(self) -> Any:
        import pymysql

        return pymysql

    def opened(self) -> Any:
        import pymysql

        dialect = self.url.get_dialect()()
        _, options = dialect.create_connect_args(self.url)
        seconds = max(1, round(self.timeout.total_seconds()))
        options |= {
            "charset": "utf8mb4",
            "client_flag": 0,  # without the flag for several statements in one text
            "local_infile": False,
            "autocommit": False,
            "connect_timeout": min(10, seconds),
            "read_timeout": seconds,
            "conv": _texts(),
        }
        connection = pymysql.connect(**options)
        with connection.cursor() as cursor:
            for statement in (*_SESSION, self._limit(connection.get_server_info(), seconds)):
                cursor.execute(statement)
        connection.rollback()
        return connection

    def _limit(self, version: str, seconds: int) -> str:
        if "mariadb" in version.lower():
            return f"SET SESSION max_statement_time = {seconds * _PATIENCE}"
        return f"SET SESSION max_execution_time = {seconds * _PATIENCE * 1000}"

    def cursor(self) -> Any:
        from pymysql.cursors import SSCursor

        return self.connection.cursor(SSCursor)

    def abandon(self, cursor: Any) -> None:
        # To close the cursor would be to fetch all the rest, also from a connection that is lost.
        if (result := getattr(cursor, "_result", None)) is not None:
            result.unbuffered_active = False
        self.close()

    def clock(self) -> Clock:
        now = self._now()
        oldest = self._oldest(now) if self._open_seen else None
        self.done()
        return Clock(now, oldest, self._open_seen)

    def _now(self) -> datetime:
        ((now,),) = self.look("SELECT UTC_TIMESTAMP(6)")
        return datetime.fromisoformat(now).replace(tzinfo=UTC)

    def _oldest(self, now: datetime) -> datetime | None:
        """Return when the oldest open transaction began; those who may not see it rely on overlap.

        The table tells it in the zone of the server's machine, whatever the session's is. To whoever
        looks within a tenth of a second after somebody else it shows the same as to them, so what
        began in the last second may be missing there.
        """
        question = (
            "SELECT MAX(TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(SYSDATE(), '+00:00', 'SYSTEM'))) "
            "FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()"
        )
        try:
            ((seconds,),) = self.look(question)
        except Refused:
            self._open_seen = False
            return None
        return now - timedelta(seconds=int(seconds or 0) + 1)

    def quoted(self, column: str) -> str:
        return "`{}`".format(column.replace("`", "``"))

    def trouble_of(self, error: Exception) -> Trouble:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        said = str(error).lower()
        if code == _NO_CONNECTION:
            return next((trouble for word, trouble in _OF_HOSTS if word in said), troubles.AWAY)
        if self._connection is None and (early := _before_a_session(error, code, said)):
            return early
        if code == 0 and isinstance(error, (OSError, self.driver.InterfaceError)):
            return troubles.LOST
        if "timed out" in said:
            return troubles.TOO_LONG
        return _CODES.get(code, troubles.OTHER)

    def may_write(self) -> str:
        for (line,) in self.look("SHOW GRANTS"):
            rights = line.partition(" ON ")[0]
            if found := _WRITES.search(rights.upper()):
                return f"more than read: it has {found[1]}"
        return ""

    def grants(self, tables: Sequence[str]) -> str:
        base = self.quoted(self.url.database) if self.url.database else "DATABASE"
        ons = [
            f"GRANT SELECT ON {t if _OF_A_DATABASE.match(t) else f'{base}.{t}'} TO 'clinicrelay'@'%';"
            for t in tables
        ]
        made = "CREATE USER 'clinicrelay'@'%' IDENTIFIED BY '…';"
        return " ".join(
            [made, *(ons or [f"GRANT SELECT ON {base}.* TO 'clinicrelay'@'%';"]), "and use it"]
        )

    def tables(self) -> list[Table]:
        return gathered(self.look(_TABLES))


def _before_a_session(error: Exception, code: int, said: str) -> Trouble | None:
    """Return what an error means that may also come later, and then means something else."""
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return troubles.NO_CERTIFICATE  # ssl.SSLError is one too: a file that is none
    if "timed out" in said:
        return troubles.AWAY
    return troubles.CLOSED if code in (2006, 2013) else None


def _texts() -> dict[Any, Any]:
    """Return the driver's conversions without those of times: 0000-00-00 and 2022-11-00 are none."""
    from pymysql.converters import conversions

    return {kind: made for kind, made in conversions.items() if kind not in _TEMPORAL}
