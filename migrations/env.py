"""Runs migrations on the connection that `app.serve.migrate` hands over."""

from alembic import context

from app.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    # a migration that cannot get its lock soon must not queue every query behind it
    context.execute("SET LOCAL lock_timeout = '10s'")
    context.run_migrations()
