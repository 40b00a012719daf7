"""Learned: which ways to a person are of no use, and how far messages came. Several send at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync.store.shards import shard_of

revision = "0006"
down_revision = "0005"

says = (
    "A message that a provider refuses goes by the next notifier or channel, and an address that "
    "wants no messages is left alone from then on: clinicrelay contacts."
)


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("notifier", sa.String(length=64), nullable=False),
        sa.Column("recipient", sa.String(length=300), nullable=False),
        sa.Column("attempt", sa.String(length=40), nullable=False),
        sa.Column("learned_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("clinic", "address"),
    )
    op.add_column("attempts", sa.Column("delivery", sa.String(length=12), nullable=True))
    op.add_column("attempts", sa.Column("look_at", sa.BigInteger(), nullable=True))
    op.create_index("attempts_look", "attempts", ["clinic", "look_at"], unique=False)
    op.add_column(
        "messages", sa.Column("shard", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    _share_out()


def _share_out() -> None:
    """Give the messages that are still to end the shard that their recipient's next will have."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text(
            "SELECT id, recipient FROM messages "
            "WHERE state IN ('planned', 'sending', 'unknown', 'held')"
        )
    ).fetchall()
    if rows:
        connection.execute(
            sa.text("UPDATE messages SET shard = :shard WHERE id = :id"),
            [{"shard": shard_of(recipient), "id": number} for number, recipient in rows],
        )
