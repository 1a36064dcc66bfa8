"""What is kept: people, items, slots, judgements. SQL by SQLAlchemy, schema by Alembic."""
