"""The event log: rows, head, read models, snapshots, and the triggers that keep rows as they are."""

import sqlalchemy as sa
from alembic import op

from ghostfleet.store.dialect import APPEND_ONLY

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEAST_LEVEL = 1
"""The schema level that a release has to know at least, to use the data after this step."""

WHOLE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    events = op.create_table(
        "events",
        sa.Column("position", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("version", WHOLE, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("type_version", sa.Integer, nullable=False),
        sa.Column("critical", sa.Integer, nullable=False),
        sa.Column("time_us", WHOLE, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("stream", "version", name="events_stream_version"),
    )
    op.create_index("events_type", "events", ["type", "position"])
    named = events.c.correlation != ""
    op.create_index(
        "events_correlation", "events", ["correlation", "position"], sqlite_where=named, postgresql_where=named
    )
    for trigger in APPEND_ONLY[op.get_context().dialect.name]:
        op.execute(sa.text(trigger))
    _head()
    _read_models()
    op.create_table(
        "snapshots",
        sa.Column("position", WHOLE, primary_key=True, autoincrement=False),
        sa.Column("fold_version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("head_hash", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )


def _head() -> None:
    head = op.create_table(
        "log_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", WHOLE, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("projected", WHOLE, nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "position": 0, "hash": bytes(32), "projected": 0}])
    meta = op.create_table(
        "log_meta", sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.bulk_insert(meta, [{"key": "level", "value": "1"}, {"key": "min_level", "value": "1"}])


def _read_models() -> None:
    op.create_table(
        "wallets", sa.Column("wallet", sa.Text, primary_key=True), sa.Column("address", sa.LargeBinary, nullable=False)
    )
    op.create_table(
        "transactions",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("wallet", sa.Text, nullable=False),
        sa.Column("address", sa.LargeBinary),
        sa.Column("action_id", sa.Text, nullable=False),
        sa.Column("nonce", WHOLE, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("signed_position", WHOLE, nullable=False, unique=True),
        sa.Column("signed_us", WHOLE, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("block_number", WHOLE),
        sa.Column("block_hash", sa.LargeBinary),
        sa.Column("gas_used", WHOLE),
        sa.Column("gas_price_wei", sa.Text),
    )
    op.create_index("transactions_action", "transactions", ["action_id"])
    op.create_index("transactions_wallet", "transactions", ["wallet", "signed_position"])
