"""The tables of a log. Migrations create them; this is what the code expects to find."""

import sqlalchemy as sa

SCHEMA_LEVEL = 1
"""The level of data that this release reads and writes. A database that needs a higher one is refused."""

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
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
    sa.Index("events_correlation", "correlation"),
)

transactions = sa.Table(
    "transactions",
    metadata,
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
    sa.Index("transactions_wallet_nonce", "wallet", "nonce"),
    sa.Index("transactions_position", "signed_position"),
)

outside_transactions = sa.Table(
    "outside_transactions",
    metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("position", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("fold_version", sa.Integer, nullable=False),
    sa.Column("state", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
)

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
