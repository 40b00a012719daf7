"""What Alembic runs migrations in: the connection that `sync.store.schema` hands it."""

from __future__ import annotations

from alembic import context

from sync.store import mysql_migrations, mysql_tables  # noqa: F401 - what is different there
from sync.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=True,
    render_as_batch=True,  # SQLite changes a table only by making it anew
)
with context.begin_transaction():
    context.run_migrations()
