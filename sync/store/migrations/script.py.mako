"""${message}."""

# The release before this one works beside it: add, and drop only what no release uses any more.
# What is done to rows has to bear being done twice: MySQL goes on where a migration was cut off.

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
says = ""  # a sentence or two for whoever upgrades: changed defaults above all


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
