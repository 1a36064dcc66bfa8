"""Alembic's entry: run the steps on the connection that `Database.migrate` hands over."""

from alembic import context

from veridical.studio.store.schema import metadata

config = getattr(context, "config", None)  # None where this is only imported
if config is not None:
    context.configure(
        connection=config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
    )
    context.run_migrations()
