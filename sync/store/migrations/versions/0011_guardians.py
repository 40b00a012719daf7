"""Patients are found by their guardian's telephone and e-mail, where messages for minors go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

says = "clinicrelay why finds a minor's visits by the guardian's telephone and e-mail as well."

AT_ONCE = 1000


def upgrade() -> None:
    for column, length in (("guardian_phone", 20), ("guardian_email", 255)):
        op.add_column("people", sa.Column(column, sa.String(length=length), nullable=True))
        some = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"people_{column}",
            "people",
            ["clinic", column],
            sqlite_where=some,
            postgresql_where=some,
        )
    _find_those_known()


def _find_those_known() -> None:
    """Take over the guardians of visits that are kept: an unchanged record is not read anew."""
    connection, after = op.get_bind(), 0
    page = sa.text(
        "SELECT id, clinic, source, content FROM appointments WHERE id > :after "
        "ORDER BY id LIMIT :many"
    )
    while rows := connection.execute(page, {"after": after, "many": AT_ONCE}).fetchall():
        after = rows[-1].id
        found = [
            {"clinic": row.clinic, "source": row.source, **guardian}
            for row in rows
            if '"guardian":' in row.content
            for guardian in _guardians(json.loads(row.content))
        ]
        if found:
            connection.execute(
                sa.text(
                    "UPDATE people SET guardian_phone = :phone, guardian_email = :email "
                    "WHERE clinic = :clinic AND source = :source AND source_key = :key"
                ),
                found,
            )


def _guardians(visit: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for who in visit.get("patients", ()):
        if one := who.get("guardian"):
            yield {"key": who["key"], "phone": one.get("phone"), "email": one.get("email")}
