"""Training, people's own keys, work that a lead sends back."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add them."""
    op.add_column(
        "person", sa.Column("trained", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("person", sa.Column("shortcuts", sa.JSON(none_as_null=True), nullable=True))
    op.create_index("judgement_submitted", "judgement", ["submitted"], unique=False)
    op.create_table(
        "returned",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("slot_id", _ID, nullable=False),
        sa.Column("judgement_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("person_id", _ID, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["slot_id"], ["slot.id"]),
        sa.ForeignKeyConstraint(["judgement_id"], ["judgement.id"]),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_returned_slot_id"), "returned", ["slot_id"], unique=False)


def downgrade() -> None:
    """Take them away."""
    op.drop_table("returned")
    op.drop_index("judgement_submitted", "judgement")
    op.drop_column("person", "shortcuts")
    op.drop_column("person", "trained")
