"""The office is run from within: versions of what is saved there, canned replies, drafts, and the
wrong passwords of the last minutes.

What stands already has been saved once: its version is 1, for 0 means that there is nothing yet.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for table, default in (("person", "1"), ("agent", "1"), ("setting", "0")):
        op.add_column(table, _version(sa.text(default)))
    for table in ("agent_group", "category"):
        op.execute(f"UPDATE {table} SET version = 1 WHERE version = 0")  # noqa: S608  our names
    _make_replies()
    _make_drafts()
    _make_attempts()


def _make_replies() -> None:
    op.create_table(
        "canned_reply",
        sa.Column("reply_id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("shortcut", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=True),
        sa.Column("group_id", sa.String(length=64), nullable=True),
        sa.Column("is_archived", sa.Boolean(), nullable=False),
        _version(None),
        sa.CheckConstraint(
            "(owner_id IS NOT NULL) = (scope = 'mine')"
            " AND (group_id IS NOT NULL) = (scope = 'group')",
            name=op.f("ck_canned_reply_whose"),
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["agent.person_id"], name=op.f("fk_canned_reply_owner_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["agent_group.group_id"], name=op.f("fk_canned_reply_group_id")
        ),
        sa.PrimaryKeyConstraint("reply_id", name=op.f("pk_canned_reply")),
    )
    op.create_index("ix_canned_reply_owner", "canned_reply", ["owner_id"])
    op.create_index("ix_canned_reply_group", "canned_reply", ["group_id"])


def _make_drafts() -> None:
    op.create_table(
        "draft",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("conv_id", sa.String(length=36), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Text(), nullable=False),
        sa.Column("rev", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["agent.person_id"], name=op.f("fk_draft_person_id")
        ),
        sa.ForeignKeyConstraint(
            ["conv_id"], ["conversation.conv_id"], name=op.f("fk_draft_conv_id")
        ),
        sa.PrimaryKeyConstraint("person_id", "conv_id", "mode", name=op.f("pk_draft")),
    )
    op.create_index("ix_draft_newest", "draft", ["person_id", "at"])


def _make_attempts() -> None:
    op.create_table(
        "password_attempt",
        sa.Column("attempt_id", sa.String(length=36), nullable=False),
        sa.Column("name_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_password_attempt")),
    )
    for name, columns in (
        ("name", ["name_hash", "at"]),
        ("address", ["address_hash", "at"]),
        ("at", ["at"]),
    ):
        op.create_index(f"ix_password_attempt_{name}", "password_attempt", columns)


def _version(default: sa.TextClause | None) -> sa.Column[Any]:
    return sa.Column("version", sa.Integer(), nullable=False, server_default=default)


def downgrade() -> None:
    op.drop_table("password_attempt")
    op.drop_table("draft")
    op.drop_table("canned_reply")
    for table in ("setting", "agent", "person"):
        # Both databases can; the batch form would make the table anew without its checks.
        op.execute(f"ALTER TABLE {table} DROP COLUMN version")
