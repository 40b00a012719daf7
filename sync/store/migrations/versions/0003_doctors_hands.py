"""What doctors do to events is kept with them, and where the last look at each calendar ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

says = (
    "What doctors do to events in their calendars is seen from now on, and dealt with as if_doctor "
    "says. Every event is written once more."
)


def upgrade() -> None:
    op.add_column("events", sa.Column("hands", sa.Text(), nullable=True))
    op.add_column("events", sa.Column("touched_at", sa.BigInteger(), nullable=True))
    op.create_index("events_touched", "events", ["clinic", "touched_at"], unique=False)
    op.create_index("events_calendar", "events", ["calendar", "clinic", "state"], unique=False)
    op.add_column("calendars", sa.Column("cursor_json", sa.Text(), nullable=True))
    op.add_column("calendars", sa.Column("retry_at", sa.BigInteger(), nullable=True))
    op.add_column("calendars", sa.Column("tries", sa.Integer(), nullable=True))
    op.add_column("calendars", sa.Column("done_at", sa.BigInteger(), nullable=True))
    op.add_column("calendars", sa.Column("looked_at", sa.BigInteger(), nullable=True))
    op.add_column("calendars", sa.Column("strangers", sa.Text(), nullable=True))
