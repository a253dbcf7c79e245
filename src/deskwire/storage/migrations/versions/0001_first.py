"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "access",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=True),
        sa.Column("person", sa.String(length=64), nullable=True),
        sa.Column("login_id", sa.String(length=36), nullable=True),
        sa.Column("stream_id", sa.String(length=96), nullable=True),
        sa.Column("why", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_access")),
    )
    op.create_table(
        "agent_group",
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("queue_max", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_agent_group")),
    )
    op.create_table(
        "command",
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("command_id", sa.String(length=64), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("realm", "person", "command_id", name=op.f("pk_command")),
    )
    op.create_index("ix_command_at", "command", ["at"], unique=False)
    op.create_table(
        "day_number",
        sa.Column("day", sa.String(length=8), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_day_number")),
    )
    op.create_table(
        "event",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("v", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_event")),
    )
    op.create_table(
        "mark",
        sa.Column("stream_id", sa.String(length=96), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("read <= delivered AND read >= 0", name=op.f("ck_mark_order")),
        sa.PrimaryKeyConstraint("stream_id", "realm", "person", name=op.f("pk_mark")),
    )
    op.create_table(
        "person",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("wecom_userid", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("department", sa.String(length=128), nullable=False),
        sa.Column("avatar", sa.String(length=512), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person")),
        sa.UniqueConstraint("wecom_userid", name=op.f("uq_person_wecom_userid")),
    )
    op.create_table(
        "signin",
        sa.Column("state_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("cookie_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=512), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_signin")),
    )
    op.create_table(
        "store",
        sa.Column("one", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_store")),
    )
    op.create_table(
        "stream",
        sa.Column("stream_id", sa.String(length=96), nullable=False),
        sa.Column("epoch", sa.String(length=8), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("head >= floor - 1 AND floor >= 1", name=op.f("ck_stream_dense")),
        sa.PrimaryKeyConstraint("stream_id", name=op.f("pk_stream")),
    )
    op.create_table(
        "agent",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("login_name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("availability", sa.String(length=16), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("load", sa.Integer(), nullable=False),
        sa.CheckConstraint("capacity BETWEEN 1 AND 50", name=op.f("ck_agent_capacity")),
        sa.CheckConstraint("load >= 0", name=op.f("ck_agent_load")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.person_id"], name=op.f("fk_agent_person_id")
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_agent")),
        sa.UniqueConstraint("login_name", name=op.f("uq_agent_login_name")),
    )
    op.create_table(
        "category",
        sa.Column("category_id", sa.String(length=64), nullable=False),
        sa.Column("name_zh", sa.String(length=128), nullable=False),
        sa.Column("name_en", sa.String(length=128), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["agent_group.group_id"], name=op.f("fk_category_group_id")
        ),
        sa.PrimaryKeyConstraint("category_id", name=op.f("pk_category")),
    )
    op.create_table(
        "login",
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("login_id", sa.String(length=36), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person"], ["person.person_id"], name=op.f("fk_login_person")),
        sa.PrimaryKeyConstraint("secret_hash", name=op.f("pk_login")),
        sa.UniqueConstraint("login_id", name=op.f("uq_login_login_id")),
    )
    op.create_index("ix_login_person", "login", ["realm", "person"], unique=False)
    op.create_table(
        "stream_event",
        sa.Column("stream_id", sa.String(length=96), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("anchor", sa.BigInteger(), nullable=True),
        sa.Column("voids", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["event_id"], ["event.event_id"], name=op.f("fk_stream_event_event_id")
        ),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["stream.stream_id"], name=op.f("fk_stream_event_stream_id")
        ),
        sa.PrimaryKeyConstraint("stream_id", "position", name=op.f("pk_stream_event")),
    )
    op.create_index("ix_stream_event_anchor", "stream_event", ["stream_id", "anchor"], unique=False)
    op.create_table(
        "conversation",
        sa.Column("conv_id", sa.String(length=36), nullable=False),
        sa.Column("no", sa.String(length=32), nullable=False),
        sa.Column("requester_id", sa.String(length=64), nullable=False),
        sa.Column("category_id", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("assignee_id", sa.String(length=64), nullable=True),
        sa.Column("last_agent_id", sa.String(length=64), nullable=True),
        sa.Column("turn", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("waiting_since", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("first_answered_at", sa.BigInteger(), nullable=True),
        sa.Column("resolution_no", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_how", sa.String(length=16), nullable=True),
        sa.Column("previous_id", sa.String(length=36), nullable=True),
        sa.Column("rated", sa.Boolean(), nullable=False),
        sa.Column("last_msg_id", sa.String(length=36), nullable=True),
        sa.CheckConstraint(
            "(assignee_id IS NOT NULL) = (status = 'active')", name=op.f("ck_conversation_assignee")
        ),
        sa.CheckConstraint(
            "assignee_id IS NULL OR assignee_id <> requester_id", name=op.f("ck_conversation_own")
        ),
        sa.ForeignKeyConstraint(
            ["assignee_id"], ["person.person_id"], name=op.f("fk_conversation_assignee_id")
        ),
        sa.ForeignKeyConstraint(
            ["category_id"], ["category.category_id"], name=op.f("fk_conversation_category_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["agent_group.group_id"], name=op.f("fk_conversation_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["last_agent_id"], ["person.person_id"], name=op.f("fk_conversation_last_agent_id")
        ),
        sa.ForeignKeyConstraint(
            ["requester_id"], ["person.person_id"], name=op.f("fk_conversation_requester_id")
        ),
        sa.PrimaryKeyConstraint("conv_id", name=op.f("pk_conversation")),
        sa.UniqueConstraint("no", name=op.f("uq_conversation_no")),
    )
    op.create_index(
        "ix_conversation_board",
        "conversation",
        ["group_id", "status", "waiting_since"],
        unique=False,
    )
    op.create_index(
        "ix_conversation_requester", "conversation", ["requester_id", "opened_at"], unique=False
    )
    op.create_index(
        "uq_conversation_unclosed",
        "conversation",
        ["requester_id", "group_id"],
        unique=True,
        sqlite_where=sa.text("status <> 'closed'"),
        postgresql_where=sa.text("status <> 'closed'"),
    )
    op.create_table(
        "group_member",
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["agent_group.group_id"], name=op.f("fk_group_member_group_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["agent.person_id"], name=op.f("fk_group_member_person_id")
        ),
        sa.PrimaryKeyConstraint("group_id", "person_id", name=op.f("pk_group_member")),
    )
    op.create_table(
        "message",
        sa.Column("msg_id", sa.String(length=36), nullable=False),
        sa.Column("conv_id", sa.String(length=36), nullable=False),
        sa.Column("stream_id", sa.String(length=96), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("command_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conv_id"], ["conversation.conv_id"], name=op.f("fk_message_conv_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.person_id"], name=op.f("fk_message_person_id")
        ),
        sa.PrimaryKeyConstraint("msg_id", name=op.f("pk_message")),
        sa.UniqueConstraint("stream_id", "position", name=op.f("uq_message_stream_id_position")),
    )
    op.create_index(
        "ix_message_conversation", "message", ["conv_id", "stream_id", "position"], unique=False
    )
    op.create_table(
        "participant",
        sa.Column("conv_id", sa.String(length=36), nullable=False),
        sa.Column("realm", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("visible_from", sa.BigInteger(), nullable=False),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["conv_id"], ["conversation.conv_id"], name=op.f("fk_participant_conv_id")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.person_id"], name=op.f("fk_participant_person_id")
        ),
        sa.PrimaryKeyConstraint("conv_id", "realm", "person_id", name=op.f("pk_participant")),
    )
    op.create_index("ix_participant_person", "participant", ["realm", "person_id"], unique=False)
    op.create_table(
        "rating",
        sa.Column("conv_id", sa.String(length=36), nullable=False),
        sa.Column("resolution_no", sa.Integer(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name=op.f("ck_rating_score")),
        sa.ForeignKeyConstraint(
            ["conv_id"], ["conversation.conv_id"], name=op.f("fk_rating_conv_id")
        ),
        sa.PrimaryKeyConstraint("conv_id", "resolution_no", name=op.f("pk_rating")),
    )


def downgrade() -> None:
    op.drop_table("rating")
    op.drop_index("ix_participant_person", table_name="participant")
    op.drop_table("participant")
    op.drop_index("ix_message_conversation", table_name="message")
    op.drop_table("message")
    op.drop_table("group_member")
    op.drop_index(
        "uq_conversation_unclosed",
        table_name="conversation",
        sqlite_where=sa.text("status <> 'closed'"),
        postgresql_where=sa.text("status <> 'closed'"),
    )
    op.drop_index("ix_conversation_requester", table_name="conversation")
    op.drop_index("ix_conversation_board", table_name="conversation")
    op.drop_table("conversation")
    op.drop_index("ix_stream_event_anchor", table_name="stream_event")
    op.drop_table("stream_event")
    op.drop_index("ix_login_person", table_name="login")
    op.drop_table("login")
    op.drop_table("category")
    op.drop_table("agent")
    op.drop_table("stream")
    op.drop_table("store")
    op.drop_table("signin")
    op.drop_table("person")
    op.drop_table("mark")
    op.drop_table("event")
    op.drop_table("day_number")
    op.drop_index("ix_command_at", table_name="command")
    op.drop_table("command")
    op.drop_table("agent_group")
    op.drop_table("access")
