"""The search: the terms of public messages, those from before included."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from deskwire.storage import cut, dialects

revision = "0005"
down_revision = "0004"

PAGE = 500

FTS5 = """
CREATE VIRTUAL TABLE searchable_index
    USING fts5(terms, content='searchable', content_rowid='n', tokenize='ascii')
"""
WRITTEN = """
CREATE TRIGGER searchable_written AFTER INSERT ON searchable BEGIN
    INSERT INTO searchable_index (rowid, terms) VALUES (new.n, new.terms);
END
"""
CLEARED = """
CREATE TRIGGER searchable_cleared AFTER DELETE ON searchable BEGIN
    INSERT INTO searchable_index (searchable_index, rowid, terms)
        VALUES ('delete', old.n, old.terms);
END
"""


def upgrade() -> None:
    searchable = op.create_table(
        "searchable",
        sa.Column("n", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("msg_id", sa.String(length=36), nullable=False),
        sa.Column("conv_id", sa.String(length=36), nullable=False),
        sa.Column(
            "terms", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False
        ),
        sa.ForeignKeyConstraint(["msg_id"], ["message.msg_id"], name=op.f("fk_searchable_msg_id")),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_searchable")),
        sa.UniqueConstraint("msg_id", name=op.f("uq_searchable_msg_id")),
    )
    conn = op.get_bind()
    if conn.dialect.name == "sqlite":
        for statement in (FTS5, WRITTEN, CLEARED):
            conn.exec_driver_sql(statement)
    _fill(conn, searchable)
    if conn.dialect.name == "postgresql":
        op.create_index(
            "ix_searchable_terms", "searchable", ["terms"], unique=False, postgresql_using="gin"
        )


def _fill(conn: sa.Connection, searchable: sa.Table) -> None:
    """Page by page in the order of ids, which is that of time."""
    after = ""
    while page := _messages(conn, after):
        after = page[-1].msg_id
        found = [
            {
                "msg_id": row.msg_id,
                "conv_id": row.conv_id,
                "terms": dialects.written_terms(conn, terms),
            }
            for row in page
            if (terms := cut.terms(row.body))
        ]
        if found:
            conn.execute(sa.insert(searchable), found)


def _messages(conn: sa.Connection, after: str) -> Sequence[Any]:
    """Public ones: what stands on `conv:<id>` itself."""
    return conn.execute(
        sa.text(
            "SELECT msg_id, conv_id, body FROM message"
            " WHERE stream_id = 'conv:' || conv_id AND msg_id > :after"
            " ORDER BY msg_id LIMIT :page"
        ),
        {"after": after, "page": PAGE},
    ).all()


def downgrade() -> None:
    conn = op.get_bind()
    if conn.dialect.name == "sqlite":
        conn.exec_driver_sql("DROP TABLE searchable_index")
    op.drop_table("searchable")
