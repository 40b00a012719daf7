"""How the tables are made on MySQL and MariaDB, from the same declarations and migrations as elsewhere.

Importing this changes what SQLAlchemy compiles for these two databases, and nothing for others:

- A text of any length is LONGTEXT, bytes of any length LONGBLOB: TEXT and BLOB end at 64 kB.
- A number with a fraction is DOUBLE: FLOAT has seven digits, and a moment in seconds has ten before
  its point.
- Every table is InnoDB, in utf8mb4, and compares bytes: to a source "A1" and "a1", "é" and "e", "7"
  and "7 " are different keys, and most collations there say otherwise. The long row format lets
  a key have 3,072 bytes, which is 768 characters.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float, LargeBinary, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable

# Both compare bytes, without padding the shorter with spaces; each server knows only its own.
COLLATION = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}


def collation(dialect: Any) -> str:
    """Return the collation of every text on the server that a dialect has met."""
    return COLLATION["mariadb" if dialect.is_mariadb else "mysql"]


@compiles(CreateTable, "mysql")
def _table(element: CreateTable, compiler: Any, **named: Any) -> str:
    made = compiler.visit_create_table(element, **named).rstrip()
    return (
        f"{made} ENGINE=InnoDB ROW_FORMAT=DYNAMIC "
        f"DEFAULT CHARSET=utf8mb4 COLLATE={collation(compiler.dialect)}"
    )


@compiles(Text, "mysql")
def _text(_type: Text, _compiler: Any, **_named: Any) -> str:
    return "LONGTEXT"


@compiles(LargeBinary, "mysql")
def _bytes(_type: LargeBinary, _compiler: Any, **_named: Any) -> str:
    return "LONGBLOB"


@compiles(Float, "mysql")
def _number(_type: Float[Any], _compiler: Any, **_named: Any) -> str:
    return "DOUBLE"
