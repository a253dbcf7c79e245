"""Where an event stands is found by its id: asked at each withdrawal, and before it goes."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_index("ix_stream_event_event", "stream_event", ["event_id"])


def downgrade() -> None:
    op.drop_index("ix_stream_event_event", "stream_event")
