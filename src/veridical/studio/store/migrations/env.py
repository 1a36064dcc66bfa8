"""Alembic's entry: run the steps on the connection that `Database.migrate` hands over."""

from alembic import context

from veridical.studio.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
