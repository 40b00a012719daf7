"""What a provider is asked about an attempt: since when it may be there, and since when it is not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("attempts", sa.Column("begun_at", sa.BigInteger(), nullable=True))
    op.add_column("attempts", sa.Column("nothing_since", sa.BigInteger(), nullable=True))
    op.create_index("attempts_provider", "attempts", ["clinic", "provider_id"], unique=False)
