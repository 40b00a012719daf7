"""Who did what, entry by entry, and who was erased, as nothing but a hash."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

says = (
    "What is older than `retention` says is deleted once a day from now on (clinicrelay purge --plan "
    "shows what), also exports in processed/ and quarantine/ of an inbox. Whatever people do is noted: "
    "clinicrelay audit list."
)


def upgrade() -> None:
    op.add_column(
        "clinics",
        sa.Column("audit_head", sa.String(length=100), nullable=False, server_default=""),
    )
    op.create_table(
        "erased",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("mark", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(length=120), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("clinic", "mark"),
    )
    op.create_table(
        "audit",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("about", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("before_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("clinic", "number"),
    )
