"""Logins that can be told apart: the browser each was made in, and why one has ended."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("login", sa.Column("browser", sa.String(length=200), nullable=True))
    op.add_column("login", sa.Column("why", sa.String(length=32), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("login") as batch:
        batch.drop_column("why")
        batch.drop_column("browser")
