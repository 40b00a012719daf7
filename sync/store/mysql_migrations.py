"""Lets a migration that was cut off on MySQL or MariaDB be run again from its beginning.

Each change of a table is there for good at once, the version row only after the last of them. So a
step that says "that is so already" was done by the run that was cut off, and is passed over. What a
migration does to rows has to bear being done twice.
"""

from __future__ import annotations

from typing import Any

from alembic.ddl.mysql import MySQLImpl
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DDLElement

# A table, column, index or key that is there already, or that is gone already.
_DONE = frozenset((1050, 1051, 1054, 1060, 1061, 1068, 1091))


class Resumed(MySQLImpl):
    """Takes the place of Alembic's own, by its dialect's name."""

    __dialect__ = "mysql"

    def _exec(self, construct: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return super()._exec(construct, *arguments, **named)
        except DBAPIError as error:
            number = error.orig.args[0] if error.orig else None
            if isinstance(construct, DDLElement) and number in _DONE:
                return None
            raise
