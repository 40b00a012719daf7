"""SQL Server, Oracle, and what else SQLAlchemy has a dialect for: by their manuals alone, untested."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.sql.server import Server, Table, gathered

_ORACLE_TABLES = """
SELECT CASE WHEN owner = SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA') THEN 1 ELSE 0 END,
    owner, table_name, column_name
FROM all_tab_columns
WHERE owner NOT IN (SELECT username FROM all_users WHERE oracle_maintained = 'Y')
ORDER BY 1 DESC, owner, table_name, column_id
"""
_MSSQL_TABLES = """
SELECT CASE WHEN TABLE_SCHEMA = SCHEMA_NAME() THEN 1 ELSE 0 END,
    TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME
FROM INFORMATION_SCHEMA.COLUMNS
ORDER BY 1 DESC, TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""
_TABLES = {"oracle": _ORACLE_TABLES, "mssql": _MSSQL_TABLES}


class OtherServer(Server):
    """A database that no test runs on."""

    def __init__(self, url: Any, *, timeout: timedelta, folder: Any) -> None:
        super().__init__(url, timeout=timeout, folder=folder)
        self.backend = url.get_backend_name()
        self.extra = {"mssql": "mssql", "oracle": "oracle"}.get(self.backend, "odbc")

    def opened(self) -> Any:
        if self.backend == "mssql":
            self.url = self.url.update_query_dict({"ApplicationIntent": "ReadOnly"})
        connection = super().opened()
        if hasattr(connection, "autocommit") and not callable(connection.autocommit):
            connection.autocommit = False  # whatever was written in spite of all is rolled back
        if self.backend == "mssql":
            connection.cursor().execute("SET LOCK_TIMEOUT 5000")
        return connection

    def cursor(self) -> Any:
        """Return a cursor; Oracle's lock is of one transaction, and has to be set anew in each."""
        cursor = super().cursor()
        if self.backend == "oracle":
            self.connection.rollback()
            cursor.execute("SET TRANSACTION READ ONLY")
        return cursor

    def tables(self) -> list[Table]:
        statement = _TABLES.get(self.backend)
        return gathered(self.look(statement)) if statement else []

    def few(self, text: str, number: int) -> str:
        """Return a query for the first rows; Oracle knows FETCH FIRST from 12c on, ROWNUM always."""
        if self.backend == "oracle":
            return f"SELECT * FROM (\n{text}\n) WHERE ROWNUM <= {number}"
        if self.backend == "mssql":
            return f"SELECT TOP ({number}) * FROM (\n{text}\n) few"
        return text
