"""What is wanted of an event has a number, and what nobody confirmed of it or decided yet is known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

says = (
    "A calendar is not emptied any more because links to it vanished: that waits for "
    "`clinicrelay held release` (safety.hold_if.unlinked)."
)


def upgrade() -> None:
    op.create_table(
        "unlinked",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("appointment", sa.BigInteger(), nullable=False),
        sa.Column("calendar", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("appointment", "calendar"),
    )
    op.create_index("unlinked_clinic", "unlinked", ["clinic", "calendar"], unique=False)
    op.add_column(
        "events", sa.Column("wish", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "events", sa.Column("doubt", sa.String(length=8), nullable=False, server_default="")
    )
