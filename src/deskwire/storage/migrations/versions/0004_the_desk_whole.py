"""All that the rules decide is kept: offers, assignments, labels, originals, pushes, the office.

What older rows do not say is read out of the log: since when a conversation is somebody's, since
when it is solved. Their timers are armed as if they had been armed then.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NO, ZERO, NONE = sa.text("false"), sa.text("0"), sa.text("'[]'")
HOUR_MS = 3_600_000


def _whole(name: str, default: sa.TextClause = ZERO) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=default)


def _flag(name: str, default: sa.TextClause = NO) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=default)


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=True)


def _choice(name: str, default: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(16), nullable=False, server_default=sa.text(default))


def _list(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=NONE)


def _word(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=length), nullable=True)


# The newest event of a type in a conversation's own stream, and when it was.
NEWEST = (
    "(SELECT max(e.at) FROM event e JOIN stream_event s ON s.event_id = e.event_id"
    " WHERE s.stream_id = 'conv:' || conversation.conv_id AND e.type = 'conversation.{0}')"
)
SINCE = "UPDATE conversation SET {0}_at = " + NEWEST + " WHERE status = '{1}'"  # noqa: S608
ANSWERED = """
    UPDATE conversation SET assignee_answered = true WHERE status = 'active' AND EXISTS (
        SELECT 1 FROM message m WHERE m.stream_id = 'conv:' || conversation.conv_id
        AND m.realm = 'agent' AND m.person_id = conversation.assignee_id
        AND m.at >= conversation.assigned_at
    )
"""
ASSIGNED = """
    INSERT INTO assignment (conv_id, agent_id, group_id, began_at, cause, by_id, over_capacity)
    SELECT conv_id, assignee_id, group_id, assigned_at, 'claim_conversation', assignee_id, false
    FROM conversation WHERE status = 'active'
"""
ARMED = """
    INSERT INTO timer (kind, key, due, lease_no, lease_until)
    SELECT '{kind}', c.{key}, {due}, 1, 0
    FROM conversation c LEFT JOIN message m ON m.msg_id = c.last_msg_id
    WHERE NOT EXISTS (SELECT 1 FROM timer t WHERE t.kind = '{kind}' AND t.key = c.{key})
    AND {where}
"""
UNANSWERED = """
    c.status = 'active' AND c.turn = 'agent' AND c.assignee_answered = false
    AND c.waiting_since IS NOT NULL
"""
SILENT = "c.status = 'active' AND c.turn = 'employee' AND c.waiting_since IS NULL"


def _added() -> dict[str, tuple[sa.Column[Any], ...]]:
    """New columns by table, made anew each time: a column belongs to one table object."""
    return {
        "agent": (
            _word("availability_reason", 500),
            sa.Column("availability_since", sa.BigInteger(), nullable=False, server_default=ZERO),
            _whole("missed_offers"),
            _moment("last_assigned_at"),
            _list("skills"),
            _flag("pushes", sa.text("true")),
        ),
        "agent_group": (
            sa.Column("routing", sa.String(16), nullable=False, server_default=sa.text("'pull'")),
            sa.Column(
                "pick", sa.String(16), nullable=False, server_default=sa.text("'least_busy'")
            ),
            _whole("offer_s", sa.text("25")),
            _whole("first_answer_s", sa.text("120")),
            sa.Column("week", sa.Text(), nullable=True),
            _list("closed_days"),
            _whole("version"),
        ),
        "category": (
            _word("parent_id", 64),
            _word("skill", 64),
            _flag("is_archived"),
            _whole("version"),
        ),
        "conversation": (
            _whole("priority"),
            _whole("label_version"),
            _word("preferred_agent_id", 64),
            _moment("prefer_until"),
            _word("waiting_reason", 32),
            _moment("held_until"),
            _whole("reopen_count"),
            _flag("assignee_absent"),
            _flag("assignee_answered"),
            _moment("assigned_at"),
            _moment("resolved_at"),
            _flag("is_reminded"),
        ),
        "message": (
            _list("mentions"),
            _word("reply_to", 36),
            _word("withdrawn", 16),
        ),
    }


def upgrade() -> None:
    for table, columns in _added().items():
        for column in columns:
            op.add_column(table, column)
    op.create_index("ix_command_person", "command", ["realm", "person", "at"])
    op.create_index("ix_message_author", "message", ["realm", "person_id", "at"])
    op.create_index("ix_conversation_assignee", "conversation", ["assignee_id"])
    _make_offers()
    _make_assignments()
    _make_labels()
    _make_originals()
    _make_pushes()
    _know()
    _arm()


def _know() -> None:
    op.execute(SINCE.format("assigned", "active"))
    op.execute(SINCE.format("resolved", "resolved"))
    op.execute(ANSWERED)
    op.execute(ASSIGNED)


def _arm() -> None:
    later = "max" if op.get_bind().dialect.name == "sqlite" else "greatest"
    owed = f"{later}(c.assigned_at, c.waiting_since)"
    resolved = "c.status = 'resolved'"
    for kind, due, where in (
        ("first_answer", f"{owed} + {HOUR_MS // 30}", UNANSWERED),
        ("reminder", f"m.at + {12 * HOUR_MS}", SILENT),
        ("auto_resolve", f"m.at + {24 * HOUR_MS}", SILENT),
        ("auto_close", f"c.resolved_at + {48 * HOUR_MS}", resolved),
    ):
        op.execute(ARMED.format(kind=kind, key="conv_id", due=due, where=where))
    queued = "c.status = 'queued' GROUP BY c.group_id"
    op.execute(ARMED.format(kind="dispatch", key="group_id", due="max(c.opened_at)", where=queued))


def _id(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=36), nullable=False)


def _person(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=64), nullable=nullable)


def _at(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _fk(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=op.f(f"fk_{table}_{column}"))


def _unique(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(
        name,
        table,
        columns,
        unique=True,
        sqlite_where=sa.text(where),
        postgresql_where=sa.text(where),
    )


def _make_offers() -> None:
    op.create_table(
        "offer",
        _id("offer_id"),
        _id("conv_id"),
        _person("agent_id"),
        sa.Column("kind", sa.String(length=16), nullable=False),
        _at("made_at"),
        _at("expires_at"),
        _person("by_id", nullable=True),
        sa.Column("stay", sa.Boolean(), nullable=False),
        _word("outcome", 16),
        _moment("ended_at"),
        sa.CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name=op.f("ck_offer_end")),
        sa.PrimaryKeyConstraint("offer_id", name=op.f("pk_offer")),
        _fk("offer", "conv_id", "conversation.conv_id"),
        _fk("offer", "agent_id", "agent.person_id"),
    )
    _unique("uq_offer_conversation", "offer", ["conv_id"], "outcome IS NULL")
    _unique("uq_offer_agent", "offer", ["agent_id"], "outcome IS NULL")
    op.create_index("ix_offer_ended", "offer", ["conv_id", "ended_at"])


def _make_assignments() -> None:
    op.create_table(
        "assignment",
        sa.Column("assignment_id", sa.Integer(), nullable=False),
        _id("conv_id"),
        _person("agent_id"),
        _person("group_id"),
        _at("began_at"),
        sa.Column("cause", sa.String(length=32), nullable=False),
        _person("by_id", nullable=True),
        sa.Column("over_capacity", sa.Boolean(), nullable=False),
        _moment("ended_at"),
        _word("ended_cause", 32),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_cause IS NULL)", name=op.f("ck_assignment_end")
        ),
        sa.PrimaryKeyConstraint("assignment_id", name=op.f("pk_assignment")),
        _fk("assignment", "conv_id", "conversation.conv_id"),
        _fk("assignment", "agent_id", "agent.person_id"),
    )
    _unique("uq_assignment_open", "assignment", ["conv_id"], "ended_at IS NULL")
    op.create_index("ix_assignment_ended", "assignment", ["conv_id", "ended_at"])
    op.create_index("ix_assignment_group", "assignment", ["group_id", "began_at"])


def _make_labels() -> None:
    op.create_table(
        "tag",
        _person("tag_id"),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("colour", sa.String(length=7), nullable=False),
        sa.Column("is_archived", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tag_id", name=op.f("pk_tag")),
    )
    op.create_table(
        "conversation_tag",
        _id("conv_id"),
        _person("tag_id"),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("conv_id", "tag_id", name=op.f("pk_conversation_tag")),
        _fk("conversation_tag", "conv_id", "conversation.conv_id"),
        _fk("conversation_tag", "tag_id", "tag.tag_id"),
    )
    op.create_table(
        "setting",
        _person("name"),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
    )


def _make_originals() -> None:
    op.create_table(
        "withdrawn_original",
        _id("msg_id"),
        sa.Column("body", sa.Text(), nullable=False),
        _at("at"),
        sa.PrimaryKeyConstraint("msg_id", name=op.f("pk_withdrawn_original")),
        _fk("withdrawn_original", "msg_id", "message.msg_id"),
    )
    op.create_index("ix_withdrawn_original_at", "withdrawn_original", ["at"])


def _make_pushes() -> None:
    op.create_table(
        "push",
        _id("push_id"),
        sa.Column("realm", sa.String(length=16), nullable=False),
        _person("person"),
        sa.Column("stream_id", sa.String(length=96), nullable=False),
        _at("first"),
        _at("last"),
        _at("since"),
        _at("newest"),
        sa.Column("whys", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        _at("due"),
        _at("lease_no"),
        _at("lease_until"),
        sa.CheckConstraint("first <= last", name=op.f("ck_push_order")),
        sa.PrimaryKeyConstraint("push_id", name=op.f("pk_push")),
    )
    _unique("uq_push_armed", "push", ["realm", "person", "stream_id"], "state = 'armed'")
    op.create_index("ix_push_due", "push", ["due"])


def downgrade() -> None:
    for table in (
        *("push", "withdrawn_original", "setting", "conversation_tag", "tag"),
        *("assignment", "offer"),
    ):
        op.drop_table(table)
    op.drop_index("ix_conversation_assignee", table_name="conversation")
    op.drop_index("ix_message_author", table_name="message")
    op.drop_index("ix_command_person", table_name="command")
    for table, columns in _added().items():
        for column in columns:
            # Both databases can; the batch form would make the table anew without its checks.
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.name}")
