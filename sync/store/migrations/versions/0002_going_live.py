"""What is live and what is paused stands in tables of its own; a store that has neither rehearses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

says = (
    "A clinic is in rehearsal until `clinicrelay live` is typed for it; until then messages are "
    "written to data/rehearsal and reach nobody outside."
)


def upgrade() -> None:
    op.create_table(
        "live",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("doctor", sa.String(length=255), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("who", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("clinic", "part", "doctor"),
    )
    op.create_table(
        "pauses",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("clinic", "scope"),
    )
    op.drop_column("clinics", "mode")
