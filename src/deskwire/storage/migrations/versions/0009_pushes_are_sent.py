"""Pushes go out: what was frozen, how the sending went, and whom WeCom does not reach.

On the way back only what waits is kept, as an older desk knows nothing else of pushes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

WAITING = sa.text("settled_at IS NULL")


def _columns() -> list[sa.Column[object]]:
    return [
        sa.Column("conv_id", sa.String(length=36), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("announces", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("shows", sa.String(length=36), nullable=True),
        sa.Column("unanswered", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("msgid", sa.String(length=256), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
    ]


def upgrade() -> None:
    op.add_column("person", sa.Column("unreachable_at", sa.BigInteger(), nullable=True))
    for column in _columns():
        op.add_column("push", column)
    op.drop_index("ix_push_due", table_name="push")
    op.create_index("ix_push_due", "push", ["due"], sqlite_where=WAITING, postgresql_where=WAITING)
    op.create_index("ix_push_stream", "push", ["stream_id", "realm", "person"])
    op.create_index("ix_push_person", "push", ["person", "tried_at"])
    op.create_index("ix_push_tried", "push", ["tried_at"])
    op.create_index("ix_push_settled", "push", ["settled_at"])


def downgrade() -> None:
    op.execute("DELETE FROM push WHERE state <> 'armed'")
    for name in ("due", "stream", "person", "tried", "settled"):
        op.drop_index(f"ix_push_{name}", table_name="push")
    op.create_index("ix_push_due", "push", ["due"])
    for column in _columns():
        # Both databases can; the batch form would make the table anew without its checks.
        op.execute(f"ALTER TABLE push DROP COLUMN {column.name}")
    op.execute("ALTER TABLE person DROP COLUMN unreachable_at")
