"""Several visits of one day in one message, most messages to one person, and shared telephones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

says = (
    "Visits of one person on one day share a reminder, nobody gets more than 3 reminders and "
    "confirmations on a day or 6 in a week (safety.caps), and an SMS to a number that several "
    "patients share says whom it is for (reminders.patient.name_in_sms)."
)


def upgrade() -> None:
    op.create_table(
        "together",
        sa.Column("clinic", sa.String(length=64), nullable=False),
        sa.Column("message", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("told_with", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message"),
    )
    op.create_index("together_told_with", "together", ["told_with"], unique=False)
    op.create_index("people_phone", "people", ["phone"], unique=False)
    op.add_column("attempts", sa.Column("contact", sa.String(length=40), nullable=True))
    op.create_index("attempts_contact", "attempts", ["contact", "started_at"], unique=False)
