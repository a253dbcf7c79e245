"""The number of the newest loss of sight stands in the store's row, taken as a position is."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("store") as batch:
        batch.add_column(sa.Column("access", sa.BigInteger(), nullable=True))
    op.execute("UPDATE store SET access = (SELECT coalesce(max(n), 0) FROM access)")
    with op.batch_alter_table("store") as batch:
        batch.alter_column("access", existing_type=sa.BigInteger(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("store") as batch:
        batch.drop_column("access")
