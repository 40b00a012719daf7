"""Attempts are found by what few or none have yet without a page for all that have it not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    if op.get_bind().dialect.name == "mysql":  # which has no index of some rows
        return
    for name, column in (("attempts_provider", "provider_id"), ("attempts_look", "look_at")):
        some = sa.text(f"{column} IS NOT NULL")
        op.drop_index(name, "attempts")
        op.create_index(
            name, "attempts", ["clinic", column], sqlite_where=some, postgresql_where=some
        )
