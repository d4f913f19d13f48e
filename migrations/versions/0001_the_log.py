"""The log: events, read models, snapshots, and what the data needs of a release.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from ghostfleet.store.dialect import APPEND_ONLY

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("position", POSITION, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("type_version", sa.Integer, nullable=False),
        sa.Column("critical", sa.SmallInteger, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("correlation", sa.Text, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("stream", "version", name="events_stream_version"),
    )
    op.create_index("events_correlation", "events", ["correlation"])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
    op.create_table(
        "transactions",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("wallet", sa.Text, nullable=False),
        sa.Column("address", sa.LargeBinary, nullable=False),
        sa.Column("action_id", sa.Text, nullable=False),
        sa.Column("nonce", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("signed_position", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("block_number", sa.BigInteger),
        sa.Column("block_hash", sa.LargeBinary),
        sa.Column("gas_used", sa.BigInteger),
        sa.Column("gas_price_wei", sa.Text),
    )
    op.create_index("transactions_wallet_nonce", "transactions", ["wallet", "nonce"])
    op.create_index("transactions_position", "transactions", ["signed_position"])
    op.create_table(
        "outside_transactions",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "snapshots",
        sa.Column("position", POSITION, primary_key=True, autoincrement=False),
        sa.Column("fold_version", sa.Integer, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )
    meta = op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.bulk_insert(meta, [{"key": "minimum_level", "value": "1"}])
