"""Attachments: uploads, staged until a message binds them. Their bytes are files."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "attachment",
        sa.Column("attachment_id", sa.String(length=36), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("conv_id", sa.String(length=36), nullable=True),
        sa.Column("stream_id", sa.String(length=96), nullable=True),
        sa.Column("msg_id", sa.String(length=36), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("destroy_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(conv_id IS NULL) = (msg_id IS NULL) AND (conv_id IS NULL) = (stream_id IS NULL)",
            name=op.f("ck_attachment_bound"),
        ),
        sa.CheckConstraint(
            "destroy_at IS NULL OR withdrawn_at IS NOT NULL", name=op.f("ck_attachment_destroyed")
        ),
        sa.ForeignKeyConstraint(
            ["conv_id"], ["conversation.conv_id"], name=op.f("fk_attachment_conv_id")
        ),
        sa.ForeignKeyConstraint(
            ["person"], ["person.person_id"], name=op.f("fk_attachment_person")
        ),
        sa.PrimaryKeyConstraint("attachment_id", name=op.f("pk_attachment")),
    )
    op.create_index("ix_attachment_owner", "attachment", ["realm", "person", "at"], unique=False)
    op.create_index("ix_attachment_message", "attachment", ["msg_id"], unique=False)
    for name, column, where in (
        ("ix_attachment_staged", "at", "conv_id IS NULL"),
        ("ix_attachment_destroy", "destroy_at", "destroy_at IS NOT NULL"),
    ):
        op.create_index(
            name,
            "attachment",
            [column],
            unique=False,
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


def downgrade() -> None:
    op.drop_table("attachment")
