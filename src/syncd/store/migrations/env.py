"""Alembic's entry: the connection is always handed in by `run_alembic`, with its transaction open."""

from alembic import context

from syncd.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
context.run_migrations()
