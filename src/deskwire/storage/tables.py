"""Every table, on one page. Times are Unix ms; ids are opaque text.

The constraints repeat the invariants of the desk, so that a bug in the rules becomes a failed
transaction and not a wrong row. Written by `migrations/`; a test holds that the two agree.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from deskwire.storage.dialects import NUMBER, TERMS

# What a row has that was written before its column was there.
NO, YES, ZERO, ONE, EMPTY = text("false"), text("true"), text("0"), text("1"), text("'[]'")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# The log ------------------------------------------------------------------------------------------

store = Table(
    # One row: the epoch that new streams take (a restore changes it, and with it every stream's),
    # and the number of the newest row of `access`.
    "store",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("epoch", String(8), nullable=False),
    Column("access", BigInteger, nullable=False),
)

stream = Table(
    "stream",
    metadata,
    Column("stream_id", String(96), primary_key=True),
    Column("epoch", String(8), nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),
    CheckConstraint("head >= floor - 1 AND floor >= 1", name="dense"),
)

event = Table(
    "event",
    metadata,
    Column("event_id", String(36), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("v", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)

stream_event = Table(
    "stream_event",
    metadata,
    Column("stream_id", String(96), ForeignKey("stream.stream_id"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("event_id", String(36), ForeignKey("event.event_id"), nullable=False),
    # The anchor of a staff event, so that a page of the timeline is found without opening bodies.
    Column("anchor", BigInteger),
    Column("voids", BigInteger),
    Index("ix_stream_event_anchor", "stream_id", "anchor"),
    Index("ix_stream_event_event", "event_id"),
)

command = Table(
    "command",
    metadata,
    Column("realm", String(16), primary_key=True),
    Column("person", String(64), primary_key=True),
    Column("command_id", String(64), primary_key=True),
    Column("content_hash", LargeBinary(32), nullable=False),
    Column("result", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_command_at", "at"),
    Index("ix_command_person", "realm", "person", "at"),
)

access = Table(
    # Who lost sight of what, in order. No principal and no login: everybody; no stream: everything.
    "access",
    metadata,
    Column("n", Integer, primary_key=True),
    Column("realm", String(16)),
    Column("person", String(64)),
    Column("login_id", String(36)),
    Column("stream_id", String(96)),
    Column("why", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
)

mark = Table(
    "mark",
    metadata,
    Column("stream_id", String(96), primary_key=True),
    Column("realm", String(16), primary_key=True),
    Column("person", String(64), primary_key=True),
    Column("delivered", BigInteger, nullable=False),
    Column("read", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    CheckConstraint("read <= delivered AND read >= 0", name="order"),
)

timer = Table(
    # What is to happen at a time. Claimed under a lease; `lease_no` rises with every claim and
    # every arming, so that whoever comes late with an older one changes nothing.
    "timer",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("due", BigInteger, nullable=False),
    Column("lease_no", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Index("ix_timer_due", "due"),
)

# People and logins --------------------------------------------------------------------------------

person = Table(
    "person",
    metadata,
    Column("person_id", String(64), primary_key=True),
    Column("wecom_userid", String(64), unique=True),
    Column("name", String(128), nullable=False),
    Column("department", String(128), nullable=False),
    Column("avatar", String(512)),
    Column("language", String(16)),
    Column("disabled_at", BigInteger),
    Column("version", Integer, nullable=False, server_default=ONE),
    # Since when WeCom does not take messages for them; a login ends it.
    Column("unreachable_at", BigInteger),
)

agent = Table(
    "agent",
    metadata,
    Column("person_id", String(64), ForeignKey("person.person_id"), primary_key=True),
    Column("login_name", String(64), nullable=False, unique=True),
    Column("password_hash", String(256)),
    Column("role", String(16), nullable=False),
    Column("availability", String(16), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("load", Integer, nullable=False),
    Column("availability_reason", String(500)),
    Column("availability_since", BigInteger, nullable=False, server_default=ZERO),
    Column("missed_offers", Integer, nullable=False, server_default=ZERO),
    Column("last_assigned_at", BigInteger),
    Column("skills", Text, nullable=False, server_default=EMPTY),
    Column("pushes", Boolean, nullable=False, server_default=YES),
    Column("version", Integer, nullable=False, server_default=ONE),
    CheckConstraint("load >= 0", name="load"),
    CheckConstraint("capacity BETWEEN 1 AND 50", name="capacity"),
)

login = Table(
    "login",
    metadata,
    Column("secret_hash", LargeBinary(32), primary_key=True),
    Column("login_id", String(36), nullable=False, unique=True),
    Column("realm", String(16), nullable=False),
    Column("person", String(64), ForeignKey("person.person_id"), nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    # As the browser calls itself, for a person who has several; and why it has ended.
    Column("browser", String(200)),
    Column("why", String(32)),
    Index("ix_login_person", "realm", "person"),
)

password_attempt = Table(
    # A password that was not the right one, or is being looked at. Names and addresses as hashes,
    # for people type their passwords into the wrong field; only the last quarter of an hour.
    "password_attempt",
    metadata,
    Column("attempt_id", String(36), primary_key=True),
    Column("name_hash", LargeBinary(32), nullable=False),
    Column("address_hash", LargeBinary(32)),
    Column("at", BigInteger, nullable=False),
    Index("ix_password_attempt_name", "name_hash", "at"),
    Index("ix_password_attempt_address", "address_hash", "at"),
    Index("ix_password_attempt_at", "at"),
)

signin = Table(
    # A sign-in under way at WeCom: spent by the one return that brings its state and its cookie.
    "signin",
    metadata,
    Column("state_hash", LargeBinary(32), primary_key=True),
    Column("cookie_hash", LargeBinary(32), nullable=False),
    Column("realm", String(16), nullable=False),
    Column("target", String(512), nullable=False),
    Column("expires", BigInteger, nullable=False),
)

# The office ---------------------------------------------------------------------------------------

agent_group = Table(
    "agent_group",
    metadata,
    Column("group_id", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("queue_max", Integer, nullable=False),
    Column("routing", String(16), nullable=False, server_default=text("'pull'")),
    Column("pick", String(16), nullable=False, server_default=text("'least_busy'")),
    Column("offer_s", Integer, nullable=False, server_default=text("25")),
    Column("first_answer_s", Integer, nullable=False, server_default=text("120")),
    Column("week", Text),
    Column("closed_days", Text, nullable=False, server_default=EMPTY),
    Column("version", Integer, nullable=False, server_default=ZERO),
)

group_member = Table(
    "group_member",
    metadata,
    Column("group_id", String(64), ForeignKey("agent_group.group_id"), primary_key=True),
    Column("person_id", String(64), ForeignKey("agent.person_id"), primary_key=True),
)

category = Table(
    "category",
    metadata,
    Column("category_id", String(64), primary_key=True),
    Column("name_zh", String(128), nullable=False),
    Column("name_en", String(128), nullable=False),
    Column("group_id", String(64), ForeignKey("agent_group.group_id"), nullable=False),
    Column("sort", Integer, nullable=False),
    Column("parent_id", String(64)),
    Column("skill", String(64)),
    Column("is_archived", Boolean, nullable=False, server_default=NO),
    Column("version", Integer, nullable=False, server_default=ZERO),
)

tag = Table(
    "tag",
    metadata,
    Column("tag_id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("colour", String(7), nullable=False),
    Column("is_archived", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
)

setting = Table(
    # What an administrator has turned; what has no row stands at its default. All are saved at
    # once, so the highest version is that of the settings.
    "setting",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Integer, nullable=False),
    Column("version", Integer, nullable=False, server_default=ZERO),
)

canned_reply = Table(
    # Its owner's, its group's, or everybody's: then it has neither.
    "canned_reply",
    metadata,
    Column("reply_id", String(64), primary_key=True),
    Column("scope", String(16), nullable=False),
    Column("shortcut", String(64), nullable=False),
    Column("text", Text, nullable=False),
    Column("owner_id", String(64), ForeignKey("agent.person_id")),
    Column("group_id", String(64), ForeignKey("agent_group.group_id")),
    Column("is_archived", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    CheckConstraint(
        "(owner_id IS NOT NULL) = (scope = 'mine') AND (group_id IS NOT NULL) = (scope = 'group')",
        name="whose",
    ),
    Index("ix_canned_reply_owner", "owner_id"),
    Index("ix_canned_reply_group", "group_id"),
)

# Conversations ------------------------------------------------------------------------------------

day_number = Table(
    # How many conversations were opened on a day: the last part of a conversation's number.
    "day_number",
    metadata,
    Column("day", String(8), primary_key=True),
    Column("n", Integer, nullable=False),
)

conversation = Table(
    "conversation",
    metadata,
    Column("conv_id", String(36), primary_key=True),
    Column("no", String(32), nullable=False, unique=True),
    Column("requester_id", String(64), ForeignKey("person.person_id"), nullable=False),
    Column("category_id", String(64), ForeignKey("category.category_id"), nullable=False),
    Column("group_id", String(64), ForeignKey("agent_group.group_id"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("assignee_id", String(64), ForeignKey("person.person_id")),
    Column("last_agent_id", String(64), ForeignKey("person.person_id")),
    Column("turn", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("waiting_since", BigInteger),
    Column("opened_at", BigInteger, nullable=False),
    Column("first_answered_at", BigInteger),
    Column("resolution_no", Integer, nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_how", String(16)),
    Column("previous_id", String(36)),
    Column("rated", Boolean, nullable=False),
    Column("last_msg_id", String(36)),
    Column("priority", Integer, nullable=False, server_default=ZERO),
    Column("label_version", Integer, nullable=False, server_default=ZERO),
    Column("preferred_agent_id", String(64)),
    Column("prefer_until", BigInteger),
    Column("waiting_reason", String(32)),
    Column("held_until", BigInteger),
    Column("reopen_count", Integer, nullable=False, server_default=ZERO),
    Column("assignee_absent", Boolean, nullable=False, server_default=NO),
    Column("assignee_answered", Boolean, nullable=False, server_default=NO),
    Column("assigned_at", BigInteger),
    Column("resolved_at", BigInteger),
    Column("is_reminded", Boolean, nullable=False, server_default=NO),
    CheckConstraint("(assignee_id IS NOT NULL) = (status = 'active')", name="assignee"),
    CheckConstraint("assignee_id IS NULL OR assignee_id <> requester_id", name="own"),
    Index(
        "uq_conversation_unclosed",
        "requester_id",
        "group_id",
        unique=True,
        sqlite_where=text("status <> 'closed'"),
        postgresql_where=text("status <> 'closed'"),
    ),
    Index("ix_conversation_board", "group_id", "status", "waiting_since"),
    Index("ix_conversation_requester", "requester_id", "opened_at"),
    Index("ix_conversation_assignee", "assignee_id"),
)

participant = Table(
    "participant",
    metadata,
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), primary_key=True),
    Column("realm", String(16), primary_key=True),
    Column("person_id", String(64), ForeignKey("person.person_id"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("visible_from", BigInteger, nullable=False),
    Column("left_at", BigInteger),
    Index("ix_participant_person", "realm", "person_id"),
)

message = Table(
    "message",
    metadata,
    Column("msg_id", String(36), primary_key=True),
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), nullable=False),
    Column("stream_id", String(96), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("realm", String(16), nullable=False),
    Column("person_id", String(64), ForeignKey("person.person_id"), nullable=False),
    Column("command_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("mentions", Text, nullable=False, server_default=EMPTY),
    Column("reply_to", String(36)),
    Column("withdrawn", String(16)),
    UniqueConstraint("stream_id", "position"),
    Index("ix_message_conversation", "conv_id", "stream_id", "position"),
    Index("ix_message_author", "realm", "person_id", "at"),
)

withdrawn_original = Table(
    # What stood in a recalled message, for administrators, for a time.
    "withdrawn_original",
    metadata,
    Column("msg_id", String(36), ForeignKey("message.msg_id"), primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_withdrawn_original_at", "at"),
)

conversation_tag = Table(
    "conversation_tag",
    metadata,
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), primary_key=True),
    Column("tag_id", String(64), ForeignKey("tag.tag_id"), primary_key=True),
    Column("sort", Integer, nullable=False),
)

draft = Table(
    # What an agent is writing. It is nobody's event, and goes when it is sent or thrown away.
    "draft",
    metadata,
    Column("person_id", String(64), ForeignKey("agent.person_id"), primary_key=True),
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), primary_key=True),
    Column("mode", String(16), primary_key=True),
    Column("text", Text, nullable=False),
    Column("attachments", Text, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_draft_newest", "person_id", "at"),
)

offer = Table(
    # Live while it has no outcome: one for each conversation, one for each agent.
    "offer",
    metadata,
    Column("offer_id", String(36), primary_key=True),
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), nullable=False),
    Column("agent_id", String(64), ForeignKey("agent.person_id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("by_id", String(64)),
    Column("stay", Boolean, nullable=False),
    Column("outcome", String(16)),
    Column("ended_at", BigInteger),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="end"),
    Index(
        "uq_offer_conversation",
        "conv_id",
        unique=True,
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
    Index(
        "uq_offer_agent",
        "agent_id",
        unique=True,
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
    Index("ix_offer_ended", "conv_id", "ended_at"),
)

assignment = Table(
    # In whose hands a conversation was, from when to when, and why.
    "assignment",
    metadata,
    Column("assignment_id", Integer, primary_key=True),
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), nullable=False),
    Column("agent_id", String(64), ForeignKey("agent.person_id"), nullable=False),
    Column("group_id", String(64), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("cause", String(32), nullable=False),
    Column("by_id", String(64)),
    Column("over_capacity", Boolean, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_cause", String(32)),
    CheckConstraint("(ended_at IS NULL) = (ended_cause IS NULL)", name="end"),
    Index(
        "uq_assignment_open",
        "conv_id",
        unique=True,
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_assignment_ended", "conv_id", "ended_at"),
    Index("ix_assignment_group", "group_id", "began_at"),
)

push = Table(
    # What goes out as a WeCom message unless a mark comes first: one armed row for each key. While
    # it is sent `body` holds the very bytes; what is settled stays for limits, gaps and recalls.
    "push",
    metadata,
    Column("push_id", String(36), primary_key=True),
    Column("realm", String(16), nullable=False),
    Column("person", String(64), nullable=False),
    Column("stream_id", String(96), nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
    Column("whys", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("lease_no", BigInteger, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    # Frozen with the body: the page it leads to, what it speaks of, whose words it shows.
    Column("conv_id", String(36)),
    Column("body", LargeBinary),
    Column("announces", Text, nullable=False, server_default=EMPTY),
    Column("shows", String(36)),
    # How many of this key in a row, with this one, have met no sign of life.
    Column("unanswered", Integer, nullable=False, server_default=ZERO),
    # `tried_at` is the first try whose bytes may have left.
    Column("tries", Integer, nullable=False, server_default=ZERO),
    Column("tried_at", BigInteger),
    Column("msgid", String(256)),
    Column("reason", String(64)),
    Column("settled_at", BigInteger),
    CheckConstraint("first <= last", name="order"),
    Index(
        "uq_push_armed",
        "realm",
        "person",
        "stream_id",
        unique=True,
        sqlite_where=text("state = 'armed'"),
        postgresql_where=text("state = 'armed'"),
    ),
    Index(
        "ix_push_due",
        "due",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
    Index("ix_push_stream", "stream_id", "realm", "person"),
    Index("ix_push_person", "person", "tried_at"),
    Index("ix_push_tried", "tried_at"),
    Index("ix_push_settled", "settled_at"),
)

attachment = Table(
    # An upload; its bytes are a file of the same id. Staged until a message binds it. `destroy_at`
    # is when file and row go: at once for what is redacted or was never bound.
    "attachment",
    metadata,
    Column("attachment_id", String(36), primary_key=True),
    Column("realm", String(16), nullable=False),
    Column("person", String(64), ForeignKey("person.person_id"), nullable=False),
    Column("conv_id", String(36), ForeignKey("conversation.conv_id")),
    Column("stream_id", String(96)),
    Column("msg_id", String(36)),
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("type", String(64), nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("sha256", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger),
    Column("destroy_at", BigInteger),
    CheckConstraint(
        "(conv_id IS NULL) = (msg_id IS NULL) AND (conv_id IS NULL) = (stream_id IS NULL)",
        name="bound",
    ),
    CheckConstraint("destroy_at IS NULL OR withdrawn_at IS NOT NULL", name="destroyed"),
    Index("ix_attachment_owner", "realm", "person", "at"),
    Index("ix_attachment_message", "msg_id"),
    Index(
        "ix_attachment_staged",
        "at",
        sqlite_where=text("conv_id IS NULL"),
        postgresql_where=text("conv_id IS NULL"),
    ),
    Index(
        "ix_attachment_destroy",
        "destroy_at",
        sqlite_where=text("destroy_at IS NOT NULL"),
        postgresql_where=text("destroy_at IS NOT NULL"),
    ),
)

searchable = Table(
    # The terms of public messages, for the search; `cut` makes them. A withdrawn one has no row.
    "searchable",
    metadata,
    Column("n", NUMBER, primary_key=True),
    Column("msg_id", String(36), ForeignKey("message.msg_id"), nullable=False, unique=True),
    Column("conv_id", String(36), nullable=False),
    Column("terms", TERMS, nullable=False),
    # SQLite has an FTS5 table instead, which no metadata describes.
    Index("ix_searchable_terms", "terms", postgresql_using="gin").ddl_if(dialect="postgresql"),
)

rating = Table(
    "rating",
    metadata,
    Column("conv_id", String(36), ForeignKey("conversation.conv_id"), primary_key=True),
    Column("resolution_no", Integer, primary_key=True),
    Column("score", Integer, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    CheckConstraint("score BETWEEN 1 AND 5", name="score"),
)
